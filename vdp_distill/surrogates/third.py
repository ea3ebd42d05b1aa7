"""The third octave of an eye in a hurry: pairs of filters on a picture of a quarter of the size, at half of its places.

It is to that picture what the second octave is to the image (:mod:`vdp_distill.surrogates.fine`): the same arithmetic,
with one place for 8 x 8 pixels.

Source: Mantiuk et al. 2011, section 5, on the filters of :mod:`vdp_distill.surrogates.lapped`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.power import power
from vdp_distill.pyramid import BLOCK, cropped
from vdp_distill.surrogates.channels import amplitude, log2_ppd, of_pairs
from vdp_distill.surrogates.lapped import BACK_SHARE, CREST_SHARE, WAVE_SHARE
from vdp_distill.surrogates.layers import start_from
from vdp_distill.surrogates.waves import fitted, magnitude_on_picture

__all__ = ["PICTURE_TAPS", "Third", "ThirdOctave"]

OCTAVE = 2
"""Counted from 0."""

SIDE, STRIDE = 8, 2
"""Of its windows and between them, in pixels of the picture."""

PICTURE_TAPS = tuple(np.convolve(np.ones(BLOCK), [1, 0, 0, 0, 2, 0, 0, 0, 1]).tolist())
"""Along an axis, of what makes the picture: means of blocks, and of those a quarter, a half and a quarter."""

P, Q = DEFAULT_PARAMETERS.mask_p, DEFAULT_PARAMETERS.mask_q


class Third(NamedTuple):
    """What filters find in both images, (N, 2 orientations, h, w), and the amplitude that those share."""

    difference: Tensor
    mutual: Tensor


class ThirdOctave(nn.Module):
    """One octave in windows.

    Parameters
    ----------
    orientations
        Of its pairs of filters.
    """

    def __init__(self, orientations: int):
        super().__init__()
        taps, back_taps = _starting(orientations)
        start_from(self, {"taps": taps, "back_taps": back_taps, "masking_gain": _masking(orientations)})
        neighbour = DEFAULT_PARAMETERS.log10_mask_neighbour_band * np.log(10) / Q
        self.neighbour_gain = nn.Parameter(torch.full((2, 1), neighbour))
        self.sensitivity_gain = nn.Parameter(torch.zeros(3))
        for name, value in (("lift", 0.0), ("output", np.log(WAVE_SHARE)), ("energy", 0.0)):
            self.register_parameter(f"{name}_gain", nn.Parameter(torch.tensor(float(value))))
        paint = STRIDE**2 / 2 * CREST_SHARE / WAVE_SHARE
        self.back_gain = nn.Parameter(torch.tensor(float(np.log(paint))))

    def look(self, picture: Pair) -> Third:
        """Look at both images' pictures, JND, (N, 1, h, w)."""
        rows, columns = (length % STRIDE for length in picture.test.shape[-2:])
        edge = (SIDE - STRIDE) // 2
        taps = (self.taps - self.taps.mean(dim=(1, 2), keepdim=True))[:, None]
        test, reference = (
            F.conv2d(F.pad(plane, (edge, edge + columns, edge, edge + rows), mode="replicate"), taps, stride=STRIDE)
            for plane in picture
        )
        return Third(test - reference, amplitude(torch.minimum(of_pairs(test), of_pairs(reference))))

    def compare(
        self, seen: Third, sensitivity: Tensor, neighbours: Tensor, pixels_per_degree: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masked response with its sign, as :attr:`Third.difference`, and contrast, (N, orientations, h, w).

        Parameters
        ----------
        sensitivity
            Contrast sensitivity of the octave, (N, 1, h, w).
        neighbours
            Amplitude in the second octave and in the fourth, (N, 2, h, w).
        pixels_per_degree
            (1,) or (N,).
        """
        weights = torch.cat([self.masking_gain, self.neighbour_gain.mT.expand(self.masking_gain.shape[0], 2)], dim=1)
        masking = F.conv2d(torch.cat([seen.mutual, neighbours], dim=1), weights.exp()[..., None, None])
        octaves = log2_ppd(pixels_per_degree).view(-1, 1, 1, 1)
        constant, slope, bend = self.sensitivity_gain
        sensitivity = sensitivity * (constant + slope * octaves + bend * octaves**2).exp()
        masked = self.lift_gain.exp() * power(sensitivity, Q) * power(masking, Q)
        size = amplitude(of_pairs(seen.difference))
        rate = self.output_gain.exp() * size * size * size.sqrt() * (power(sensitivity, -2 * P) + masked**2).rsqrt()
        return seen.difference * rate.repeat(1, 2, 1, 1), rate * size

    def image(self, waves: Tensor, size: tuple[int, int]) -> Tensor:
        """What is seen, with its sign, at every pixel of the picture, (N, 1, h, w)."""
        taps = (self.back_gain.exp() * self.back_taps)[:, None]
        return cropped(F.conv_transpose2d(waves, taps, stride=STRIDE, padding=(SIDE - STRIDE) // 2), *size)


@lru_cache(maxsize=4)
def _starting(orientations: int) -> tuple[np.ndarray, np.ndarray]:
    """Filters of both phases, and those of the way back, (2 orientations, SIDE, SIDE) each."""
    worth = magnitude_on_picture(OCTAVE, orientations, np.array(PICTURE_TAPS), BLOCK)
    found = []
    for goals in (worth, (worth / worth.max()) ** BACK_SHARE):
        pairs = [fitted(goal, SIDE, (0, 0), np.pi * k / orientations) for k, goal in enumerate(goals)]
        found.append(np.array(pairs).swapaxes(0, 1).reshape(-1, SIDE, SIDE))
    return tuple(found)


def _masking(orientations: int) -> np.ndarray:
    """Natural logarithms of what masks what, (orientations, orientations)."""
    metric, scale = DEFAULT_PARAMETERS, np.log(10) / Q
    own = np.eye(orientations, dtype=bool)
    return np.where(own, metric.log10_mask_self, metric.log10_mask_cross_orientation) * scale
