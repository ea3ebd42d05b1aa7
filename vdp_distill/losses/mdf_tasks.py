"""What MDF's discriminators are trained on: an image at every scale, and a task's distortion of it."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.io import READABLE, read_image
from vdp_distill.losses.mdf_recipe import MDFTraining

__all__ = ["DISTORTIONS", "SeedImage", "jpeg", "pyramid", "resized", "seed_images"]


@dataclass(frozen=True)
class SeedImage:
    """An image to train on: (1, 3, H, W) in -1..1, its name, and the SHA-256 of its file or values."""

    image: Tensor
    name: str
    sha256: str


def seed_images(data: str | Path | None) -> list[SeedImage]:
    """The images to train on.

    Parameters
    ----------
    data
        An image file, a folder of them (all are taken), or None for scikit-image's ``astronaut``.

    Raises
    ------
    ValueError, FileNotFoundError
        For a folder without images, and for files that are not 8 or 16 bit images.
    """
    if data is None:
        return [_bundled()]
    path = Path(data)
    files = sorted(found for found in path.rglob("*") if found.suffix.lower() in READABLE) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} holds no images; give an image file or a folder of them")
    return [_from_file(file) for file in files]


def _bundled() -> SeedImage:
    import hashlib

    from skimage import data

    codes = data.astronaut()
    return SeedImage(_signed(codes / np.float32(255)), "astronaut (scikit-image)", hashlib.sha256(codes).hexdigest())


def _from_file(path: Path) -> SeedImage:
    image = read_image(path, grey="expand")
    if image.kind != "code":
        raise ValueError(f"{path} holds light, not code values; give an 8 or 16 bit image")
    return SeedImage(_signed(image.array), path.name, image.sha256)


def _signed(codes: np.ndarray) -> Tensor:
    """(H, W, 3) in 0..1 to (1, 3, H, W) in -1..1."""
    return 2 * torch.from_numpy(np.ascontiguousarray(codes.transpose(2, 0, 1), np.float32))[None] - 1


def pyramid(image: Tensor, training: MDFTraining, scales: int) -> list[Tensor]:
    """An image at every scale, coarse to fine, after one level that is coarser still: where generation starts.

    Parameters
    ----------
    image
        (1, C, H, W); its shorter side becomes ``training.finest_side``, or stays if it is smaller.
    training
        Says the sides.
    scales
        How many.

    Returns
    -------
    list
        ``scales + 1`` images.
    """
    shorter = min(image.shape[-2:])
    finest = min(training.finest_side, shorter)
    if finest < training.coarsest_side:
        raise ValueError(
            f"the image must have at least {training.coarsest_side} pixels a side, the coarsest scale, got "
            f"{tuple(image.shape[-2:])}"
        )
    ratio = (training.coarsest_side / finest) ** (1 / max(1, scales - 1))
    sides = [finest * ratio**step for step in range(scales, -1, -1)]
    return [resized(image, [max(2, round(side * length / shorter)) for length in image.shape[-2:]]) for side in sides]


def resized(image: Tensor, size: list[int] | torch.Size) -> Tensor:
    """Bicubic, smoothed against aliasing where it shrinks; stays in -1..1."""
    return F.interpolate(image, size=tuple(size), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)


def jpeg(image: Tensor, quality: int) -> Tensor:
    """An image (1, 3, H, W) in -1..1 through JPEG, 4:2:0, at a quality."""
    codes = ((image[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(codes).save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file), dtype=np.float32) / np.float32(255)
    return _signed(decoded).to(image)


def _no_distortion(image: Tensor, training: MDFTraining, generator: torch.Generator) -> Tensor:
    return torch.zeros_like(image)


def _noise(image: Tensor, training: MDFTraining, generator: torch.Generator) -> Tensor:
    return 2 * training.noise_sigma * torch.randn(image.shape, generator=generator)  # -1..1 is twice as wide as 0..1


def _jpeg_residual(image: Tensor, training: MDFTraining, generator: torch.Generator) -> Tensor:
    lowest, highest = training.jpeg_qualities
    quality = int(torch.randint(lowest, highest + 1, (), generator=generator))
    return jpeg(image, quality) - image


DISTORTIONS = {"sr": _no_distortion, "denoise": _noise, "jpeg": _jpeg_residual}
"""What a task adds at each scale to the enlarged output of the scale before: from (image, training, generator)."""
