"""Photographs: found in a folder, hashed, split into training and test, cropped at many scales."""

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from data_gen.chance import log_uniform
from data_gen.licences import NOT_STATED, licence_beside, licence_named
from vdp_distill.io import READABLE, Image, file_hash, read_image

__all__ = ["Source", "Album", "find_photographs"]

BUNDLED = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
    "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg",
    "rocket.jpg", "text.png",
)  # fmt: skip
"""Photographs inside every scikit-image, 128 pixels and larger."""

SPLITS = (("train", 0.8), ("val", 0.9), ("test", 1.0))
"""Upper ends of the splits on the line from 0 to 1 on which a picture's hash puts it."""

CACHE_BYTES = 400_000_000
LARGEST_LIGHT = 1e9


@dataclass(frozen=True)
class Source:
    """One photograph of a set: its path inside the folder, SHA-256, split, size, kind and licence."""

    name: str
    sha256: str
    split: str
    height: int
    width: int
    kind: str
    licence: str

    def record(self) -> dict:
        """Plain data, for the manifest."""
        return asdict(self)


def bundled_folder() -> Path:
    """Folder of scikit-image's own pictures."""
    import skimage.data

    return Path(skimage.data.__file__).parent


def find_photographs(
    folder: Path | None, smallest_side: int, workers: int = 1, licences: dict[str, str] | None = None
) -> tuple[list[Source], list[dict]]:
    """Every photograph of a folder, read once from end to end, and what was skipped and why.

    Parameters
    ----------
    folder
        Searched with its sub-folders; None for scikit-image's bundled photographs.
    smallest_side
        Smaller pictures are skipped.
    workers
        Pictures read at a time.
    licences
        From :func:`data_gen.licences.read_licences`; goes before licence files beside the pictures.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no usable photograph in it.
    """
    root = bundled_folder() if folder is None else folder
    if not root.is_dir():
        raise FileNotFoundError(f"no folder of images {root}; give one with --images, or leave it out for bundled ones")
    paths = [root / name for name in BUNDLED] if folder is None else _listed(root)
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        looked = list(pool.map(lambda path: _look(path, root, smallest_side, licences or {}), paths))
    skipped = [found for found in looked if "why" in found]
    usable = list({found["sha256"]: found for found in looked if "why" not in found}.values())
    if not usable:
        reasons = "; ".join(f"{item['name']}: {item['why']}" for item in skipped[:3]) or "it holds no image file"
        raise FileNotFoundError(f"no usable photograph in {root} ({reasons}); {', '.join(READABLE)} are read")
    usable.sort(key=lambda found: found["sha256"])
    splits = split_by_hash([found["sha256"] for found in usable])
    return [Source(**found, split=splits[found["sha256"]]) for found in usable], skipped


def _listed(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix.lower() in READABLE and path.is_file())


def _look(path: Path, root: Path, smallest_side: int, licences: dict[str, str]) -> dict:
    name = path.relative_to(root).as_posix()
    try:
        image = _checked(read_image(path, grey="expand", scaled=False), path)
    except (ValueError, OSError, ImportError) as error:
        return {"name": name, "why": str(error)}
    height, width = image.array.shape[:2]
    if min(height, width) < smallest_side:
        return {"name": name, "why": f"{width} x {height} pixels is smaller than a sample of {smallest_side}"}
    return {
        "name": name,
        "sha256": image.sha256,
        "height": height,
        "width": width,
        "kind": image.kind,
        "licence": _licence(path, root, licences),
    }


def _checked(image: Image, path: Path) -> Image:
    if image.kind == "light" and not (np.isfinite(image.array).all() and image.array.max() < LARGEST_LIGHT):
        raise ValueError(f"{path} holds NaN, infinite or absurd light")
    return image


def _licence(path: Path, root: Path, licences: dict[str, str]) -> str:
    if root == bundled_folder():
        return "bundled with scikit-image (public domain or BSD-3-Clause; its data/README.txt)"
    named = licence_named(path.relative_to(root).as_posix(), licences)
    return licence_beside(path, root) if named == NOT_STATED else named


def split_by_hash(hashes: list[str]) -> dict[str, str]:
    """Split of every picture. It follows from the picture alone, so that a picture stays in its split in every set.

    Where a set of three and more pictures leaves a split empty, the picture nearest to it on the line moves there.
    """
    place = {name: int(name[:8], 16) / 2**32 for name in hashes}
    splits = {name: next(split for split, end in SPLITS if place[name] < end) for name in hashes}
    for split, middle in (("val", 0.85), ("test", 0.95)):
        movable = [name for name in hashes if list(splits.values()).count(splits[name]) > 1]
        if len(hashes) >= 3 and split not in splits.values():
            splits[min(movable, key=lambda name: abs(place[name] - middle))] = split
    return splits


class Album:
    """Photographs by number, decoded when needed, the last ones kept.

    Parameters
    ----------
    folder
        As for :func:`find_photographs`.
    sources
        What it found.
    """

    def __init__(self, folder: Path | None, sources: list[Source]):
        self.folder = bundled_folder() if folder is None else Path(folder)
        self.sources = sources
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self.sources)

    def picture(self, number: int) -> np.ndarray:
        """(H, W, 3): uint8 or uint16 code values, or float32 light.

        Raises
        ------
        OSError
            If the file is gone or is not the one that was found at the start.
        """
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        planes = self._decoded(self.sources[number])
        self._kept[number] = planes
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > CACHE_BYTES:
            self._kept.popitem(last=False)
        return planes

    def _decoded(self, source: Source) -> np.ndarray:
        path = self.folder / source.name
        try:
            changed = file_hash(path) != source.sha256
        except OSError as error:
            raise OSError(f"photograph {path} is gone; bring it back and go on with --resume") from error
        if changed:
            raise OSError(
                f"photograph {path} is not the file that the set began with; bring it back, or start a new set"
            )
        image = read_image(path, grey="expand", scaled=False)
        return np.maximum(image.array, 0) if image.kind == "light" else image.array

    def crop(
        self, number: int, size: int, zoom: tuple[float, float], flips: bool, generator: np.random.Generator
    ) -> tuple[np.ndarray, tuple[int, int, int, int]]:
        """A square of a picture at a random scale: float32 (size, size, 3), and (top, left, side, turn).

        Code values in 0..1, or light as in the file; which of the two is :attr:`Source.kind`.
        """
        planes = self.picture(number)
        height, width = planes.shape[:2]
        side = min(round(size / log_uniform(zoom, generator)), height, width)
        top, left = int(generator.integers(height - side + 1)), int(generator.integers(width - side + 1))
        turn = int(generator.integers(8)) if flips else 0
        square = planes[top : top + side, left : left + side]
        largest = np.iinfo(square.dtype).max if square.dtype.kind == "u" else 1
        square = _resized(square.astype(np.float32) / largest, size)
        square = np.rot90(square, turn % 4)
        return np.ascontiguousarray(square[:, ::-1] if turn >= 4 else square), (top, left, side, turn)


def _resized(square: np.ndarray, size: int) -> np.ndarray:
    if square.shape[0] == size:
        return square
    planes = torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)))[None]
    # Enlarged linearly, a picture would have an edge at each of its own pixels.
    mode = "bilinear" if square.shape[0] > size else "bicubic"
    resized = torch.nn.functional.interpolate(planes, (size, size), mode=mode, antialias=True, align_corners=False)
    return resized.clamp(0, float(square.max()))[0].numpy().transpose(1, 2, 0)
