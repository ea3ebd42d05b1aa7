"""Compare two image files: what a person would see, in numbers, in words and as a picture."""

import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vdp_distill.compare_notes import notes_of
from vdp_distill.criterion import PEOPLE, Criterion, load_criterion
from vdp_distill.display_files import load_display
from vdp_distill.io import Image, read_image, write_image
from vdp_distill.jnd.judge import judging
from vdp_distill.metric import HDRVDP2
from vdp_distill.result import Result
from vdp_distill.settings import Settings
from vdp_distill.surrogate_metric import OutOfDomainWarning
from vdp_distill.visualize import heatmap

__all__ = ["Comparison", "compare", "verdict"]

VERDICTS = (
    (0.05, "invisible: almost nobody would see a difference"),
    (0.25, "hardly visible: few would see a difference"),
    (0.75, "at the threshold: about half would see a difference"),
    (0.95, "visible: most would see a difference"),
    (math.inf, "clearly visible: nearly everybody would see a difference"),
)
"""Words for a probability of detection, by its upper bound."""


@dataclass(frozen=True)
class Comparison:
    """Two files, and what the metric says about them.

    Attributes
    ----------
    test, reference
        As they were read.
    result
        The prediction.
    files
        Name and SHA-256 of each.
    criterion
        What the verdict goes by.
    P_people
        Share of people who see a difference, by the released criterion of people.
    notes
        What a reader must know beside the numbers, a sentence each.
    """

    test: Image
    reference: Image
    result: Result
    files: dict
    criterion: Criterion
    P_people: float
    notes: tuple[str, ...] = ()

    def record(self) -> dict:
        """Scores, versions and every setting as plain data."""
        scores = {name: float(getattr(self.result, name)) for name in ("P_det", "C_max", "Q")}
        scores["P_people"] = self.P_people
        by_people = self.criterion.name == PEOPLE
        words = {"verdict": verdict(scores["P_people" if by_people else "P_det"]), "verdict_by": self.criterion.name}
        words["notes"] = [*self.notes]
        return {**scores, **words, "files": self.files, "settings": self.result.settings}

    def heatmap(self, path: str | Path, palette: str = "trichromatic") -> None:
        """Write the probability map as colour over the test image."""
        write_image(path, heatmap(self.result.P_map, self.test.array, palette))

    def __str__(self) -> str:
        record = self.record()
        settings = {key: value for key, value in record["settings"].items() if value is not None}
        lines = [
            f"{record['verdict']} ({record['verdict_by']})",
            f"  P_people {record['P_people']:.4f}   share of people who see a difference between photographs",
            f"  P_det {record['P_det']:.4f}   the metric's own: somebody who searches every pixel",
            f"  C_max {record['C_max']:.4g}   its contrast in threshold units; 1 is seen half of the time",
            f"  Q     {record['Q']:.2f}   quality; 100 for identical images",
            *(f"  note: {note}" for note in record["notes"]),
            "settings: " + ", ".join(f"{key} {_brief(value)}" for key, value in settings.items()),
        ]
        return "\n".join(lines)


def verdict(P_det: float) -> str:
    """A probability of detection in words.

    Examples
    --------
    >>> verdict(0.5)
    'at the threshold: about half would see a difference'
    """
    return next(words for bound, words in VERDICTS if P_det < bound)


def compare(
    test: str | Path,
    reference: str | Path,
    *,
    model: str = PEOPLE,
    cdm2_per_unit: float = 1.0,
    device: str = "cpu",
    **settings,
) -> Comparison:
    """Compare two image files.

    Parameters
    ----------
    test, reference
        Files of one size. 8 and 16 bit files hold code values, ``.hdr``, ``.exr`` and floating-point TIFF hold light.
    model
        ``"people-v1"``, the exact metric in float64, with the verdict of people who look at photographs; ``"exact"``,
        the same with the metric's own strict verdict; the name of a released surrogate, or the folder of a trained one,
        in float32, with the verdict of people.
    cdm2_per_unit
        What the numbers of files with light are multiplied by.
    device
        Where it is computed.
    **settings
        As for :func:`vdp_distill.hdrvdp2`. Without ``encoding`` and ``display``, code values are shown by the metric's
        own display of 100 cd/m2 (``sRGB-display``, or ``luma-display`` for grey files), and light is taken as it is
        (``rgb-bt.709`` or ``luminance``); the record says which.

    Raises
    ------
    FileNotFoundError, ValueError
        For files that are missing, no images, of different sizes or kinds, and settings that do not fit.
    """
    images = _read_alike(Path(test), Path(reference), settings)
    kind = images[0].kind
    if settings.get("encoding") is None and settings.get("display") is None:
        settings["encoding"] = _encoding(kind, images[0].array.shape[2])
    scale = 1.0
    if kind == "light":
        scale = cdm2_per_unit
    elif cdm2_per_unit != 1:
        raise ValueError(f"cdm2_per_unit={cdm2_per_unit:g} is for files that hold light; {test} holds code values")
    metric, criterion = judging(model, None, device, **settings)
    dtype = torch.float64 if type(metric) is HDRVDP2 else torch.float32  # models are trained in float32
    tensors = [
        torch.from_numpy(np.moveaxis(image.array, 2, 0).copy())[None].to(device, dtype) * scale for image in images
    ]
    result, outside = _looked_at(metric, tensors)
    files = {
        role: {"name": Path(path).name, "sha256": image.sha256} for role, path, image in _roles(test, reference, images)
    }
    settings = Settings.create(**settings)
    seen = float(load_criterion(PEOPLE).judge(result, float(settings.pixels_per_degree)))
    scores = {"P_det": float(result.P_det), "P_people": seen}
    notes = (*notes_of(images, settings, criterion, scores, cdm2_per_unit), *outside)
    return Comparison(*images, result, files, criterion, seen, notes)


def _looked_at(metric: HDRVDP2, tensors: list[torch.Tensor]) -> tuple[Result, list[str]]:
    """The prediction, and what a model says of images outside its domain."""
    with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OutOfDomainWarning)
        result = metric(*tensors)
    outside = [str(warning.message) for warning in caught if issubclass(warning.category, OutOfDomainWarning)]
    for warning in caught:
        if not issubclass(warning.category, OutOfDomainWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return result, outside


def _roles(test, reference, images):
    return zip(("test", "reference"), (test, reference), images, strict=True)


def _read_alike(test: Path, reference: Path, settings: dict) -> tuple[Image, Image]:
    """Both files, with one number of channels, that of the encoding or display."""
    first, second = read_image(test), read_image(reference)
    if first.kind != second.kind:
        raise ValueError(
            f"{test} holds {first.kind} values and {reference} holds {second.kind}; compare files of one kind"
        )
    sizes = [image.array.shape[:2] for image in (first, second)]
    if sizes[0] != sizes[1]:
        (height, width), (other_height, other_width) = sizes
        raise ValueError(
            f"{test} is {width} x {height} pixels, {reference} is {other_width} x {other_height}; they must be of "
            "one size"
        )
    if _wants_colour(settings) or first.array.shape != second.array.shape:
        return read_image(test, grey="expand"), read_image(reference, grey="expand")
    return first, second


def _wants_colour(settings: dict) -> bool:
    if settings.get("display") is not None:
        return load_display(settings["display"]).primaries != "grey"
    return (settings.get("encoding") or "").lower() in ("srgb-display", "rgb-bt.709", "xyz")


def _encoding(kind: str, channels: int) -> str:
    if kind == "light":
        return "rgb-bt.709" if channels == 3 else "luminance"
    return "sRGB-display" if channels == 3 else "luma-display"


def _brief(value) -> str:
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
