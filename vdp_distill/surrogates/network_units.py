"""Units of the paper's networks: log10 cd/m2 divided by 4, JND divided by 100, so that each loss is of order one."""

import math
from typing import NamedTuple

from torch import Tensor

from vdp_distill.adaptation import adapting_luminance
from vdp_distill.parameters import DEFAULT_PARAMETERS

__all__ = [
    "JND_PER_UNIT",
    "LOG10_CDM2_PER_UNIT",
    "ChainOutput",
    "seen",
    "seen_and_kept",
    "stage_targets",
    "to_network_light",
]

LOG10_CDM2_PER_UNIT = 4.0
JND_PER_UNIT = 100.0
LARGEST = 2.5
"""10^10 cd/m2 in the networks' unit."""


class ChainOutput(NamedTuple):
    """What the networks give, in their own units; each (M, K, H, W)."""

    light_scatter: Tensor
    photoreceptors: Tensor
    luminance_masking: Tensor


def to_network_light(light_cdm2: Tensor) -> Tensor:
    """Light in the networks' unit, within the metric's range of light.

    Examples
    --------
    >>> import torch
    >>> float(to_network_light(torch.tensor(100.0)))
    0.5
    """
    return light_cdm2.clamp(*DEFAULT_PARAMETERS.light_range_cdm2).log10() / LOG10_CDM2_PER_UNIT


def stage_targets(light_scatter: Tensor, photoreceptors: Tensor, luminance_masking: Tensor) -> ChainOutput:
    """The metric's stages in the networks' units; each (M, K, H, W), of 4 receptors and 3 masked responses."""
    scattered, responses = to_network_light(light_scatter), to_network_light(photoreceptors)
    return ChainOutput(scattered, responses, luminance_masking / JND_PER_UNIT)


def seen(scattered: Tensor, responses: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
    """What the cortex needs: adapting luminance in cd/m2, and the sum of the masked responses in JND."""
    return adapting_luminance(_to_light(responses[:, :2])), JND_PER_UNIT * masked.sum(dim=1, keepdim=True)


def seen_and_kept(scattered: Tensor, responses: Tensor, masked: Tensor) -> tuple[Tensor, ...]:
    """Adapting luminance, masked responses, light scatter and photoreceptors, in cd/m2 and JND."""
    receptors = _to_light(responses)
    return adapting_luminance(receptors), JND_PER_UNIT * masked, _to_light(scattered), receptors


def _to_light(value: Tensor) -> Tensor:
    """Light in cd/m2 of a network's output; no more than the metric's largest, which float32 still holds."""
    return (math.log(10) * LOG10_CDM2_PER_UNIT * value.clamp(-LARGEST, LARGEST)).exp()
