"""The search for the lowest quality that is not seen, on a curve that need not fall at every step."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vdp_distill.jnd.codecs import Codec
from vdp_distill.jnd.files import Picture
from vdp_distill.jnd.judge import Judge
from vdp_distill.jnd.limits import Limits
from vdp_distill.jnd.shown import Shown

__all__ = ["Point", "Trials", "lowest_invisible", "search"]

NEIGHBOURS = 2
"""Qualities above the one found that must be invisible too."""

START, START_PPD, START_GROWTH = 0.27, 90.0, 1.75
"""Share of the range of qualities where a search begins, at these pixels per degree, and how it grows nearer by.

Photographs' thresholds under the criterion of people lie near it: quality 27 at 90 pixels per degree, 55 at 60.
"""

START_RANGE = (0.2, 0.8)

USUAL_SLOPE = 0.05
"""How much log V falls with a step of quality: where the next guess is aimed from one that was tried."""

SAFETY = 0.97
"""Part of the V that is wanted which an estimate may reach, so that the file judged whole next seldom fails."""

NEAR = 1
"""Steps that a quality judged whole may lie above the lowest that a large picture's cells promise."""

CHECKS = 4
"""How often a large picture is judged whole before the best that passed is taken."""


@dataclass(frozen=True)
class Point:
    """One quality that was tried: bytes of its file, share of people who see it, and whether all of it was judged."""

    quality: int
    bytes: int
    P: float
    whole: bool = True


class Trials:
    """Every quality that was tried on a picture: its file, and what is seen in all of it or in the cells watched."""

    def __init__(self, source: Picture, codec: Codec, judge: Judge, limits: Limits):
        self.source, self.codec, self.judge, self.limits = source, codec, judge, limits
        self.files: dict[int, bytes] = {}
        self.whole: dict[int, float] = {}
        self.watched: dict[int, float] = {}
        self.cells, self.ratio = None, 1.0

    @property
    def in_parts(self) -> bool:
        """Whether the picture is so large that a search watches some cells of it."""
        return len(self.judge.tiles) > 1

    def look_at_all(self, quality: int) -> float:
        """V of the whole picture; the first time also chooses the cells that a search will watch."""
        if quality not in self.whole:
            shown = self._shown(quality)
            contrast = self.judge.contrast(shown)
            self.whole[quality] = self.judge.visibility(contrast)
            if self.in_parts:
                self.cells = self.cells or self.judge.most_visible(contrast)
                self.ratio = self.whole[quality] / max(self._watch(quality, shown), 1e-30)
        return self.whole[quality]

    def estimate(self, quality: int) -> float:
        """V of the whole picture, from some of its cells where it is large."""
        if quality in self.whole or not self.in_parts:
            return self.look_at_all(quality)
        return self._watch(quality) * self.ratio

    def cautious(self, quality: int) -> float:
        """:meth:`estimate`, a little higher where it comes from some cells alone."""
        found = self.estimate(quality)
        return found if quality in self.whole else found / SAFETY

    def _watch(self, quality: int, shown: Shown | None = None) -> float:
        if quality not in self.watched:
            shown = self._shown(quality) if shown is None else shown
            self.watched[quality] = self.judge.visibility_in(shown, self.cells)
        return self.watched[quality]

    def _shown(self, quality: int) -> Shown:
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
        if self.limits.note and self.limits.lowest in (self.codec.qualities[0], quality):
            notes.append(self.limits.note)
        if self.in_parts:
            some, all_ = len(self.cells), len(self.judge.cells)
            notes.append(f"searched on {some} of {all_} parts; the quality found was judged on all of them")
        return tuple(notes)


def search(trials: Trials, p: float) -> int:
    """The lowest invisible quality, judged on the whole picture."""
    (worst, highest), (lowest, wanted, _) = trials.codec.qualities, trials.limits
    nearness = START_PPD / trials.judge.pixels_per_degree
    share = min(max(START * nearness**START_GROWTH, START_RANGE[0]), START_RANGE[1])
    start = max(lowest, round(worst + share * (highest - worst)))
    if trials.in_parts:
        trials.look_at_all(start)
    for _ in range(CHECKS):
        quality = lowest_invisible(trials.cautious, lowest, highest, wanted, start, known=trials.files)
        passed = _passed(trials.whole, wanted)
        if quality is None or quality in trials.whole or any(0 <= other - quality <= NEAR for other in passed):
            break
        trials.look_at_all(quality)
    passed = _passed(trials.whole, wanted)
    if not passed and trials.look_at_all(highest) > wanted and trials.P(highest) > p:
        raise ValueError(
            f"{trials.P(highest):.2f} of people see even quality {highest} of {trials.codec.name}, more than p={p:g}; "
            "raise p, choose another codec, or keep the picture lossless"
        )
    return min(passed, default=highest)


def _passed(whole: dict[int, float], wanted: float) -> list[int]:
    """Qualities that are invisible on the whole picture, above all that are not."""
    seen = max((quality for quality, v in whole.items() if v > wanted), default=-1)
    return [quality for quality in whole if quality > seen]


def lowest_invisible(
    visibility: Callable[[int], float],
    lowest: int,
    highest: int,
    wanted: float,
    start: int,
    known: Iterable[int] = (),
) -> int | None:
    """The quality that a search ends at: it and its two neighbours above have a V of at most ``wanted``.

    Parameters
    ----------
    visibility
        V at a quality.
    lowest, highest
        Qualities that there are.
    start
        Where to begin, if none is known.
    known
        Qualities that cost nothing to ask for.

    Returns
    -------
    int or None
        None if the highest quality is visible.

    Examples
    --------
    >>> lowest_invisible(lambda quality: 100 / quality, 1, 100, wanted=4, start=50)
    25
    """
    tried = {quality: visibility(quality) for quality in known}
    while True:
        low = max((quality for quality, v in tried.items() if v > wanted), default=lowest - 1)
        high = min((quality for quality in tried if quality > low), default=highest + 1)
        above = range(high + 1, min(high + NEIGHBOURS, highest) + 1)
        if high - low > 1:
            guess = _between(low, high, tried, wanted) if tried else start
        elif high > highest:
            return None
        else:
            guess = next((quality for quality in above if quality not in tried), None)
        if guess is None:
            return high
        tried[guess] = visibility(guess)


def _between(low: int, high: int, tried: dict[int, float], wanted: float) -> int:
    """Where log V meets what is wanted: linear between the bounds, or at its usual slope from the one tried."""
    span, above, below = high - low, _logarithm(tried, low, wanted), _logarithm(tried, high, wanted)
    if above is not None and below is not None:
        share = above / (above - below)
    elif above is not None:
        share = above / USUAL_SLOPE / span
    else:
        share = 1 + below / USUAL_SLOPE / span
    return min(max(low + 1, low + round(min(max(share, 0.1), 0.9) * span)), high - 1)


def _logarithm(tried: dict[int, float], quality: int, wanted: float) -> float | None:
    """log V over what is wanted, of a quality that was tried."""
    return math.log(max(tried[quality], 1e-30) / wanted) if quality in tried else None
