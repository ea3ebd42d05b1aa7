"""Pairs of many kinds on bundled photographs, of which the cards show those that a model is most wrong about."""

from collections.abc import Callable

import torch
from torch import Tensor

from vdp_distill.example_pairs import PHOTOGRAPHS, photograph_pairs

__all__ = ["hard_pairs"]

HEIGHT, WIDTH = 192, 256


def _isolated(image: Tensor) -> Tensor:
    chosen = torch.rand(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < 5e-4
    return torch.where(chosen, 1 - image, image)


def _framed(image: Tensor) -> Tensor:
    framed = image.clone()
    framed[..., [0, 1, -2, -1], :] *= 0.97
    framed[..., [0, 1, -2, -1]] *= 0.97
    return framed


def _noisy(image: Tensor) -> Tensor:
    return image + 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))


def _tinted(*change: float) -> Callable[[Tensor], Tensor]:
    return lambda image: image + image.new_tensor(change).view(1, 3, 1, 1)


def _patched(image: Tensor) -> Tensor:
    return image - 0.02 * _inside(image, 60, 100, 90, 150)


def _vignetted(image: Tensor) -> Tensor:
    down, across = (torch.linspace(-1, 1, side).square() for side in (HEIGHT, WIDTH))
    return image * (1 - 0.06 * (down[:, None] + across))


def _spotted(image: Tensor) -> Tensor:
    down, across = torch.arange(HEIGHT)[:, None] - 80.0, torch.arange(WIDTH) - 150.0
    return image + 0.05 * torch.exp(-(down**2 + across**2) / 200)


def _grating(cycles_pixel: float, contrast: float) -> Callable[[Tensor], Tensor]:
    wave = torch.cos(2 * torch.pi * cycles_pixel * torch.arange(WIDTH))
    return lambda image: image * (1 + contrast * wave)


def _dark_lamp(image: Tensor) -> Tensor:
    return torch.where(_inside(image, 90, 94, 120, 124) > 0, 0.6, image)


def _inside(image: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    mask = torch.zeros_like(image)
    mask[..., top:bottom, left:right] = 1
    return mask


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "isolated pixels": _isolated,
    "a darker frame, 2 pixels wide": _framed,
    "noise": _noisy,
    "more red, less green": _tinted(0.06, -0.024, 0.0),
    "more blue, less red": _tinted(-0.03, 0.0, 0.09),
    "a darker patch": _patched,
    "a vignette": _vignetted,
    "a smooth spot of light": _spotted,
    "a grating of 3 pixels": _grating(1 / 3, 0.06),
    "a grating of 2.2 pixels": _grating(1 / 2.2, 0.1),
    "a grating of 20 pixels": _grating(1 / 20, 0.02),
    "a small lamp": _dark_lamp,
}
"""Each takes code values, (1, 3, HEIGHT, WIDTH)."""


def hard_pairs() -> dict[str, tuple[Tensor, Tensor]]:
    """(test, reference) code values by their names: every change of every bundled photograph."""
    references = [reference for _, reference in photograph_pairs(HEIGHT, WIDTH, count=len(PHOTOGRAPHS))]
    return {
        f"{about}, on {photograph}": (change(reference).clamp(0, 1), reference)
        for photograph, reference in zip(PHOTOGRAPHS, references, strict=True)
        for about, change in CHANGES.items()
    }
