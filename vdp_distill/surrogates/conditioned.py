"""A chain that knows the viewing condition: the metric's optics and retina, with light scatter at half resolution.

It follows pixels per degree, display, spectra and surround, and gives each stage of the metric by its name. Only the
optics are imitated, for only they cost: of what follows, mixing into receptors is a matrix and the response a table,
both the metric's own; a monotone sum of SELUs in the table's place needs dozens of terms to follow its slope.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vdp_distill import pipeline
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.surrogates.golden import VisualSystem
from vdp_distill.surrogates.half_resolution import fitted_taps, scatter_half
from vdp_distill.surrogates.viewing import PEAK_SENSITIVITY

__all__ = ["ConditionedChain", "ConditionedConfig", "Stages"]

TAPS = (1, 3)


@dataclass(frozen=True)
class ConditionedConfig:
    """Shape of a conditioned chain.

    Parameters
    ----------
    kind
        ``"chain"``.
    scatter_taps
        Of the filter on the sharp image: 1, its middle alone, or 3: middle, edge and corner of 3 x 3 pixels.
    """

    kind: str = "chain"
    scatter_taps: int = 3

    def __post_init__(self):
        if self.scatter_taps not in TAPS:
            raise ValueError(f"network: scatter_taps must be one of {TAPS}, got {self.scatter_taps}")


class Stages(NamedTuple):
    """The stages of an image, each (N, K, H, W)."""

    light_scatter: Tensor
    photoreceptors: Tensor
    luminance_masking: Tensor
    achromatic: Tensor


class ConditionedChain(VisualSystem):
    """Light of a pair to the stages of the retina.

    Parameters
    ----------
    config
        Its shape.
    generator
        Taken for the sake of one call for all networks: the start is fitted to the optics, nothing is drawn.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> chain = ConditionedChain(ConditionedConfig())
    >>> light = torch.full((1, 3, 33, 40), 50.0)
    >>> matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32)[None]
    >>> around, degree = torch.full((1, 3, 1, 1), 1e-5), torch.tensor([45.0])
    >>> with torch.no_grad():
    ...     seen = chain(Pair(light, light), matrix, around, degree, keep_stages=True)
    >>> seen.test.photoreceptors.shape, float((seen.test.achromatic - seen.reference.achromatic).abs().max())
    (torch.Size([1, 4, 33, 40]), 0.0)
    """

    def __init__(self, config: ConditionedConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        table = torch.tensor(fitted_taps(config.scatter_taps), dtype=torch.get_default_dtype())
        self.scatter_taps = nn.Parameter(table)

    def forward(
        self,
        light_cdm2: Pair,
        matrix: Tensor,
        surround_cdm2: Tensor,
        pixels_per_degree: Tensor,
        keep_stages: bool = False,
    ) -> Pair:
        """Both images' :class:`vdp_distill.pipeline.Retina`.

        ``keep_stages`` is that of :func:`vdp_distill.pipeline.retina`; the other arguments are as for
        :class:`vdp_distill.surrogates.vision.SmallVision`.
        """
        scattered = self.scatter(light_cdm2, surround_cdm2, pixels_per_degree)
        tables = pipeline.response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, scattered.test.device)
        return pipeline.retina(scattered, surround_cdm2, None, matrix, tables, keep_stages)

    def scatter(self, light_cdm2: Pair, surround_cdm2: Tensor, pixels_per_degree: Tensor) -> Pair:
        """Light on the retina of both images; that of the test is the reference's and the difference's."""
        bounds = DEFAULT_PARAMETERS.light_range_cdm2
        difference = scatter_half(light_cdm2.test - light_cdm2.reference, pixels_per_degree, self.scatter_taps)
        reference = scatter_half(light_cdm2.reference - surround_cdm2, pixels_per_degree, self.scatter_taps)
        reference = reference + surround_cdm2
        return Pair((reference + difference).clamp(*bounds), reference.clamp(*bounds))

    def see_golden(self, inputs: Mapping[str, Tensor]) -> Stages:
        """The test image's stages for :meth:`golden_input`."""
        viewing = (inputs[name] for name in ("matrix", "surround", "pixels_per_degree"))
        seen = self(Pair(inputs["test"], inputs["reference"]), *viewing, keep_stages=True).test
        return Stages(seen.light_scatter, seen.photoreceptors, seen.luminance_masking, seen.achromatic)
