"""The finest octaves of an eye in a hurry: a few filters of 12 x 12 pixels about every block of 4 x 4.

The arithmetic is that of :mod:`vdp_distill.surrogates.fine`. There are fewer filters, all of one size: the residual is
looked at about every pixel or every second, the first octave about two places of a block, the second about its middle.

Source: Mantiuk et al. 2011, section 5, on filters as in :mod:`vdp_distill.surrogates.lapped`.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.power import power
from vdp_distill.pyramid import BLOCK
from vdp_distill.surrogates.channels import amplitude, mixed
from vdp_distill.surrogates.energies import energy_of_rows, root_energy
from vdp_distill.surrogates.lapped import BACK_SHARE, CREST_SHARE, WAVE_SHARE, masking_between
from vdp_distill.surrogates.layers import start_from
from vdp_distill.surrogates.masked_groups import MaskedGroups
from vdp_distill.surrogates.waves import fitted, magnitudes
from vdp_distill.tiles import in_tiles

__all__ = ["GlanceConfig", "WindowOctaves", "Windows"]

CELLS = 3
"""Side of a window, in blocks."""

SIDE = CELLS * BLOCK

RESIDUALS = {4: (-1.5, 0.5), 16: (-1.5, -0.5, 0.5, 1.5)}
"""Where in their window filters of the residual stand along each axis, in pixels from its middle; by their number."""

OCTAVE_PLACES = ((-1, -1), (1, 1)), ((0, 0),)
"""The same of the filters of each octave, down and across."""

P, Q = DEFAULT_PARAMETERS.mask_p, DEFAULT_PARAMETERS.mask_q


@dataclass(frozen=True)
class GlanceConfig:
    """Shape of a visual system in a hurry.

    Parameters
    ----------
    kind
        ``"glance"``.
    orientations
        Of the pairs of filters of the first octave, of the second and of the third.
    residuals
        Filters of the residual: 16, one a pixel of a block, or 4.
    """

    kind: str = "glance"
    orientations: tuple[int, ...] = (3, 2, 3)
    residuals: int = 16

    def __post_init__(self):
        if len(self.orientations) != 3 or min(self.orientations) < 2:
            raise ValueError(f"network: orientations must be three of at least 2, got {self.orientations}")
        if self.residuals not in RESIDUALS:
            raise ValueError(f"network: residuals must be one of {tuple(RESIDUALS)}, got {self.residuals}")

    @property
    def places(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Where in their window the filters of the residual and of each octave stand, in pixels from its middle."""
        return tuple(product(RESIDUALS[self.residuals], repeat=2)), *OCTAVE_PLACES

    @property
    def groups(self) -> tuple[int, ...]:
        """Channels of the residual, of the first octave and of the second."""
        octaves = zip(self.orientations, OCTAVE_PLACES, strict=False)
        return self.residuals, *(orientations * len(places) for orientations, places in octaves)


class Windows(NamedTuple):
    """What is seen of a difference in the residual and the fine octaves."""

    contrast: Tensor
    """In each group, (N, 3, h, w)."""

    texture: Tensor
    """Mean amplitude of what both images share, likewise."""

    waves: Tensor
    """Masked response of every filter with its sign, (N, filters, h, w)."""

    energy: Tensor | None
    """Root energy of every channel where light changed, (N, channels); None where nobody asked for it."""


class WindowOctaves(MaskedGroups):
    """High-pass residual and two octaves.

    Parameters
    ----------
    config
        The system's shape.
    """

    def __init__(self, config: GlanceConfig):
        super().__init__(config.groups)
        start_from(self, _starting(config))
        whole, residuals = torch.eye(sum(config.groups)), config.groups[0]
        whose = torch.cat([whole, whole[residuals:]])  # second phases last
        self.register_buffer("whose", whose, persistent=False)
        octave = BLOCK**2 / 2 * CREST_SHARE / WAVE_SHARE
        self.back_gain = nn.Parameter(torch.tensor([BLOCK**2, octave, octave]).log())

    def forward(
        self,
        sights: Pair,
        sensitivity: Tensor,
        coarser: Tensor,
        pixels_per_degree: Tensor,
        changed: Tensor | None = None,
    ) -> Windows:
        """Look at both images.

        Parameters
        ----------
        sights
            A :class:`vdp_distill.surrogates.glimpse.Glimpse` each.
        sensitivity
            Of the residual and of both octaves, (N, 3, h, w).
        coarser
            What masks from the third octave, (N, 1, h, w).
        pixels_per_degree
            (1,) or (N,).
        changed
            Share of a block's pixels whose light changed, likewise, for the energy.
        """
        whose, sums, weight = self.whose.to(coarser), self.groups.to(coarser), self.masking_gain.exp().mT
        means, back = sums / sums.sum(dim=0), whose.mT
        link = self.link()

        def look(test, reference, slope, other, sensitivity, matrices, coarser, *changed):
            test, reference = test * slope, reference * other
            mutual = amplitude(torch.minimum(mixed(test * test, whose), mixed(reference * reference, whose)))
            difference = test - reference
            square = mixed(difference * difference, whose)
            masking = mixed(mutual, weight) + mixed(coarser, link)
            rate = power(square, (P - 1) / 2) * self.gain_under(masking, sensitivity, matrices)
            contrast = rate * amplitude(square)
            energy = (energy_of_rows(contrast, share) for share in changed)
            return mixed(contrast, sums), mixed(mutual, means), difference * mixed(rate, back), *energy

        inputs = *self.responses(sights), sights.test.slope, sights.reference.slope, sensitivity
        inputs += self.matrices(pixels_per_degree)[..., None, None], coarser
        inputs += () if changed is None else (changed,)
        found, texture, waves, *energy = in_tiles(look, *inputs, learnt=(weight, link))
        total = root_energy(energy[0], found[0, 0].numel()) * self.energy_gain.exp() if energy else None
        return Windows(found, texture, waves, total)

    def responses(self, sights: Pair) -> list[Tensor]:
        """What filters find in test and reference, of logarithms of light, (N, filters, h, w)."""
        taps = self.taps - self.taps.mean(dim=(1, 2), keepdim=True)
        kernel = taps.unflatten(2, (CELLS, BLOCK)).unflatten(1, (CELLS, BLOCK)).permute(0, 2, 4, 1, 3).flatten(1, 2)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        return [F.conv2d(_ringed(sight.cells), kernel) for sight in sights]

    def painted(self, waves: Tensor) -> Tensor:
        """Waves to pixels, in cells, (N, BLOCK^2, h, w)."""
        gains = (self.whose @ self.groups).to(waves) @ self.back_gain.exp()
        taps = self.back_taps * gains[:, None, None]
        cells = taps.unflatten(2, (CELLS, BLOCK)).unflatten(1, (CELLS, BLOCK)).permute(2, 4, 0, 1, 3)
        kernel = cells.flatten(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)
        return F.conv2d(waves, kernel, padding=CELLS // 2)


def _ringed(cells: Tensor) -> Tensor:
    return F.pad(cells, (CELLS // 2,) * 4, mode="replicate").contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=4)
def _starting(config: GlanceConfig) -> dict[str, np.ndarray]:
    """Fitted filters, those of the way back, the metric's masking weights, and means over places and phases."""
    first, second = (magnitudes(count) for count in config.orientations[:2])
    worth = [first[0], first[1], second[2]]
    counts = np.repeat([len(places) for places in config.places], config.groups)
    shares = np.where(np.arange(len(counts)) < config.groups[0], 1.0, WAVE_SHARE) / counts
    back = [(own / own.max()) ** BACK_SHARE for own in worth]
    return {
        "taps": _filters(worth, config.places),
        "back_taps": _filters(back, config.places),
        "masking_gain": masking_between(config.places, config.orientations[:2]),
        "output_gain": np.log(shares),
    }


def _filters(goals: list[np.ndarray], where: tuple) -> np.ndarray:
    """Of the residual, then of both octaves in the first phase, then in the second, (filters, SIDE, SIDE)."""
    residual, *octaves = goals
    pixels = [fitted(residual[0], SIDE, place, 0.0)[0] for place in where[0]]
    pairs = [
        fitted(goal, SIDE, place, np.pi * k / len(own))
        for own, places in zip(octaves, where[1:], strict=True)
        for k, goal in enumerate(own)
        for place in places
    ]
    return np.concatenate([pixels, np.swapaxes(pairs, 0, 1).reshape(-1, SIDE, SIDE)])
