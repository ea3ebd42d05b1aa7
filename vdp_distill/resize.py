"""Bicubic resizing as two matrix products, one an axis: how maps of one size meet bands of another.

The kernel is Keys' cubic (a = -0.5), widened when the image shrinks, its weights normalised to 1, the borders mirrored
with the edge pixel repeated. An output pixel sees a few neighbours only, so each matrix is stored as a row of small
dense blocks along its diagonal.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["resize_matrix", "resize"]

BLOCK = 32
"""Output pixels a block. Smaller blocks multiply fewer zeros, larger ones suit the matrix product better."""


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
def _diagonal_blocks(length_in: int, length_out: int) -> tuple[np.ndarray, int, int]:
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
    return np.stack(blocks), first, step


def _resize_rows(image: Tensor, length_out: int) -> Tensor:
    """Resize along the axis before the last."""
    length_in = image.shape[-2]
    if length_in == length_out:
        return image
    blocks, first, step = _diagonal_blocks(length_in, length_out)
    count, _, span = blocks.shape
    after = max(0, first + step * (count - 1) + span - length_in)
    padded = torch.nn.functional.pad(image, (0, 0, max(0, -first), after))
    windows = padded.narrow(-2, max(0, first), padded.shape[-2] - max(0, first)).unfold(-2, span, step)
    resized = image.new_tensor(blocks) @ windows[..., :count, :, :].mT
    return resized.flatten(-3, -2)[..., :length_out, :]


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
    if image.shape[-2:] == (height, width):
        return image
    return _resize_rows(_resize_rows(image, height).mT, width).mT
