"""Distortions of the MDF study: each of one strength, set so that the PSNR is what was asked for."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.losses.mdf_tasks import jpeg

__all__ = ["DISTORTIONS", "KINDS", "at_psnr", "psnr_db"]

GRATING_PERIOD_PX = 8
HALVINGS = 30
STRONGEST = {"blur": 20.0, "noise": 1.0, "grating": 1.0, "contrast": 1.0, "brightness": 1.0}


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur."""
    radius = min(math.ceil(3 * sigma_px), min(image.shape[-2:]) - 1)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / max(sigma_px, 1e-6)).square()).to(image)
    taps = (taps / taps.sum()).expand(image.shape[1], 1, 1, -1)
    padded = F.pad(image, [radius] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, taps, groups=image.shape[1]), taps.transpose(2, 3), groups=image.shape[1])


def noise(image: Tensor, sigma: float) -> Tensor:
    """Gaussian noise, the same draw at every strength."""
    return image + sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(0)).to(image)


def grating(image: Tensor, amplitude: float) -> Tensor:
    """A sine grating of 8 pixels, slanted."""
    rows, columns = (torch.arange(length) for length in image.shape[-2:])
    phase = 2 * math.pi * (rows[:, None] + columns) / (GRATING_PERIOD_PX * math.sqrt(2))
    return image + amplitude * torch.sin(phase).to(image)


def contrast(image: Tensor, loss: float) -> Tensor:
    """Less contrast about the mean."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (1 - loss) * (image - mean)


def brightness(image: Tensor, shift: float) -> Tensor:
    """A shift of all code values."""
    return image + shift


DISTORTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "blur": blur,
    "noise": noise,
    "grating": grating,
    "contrast": contrast,
    "brightness": brightness,
}
"""Those of the paper's supplement, section 6; from (image in 0..1, strength)."""


def psnr_db(test: Tensor, reference: Tensor) -> float:
    """Of code values in 0..1."""
    return -10 * math.log10(float((test - reference).square().mean()) or 1e-12)


def at_psnr(name: str, image: Tensor, target_db: float) -> Tensor | None:
    """An image (1, C, H, W) distorted to a PSNR, clipped to 0..1; None where the strongest is not enough."""
    low, high = 0.0, STRONGEST[name]

    def distorted(strength: float) -> Tensor:
        return DISTORTIONS[name](image, strength).clamp(0, 1)

    if psnr_db(distorted(high), image) > target_db:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if psnr_db(distorted(middle), image) < target_db else (middle, high)
    return distorted(high)


def smaller_and_back(image: Tensor, generator: torch.Generator) -> Tensor:
    """A quarter of the pixels a side and back, bilinear."""
    small = F.interpolate(image, scale_factor=0.25, mode="bilinear", antialias=True)
    return F.interpolate(small, size=image.shape[-2:], mode="bilinear")


def compressed(image: Tensor, generator: torch.Generator) -> Tensor:
    """JPEG of quality 7 to 10."""
    quality = int(torch.randint(7, 11, (), generator=generator))
    return (jpeg(2 * image - 1, quality) + 1) / 2


def scrambled(image: Tensor, generator: torch.Generator) -> Tensor:
    """The pixels of each level of a Laplacian pyramid in another order: the spectrum stays about the same."""
    levels, coarse = [], image
    while min(coarse.shape[-2:]) >= 16:
        smaller = F.interpolate(coarse, scale_factor=0.5, mode="bilinear", antialias=True)
        levels.append(coarse - F.interpolate(smaller, size=coarse.shape[-2:], mode="bilinear"))
        coarse = smaller
    for level in reversed(levels):
        order = torch.randperm(level.shape[-2] * level.shape[-1], generator=generator)
        mixed = level.flatten(2)[..., order].view_as(level)
        coarse = F.interpolate(coarse, size=level.shape[-2:], mode="bilinear") + mixed
    return coarse.clamp(0, 1)


KINDS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "original": lambda image, generator: image,
    "JPEG": compressed,
    "blur": smaller_and_back,
    "scrambled": scrambled,
}
"""Those of the supplement, section 1."""
