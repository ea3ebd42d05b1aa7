"""The fine octaves of the block-wise visual system: a difference between two images, masked, in blocks of 4 x 4 pixels.

Source: Mantiuk et al. 2011, section 5, on the filters of :mod:`vdp_distill.surrogates.lapped`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill.pipeline import Pair
from vdp_distill.surrogates.channels import amplitude, mixed, sensitivities, squares, waves
from vdp_distill.surrogates.energies import energy_of_rows, of_filters, root_energy
from vdp_distill.surrogates.lapped import SwiftConfig, starting
from vdp_distill.surrogates.layers import start_from
from vdp_distill.surrogates.masked_groups import MaskedGroups
from vdp_distill.surrogates.sight import filtered
from vdp_distill.tiles import in_tiles

__all__ = ["Fine", "FineOctaves"]


class Fine(NamedTuple):
    """What is seen of a difference in the residual and the fine octaves."""

    found: Tensor
    """Contrast at the corners of the blocks, (N, 3, h + 1, w + 1)."""

    texture: Tensor
    """Mean amplitude of what both images share, likewise."""

    waves: tuple[Tensor, Tensor]
    """Masked response of every filter with its sign: of narrow ones, of wide ones, (N, filters, h + 1, w + 1)."""

    energy: Tensor | None
    """Root energy of every channel where light changed, (N, channels); None where nobody asked for it."""


class FineOctaves(MaskedGroups):
    """High-pass residual and two octaves of the pyramid.

    Parameters
    ----------
    config
        The system's shape.
    """

    def __init__(self, config: SwiftConfig):
        super().__init__(config.groups)
        self.orientations = config.orientations
        start = starting(config.orientations)
        named = start._asdict().items()
        start_from(self, {name if name.endswith("taps") else f"{name}_gain": value for name, value in named})

    def forward(
        self,
        cells: Pair,
        luminance: Tensor,
        coarser: Tensor,
        pixels_per_degree: Tensor,
        changed: Tensor | None = None,
    ) -> Fine:
        """Look at the ringed cells of both images.

        Parameters
        ----------
        cells
            :attr:`vdp_distill.surrogates.sight.Sight.cells`.
        luminance
            That the eye adapts to, at the corners of the blocks, cd/m2, (N, 1, h + 1, w + 1).
        coarser
            What masks from the third octave, likewise.
        pixels_per_degree
            (1,) or (N,).
        changed
            :attr:`vdp_distill.surrogates.energies.Changed.places`, for the energy.
        """
        weight, sums, link = self.masking_gain.exp().mT, self.groups.to(luminance), self.link()
        means = sums / sums.sum(dim=0)

        def look(test, reference, wide_test, wide_reference, sensitivity, matrices, coarser, *changed):
            mutual = torch.minimum(squares(test, wide_test), squares(reference, wide_reference))
            narrow, wide = test - reference, wide_test - wide_reference
            mutual = amplitude(mutual)
            masking = mixed(mutual, weight) + mixed(coarser, link)
            size = amplitude(squares(narrow, wide))
            rate = size * size * size.sqrt() * self.gain_under(masking, sensitivity, matrices)
            contrast = rate * size
            energy = (energy_of_rows(contrast, of_filters(places, self.orientations)) for places in changed)
            return mixed(contrast, sums), mixed(mutual, means), *waves(narrow, wide, rate), *energy

        matrices = self.matrices(pixels_per_degree)[..., None, None]
        inputs = *self.responses(cells), sensitivities(luminance, pixels_per_degree), matrices, coarser
        inputs += () if changed is None else (changed,)
        found, texture, narrow, wide, *energy = in_tiles(look, *inputs, learnt=(weight, link))
        total = root_energy(energy[0], found[0, 0].numel()) * self.energy_gain.exp() if energy else None
        return Fine(found, texture, (narrow, wide), total)

    def responses(self, cells: Pair) -> list[Tensor]:
        """What narrow filters find in test and reference, then what wide ones do."""
        narrow = torch.cat([self.pixel_taps, self.taps.flatten(0, 1)])
        return [
            filtered(image, taps) for taps in map(_balanced, (narrow, self.wide_taps.flatten(0, 1))) for image in cells
        ]


def _balanced(taps: Tensor) -> Tensor:
    """Filters that answer a constant with 0."""
    return taps - taps.mean(dim=(1, 2), keepdim=True)
