"""Filters that overlap by half their window, and which of them mask one another: where the block-wise system starts.

Filters come in pairs, a quarter of a period apart: the root of the sum of their squares is the amplitude of what they
find, whatever its phase, so that it may be looked at in few places. The finest need more of them than a window has.

Source of the overlap: H. S. Malvar, Signal Processing with Lapped Transforms, 1992; of amplitudes from pairs: E. H.
Adelson and J. R. Bergen, Spatiotemporal energy models for the perception of motion, 1985. The windows hold Gabor
filters about the frequencies of the metric's bands; what masks what is the metric's (Mantiuk et al. 2011, section 5.2).
"""

import numpy as np

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pyramid import BLOCK

__all__ = ["BAND_FREQUENCIES", "FREQUENCIES", "PLACES", "starting"]

SIDE = 2 * BLOCK
"""Of every filter."""

FREQUENCIES = (0.45, 0.3, 0.16, 0.085)
"""Where the groups of filters start, in cycles a sample of their level: the metric's high-pass residual, which only the
first level has, and three octaves of its pyramid."""

BAND_FREQUENCIES = (0.5, 0.25, 0.125, 0.0625)
"""At which the metric reads the sensitivity of these bands."""

MIDDLE, CORNERS = ((0.0, 0.0),), ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))

PLACES = (CORNERS, CORNERS, MIDDLE, MIDDLE)
"""Where in their window the pairs of a group stand: those of the finest two at every second sample."""

UNRELATED = -6.0
"""Natural logarithm of a masking weight between filters that the metric does not join."""


def starting(orientations: int) -> tuple[np.ndarray, np.ndarray]:
    """Gabor filters in both phases, (2, pairs, SIDE, SIDE), and log weights of what masks what, (pairs, pairs)."""
    angles = np.pi * np.arange(orientations) / orientations
    pairs = [(number, angle, place) for number, places in enumerate(PLACES) for angle in angles for place in places]
    phases = (0.0, np.pi / 2)
    taps = [[_gabor(FREQUENCIES[number], angle, phase, place) for number, angle, place in pairs] for phase in phases]
    group, angle = (np.array(values) for values in list(zip(*pairs, strict=True))[:2])
    fitted, scale = DEFAULT_PARAMETERS, np.log(10) / DEFAULT_PARAMETERS.mask_q
    same_group, same_angle = group[:, None] == group, angle[:, None] == angle
    logs = np.full((len(group),) * 2, UNRELATED)
    logs[same_group & ~same_angle] = fitted.log10_mask_cross_orientation * scale
    logs[(abs(group[:, None] - group) == 1) & same_angle] = fitted.log10_mask_neighbour_band * scale
    logs[same_group & same_angle] = fitted.log10_mask_self * scale
    return np.array(taps), logs - np.log([len(places) for places in PLACES])[group]  # those of an orientation share


def _gabor(frequency: float, angle: float, phase: float, place: tuple[float, float]) -> np.ndarray:
    """Answers a grating of amplitude 1 in its own phase with 1."""
    axis = np.arange(SIDE) - (SIDE - 1) / 2
    y, x = np.meshgrid(axis - place[0], axis - place[1], indexing="ij")
    window = np.exp(-(x**2 + y**2) * (1.6 * frequency) ** 2)
    carrier = np.cos(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)) - phase)
    taps = window * carrier
    taps -= taps.mean()
    return taps / (taps * carrier).sum()
