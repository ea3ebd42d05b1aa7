"""Energy of what is seen where light changed: what the quality correlate of the block-wise eye is made of.

A place that a filter looks at counts by how many of the pixels about it changed. Without that, a few pixels of another
light would spoil the energy of every band: filters answer far around a pixel, and the correlate takes logarithms.
Source: release 2.2.1 of the metric, whose correlate this is.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pyramid import BLOCK
from vdp_distill.surrogates.blocks import in_cells
from vdp_distill.surrogates.means import means
from vdp_distill.tiles import in_tiles

__all__ = ["Changed", "LEAST_SHARE", "changed_in_blocks", "energy_of_rows", "of_filters", "root_energy"]

HALF = BLOCK // 2

TINY = 1e-12
"""Keeps the derivative of a square root finite at 0."""

LEAST_SHARE = 0.3
"""The metric counts a pixel as changed if any channel does; luminance moves by as little as this share of that."""


class Changed(NamedTuple):
    """Where light changed between two images; beyond them, nowhere."""

    places: Tensor
    """1 at the changed pixels about every corner of blocks, (N, BLOCK^2, h + 1, w + 1)."""

    blocks: Tensor
    """Share of every block's pixels, (N, 1, h, w)."""


def changed_in_blocks(test: Tensor, reference: Tensor, corners: tuple[int, int]) -> Changed:
    """Where light changed.

    Parameters
    ----------
    test, reference
        Luminance in whole blocks, cd/m2, (N, 1, H, W).
    corners
        Rows and columns of corners that are looked at, one more than blocks.
    """
    changed = changed_plane(test, reference)
    rows, columns = (BLOCK * (count - 1) - length for count, length in zip(corners, changed.shape[-2:], strict=True))
    blocks = means(F.pad(changed, (0, columns, 0, rows)), BLOCK)
    return Changed(in_cells(F.pad(changed, (HALF, HALF + columns, HALF, HALF + rows))), blocks)


def changed_plane(test: Tensor, reference: Tensor) -> Tensor:
    """1 where light changed, (N, 1, H, W), after :func:`vdp_distill.detection.changed_light`, from luminance alone."""
    least = LEAST_SHARE * DEFAULT_PARAMETERS.quality_least_difference
    with torch.no_grad():
        return in_tiles(lambda t, r: ((t - r).abs() > least * r).to(r.dtype), test, reference)


def of_filters(places: Tensor, orientations: int) -> Tensor:
    """Share of energy that counts, of every filter of the residual and of two octaves, (N, filters, h, w).

    Parameters
    ----------
    places
        :attr:`Changed.places`.
    """
    quarters = places.unflatten(1, (2, HALF, 2, HALF)).mean(dim=(2, 4)).flatten(1, 2)
    whole = (quarters * quarters).mean(dim=1, keepdim=True)  # the mask shrinks before it is squared
    return torch.cat([places, quarters.repeat(1, orientations, 1, 1), whole.expand(-1, orientations, -1, -1)], dim=1)


def energy_of_rows(found: Tensor, share: Tensor) -> Tensor:
    """Sum of squares along every row, each as much as it counts, (N, K, h, 1)."""
    return (found.square() * share).permute(0, 2, 3, 1).sum(dim=2).permute(0, 2, 1)[..., None]


def root_energy(rows: Tensor, places: int) -> Tensor:
    """Root energy over the number of places, (N, K), from :func:`energy_of_rows`."""
    return ((rows.sum(dim=(2, 3)) + TINY**2).sqrt() - TINY) / places
