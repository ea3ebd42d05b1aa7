"""What our own trunk learns to name: kinds of degradation, each with a strength from hardly seen to gross."""

from collections.abc import Callable

import torch
from scipy.fft import dct
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.losses.windows import window_mean

__all__ = ["DEGRADATIONS", "degrade"]

BLOCK = 8


def _between(least: float, largest: float, strength: float) -> float:
    """Geometrically between the values at strength 0 and 1."""
    return least * (largest / least) ** strength


def _noise(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    return image + _between(0.01, 0.2, strength) * torch.randn(image.shape, generator=generator).to(image)


def _blur(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    sigma = _between(0.5, 4.0, strength)
    return window_mean(image, sigma, round(3 * sigma) + 1)


def _blocks(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Cosine transform of 8 x 8 blocks, quantised evenly: what JPEG does, without its tables."""
    height, width = image.shape[-2:]
    basis = torch.from_numpy(dct([[float(i == j) for j in range(BLOCK)] for i in range(BLOCK)], norm="ortho", axis=0))
    basis, step = basis.to(image), _between(0.03, 0.5, strength)
    padded = F.pad(image, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    tiles = padded.unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK)  # (N, C, H, W) -> (N, C, h, w, 8, 8)
    coded = basis.T @ (((basis @ tiles @ basis.T) / step).round() * step) @ basis
    return coded.permute(0, 1, 2, 4, 3, 5).reshape(padded.shape)[..., :height, :width]


def _large_pixels(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    size = [max(1, round(side / _between(1.25, 5.0, strength))) for side in image.shape[-2:]]
    return F.interpolate(F.interpolate(image, size=size, mode="area"), size=image.shape[-2:], mode="nearest")


def _contrast(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    mean = image.mean((2, 3), keepdim=True)
    return mean + _between(0.9, 0.3, strength) * (image - mean)


def _bands(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    levels = round(_between(40.0, 4.0, strength))
    return (image * levels).round() / levels


DEGRADATIONS: dict[str, Callable] = {
    "none": lambda image, strength, generator: image,
    "noise": _noise,
    "blur": _blur,
    "blocks": _blocks,
    "large pixels": _large_pixels,
    "low contrast": _contrast,
    "bands": _bands,
}
"""Kinds, in the order of the trunk's answers."""


def degrade(image: Tensor, kind: str, strength: float, generator: torch.Generator) -> Tensor:
    """A degraded copy of images, clipped to 0..1.

    Parameters
    ----------
    image
        (N, C, H, W) code values in 0..1.
    kind
        One of :data:`DEGRADATIONS`.
    strength
        0..1.
    generator
        Of the noise.

    Examples
    --------
    >>> image = torch.rand(1, 3, 16, 16)
    >>> degrade(image, "blocks", 1.0, torch.Generator()).shape
    torch.Size([1, 3, 16, 16])
    """
    return DEGRADATIONS[kind](image, strength, generator).clamp(0, 1)
