"""The smallest file that nobody, or a chosen share of people, can tell from a picture.

``find_jnd`` searches a codec's qualities. The share of people who see a difference falls with the quality, though not
at every step: a codec's rounding may make one quality worse than the one below it. The search therefore ends at a
quality that is invisible and so are the two above it, and never goes on looking for a lucky one below.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vdp_distill.checks import SMALLEST_SIDE
from vdp_distill.criterion import PEOPLE, Criterion
from vdp_distill.display import Display, load_display
from vdp_distill.jnd_files import Codec, Picture, codec_named, read_picture
from vdp_distill.jnd_judge import Judge, judging
from vdp_distill.settings import Settings

__all__ = ["JND", "Point", "find_jnd", "lowest_invisible"]

DEFAULT_PPD = 60.0
FITTED_DISPLAY = Display(
    "300 cd/m2 in a dark room, as the criterion of people was fitted", "gamma-2.2", max_luminance=300, min_luminance=0.1
)
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


@dataclass(frozen=True)
class JND:
    """The file that was found.

    Attributes
    ----------
    quality, data
        Of the codec, and the whole file.
    P
        Share of people who tell it from the original.
    curve
        Every quality that was tried, ascending.
    codec
        ``"jpeg"``, ``"webp"`` or ``"avif"``.
    notes
        What was changed or assumed, a sentence each.
    settings
        What repeats it, as plain data.

    HDR-VDP sees luminance: what changes in colour alone is not judged.
    """

    quality: int
    data: bytes = field(repr=False)
    P: float
    curve: tuple[Point, ...]
    codec: str
    notes: tuple[str, ...]
    settings: dict

    @property
    def falls(self) -> bool:
        """Whether P falls with every step of quality that was tried and judged whole."""
        shares = [point.P for point in self.curve if point.whole]
        return all(after <= before for before, after in zip(shares, shares[1:], strict=False))

    def record(self) -> dict:
        """All but the file, as plain data."""
        points = [vars(point) for point in self.curve]
        about = {"quality": self.quality, "bytes": len(self.data), "P": self.P, "codec": self.codec}
        return {**about, "notes": list(self.notes), "curve": points, "settings": self.settings}


def find_jnd(
    picture: str | Path | np.ndarray | Image.Image,
    codec: str = "jpeg",
    pixels_per_degree: float | None = None,
    p: float = 0.5,
    model: str | Path = PEOPLE,
    *,
    display=None,
    criterion: str | Path | Criterion | None = None,
    device: str = "cpu",
) -> JND:
    """Find the smallest file that at most a share ``p`` of people tells from a picture.

    Parameters
    ----------
    picture
        Path of an 8 or 16 bit file, array of code values, or Pillow image.
    codec
        ``"jpeg"``, ``"webp"`` or ``"avif"``.
    pixels_per_degree
        That it is seen at; by default the display's, or 60.
    p
        Share of people who may see a difference.
    model
        ``"people-v1"``: people who look at photographs, over the exact metric; ``"exact"``: the metric's own P_det, far
        stricter; or a surrogate, under the criterion of people.
    display
        Preset, file or :class:`vdp_distill.display.Display`; by default one of 300 cd/m2 in a dark room, as the
        criterion of people was fitted.
    criterion
        Another than the model's own.
    device
        Where it is computed.

    Returns
    -------
    JND

    Raises
    ------
    FileNotFoundError, ValueError
        For what is no picture or too small, a codec that Pillow lacks, or a share that no quality reaches.

    Examples
    --------
    >>> ramp = np.linspace(0.2, 0.8, 96, dtype=np.float32)[None, :, None] * np.ones((64, 1, 3), np.float32)
    >>> found = find_jnd(ramp, pixels_per_degree=60)
    >>> found.P <= 0.5 and len(found.data) < ramp.size
    True
    """
    if not 0 < p < 1:
        raise ValueError(f"p is a share of people between 0 and 1, such as 0.5, got {p:g}")
    known = codec_named(codec)
    source = read_picture(picture, known)
    height, width = source.codes.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(f"a picture must be at least {SMALLEST_SIDE} pixels high and wide, got {width} x {height}")
    settings = _settings(display, pixels_per_degree)
    metric, criterion = judging(model, criterion, device, **settings.given)
    trials = _Trials(source, known, Judge(metric, criterion, settings.ppd, source.codes, device))
    quality = _search(trials, p)
    about = {"model": str(model), "criterion": vars(criterion), "p": p, **Settings.create(**settings.given).record()}
    notes = (*source.notes, *trials.notes(quality))
    return JND(quality, trials.files[quality], trials.P(quality), trials.points(), codec, notes, about)


class _Viewing(NamedTuple):
    given: dict
    ppd: float


def _settings(display, pixels_per_degree: float | None) -> _Viewing:
    display = FITTED_DISPLAY if display is None else load_display(display)
    ppd = pixels_per_degree or display.geometry_pixels_per_degree() or DEFAULT_PPD
    return _Viewing({"display": display, "pixels_per_degree": ppd}, ppd)


class _Trials:
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
        if len(self.judge.tiles) > 1:
            some, all_ = len(self.sample), len(self.judge.tiles)
            notes.append(f"searched on {some} of {all_} tiles; the quality found was judged on all of them")
        return tuple(notes)


def _search(trials: _Trials, p: float) -> int:
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
