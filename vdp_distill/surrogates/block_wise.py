"""What visual systems in blocks share: one look at each image, a correction of what is found, the quality correlate.

Source of the correlate: release 2.2.1 of the metric.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vdp_distill import detection
from vdp_distill.pipeline import Pair
from vdp_distill.pyramid import band_frequencies
from vdp_distill.surrogates.channels import log2_ppd
from vdp_distill.surrogates.correction import FEATURES, HIDDEN, correction
from vdp_distill.surrogates.cortex import Seen
from vdp_distill.surrogates.golden import VisualSystem
from vdp_distill.surrogates.viewing import Viewing, receptor_shares

__all__ = ["BlockWiseVision"]


class BlockWiseVision(VisualSystem):
    """A visual system that looks at each image by itself, and then compares what it has seen.

    Parameters
    ----------
    pairs
        Bands that pairs of filters look at, the residual counted among them.
    generator
        Draws the start of the correction.
    """

    def __init__(self, pairs: int, generator: torch.Generator | None = None):
        super().__init__()
        self.quality_gain = nn.Parameter(torch.zeros(pairs))
        self.refine_taps = nn.Parameter(torch.randn(HIDDEN, FEATURES, 3, 3, generator=generator) * 0.1)
        self.refine_offset = nn.Parameter(torch.zeros(HIDDEN))
        self.refine_last_taps = nn.Parameter(torch.zeros(1, HIDDEN, 3, 3))

    def forward(self, light_cdm2: Pair, matrix: Tensor, surround_cdm2: Tensor, pixels_per_degree: Tensor) -> Seen:
        """Look at a batch of pairs; arguments as for :class:`vdp_distill.surrogates.vision.SmallVision`."""
        viewing = Viewing(receptor_shares(light_cdm2.reference, matrix), surround_cdm2, pixels_per_degree)
        sights = (self.look_at(image, None, viewing) for image in light_cdm2)
        return self.compare(*sights, pixels_per_degree)

    @abstractmethod
    def look_at(self, image: Tensor, to_light: Callable[[Tensor], Tensor] | None, viewing: Viewing):
        """What one image is to the eye; arguments as for :func:`vdp_distill.surrogates.sight.look_at`."""

    @abstractmethod
    def compare(self, test, reference, pixels_per_degree: Tensor, wants_quality: bool = True) -> Seen:
        """What is seen of the difference between two images, without the quality correlate where it is not wanted."""

    def factor(self, parts: Tensor, texture: Tensor, luminance_cdm2: Tensor, pixels_per_degree: Tensor) -> Tensor:
        """By which contrast is corrected; arguments as for :func:`vdp_distill.surrogates.correction.correction`."""
        weights = self.refine_taps, self.refine_offset, self.refine_last_taps
        return correction(parts, texture, luminance_cdm2, log2_ppd(pixels_per_degree), weights)

    def quality_of(self, energies: list[Tensor], pixels_per_degree: Tensor) -> Tensor:
        """The quality correlate Q from the root energy of every band."""
        # A pair's amplitude has the energy of both phases.
        own = self.quality_gain.exp() / 2
        shares = torch.cat([own, own.new_ones(len(energies) - len(own))])
        weights = detection.quality_weights(band_frequencies(pixels_per_degree, len(energies)))
        return detection.quality(energies, weights * shares)
