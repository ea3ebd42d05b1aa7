"""Arithmetic on what the filters of the block-wise visual system give: places of an image by channels."""

import torch
from torch import Tensor

from vdp_distill import csf
from vdp_distill.surrogates.lapped import BAND_FREQUENCIES, PIXELS

__all__ = [
    "amplitude",
    "log2_ppd",
    "mixed",
    "of_pairs",
    "sensitivities",
    "squares",
    "waves",
]

REFERENCE_PPD = 45.0

LEAST_SENSITIVITY = 1e-3
"""A seventh power of its inverse is far from overflowing; a thousandth of the sensitivity to a JND sees nothing."""

TINY = 1e-12
"""Keeps the derivative of a square root finite at 0."""


def log2_ppd(pixels_per_degree: Tensor) -> Tensor:
    """Octaves over REFERENCE_PPD."""
    return (pixels_per_degree / REFERENCE_PPD).log2()


def mixed(planes: Tensor, matrix: Tensor) -> Tensor:
    """Channels through a matrix (C, K), or one an image (N, 1, C, K): (N, C, h, w) -> (N, K, h, w), channels last."""
    return (planes.permute(0, 2, 3, 1) @ matrix).permute(0, 3, 1, 2)


def sensitivities(luminance_cdm2: Tensor, ppd: Tensor, frequencies: tuple[float, ...] = BAND_FREQUENCIES) -> Tensor:
    """Contrast sensitivity at frequencies in cycles a pixel: of the residual and of the fine octaves, (N, 3, h, w)."""
    tables, luminance = csf.csf_tables(ppd[:, None] * ppd.new_tensor(frequencies)), luminance_cdm2.log10()
    return torch.cat([csf.band_sensitivity(luminance, table) for table in tables], dim=1).clamp(min=LEAST_SENSITIVITY)


def squares(narrow: Tensor, wide: Tensor) -> Tensor:
    """Squares of the residual's pixels and squared amplitudes of pairs of filters, (N, channels, h, w).

    Parameters
    ----------
    narrow
        What the filters of the pixels find, then those of the first octave, all of one phase before all of the other.
    wide
        The same of the second octave.
    """
    residual, octave = narrow[:, :PIXELS], narrow[:, PIXELS:]
    return torch.cat([residual * residual, of_pairs(octave), of_pairs(wide)], dim=1)


def of_pairs(found: Tensor) -> Tensor:
    """Squared amplitudes of pairs of filters, all of one phase before all of the other."""
    first, second = found.chunk(2, dim=1)
    return torch.addcmul(first * first, second, second)


def amplitude(square: Tensor) -> Tensor:
    """Root of a square."""
    return (square + TINY).sqrt()


def waves(narrow: Tensor, wide: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """What filters find, each at its channel's rate; arguments and order as for :func:`squares`."""
    pixels, first, second = rate.split((PIXELS, (narrow.shape[1] - PIXELS) // 2, wide.shape[1] // 2), dim=1)
    return narrow * torch.cat([pixels, first, first], dim=1), wide * torch.cat([second, second], dim=1)
