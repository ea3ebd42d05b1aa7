"""Surrogates: the paper's chained networks, and a chain and a cortex built on what is known of the metric."""

from vdp_distill.surrogates.layers import FittedSELU
from vdp_distill.surrogates.network_units import (
    JND_PER_UNIT,
    LOG10_CDM2_PER_UNIT,
    ChainOutput,
    stage_targets,
    to_network_light,
)
from vdp_distill.surrogates.paper import Chain, ChainConfig

__all__ = [
    "Chain",
    "ChainConfig",
    "ChainOutput",
    "FittedSELU",
    "JND_PER_UNIT",
    "LOG10_CDM2_PER_UNIT",
    "stage_targets",
    "to_network_light",
]
