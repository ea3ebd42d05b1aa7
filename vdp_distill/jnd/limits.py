"""How far a search may go: to the share of people who may see a difference, and no further than people were asked.

The criterion of people has one threshold for all photographs. In a smooth sky it would let through what is plain to
see, and it was fitted to nothing below what anybody needed in MCL-JCI. So under that criterion a JPEG goes no lower
than the least quality that half of the people needed on any of its photographs, and another codec leaves no more to see
than that JPEG would.
"""

import math
from dataclasses import replace
from typing import NamedTuple

from vdp_distill.criterion import PEOPLE
from vdp_distill.jnd.codecs import CODECS, Codec
from vdp_distill.jnd.files import Picture
from vdp_distill.jnd.judge import Judge

__all__ = ["Limits", "least_quality", "limits_of"]

LEAST_QUALITY, MEASURED_PPD = 16, 90.0
"""JPEG's least quality at which half of the people saw a difference on any photograph of MCL-JCI, seen at this."""

STEP_GROWTH = 1.75
"""Power of pixels per degree that steps of quantisation may grow with.

The mean quality of photographs at the threshold of ``people-v1`` is 27 at 90 pixels per degree, 55 at 60.
"""

NEAREST_PPD = 60.0
"""Nearer by, no mean is known; the one at this distance is taken."""

MEASURED_SHARE = 0.5
"""Whoever allows more people than this to see a difference asks for what was never measured, and gets it."""

LEAST_VISIBILITY = 1.0
"""V of the metric's own threshold in every area: less is never asked for."""


class Limits(NamedTuple):
    """Where a search ends.

    Attributes
    ----------
    lowest
        Quality under which it does not look.
    visibility
        V that a file may have.
    note
        Why these are not what the share of people alone would give; None if they are.
    """

    lowest: int
    visibility: float
    note: str | None = None


def least_quality(pixels_per_degree: float) -> int:
    """The least quality of a JPEG that people needed, at other pixels per degree than they were asked at.

    Steps of quantisation as many times finer as the criterion of people asks of the mean photograph.

    Examples
    --------
    >>> least_quality(90), least_quality(60)
    (16, 33)
    """
    farness = max(pixels_per_degree, NEAREST_PPD) / MEASURED_PPD
    percent = _percent(LEAST_QUALITY) * farness**STEP_GROWTH
    return min(range(1, 100), key=lambda quality: abs(math.log(_percent(quality) / percent)))


def _percent(quality: int) -> float:
    """Of JPEG's quantisation tables of quality 50, after the Independent JPEG Group's software."""
    return 5000 / quality if quality < 50 else 200 - 2 * quality


def limits_of(codec: Codec, source: Picture, judge: Judge, p: float) -> Limits:
    """Limits of a search.

    Parameters
    ----------
    codec, source, judge
        What is encoded, how, and who looks.
    p
        Share of people who may see a difference.
    """
    lowest, visibility = codec.qualities[0], judge.criterion.visibility_at(p, judge.pixels_per_degree)
    if judge.criterion.name != PEOPLE or p > MEASURED_SHARE:
        return Limits(lowest, visibility)
    least = least_quality(judge.pixels_per_degree)
    known = f"on no photograph did people need less of a JPEG than quality {LEAST_QUALITY} at {MEASURED_PPD:g} pixels "
    known += f"per degree, which is {least} here"
    if codec.name == "JPEG":
        return Limits(least, visibility, f"not looked for under quality {least}: {known}")
    # Only looked at, so without what says nothing of colours and might be more than a JPEG can hold.
    colours = {name: value for name, value in source.metadata.items() if name == "icc_profile"}
    jpeg = replace(source.opaque(), metadata=colours)
    shown = jpeg.shown(jpeg.encode(CODECS["jpeg"], least))
    allowed = max(judge.visibility(judge.contrast(shown)), LEAST_VISIBILITY)
    if allowed >= visibility:
        return Limits(lowest, visibility)
    return Limits(lowest, allowed, f"shows no more than a JPEG of quality {least}: {known}")
