"""Bicubic resizing as two matrix products, one an axis: how maps of one size meet bands of another.

The kernel is Keys' cubic (a = -0.5), widened when the image shrinks, its weights normalised to 1, the borders mirrored
with the edge pixel repeated. An output pixel sees a few neighbours only: for large images each matrix is stored as a
row of small dense blocks along its diagonal, and the zeros between them are never multiplied.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["resize_matrix", "resize"]

BLOCK = 32
"""Output pixels a block. Smaller blocks multiply fewer zeros, larger ones suit the matrix product better."""

LARGE_SIDE = 256
"""From this side on, one plane by blocks is faster than all planes by the whole matrix."""


def _cubic(distance: np.ndarray) -> np.ndarray:
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.where(distance <= 1, near, np.where(distance <= 2, far, 0.0))


def resize_matrix(length_in: int, length_out: int) -> np.ndarray:
    """Dense matrix (length_out, length_in) of the resize along one axis, float64.

    Examples
    --------
    >>> bool(np.allclose(resize_matrix(8, 4).sum(axis=1), 1))
    True
    """
    scale = length_out / length_in
    widening = max(1.0, 1 / scale)
    centre = (np.arange(length_out) + 0.5) / scale - 0.5
    reach = int(np.ceil(2 * widening)) + 1
    taps = np.floor(centre)[:, None] + np.arange(-reach, reach + 1)
    weights = _cubic(np.abs(taps - centre[:, None]) / widening)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((length_out, length_in))
    mirrored = np.mod(taps, 2 * length_in)
    mirrored = np.where(mirrored < length_in, mirrored, 2 * length_in - 1 - mirrored).astype(int)
    np.add.at(matrix, (np.arange(length_out)[:, None], mirrored), weights)
    return matrix


@lru_cache(maxsize=128)
def _dense(length_in: int, length_out: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(resize_matrix(length_in, length_out), dtype=dtype, device=device)


@lru_cache(maxsize=128)
def _diagonal_blocks(
    length_in: int, length_out: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, int, int]:
    """Blocks (count, BLOCK, span) of the matrix, and the first column and step of their spans.

    Block k holds rows BLOCK k to BLOCK (k + 1) and columns first + step k to first + step k + span.
    """
    matrix = resize_matrix(length_in, length_out)
    count = -(-length_out // BLOCK)
    step = round(BLOCK * length_in / length_out)
    columns = [np.nonzero(matrix[BLOCK * k : BLOCK * (k + 1)].any(axis=0))[0] for k in range(count)]
    first = min(int(seen[0]) - step * k for k, seen in enumerate(columns))
    span = max(int(seen[-1]) + 1 - step * k - first for k, seen in enumerate(columns))
    padded = np.zeros((BLOCK * count, -first + step * (count - 1) + span + first + length_in))
    padded[:length_out, -first : -first + length_in] = matrix
    blocks = [padded[BLOCK * k : BLOCK * (k + 1), step * k : step * k + span] for k in range(count)]
    return torch.tensor(np.stack(blocks), dtype=dtype, device=device), first, step


def _rows_of_plane(plane: Tensor, length_out: int) -> Tensor:
    """Resize the rows of one large plane (H, W) block by block."""
    length_in = len(plane)
    blocks, first, step = _diagonal_blocks(length_in, length_out, plane.dtype, plane.device)
    count, _, span = blocks.shape
    after = max(0, first + step * (count - 1) + span - length_in)
    padded = functional.pad(plane, (0, 0, -first, after))
    windows = padded.unfold(0, span, step)[:count].mT
    return torch.bmm(blocks, windows).flatten(0, 1)[:length_out]


def _columns_of_plane(plane: Tensor, length_out: int) -> Tensor:
    """Resize the columns of one large plane (H, W) block by block."""
    length_in = plane.shape[1]
    blocks, first, step = _diagonal_blocks(length_in, length_out, plane.dtype, plane.device)
    count, _, span = blocks.shape
    after = max(0, first + step * (count - 1) + span - length_in)
    padded = functional.pad(plane, (-first, after))
    windows = padded.unfold(1, span, step)[:, :count].transpose(0, 1)
    return torch.bmm(windows, blocks.mT).transpose(0, 1).flatten(1)[:, :length_out]


def _resize_plane(plane: Tensor, height: int, width: int) -> Tensor:
    """Resize one large plane; the axis order is the one with the smaller plane in between."""
    if height < len(plane):
        return _columns_of_plane(_rows_of_plane(plane, height), width)
    return _rows_of_plane(_columns_of_plane(plane, width), height)


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
    if min(size_in) >= LARGE_SIDE and not torch.compiler.is_compiling():
        planes = [_resize_plane(plane, height, width) for plane in image.flatten(0, 1)]
        return torch.stack(planes).view(*image.shape[:2], height, width)
    rows, columns = (_dense(i, o, image.dtype, image.device) for i, o in zip(size_in, (height, width), strict=True))
    return rows @ (image @ columns.mT)
