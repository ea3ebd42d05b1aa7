"""Small filters as dense convolutions between blocks of pixels: what learned filters run on.

A filter with one input channel leaves a fast convolution nothing to do. So an image is cut into blocks of 4 x 4 pixels
that become 16 channels, and a filter into the matrix from the pixels of a block and its neighbours to the pixels of the
block that are kept. :mod:`vdp_distill.pyramid` does the same with the metric's fixed taps; here the taps are tensors,
one set for all images or one an image, and a gradient flows to them.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.pyramid import BLOCK, cropped, from_blocks, mirrored_evens, steps_of, to_blocks

__all__ = ["correlate", "correlate_blocks", "correlate_zero_stuffed"]


def correlate(image: Tensor, taps: Tensor, keep_every: int = 1, padding: str = "reflect") -> Tensor:
    """Correlate images with filters, keeping every first or second sample of each axis.

    Parameters
    ----------
    image
        (N, I, H, W).
    taps
        (O, I, k, k), or (N, O, I, k, k) for filters of each image's own; k odd.
    keep_every
        1 or 2.
    padding
        ``"reflect"`` mirrors the borders without repeating the edge pixel; ``"constant"`` puts zeros outside.

    Returns
    -------
    Tensor
        (N, O, H, W), or half of that in each axis, rounded up.

    Examples
    --------
    >>> image = torch.arange(36.0).view(1, 1, 6, 6)
    >>> taps = torch.ones(1, 1, 3, 3) / 9
    >>> torch.allclose(correlate(image, taps)[..., 1:-1, 1:-1], F.conv2d(image, taps))
    True
    """
    height, width = image.shape[-2:]
    kernel = _block_kernel(taps, keep_every)
    padded = F.pad(image, (taps.shape[-1] // 2,) * 4, mode=padding)
    blocks = to_blocks(padded, steps_of(height, BLOCK), steps_of(width, BLOCK), kernel.shape[-1])
    kept = from_blocks(_convolve(blocks, kernel), BLOCK // keep_every)
    return cropped(kept, steps_of(height, keep_every), steps_of(width, keep_every))


def correlate_blocks(blocks: Tensor, taps: Tensor) -> Tensor:
    """Correlate images that are in blocks already with one small filter, zeros outside.

    Parameters
    ----------
    blocks
        (N, BLOCK^2, h, w), a channel for each pixel of a block.
    taps
        (1 or N, k, k), k odd and at most 2 BLOCK + 1.

    Examples
    --------
    >>> image, taps = torch.arange(64.0).view(1, 1, 8, 8), torch.ones(1, 3, 3) / 9
    >>> found = F.pixel_shuffle(correlate_blocks(F.pixel_unshuffle(image, 4), taps), 4)
    >>> torch.allclose(found, F.conv2d(image, taps[None], padding=1))
    True
    """
    rest = BLOCK - taps.shape[-1] // 2
    kernel = _block_kernel(F.pad(taps, (rest,) * 4)[:, None, None], 1)
    if kernel.shape[0] == 1:
        return F.conv2d(blocks, kernel[0].contiguous(memory_format=torch.channels_last), padding=1)
    return _convolve(F.pad(blocks, (1,) * 4), kernel)


def correlate_zero_stuffed(low: Tensor, taps: Tensor, height: int, width: int, padding: str = "reflect") -> Tensor:
    """Put samples on the even positions of zeros of a size, then correlate; the zeros are never made.

    Parameters
    ----------
    low
        (N, I, ceil(height / 2), ceil(width / 2)).
    taps
        (O, I, k, k), k odd.
    padding
        As for :func:`correlate`, of the stuffed image.

    Returns
    -------
    Tensor
        (N, O, height, width).
    """
    kernel = _block_kernel(taps, 1)
    outputs, reach = kernel.shape[0], kernel.shape[-1]
    phases = kernel.view(outputs, -1, BLOCK, BLOCK, reach, reach)[:, :, ::2, ::2]
    kernel = phases.reshape(outputs, -1, reach, reach).contiguous(memory_format=torch.channels_last)
    padded = _padded_evens(low, taps.shape[-1] // 2, (height, width), padding)
    blocks = to_blocks(padded, steps_of(height, BLOCK), steps_of(width, BLOCK), reach, BLOCK // 2)
    return cropped(from_blocks(F.conv2d(blocks, kernel), BLOCK), height, width)


def _padded_evens(low: Tensor, reach: int, size: tuple[int, int], padding: str) -> Tensor:
    """The even samples of an image padded by the filter's reach; an odd reach starts on an odd position."""
    if reach % 2:
        raise ValueError(
            f"taps must have an even reach, so that their first sample is an even one; got {2 * reach + 1}"
        )
    if padding == "constant":
        return F.pad(low, (reach // 2,) * 4)
    rows, columns = (mirrored_evens(length, reach, low.device) for length in size)
    return low.index_select(-2, rows).index_select(-1, columns)


def _convolve(blocks: Tensor, kernel: Tensor) -> Tensor:
    """Convolution with one kernel (O, I, K, K), or with one an image (N, O, I, K, K)."""
    if kernel.ndim == 4:
        return F.conv2d(blocks, kernel)
    batch, outputs = kernel.shape[:2]
    grouped = F.conv2d(blocks.reshape(1, -1, *blocks.shape[-2:]), kernel.flatten(0, 1), groups=batch)
    return grouped.view(batch, outputs, *grouped.shape[-2:])


def _block_kernel(taps: Tensor, keep_every: int) -> Tensor:
    """Filters between blocks: (..., O, I, k, k) -> (..., O (BLOCK / keep_every)^2, I BLOCK^2, K, K)."""
    index = torch.from_numpy(_block_index(tuple(taps.shape[-4:]), keep_every)).to(taps.device)
    flat = F.pad(taps.flatten(-4), (1, 0))
    kernel = flat.index_select(-1, index.flatten()).view(*flat.shape[:-1], *index.shape)
    return kernel.contiguous(memory_format=torch.channels_last) if kernel.ndim == 4 else kernel


@lru_cache(maxsize=64)
def _block_index(shape: tuple[int, ...], keep_every: int) -> np.ndarray:
    """Where in the flat taps, counted from 1, each entry of the block kernel comes from; 0 for none."""
    outputs, inputs, length, _ = shape
    kept = np.arange(0, BLOCK, keep_every)
    reach = (kept[-1] + length - 1) // BLOCK + 1
    spread = np.zeros((outputs, len(kept), len(kept), inputs, reach * BLOCK, reach * BLOCK), dtype=np.int64)
    numbers = 1 + np.arange(np.prod(shape)).reshape(shape)
    for i, row in enumerate(kept):
        for j, column in enumerate(kept):
            spread[:, i, j, :, row : row + length, column : column + length] = numbers
    cells = spread.reshape(-1, inputs, reach, BLOCK, reach, BLOCK).transpose(0, 1, 3, 5, 2, 4)
    return np.ascontiguousarray(cells.reshape(-1, inputs * BLOCK**2, reach, reach))
