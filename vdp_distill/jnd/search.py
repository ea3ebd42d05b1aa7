"""The search for the lowest quality that is not seen, on a curve that need not fall at every step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vdp_distill.jnd.files import Codec, Picture
from vdp_distill.jnd.judge import Judge

__all__ = ["Point", "Trials", "lowest_invisible", "search"]

NEIGHBOURS = 2
"""Qualities above the one found that must be invisible too."""

START = 0.35
"""Share of the range of qualities where a search begins: photographs' thresholds lie near it."""

CHECKS = 4
"""How often a large picture is judged whole before the best that passed is taken."""


@dataclass(frozen=True)
class Point:
    """One quality that was tried: bytes of its file, share of people who see it, and whether all tiles were judged."""

    quality: int
    bytes: int
    P: float
    whole: bool = True


class Trials:
    """Every quality that was tried on a picture: its file, and what is seen in all tiles or in some."""

    def __init__(self, source: Picture, codec: Codec, judge: Judge):
        self.source, self.codec, self.judge = source, codec, judge
        self.files: dict[int, bytes] = {}
        self.whole: dict[int, float] = {}
        self.sampled: dict[int, float] = {}
        self.sample, self.ratio = None, 1.0

    def look_at_all(self, quality: int) -> float:
        """V of the whole picture; the first time also chooses the tiles that a search will look at."""
        if quality not in self.whole:
            energies = self.judge.energies(self._shown(quality))
            self.whole[quality] = self.judge.visibility(energies)
            if self.sample is None:
                self.sample = self.judge.most_visible(energies)
            places = [self.judge.tiles.index(tile) for tile in self.sample]
            self.sampled[quality] = self.judge.visibility(energies[places], self.sample)
            self.ratio = self.whole[quality] / max(self.sampled[quality], 1e-30)
        return self.whole[quality]

    def estimate(self, quality: int) -> float:
        """V of the whole picture, from some of its tiles where it is large."""
        if quality in self.whole or len(self.judge.tiles) == 1:
            return self.look_at_all(quality)
        if quality not in self.sampled:
            energies = self.judge.energies(self._shown(quality), self.sample)
            self.sampled[quality] = self.judge.visibility(energies, self.sample)
        return self.sampled[quality] * self.ratio

    def _shown(self, quality: int) -> np.ndarray:
        if quality not in self.files:
            self.files[quality] = self.source.encode(self.codec, quality)
        return self.source.shown(self.files[quality])

    def P(self, quality: int) -> float:
        """Share of people who see a difference."""
        return self.judge.probability(self.estimate(quality))

    def points(self) -> tuple[Point, ...]:
        """The curve, ascending in quality."""
        tried = sorted(self.files)
        return tuple(Point(q, len(self.files[q]), self.P(q), q in self.whole) for q in tried)

    def notes(self, quality: int) -> tuple[str, ...]:
        """What to know about the search."""
        notes = []
        if quality == self.codec.qualities[0]:
            notes.append(f"even the lowest quality of {self.codec.name} is not seen")
        if self.codec.least_measured and quality < self.codec.least_measured:
            least = self.codec.least_measured
            notes.append(f"people were never found to need less than quality {least}: look at the picture, or lower p")
        if len(self.judge.tiles) > 1:
            some, all_ = len(self.sample), len(self.judge.tiles)
            notes.append(f"searched on {some} of {all_} tiles; the quality found was judged on all of them")
        return tuple(notes)


def search(trials: Trials, p: float) -> int:
    """The lowest invisible quality, judged on the whole picture."""
    lowest, highest = trials.codec.qualities
    wanted = trials.judge.criterion.visibility_at(p, trials.judge.pixels_per_degree)
    start = round(lowest + START * (highest - lowest))
    if len(trials.judge.tiles) > 1:
        trials.look_at_all(start)
    for _ in range(CHECKS):
        quality = lowest_invisible(trials.estimate, lowest, highest, wanted, start)
        if quality is None or quality in trials.whole:
            break
        trials.look_at_all(quality)
    passed = [quality for quality, seen in trials.whole.items() if seen <= wanted]
    if not passed and trials.look_at_all(highest) > wanted:
        raise ValueError(
            f"{trials.P(highest):.2f} of people see even quality {highest} of {trials.codec.name}, more than p={p:g}; "
            "raise p, choose another codec, or keep the picture lossless"
        )
    return min(passed, default=highest)


def lowest_invisible(
    visibility: Callable[[int], float], lowest: int, highest: int, wanted: float, start: int
) -> int | None:
    """The quality that a search ends at: it and its two neighbours above have a V of at most ``wanted``.

    Parameters
    ----------
    visibility
        V at a quality; asked again for qualities that it knows.
    lowest, highest
        Qualities that there are.
    start
        Where to begin.

    Returns
    -------
    int or None
        None if the highest quality is visible.

    Examples
    --------
    >>> lowest_invisible(lambda quality: 100 / quality, 1, 100, wanted=4, start=50)
    25
    """
    tried, low, high, guess = {}, lowest - 1, highest + 1, start
    while True:
        while high - low > 1:
            tried[guess] = visibility(guess)
            low, high = (low, guess) if tried[guess] <= wanted else (guess, high)
            guess = _between(low, high, tried, wanted)
        if high > highest:
            return None
        above = range(high + 1, min(high + NEIGHBOURS, highest) + 1)
        tried |= {quality: visibility(quality) for quality in above if quality not in tried}
        seen = [quality for quality in above if tried[quality] > wanted]
        if not seen:
            return high
        low = seen[-1]
        high = min((quality for quality, v in tried.items() if quality > low and v <= wanted), default=highest + 1)
        guess = _between(low, high, tried, wanted)


def _between(low: int, high: int, tried: dict[int, float], wanted: float) -> int:
    """Where log V, linear between the bounds, meets what is wanted; the middle where a bound was not tried."""
    share = 0.5
    if low in tried and high in tried and tried[high] > 0:
        share = math.log(tried[low] / wanted) / math.log(tried[low] / tried[high])
    return min(max(low + 1, low + round(min(max(share, 0.1), 0.9) * (high - low))), max(low + 1, high - 1))
