"""Images of the denoising studies: digits and photographs, split by image into training and held out."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.io import READABLE, read_image

__all__ = ["DIGIT_PIXELS", "digits", "photographs", "read_idx"]

DIGIT_PIXELS = 28
HELD_OUT_DIGITS = 0.2
TRAINING_PHOTOGRAPHS = ("astronaut", "coffee", "rocket")
HELD_OUT_PHOTOGRAPHS = ("chelsea", "camera")
"""Photographs that scikit-image carries, free of rights; ``camera`` is grey."""

PATCHES = 600
EVERY_FIFTH = 5
"""Of a user's photographs, in the order of their names, this one is held out."""

IDX_IMAGES = 0x00000803
"""First four bytes of an idx file with three axes of unsigned bytes."""


def digits(folder: Path | None = None) -> tuple[Tensor, Tensor]:
    """Training and held-out digits, white on black, (N, 1, 28, 28) in 0..1.

    Parameters
    ----------
    folder
        With MNIST's ``train-images-idx3-ubyte`` and ``t10k-images-idx3-ubyte``, packed (``.gz``) or not; None for the
        8 x 8 digits of scikit-learn, scaled up.
    """
    if folder is not None:
        return tuple(read_idx(_idx_file(folder, part)) for part in ("train", "t10k"))
    from sklearn.datasets import load_digits

    small = torch.from_numpy(load_digits().images).float()[:, None] / 16
    size = (DIGIT_PIXELS, DIGIT_PIXELS)
    images = F.interpolate(small, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    held_out = round(len(images) * HELD_OUT_DIGITS)
    return images[:-held_out], images[-held_out:]


def _idx_file(folder: Path, part: str) -> Path:
    stem = folder / f"{part}-images-idx3-ubyte"
    found = [path for path in (stem, stem.with_name(f"{stem.name}.gz")) if path.is_file()]
    if not found:
        raise FileNotFoundError(f"{folder} must hold {stem.name} or {stem.name}.gz, MNIST's own files")
    return found[0]


def read_idx(path: Path) -> Tensor:
    """Images of an idx file, (N, 1, H, W) in 0..1.

    Raises
    ------
    ValueError
        For a file that is no idx file of images, or is cut off.
    """
    packed = path.read_bytes()
    try:
        content = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is cut off or damaged: {error}") from error
    header = np.frombuffer(content[:16].ljust(16, b"\0"), ">u4")
    if header[0] != IDX_IMAGES:
        raise ValueError(f"{path} must be an idx file of images (0x{IDX_IMAGES:08x}), it begins with 0x{header[0]:08x}")
    count, height, width = (int(length) for length in header[1:])
    if len(content) != 16 + count * height * width:
        raise ValueError(f"{path} should hold {count} images of {height} x {width}, it is {len(content)} bytes long")
    pixels = np.frombuffer(content, np.uint8, offset=16).reshape(count, 1, height, width)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def photographs(
    folder: Path | None, patch: int, held_out_patch: int, held_out_count: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Training and held-out crops of photographs, (N, 3, H, W) sRGB code values in 0..1, of different photographs.

    Parameters
    ----------
    folder
        Photographs, searched in its folders too; None for those that scikit-image carries.
    patch, held_out_patch
        Sides of the crops.
    held_out_count
        How many are held out.
    """
    generator = torch.Generator().manual_seed(seed)
    train, held_out = _bundled() if folder is None else _split(folder)
    return _crops(train, PATCHES, patch, generator), _crops(held_out, held_out_count, held_out_patch, generator)


Loader = Callable[[], Tensor]


def _bundled() -> tuple[list[Loader], list[Loader]]:
    from skimage import data

    def loader(name: str) -> Loader:
        return lambda: _planes(np.atleast_3d(getattr(data, name)()).astype(np.float32) / 255)

    return [loader(name) for name in TRAINING_PHOTOGRAPHS], [loader(name) for name in HELD_OUT_PHOTOGRAPHS]


def _split(folder: Path) -> tuple[list[Loader], list[Loader]]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in READABLE)
    paths = [path for path in paths if path.suffix.lower() not in (".hdr", ".exr")]
    if len(paths) < EVERY_FIFTH:
        raise ValueError(f"{folder} must hold at least {EVERY_FIFTH} photographs, one is held out; it has {len(paths)}")
    loaders = [lambda path=path: _planes(read_image(path).array) for path in paths]
    held_out = loaders[EVERY_FIFTH - 1 :: EVERY_FIFTH]
    return [loader for loader in loaders if loader not in held_out], held_out


def _planes(array: np.ndarray) -> Tensor:
    """(H, W, 1 or 3) as (3, H, W)."""
    return torch.from_numpy(array).permute(2, 0, 1).expand(3, -1, -1)


def _crops(loaders: list[Loader], count: int, side: int, generator: torch.Generator) -> Tensor:
    """Crops at random places, equally many of each photograph and the photographs in turn."""
    shares = [count // len(loaders) + (number < count % len(loaders)) for number in range(len(loaders))]
    cut = [list(_of(load(), share, side, generator)) for load, share in zip(loaders, shares, strict=True)]
    return torch.stack([cut[number % len(cut)][number // len(cut)] for number in range(count)])


def _of(image: Tensor, count: int, side: int, generator: torch.Generator) -> Iterator[Tensor]:
    rooms = [length - side + 1 for length in image.shape[1:]]
    if min(rooms) < 1:
        raise ValueError(f"a photograph of {image.shape[2]} x {image.shape[1]} pixels holds no crop of {side}")
    for _ in range(count):
        top, left = (int(torch.randint(room, (), generator=generator)) for room in rooms)
        yield image[:, top : top + side, left : left + side].clone()
