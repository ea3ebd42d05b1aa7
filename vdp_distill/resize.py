"""Bicubic resizing as two matrix products, one an axis: how maps of one size meet bands of another.

The kernel is Keys' cubic (a = -0.5), widened when the image shrinks, its weights normalised to 1, the borders mirrored
with the edge pixel repeated. An output pixel sees a few neighbours only: for large images each matrix is stored as a
row of small dense blocks along its diagonal, and the zeros between them are never multiplied.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["resize_matrix", "resize"]

BLOCK = 32
"""Output pixels a block. Smaller blocks multiply fewer zeros, larger ones suit the matrix product better."""

LARGE_SIDE = 256
"""From this side on, one plane by blocks is faster on the processor than all planes by the whole matrix."""


def _cubic(distance: Tensor) -> Tensor:
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return torch.where(distance <= 1, near, torch.where(distance <= 2, far, 0.0))


def resize_matrix(length_in: int, length_out: int) -> Tensor:
    """Dense matrix (length_out, length_in) of the resize along one axis, float64.

    Examples
    --------
    >>> resize_matrix(8, 4).sum(dim=1).allclose(torch.ones(4).double())
    True
    """
    ratio = length_in / length_out
    widening = max(1.0, ratio)
    to, place = (torch.arange(length, dtype=torch.float64) for length in (length_out, length_in))
    centre = ((to + 0.5) * ratio - 0.5)[:, None]
    weights = torch.zeros_like(centre)
    for turn in _turns(length_in, widening):
        for mirrored in (place, -1 - place):
            weights = weights + _cubic((mirrored + 2 * length_in * turn - centre).abs() / widening)
    return weights / weights.sum(dim=1, keepdim=True)


def _turns(length: int, widening: float) -> range:
    """Mirror images of the axis that the kernel reaches, in periods of two lengths."""
    reach = 1 if not isinstance(length, int) else 1 + math.ceil((2 * widening + 1) / (2 * length))
    return range(-reach, reach + 1)


def _dense(length_in: int, length_out: int, image: Tensor) -> Tensor:
    if not isinstance(length_in, int):  # of an exported program that takes many sizes
        return resize_matrix(length_in, length_out).to(image)
    return _remembered(length_in, length_out, image.dtype, image.device)


@lru_cache(maxsize=128)
def _remembered(length_in: int, length_out: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # what is remembered must serve a training later
        return resize_matrix(length_in, length_out).to(device, dtype)


@lru_cache(maxsize=256)
def _diagonal_blocks(
    length_in: int, length_out: int, is_transposed: bool, dtype: torch.dtype, device: torch.device
) -> list[tuple[slice, Tensor]]:
    """The matrix, or its transpose, as blocks of BLOCK rows: the columns that each sees, and its values there."""
    matrix = resize_matrix(length_in, length_out).numpy()
    matrix = matrix.T if is_transposed else matrix
    blocks = []
    for rows in np.split(matrix, range(BLOCK, len(matrix), BLOCK)):
        seen = np.nonzero(rows.any(axis=0))[0]
        columns = slice(int(seen[0]), int(seen[-1]) + 1)
        with torch.inference_mode(False):
            blocks.append((columns, torch.tensor(rows[:, columns], dtype=dtype, device=device)))
    return blocks


class _BandedResize(torch.autograd.Function):
    """Resize of large planes block by block; backward is the transposed matrices, likewise."""

    @staticmethod
    def forward(ctx, image: Tensor, height: int, width: int, is_transposed: bool) -> Tensor:
        ctx.size, ctx.is_transposed = image.shape[-2:], is_transposed
        resized = image.new_empty(*image.shape[:2], height, width)
        for plane, target in zip(image.flatten(0, 1), resized.flatten(0, 1), strict=True):
            _resize_plane(plane, target, is_transposed)
        return resized

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _BandedResize.apply(gradient, *ctx.size, not ctx.is_transposed), None, None, None


def _resize_plane(plane: Tensor, target: Tensor, is_transposed: bool) -> None:
    """Resize one plane (H, W) into another; the axis order is the one with the smaller plane in between."""
    (height, width), (rows, columns) = plane.shape, target.shape
    if rows < height:
        between = plane.new_empty(rows, width)
        _resize_rows(plane, between, is_transposed)
        _resize_rows(between.mT, target.mT, is_transposed)
    else:
        between = plane.new_empty(height, columns)
        _resize_rows(plane.mT, between.mT, is_transposed)
        _resize_rows(between, target, is_transposed)


def _resize_rows(plane: Tensor, target: Tensor, is_transposed: bool) -> None:
    lengths = len(plane), len(target)
    blocks = _diagonal_blocks(*(lengths[::-1] if is_transposed else lengths), is_transposed, plane.dtype, plane.device)
    for (columns, block), rows in zip(blocks, target.split(BLOCK), strict=True):
        torch.mm(block, plane[columns], out=rows)


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Bicubic resize with mirrored borders and normalised weights.

    Parameters
    ----------
    image
        (N, C, H, W).
    height, width
        Size wanted.

    Returns
    -------
    Tensor
        (N, C, height, width); the image itself if the size is the same.

    Examples
    --------
    >>> resize(torch.ones(1, 1, 9, 7), 4, 4).allclose(torch.ones(1, 1, 4, 4))
    True
    """
    size_in = image.shape[-2:]
    if size_in == (height, width):
        return image
    if min(size_in) >= LARGE_SIDE and image.device.type == "cpu" and not torch.compiler.is_compiling():
        return _BandedResize.apply(image, height, width, False)
    rows, columns = (_dense(i, o, image) for i, o in zip(size_in, (height, width), strict=True))
    return rows @ (image @ columns.mT)
