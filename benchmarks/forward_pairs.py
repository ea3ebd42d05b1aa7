"""Pairs of the forward-model study: photographs that scikit-image carries, and degraded copies of them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.mdf_distortions import brightness, grating
from vdp_distill.losses.degradations import DEGRADATIONS
from vdp_distill.losses.degradations import degrade as degrade_by_trunk
from vdp_distill.losses.mdf_tasks import jpeg

__all__ = ["HELD_OUT", "OTHERS", "TRAINED", "degrade", "held_out", "photographs", "training"]

TRAINING = ("chelsea", "coffee", "retina", "immunohistochemistry", "hubble_deep_field", "brick", "gravel")
VALIDATION = ("rocket", "grass", "moon")
HELD_OUT = ("astronaut", "camera", "coins")
"""``brick``, ``gravel``, ``grass``, ``moon``, ``camera`` and ``coins`` are grey."""

TRAINED = tuple(kind for kind in DEGRADATIONS if kind != "none")
OTHERS = ("grating", "brightness", "JPEG")
LOCAL_SHARE = 0.5
"""Of pairs that differ in one place only."""


def photographs(names: Sequence[str]) -> list[Tensor]:
    """Photographs by name, (1, 3, H, W) in 0..1."""
    from skimage import data

    found = []
    for name in names:
        array = np.atleast_3d(getattr(data, name)())
        found.append(torch.from_numpy(array.astype(np.float32) / 255).permute(2, 0, 1).expand(3, -1, -1)[None])
    return found


def degrade(image: Tensor, kind: str, strength: float, generator: torch.Generator) -> Tensor:
    """A degraded copy; strength 0 is hardly seen, 1 gross."""
    if kind == "grating":
        return grating(image, 0.01 * 15**strength).clamp(0, 1)
    if kind == "brightness":
        return brightness(image, 0.01 * 15**strength).clamp(0, 1)
    if kind == "JPEG":
        return (jpeg(2 * image - 1, round(95 - 85 * strength)) + 1) / 2
    return degrade_by_trunk(image, kind, strength, generator)


def training(count: int, side: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Crops with one degradation each: seed 0 of the photographs to train on, 1 of those to validate on."""
    generator = torch.Generator().manual_seed(seed)
    return _pairs(photographs(VALIDATION if seed else TRAINING), count, side, TRAINED, generator, is_varied=not seed)


def held_out(count: int, side: int, kinds: Sequence[str] = TRAINED) -> list[tuple[Tensor, Tensor]]:
    """Crops of the photographs that are kept for the test."""
    return _pairs(photographs(HELD_OUT), count, side, kinds, torch.Generator().manual_seed(2))


def _pairs(
    images: list[Tensor],
    count: int,
    side: int,
    kinds: Sequence[str],
    generator: torch.Generator,
    is_varied: bool = False,
) -> list[tuple[Tensor, Tensor]]:
    """Photographs in turn, each in turn with every kind."""
    found = []
    for number in range(count):
        turn, place = divmod(number, len(images))
        crop = _crop(images[place], side, generator)
        crop = _varied(crop, generator) if is_varied else crop
        found.append(_pair(crop, kinds[turn % len(kinds)], generator))
    return found


def _pair(reference: Tensor, kind: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A degraded copy, fainter by up to ten times, in half of the cases in one place only."""
    strength, faintness, place = torch.rand(3, generator=generator).tolist()
    share = torch.tensor(10**-faintness)
    if place < LOCAL_SHARE:
        share = share * _window(reference.shape[-1], generator)
    test = reference + share * (degrade(reference, kind, strength, generator) - reference)
    return test.clamp(0, 1), reference


def _varied(crop: Tensor, generator: torch.Generator) -> Tensor:
    """The crop with its channels exchanged, turned over, lighter or darker: seven photographs show few colours."""
    exponent, gain, mirrored = torch.rand(3, generator=generator).tolist()
    crop = crop[:, torch.randperm(3, generator=generator)]
    crop = crop.flip(3) if mirrored < 0.5 else crop
    return (0.6 + 0.4 * gain) * crop ** math.exp(2 * exponent - 1)


def _window(side: int, generator: torch.Generator) -> Tensor:
    """A Gaussian bump of chance place and width."""
    row, column, width = torch.rand(3, generator=generator).tolist()
    sigma = side * 0.05 * math.exp(2 * width)
    places = torch.arange(side)
    up, across = (torch.exp(-((places - side * middle) ** 2) / (2 * sigma**2)) for middle in (row, column))
    return up[:, None] * across


def _crop(image: Tensor, side: int, generator: torch.Generator) -> Tensor:
    top, left = (int(torch.randint(length - side + 1, (), generator=generator)) for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side].clone()
