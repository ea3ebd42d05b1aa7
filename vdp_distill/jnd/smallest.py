"""The smallest file that nobody, or a chosen share of people, can tell from a picture.

``find_jnd`` searches a codec's qualities. The share of people who see a difference falls with the quality, though not
at every step: a codec's rounding may make one quality worse than the one below it. The search therefore ends at a
quality that is invisible and so are the two above it, and never goes on looking for a lucky one below. Nor does it go
below the least quality that people needed on any photograph they were asked about.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vdp_distill.checks import SMALLEST_SIDE
from vdp_distill.criterion import FITTED_DISPLAY, PEOPLE, Criterion
from vdp_distill.display_files import load_display
from vdp_distill.jnd.codecs import codec_named
from vdp_distill.jnd.files import read_picture
from vdp_distill.jnd.judge import Judge, judging
from vdp_distill.jnd.limits import limits_of
from vdp_distill.jnd.search import Point, Trials, search
from vdp_distill.settings import Settings

__all__ = ["JND", "find_jnd"]

DEFAULT_PPD = 60.0


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

    HDR-VDP sees luminance: what changes in colour alone is not judged. A JPEG's colour is therefore never stored below
    quality 75; WebP and AVIF give no such hold on it.
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
    judge = Judge(metric, criterion, settings.ppd, source.codes, device)
    trials = Trials(source, known, judge, limits_of(known, source, judge, p))
    quality = search(trials, p)
    about = {"model": str(model), "criterion": vars(criterion), "p": p, **Settings.create(**settings.given).record()}
    notes = (*source.notes, *trials.notes(quality))
    return JND(quality, trials.files[quality], trials.P(quality), trials.points(), codec, notes, about)


class _Viewing(NamedTuple):
    given: dict
    ppd: float


def _settings(display, pixels_per_degree: float | None) -> _Viewing:
    display = FITTED_DISPLAY if display is None else load_display(display)
    ppd = pixels_per_degree
    if ppd is None:
        ppd = display.geometry_pixels_per_degree() or DEFAULT_PPD
    return _Viewing({"display": display, "pixels_per_degree": ppd}, ppd)
