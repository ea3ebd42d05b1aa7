"""A whole small visual system: light of a pair to what is seen of their difference."""

import torch
from torch import Tensor, nn

from vdp_distill import pipeline
from vdp_distill.fourier import unit_frequency
from vdp_distill.pipeline import Pair
from vdp_distill.pyramid import pyramid_sizes
from vdp_distill.surrogates import grey
from vdp_distill.surrogates.cortex import CortexConfig, Seen, SmallCortex
from vdp_distill.surrogates.golden import VisualSystem
from vdp_distill.surrogates.half_resolution import fitted_taps
from vdp_distill.surrogates.planes import Planes, light_planes
from vdp_distill.surrogates.response import Curve
from vdp_distill.surrogates.tangent import STEP
from vdp_distill.surrogates.viewing import Viewing, receptor_shares

__all__ = ["DOMAIN", "SmallVision"]

DOMAIN = {"pixels_per_degree": (15.0, 120.0), "luminance_cdm2": (5e-5, 4000.0), "side_pixels": (32.0, float("inf"))}
"""What the small visual systems are trained on: geometry, luminance, shorter side."""


class SmallVision(VisualSystem):
    """Optics and retina in one plane, then the metric's cortex or a smaller one.

    Parameters
    ----------
    config
        Its shape.
    generator
        Taken for the sake of one call for all networks: the start is the metric's own numbers, nothing is drawn.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> vision = SmallVision(CortexConfig(kind="fast", scatter_every=2))
    >>> light = torch.full((1, 3, 40, 40), 50.0)
    >>> matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32)[None]
    >>> with torch.no_grad():
    ...     seen = vision(Pair(light, light), matrix, torch.full((1, 3, 1, 1), 1e-5), torch.tensor([45.0]))
    >>> float(seen.contrast_map.sum())
    0.0
    """

    def __init__(self, config: CortexConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        table = torch.tensor(fitted_taps(3), dtype=torch.get_default_dtype()) if config.scatter_every > 1 else None
        self.register_parameter("scatter_taps", table if table is None else nn.Parameter(table))
        self.cortex = MetricCortex() if self.has_metric_cortex else SmallCortex()

    @property
    def has_metric_cortex(self) -> bool:
        """Whether the metric's own cortex looks, which learns nothing."""
        return self.config.kind == "cortex"

    def forward(self, light_cdm2: Pair, matrix: Tensor, surround_cdm2: Tensor, pixels_per_degree: Tensor) -> Seen:
        """Look at a batch of pairs.

        Parameters
        ----------
        light_cdm2
            Both images, (N, C, H, W).
        matrix
            (1 or N, C, 4), columns L, M, S, rod.
        surround_cdm2
            Broadcast against (N, C, 1, 1).
        pixels_per_degree
            (1,) or (N,).
        """
        viewing = Viewing(receptor_shares(light_cdm2.reference, matrix), surround_cdm2, pixels_per_degree)
        return self.see(light_planes(light_cdm2, viewing), viewing)

    def see(self, planes: Planes, viewing: Viewing) -> Seen:
        """The same from planes of light; without the quality correlate where they do not say what changed."""
        achromatic, luminance = self.retina(planes, viewing)
        return self.cortex(achromatic, luminance, planes.changed, viewing.pixels_per_degree)

    def retina(self, planes: Planes, viewing: Viewing) -> tuple[Pair, Pair]:
        """Achromatic responses in JND, and the luminance that the eye adapts to; (N, 1, H, W) each."""
        around, degree = viewing.surround_plane_cdm2, viewing.pixels_per_degree
        plane = grey.scatter(planes.plane, around, degree, self.scatter_taps)
        return grey.respond(plane, Curve(viewing.shares, plane.reference), planes.lift, STEP)


class MetricCortex(nn.Module):
    """The metric's own cortex, called like :class:`vdp_distill.surrogates.cortex.SmallCortex`."""

    def forward(self, achromatic: Pair, luminance: Pair, changed: Tensor | None, pixels_per_degree: Tensor) -> Seen:
        sizes = pyramid_sizes(*achromatic.test.shape[-2:])
        bands = pipeline.Bands(sizes, unit_frequency(*sizes[-1]).to(achromatic.test))
        seen = pipeline.cortex(achromatic, luminance, changed, pixels_per_degree, bands)
        return Seen(seen.contrast_map, seen.quality)
