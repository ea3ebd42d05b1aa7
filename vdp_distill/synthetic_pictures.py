"""Photographs for synthetic observers: read, cut, distorted, and their exact contrasts, which take the time."""

import csv
import hashlib
import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import PIL
import torch
from PIL import Image

from vdp_distill.checkpoints import write_whole
from vdp_distill.io import READABLE
from vdp_distill.metric import HDRVDP2
from vdp_distill.version import METRIC_VERSION

if TYPE_CHECKING:
    from vdp_distill.human_data import SyntheticObservers

__all__ = ["contrasts", "encoded", "load_photographs"]

logger = logging.getLogger(__name__)


def encoded(image: Image.Image, quality: int, codec: str = "jpeg") -> Image.Image:
    """A photograph after a codec of Pillow's at a quality.

    Raises
    ------
    ValueError
        For a codec that this Pillow lacks.
    """
    data = io.BytesIO()
    try:
        image.save(data, codec, quality=int(quality))
    except (KeyError, OSError) as error:
        raise ValueError(f"Pillow {PIL.__version__} cannot write {codec!r} here: {error}") from error
    return Image.open(data).convert("RGB")


def load_photographs(photographs, size: tuple[int, int]) -> tuple[dict[str, Callable[[], Image.Image]], dict[str, str]]:
    """Photographs of one size, each read when it is asked for, and what was left out, with why.

    Raises
    ------
    FileNotFoundError, ValueError
        For a folder that does not exist, or photographs of which none is large enough.
    """
    if isinstance(photographs, Mapping):
        found = {str(name): (lambda array=array: Image.fromarray(array)) for name, array in photographs.items()}
    else:
        found = {name: partial(Image.open, path) for name, path in _named(_paths(photographs)).items()}
    kept, skipped = {}, {}
    for name, read in sorted(found.items()):
        try:
            with read() as image:
                width, height = image.size
        except OSError as error:
            skipped[name] = f"cannot be read: {error}"
            continue
        if height < size[0] or width < size[1]:
            skipped[name] = f"{width}x{height}, smaller than {size[1]}x{size[0]}"
        else:
            kept[name] = lru_cache(maxsize=1)(partial(_cut, read, size))
    if not kept:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3]) or "there are none"
        raise ValueError(f"no photograph of at least {size[1]}x{size[0]} pixels ({reasons}); pass a smaller size=")
    return kept, skipped


def _paths(photographs: str | Path | Iterable[str | Path]) -> list[Path]:
    if not isinstance(photographs, str | Path):
        return [Path(path) for path in photographs]
    folder = Path(photographs)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of photographs {folder}")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in set(READABLE) - {".hdr", ".exr"})


def _named(paths: list[Path]) -> dict[str, Path]:
    """Photographs by their names without suffix, or by their paths where two have one name."""
    count = Counter(path.stem for path in paths)
    return {path.stem if count[path.stem] == 1 else path.as_posix(): path for path in paths}


def _cut(read: Callable[[], Image.Image], size: tuple[int, int]) -> Image.Image:
    """The middle of a photograph, shrunk so that it just fills the size."""
    height, width = size
    with read() as file:
        image = file.convert("RGB")
    scale = max(height / image.height, width / image.width)
    shrunk = (round(image.width * scale), round(image.height * scale))
    image = image if shrunk == image.size else image.resize(shrunk, Image.Resampling.LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def contrasts(data: "SyntheticObservers", cache: str | Path | None, about: dict) -> dict[str, dict[int, float]]:
    """The exact metric's contrast of every photograph at every level, kept in a folder if one is given."""
    viewing = data.viewing
    ppd = viewing.reduced_pixels_per_degree(data.size()[0])
    metric = HDRVDP2(display=viewing.display, pixels_per_degree=ppd)
    about = about | {
        "metric": METRIC_VERSION,
        "display": viewing.display.record(),
        "ppd": ppd,
        "height": viewing.height,
    }
    found = {}
    for source, photograph in data.photographs.items():
        image = photograph()
        key = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode() + image.tobytes()).hexdigest()
        path = None if cache is None else Path(cache) / f"contrast-{source}-{key[:16]}.csv"
        known = _read_contrasts(path)
        missing = [level for level in data.levels if level not in known]
        if missing:
            known |= _measure(metric, data, source, missing)
            if path is not None:
                write_whole(path, partial(_write_contrasts, known))
            logger.info("%s: exact contrasts of %d levels", source, len(missing))
        found[source] = {level: known[level] for level in data.levels}
    return found


@torch.no_grad()
def _measure(metric: HDRVDP2, data: "SyntheticObservers", source: str, levels: list[int]) -> dict[int, float]:
    reference = data.reference(source)
    tests = ((level, data.viewing.reduce(data.codes(source, level))) for level in levels)
    return {level: float(metric(test, reference).C_max) for level, test in tests}


def _read_contrasts(path: Path | None) -> dict[int, float]:
    if path is None or not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["level"]): float(row["contrast"]) for row in csv.DictReader(file)}


def _write_contrasts(contrast: dict[int, float], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["level", "contrast"])
        writer.writerows(sorted((level, repr(value)) for level, value in contrast.items()))
