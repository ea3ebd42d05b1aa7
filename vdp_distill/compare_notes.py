"""What a reader of a comparison must know beside its numbers: what was changed, assumed, and cannot be seen."""

from collections.abc import Sequence

import numpy as np

from vdp_distill.criterion import FITTED_DISPLAY, Criterion
from vdp_distill.display import LUMA
from vdp_distill.io import Image
from vdp_distill.settings import Settings

__all__ = ["notes_of"]

BLOCK = 8
"""Colours are compared in means of so many pixels a side: the noise of a sensor is no change of colour."""

COLOUR_NOTED = 0.01
"""Mean difference of colour from which it is told, as a share of white, or of the mean luminance of light."""

FITTED_RATIO = 1.5
"""Viewing further than this from that of the fit is told."""

SURE, UNSURE = 0.75, 0.25
"""P_det and P_people that contradict one another."""


def notes_of(
    images: Sequence[Image], settings: Settings, criterion: Criterion, scores: dict[str, float], cdm2_per_unit: float
) -> list[str]:
    """Notes, a sentence each.

    Parameters
    ----------
    images
        Test and reference as they were read.
    settings
        How they were looked at.
    criterion
        People's, that the verdict goes by; the strict one needs no note.
    scores
        ``P_det`` and ``P_people``.
    cdm2_per_unit
        What numbers of light were multiplied by.
    """
    roles = ("test", "reference")
    notes = [f"{role}: {note}" for role, image in zip(roles, images, strict=True) for note in image.notes]
    if images[0].kind == "light":
        notes.append(_about_light([image.array * cdm2_per_unit for image in images], settings, cdm2_per_unit))
    colour = _colour_apart(*(image.array for image in images), is_light=images[0].kind == "light")
    if colour > COLOUR_NOTED:
        notes.append(
            f"colours differ by {colour:.1%} on the mean beside luminance; HDR-VDP sees luminance alone, so no number "
            "here tells of it"
        )
    return notes + _about_people(settings, criterion, scores)


def _about_light(planes: Sequence[np.ndarray], settings: Settings, cdm2_per_unit: float) -> str:
    brightest = max(float(plane.max()) for plane in planes)
    middle = float(np.median(planes[1]))
    text = f"numbers x {cdm2_per_unit:g} are taken as cd/m2: median {middle:.3g}, brightest {brightest:.4g}"
    white = settings.display.max_luminance if settings.display is not None else np.inf
    return f"{text}; above {white:g} cd/m2 the display clips" if brightest > white else text


def _colour_apart(test: np.ndarray, reference: np.ndarray, is_light: bool) -> float:
    """Mean difference of what is left without luminance, of means of blocks."""
    if test.shape[2] != 3:
        return 0.0
    unit = max(float((reference @ LUMA).mean()), np.finfo(np.float32).tiny) if is_light else 1.0
    difference = (test - reference) / unit
    return float(np.abs(_block_means(difference - (difference @ LUMA)[..., None])).mean())


def _block_means(planes: np.ndarray) -> np.ndarray:
    rows, columns = (length // BLOCK for length in planes.shape[:2])
    whole = planes[: rows * BLOCK, : columns * BLOCK]
    return whole.reshape(rows, BLOCK, columns, BLOCK, -1).mean(axis=(1, 3))


def _about_people(settings: Settings, criterion: Criterion, scores: dict[str, float]) -> list[str]:
    if criterion.area_deg == 0:
        return []
    notes, display = [], settings.code_display()
    degree, white = float(settings.pixels_per_degree), display.max_luminance if display is not None else np.nan
    apart = [max(value / fitted, fitted / value) for value, fitted in _viewing(degree, white, criterion)]
    if max(apart) > FITTED_RATIO:
        at = f"{degree:g} pixels per degree" + (f", {white:g} cd/m2" if np.isfinite(white) else "")
        notes.append(
            f"{criterion.name} was fitted to JPEG at {criterion.fitted_ppd:g} pixels per degree and "
            f"{FITTED_DISPLAY.max_luminance:g} cd/m2; at {at} and for other distortions it reaches further"
        )
    if scores["P_det"] > SURE and scores["P_people"] < UNSURE:
        notes.append(
            "P_det and the map go by the metric's own criterion, the verdict by that of people: --model exact gives "
            "the metric's"
        )
    return notes


def _viewing(degree: float, white: float, criterion: Criterion) -> list[tuple[float, float]]:
    pairs = [(degree, criterion.fitted_ppd), (white, FITTED_DISPLAY.max_luminance)]
    return [pair for pair in pairs if np.isfinite(pair[0])]
