"""Filters that overlap by half their window, and which of them mask one another: where the fine octaves start.

The high-pass residual is looked at in every pixel. Filters of the octaves come in pairs, a quarter of a period apart:
the root of the sum of their squares is the amplitude of what they find, whatever its phase, so that it may be looked at
in fewer places: the first octave at every second pixel, the second, whose windows are twice as wide, at every fourth.

Source of the overlap: H. S. Malvar, Signal Processing with Lapped Transforms, 1992; of amplitudes from pairs: E. H.
Adelson and J. R. Bergen, Spatiotemporal energy models for the perception of motion, 1985. What the filters find is
fitted to what the metric's do (:mod:`vdp_distill.surrogates.waves`); what masks what is the metric's (Mantiuk et al.
2011, section 5.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pyramid import BLOCK
from vdp_distill.surrogates.waves import fitted, magnitudes

__all__ = [
    "BAND_FREQUENCIES",
    "FINE_OCTAVES",
    "PIXELS",
    "Return",
    "SwiftConfig",
    "Start",
    "masking_between",
    "returning",
    "starting",
]

FINE_OCTAVES = 2

SIDE = 2 * BLOCK
"""Of the windows of the residual and of the first octave."""

BAND_FREQUENCIES = (0.5, 0.25, 0.125)
"""Cycles a pixel at which the metric reads the sensitivity of the residual and of these octaves."""

PLACES = tuple(
    tuple((row, column) for row in offsets for column in offsets) for offsets in ((-1.5, -0.5, 0.5, 1.5), (-1, 1), (0,))
)
"""Where in their window the filters of a group stand, in pixels from its middle."""

PIXELS = len(PLACES[0])
"""Filters of the residual, one a pixel of a block."""

WAVE_SHARE = 0.397
"""Mean of a wave's magnitude to the power of 3.5, of its amplitude's: gamma(2.25) / (sqrt(pi) gamma(2.75))."""

CREST_SHARE = 0.712
"""Of a wave's magnitude to the power of 3.5, with its sign, what is left in its own frequency:
2 gamma(2.75) / (sqrt(pi) gamma(3.25))."""

BACK_SHARE = 0.5
"""Power of a band's worth that its filters of the way back start with; the filters that look have the worth itself."""

UNRELATED = -6.0
"""Natural logarithm of a masking weight between filters that the metric does not join."""


@dataclass(frozen=True)
class SwiftConfig:
    """Shape of a block-wise visual system.

    Parameters
    ----------
    kind
        ``"swift"``.
    orientations
        Of the pairs of filters of each fine octave.
    """

    kind: str = "swift"
    orientations: int = 4

    def __post_init__(self):
        if self.orientations < 2:
            raise ValueError(f"network: orientations must be at least 2, got {self.orientations}")

    @property
    def groups(self) -> tuple[int, ...]:
        """Channels of the residual, of the first octave and of the second."""
        residual, *octaves = map(len, PLACES)
        return residual, *(self.orientations * places for places in octaves)


class Start(NamedTuple):
    """Where the fine octaves start."""

    pixel_taps: np.ndarray
    """Of the residual, (PIXELS, SIDE, SIDE)."""

    taps: np.ndarray
    """Of the first octave in both phases, (2, pairs, SIDE, SIDE)."""

    wide_taps: np.ndarray
    """Of the second, (2, pairs, 2 SIDE, 2 SIDE)."""

    masking: np.ndarray
    """Natural logarithms of what masks what, (channels, channels)."""

    output: np.ndarray
    """Natural logarithm of what each adds to a block's corner, (channels,)."""


@lru_cache(maxsize=4)
def starting(orientations: int) -> Start:
    """Fitted filters, the metric's masking weights, and the mean over places and phases."""
    pixels, taps, wide = _windows(magnitudes(orientations))
    counts = np.repeat([len(places) for places in PLACES], SwiftConfig(orientations=orientations).groups)
    shares = np.where(np.arange(len(counts)) < PIXELS, 1.0, WAVE_SHARE) / counts
    return Start(pixels, taps, wide, masking_between(PLACES, (orientations,) * 2), np.log(shares))


class Return(NamedTuple):
    """Where the way back to pixels starts."""

    taps: np.ndarray
    """Of the pixels and of both phases of the first octave, (PIXELS + 2 pairs, SIDE, SIDE)."""

    wide_taps: np.ndarray
    """Of both phases of the second, (2 pairs, 2 SIDE, 2 SIDE)."""

    gain: np.ndarray
    """Natural logarithms, of the residual and of both octaves, (3,)."""


@lru_cache(maxsize=4)
def returning(orientations: int) -> Return:
    """Waves of size 1 in each band, and no others; gains undo what a filter adds to a block's corner."""
    pixels, taps, wide = _windows([(worth / worth.max()) ** BACK_SHARE for worth in magnitudes(orientations)])
    taps, wide = (phases.reshape(-1, *phases.shape[2:]) for phases in (taps, wide))
    octave = BLOCK**2 / 2 * CREST_SHARE / WAVE_SHARE
    return Return(np.concatenate([pixels, taps]), wide, np.log([BLOCK**2, octave, octave]))


def _windows(goals: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Filters of the pixels, (PIXELS, SIDE, SIDE), and of both octaves, (2 phases, pairs, k, k), fitted to goals."""
    residual, *octaves = goals
    pixels = np.array([fitted(residual[0], SIDE, place, 0.0)[0] for place in PLACES[0]])
    taps, wide = (
        np.array([fitted(goal, side, place, np.pi * k / len(own)) for k, goal in enumerate(own) for place in places])
        for own, side, places in zip(octaves, (SIDE, 2 * SIDE), PLACES[1:], strict=True)
    )
    return pixels, taps.swapaxes(0, 1), wide.swapaxes(0, 1)


def masking_between(where: Sequence[Sequence], orientations: Sequence[int]) -> np.ndarray:
    """Natural logarithms of what masks what, (channels, channels), of a residual and octaves that look in these places.

    Those of one band and orientation share its weight; the residual has no orientation. Where the next octave has
    fewer, or more, its nearest count as the same.
    """
    angles = (np.nan,), *(np.pi * np.arange(count) / count for count in orientations)
    channels = [(n, k, len(own)) for n, own in enumerate(where) for k in angles[n] for _ in own]
    group, angle, places = np.array(channels).T
    metric, scale = DEFAULT_PARAMETERS, np.log(10) / DEFAULT_PARAMETERS.mask_q
    same_group = group[:, None] == group
    apart = abs(np.sin(angle[:, None] - angle))
    same_angle = np.isnan(apart) | (apart <= np.sin(np.pi / (2 * max(orientations))) + 1e-9)
    logs = np.full((len(group),) * 2, UNRELATED)
    logs[same_group & ~same_angle] = metric.log10_mask_cross_orientation * scale
    logs[(abs(group[:, None] - group) == 1) & same_angle] = metric.log10_mask_neighbour_band * scale
    logs[same_group & same_angle] = metric.log10_mask_self * scale
    return logs - np.log(places)
