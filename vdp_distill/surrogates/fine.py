"""The fine octaves of the block-wise visual system: a difference between two images, masked, in blocks of 4 x 4 pixels.

Source: Mantiuk et al. 2011, section 5, on the filters of :mod:`vdp_distill.surrogates.lapped`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.power import power
from vdp_distill.surrogates.channels import (
    amplitude,
    log2_ppd,
    mixed,
    sensitivities,
    squares,
    waves,
)
from vdp_distill.surrogates.energies import energy_of_rows, of_filters, root_energy
from vdp_distill.surrogates.lapped import SwiftConfig, starting
from vdp_distill.surrogates.layers import start_from
from vdp_distill.surrogates.sight import filtered
from vdp_distill.tiles import in_tiles

__all__ = ["Fine", "FineOctaves"]

OCTAVES = (-1.6, 1.5)
"""Of the pixels per degree of what the gains are trained on, to 45."""

LARGEST_GAIN = 4.0
"""Natural logarithm; its 14th power is still a number in float32."""

LINK = 1.1
"""Natural logarithm where the weight of masking by the third octave starts, about that of the metric."""

P, Q = DEFAULT_PARAMETERS.mask_p, DEFAULT_PARAMETERS.mask_q


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


class FineOctaves(nn.Module):
    """High-pass residual and two octaves of the pyramid.

    Parameters
    ----------
    config
        The system's shape.
    """

    def __init__(self, config: SwiftConfig):
        super().__init__()
        self.sizes, self.orientations = config.groups, config.orientations
        channels, start = sum(self.sizes), starting(config.orientations)
        named = start._asdict().items()
        start_from(self, {name if name.endswith("taps") else f"{name}_gain": value for name, value in named})
        groups = torch.eye(len(self.sizes)).repeat_interleave(torch.tensor(self.sizes), dim=0)
        self.register_buffer("groups", groups, persistent=False)
        self.sensitivity_gain = nn.Parameter(torch.zeros(3, channels))
        self.lift_gain = nn.Parameter(torch.zeros(channels))
        self.link_gain = nn.Parameter(torch.tensor([LINK]))
        self.energy_gain = nn.Parameter(torch.zeros(channels))

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

    def link(self) -> Tensor:
        """Which channels the third octave masks, (1, channels): those of the second."""
        return self.link_gain.exp() * self.groups.mT[-1:].to(self.link_gain)

    def gains(self, pixels_per_degree: Tensor) -> tuple[Tensor, Tensor]:
        """On the threshold and on masking, of every channel, (N, channels)."""
        octaves = log2_ppd(pixels_per_degree).clamp(*OCTAVES)[:, None]
        constant, slope, bend = self.sensitivity_gain
        gain = constant + slope * octaves + bend * octaves**2
        gain = LARGEST_GAIN * (gain / LARGEST_GAIN).tanh()
        return (-2 * P * gain).exp(), (Q * gain + self.lift_gain).exp()

    def matrices(self, pixels_per_degree: Tensor) -> Tensor:
        """From a group's sensitivity to the threshold and to masking of its channels, (N, 2 x 3 x channels)."""
        output, groups = self.output_gain, self.groups.mT.to(pixels_per_degree)
        floor, lift = (gain[:, None] * groups for gain in self.gains(pixels_per_degree))
        # The output gain as a part of the denominator: B = c^p / sqrt(threshold + masking^2) e^gain.
        return torch.stack([floor * (-2 * output).exp(), lift * (-output).exp()], dim=1).flatten(1)

    def gain_under(self, masking: Tensor, sensitivity: Tensor, matrices: Tensor) -> Tensor:
        """What a difference to the power of 3.5 counts under masking, (N, channels, h, w)."""
        floor, lift = matrices.view(-1, 2, 1, *self.groups.mT.shape).unbind(1)
        masked = power(masking, Q) * mixed(power(sensitivity, Q), lift)
        threshold = mixed(power(sensitivity, -2 * P), floor)
        return torch.addcmul(threshold, masked, masked).rsqrt()


def _balanced(taps: Tensor) -> Tensor:
    """Filters that answer a constant with 0."""
    return taps - taps.mean(dim=(1, 2), keepdim=True)
