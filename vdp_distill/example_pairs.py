"""Pairs to try a metric on: photographs, and copies of them that are distorted ever more."""

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.io import READABLE, read_image

__all__ = ["PHOTOGRAPHS", "photograph_pairs"]

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
"""Photographs that scikit-image carries, all free of rights (CC0 or public domain)."""


def photograph_pairs(
    height: int, width: int, folder: str | Path | None = None, count: int = 6
) -> list[tuple[Tensor, Tensor]]:
    """Photographs and distorted copies of them, from below the threshold to far above.

    Parameters
    ----------
    folder
        Photographs to take; None for those that scikit-image carries.
    count
        How many pairs; each photograph in turn, noise and blur in turn, ever stronger.

    Returns
    -------
    list
        (test, reference), each (1, 3, height, width) code values in float32.

    Raises
    ------
    ValueError
        For a folder without photographs.
    ImportError
        If scikit-image is not installed and no folder is given.
    """
    photographs = [_cut(image, height, width) for image in islice(_photographs(folder), count)]
    if not photographs:
        raise ValueError(f"{folder} holds no images with code values; give a folder of photographs")
    generator = torch.Generator().manual_seed(0)
    pairs = []
    for number, reference in enumerate(islice(cycle(photographs), count)):
        strength = 0.002 * 4.0 ** (number * 5 / max(1, count - 1))
        noise = torch.randn(reference.shape, generator=generator)
        change = 0.05 * noise if number % 2 == 0 else _blurred(reference) - reference
        pairs.append(((reference + strength * change).clamp(0, 1), reference))
    return pairs


def _blurred(image: Tensor) -> Tensor:
    """5 x 5 mean with mirrored borders: zeros outside would darken the frame, which is no blur."""
    return F.avg_pool2d(F.pad(image, (2,) * 4, mode="reflect"), 5, 1)


def _photographs(folder: str | Path | None) -> Iterator[Tensor]:
    if folder is None:
        try:
            from skimage import data
        except ImportError as error:
            raise ImportError(
                "the bundled photographs come with scikit-image: pip install scikit-image, or pass a folder"
            ) from error
        yield from (torch.from_numpy(getattr(data, name)()).float() / 255 for name in PHOTOGRAPHS)
        return
    for path in sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in READABLE):
        image = read_image(path, grey="expand")
        if image.kind == "code":
            yield torch.from_numpy(image.array)


def _cut(image: Tensor, height: int, width: int) -> Tensor:
    """The middle of a photograph (H, W, 3), scaled so that it fills the size, (1, 3, height, width)."""
    planes = image.permute(2, 0, 1)[None]
    scale = max(height / planes.shape[2], width / planes.shape[3])
    size = [max(side, round(length * scale)) for side, length in zip((height, width), planes.shape[2:], strict=True)]
    scaled = F.interpolate(planes, size=size, mode="bilinear", antialias=True).clamp(0, 1)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return scaled[..., top : top + height, left : left + width].contiguous()
