"""Steerable pyramid with four orientations: analysis and synthesis.

Source: E. P. Simoncelli and W. T. Freeman, ICIP 1995, in the spatial form that Mantiuk et al. 2011, section 5, uses:
correlations with the taps of :mod:`vdp_distill.sp3_filters`, borders mirrored without repeating the edge pixel.

A filter with one input channel leaves a fast convolution nothing to do. So each image is cut into blocks of 4 x 4
pixels that become 16 channels, and each filter into the matrix from the 16 pixels of a block and its neighbours to the
pixels of the block (its polyphase form): the same sums, as a dense convolution of a quarter of the size.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vdp_distill import sp3_filters
from vdp_distill.convolution import convolve

__all__ = [
    "pyramid_height",
    "pyramid_sizes",
    "band_frequencies",
    "build_pyramid",
    "reconstruct_pyramid",
    "BLOCK",
    "cropped",
    "from_blocks",
    "mirrored_evens",
    "steps_of",
    "to_blocks",
]

BLOCK = 4
"""Side of a polyphase block in pixels."""

SMALLEST_SIDE = 17
"""The decimating filter is 17 x 17: a smaller image has no further level."""


_FIRST_PASS = np.stack([sp3_filters.HIGH_PASS, np.pad(sp3_filters.LOW_PASS, 3)])[:, None]
"""The high-pass residual and the first low-pass, (2, 1, 15, 15): both are even, so synthesis takes them as they are."""


def pyramid_height(height: int, width: int) -> int:
    """Number of levels with oriented bands.

    Examples
    --------
    >>> pyramid_height(128, 128), pyramid_height(16, 500)
    (3, 0)
    """
    side = min(height, width)
    return 0 if side < SMALLEST_SIDE else 1 + pyramid_height(side // 2, side // 2)


def pyramid_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Size of every band: high-pass, levels from fine to coarse, base band."""
    sizes = [(height, width)]
    for _ in range(pyramid_height(height, width)):
        sizes.append((height, width))
        height, width = steps_of(height, 2), steps_of(width, 2)
    return [*sizes, (height, width)]


def steps_of(length: int, step: int) -> int:
    """How many steps hold a length, without negative numbers, which not all runtimes divide alike.

    Examples
    --------
    >>> steps_of(8, 4), steps_of(9, 4)
    (2, 3)
    """
    return (length + step - 1) // step


def band_frequencies(pixels_per_degree: Tensor, bands: int) -> Tensor:
    """Frequency of every band in cycles/degree, (N, bands) for (N,) pixels per degree."""
    octave = torch.arange(bands, dtype=pixels_per_degree.dtype, device=pixels_per_degree.device)
    return pixels_per_degree[:, None] / 2 * 0.5**octave


def build_pyramid(image: Tensor) -> list[Tensor]:
    """Bands of an image.

    Parameters
    ----------
    image
        (N, 1, H, W), no side under 17.

    Returns
    -------
    list of Tensor
        High-pass (N, 1, H, W), levels from fine to coarse (N, 4, h, w), base band (N, 1, h, w), not yet filtered.

    Examples
    --------
    >>> [tuple(band.shape[1:]) for band in build_pyramid(torch.zeros(1, 1, 40, 40))]
    [(1, 40, 40), (4, 40, 40), (4, 20, 20), (1, 10, 10)]
    """
    high, low = correlate(image, _FIRST_PASS).split(1, dim=1)
    bands = [high]
    for _ in range(pyramid_height(*image.shape[-2:])):
        bands.append(correlate(low, sp3_filters.ORIENTED[:, None]))
        low = correlate(low, sp3_filters.LOW_PASS_DECIMATING[None, None], keep_every=2)
    return [*bands, low]


def reconstruct_pyramid(bands: list[Tensor]) -> Tensor:
    """Image from bands; the pyramid is a tight frame but for the truncation of its filters.

    Parameters
    ----------
    bands
        As :func:`build_pyramid` returns them.

    Returns
    -------
    Tensor
        (N, 1, H, W).
    """
    high, *levels, low = bands
    for level in reversed(levels):
        low = _correlate_zero_stuffed(low, level.shape[-2:]) + correlate(level, _flipped(sp3_filters.ORIENTED)[None])
    return correlate(torch.cat([high, low], dim=1), _FIRST_PASS.transpose(1, 0, 2, 3))


def _flipped(taps: np.ndarray) -> np.ndarray:
    return taps[..., ::-1, ::-1]


def correlate(image: Tensor, taps: np.ndarray, keep_every: int = 1) -> Tensor:
    """Correlate with mirrored borders, keeping every first or second sample of each axis.

    Parameters
    ----------
    image
        (N, I, H, W).
    taps
        (O, I, k, k) with k odd and at most twice the shorter side.

    Returns
    -------
    Tensor
        (N, O, H, W), or half of that in each axis, rounded up.
    """
    height, width = image.shape[-2:]
    reach = taps.shape[-1] // 2
    kernel = _on(image, _polyphase, taps.tobytes(), taps.shape, keep_every)
    padded = functional.pad(image, (reach,) * 4, mode="reflect")
    blocks = to_blocks(padded, steps_of(height, BLOCK), steps_of(width, BLOCK), kernel.shape[-1])
    kept = from_blocks(convolve(blocks, kernel), BLOCK // keep_every)
    return cropped(kept, steps_of(height, keep_every), steps_of(width, keep_every))


def _correlate_zero_stuffed(low: Tensor, size: tuple[int, int]) -> Tensor:
    """Put samples on the even positions of zeros of a size, then convolve with the decimating filter.

    Only the even phases of a block hold anything, so the zeros are never made.
    """
    taps = sp3_filters.LOW_PASS_DECIMATING[None, None]
    kernel = _on(low, _polyphase_even_input, taps.tobytes(), taps.shape)
    reach = taps.shape[-1] // 2
    rows, columns = (mirrored_evens(length, reach, low.device) for length in size)
    padded = low.index_select(-2, rows).index_select(-1, columns)
    blocks = to_blocks(padded, steps_of(size[0], BLOCK), steps_of(size[1], BLOCK), kernel.shape[-1], BLOCK // 2)
    return cropped(from_blocks(convolve(blocks, kernel), BLOCK), *size)


def mirrored_evens(length: int, reach: int, device: torch.device) -> Tensor:
    """Indices of the low-pass samples that lie on the even positions of a mirrored axis."""
    position = torch.arange(-reach, length + reach, 2, device=device).abs()
    return torch.where(position < length, position, 2 * (length - 1) - position) // 2


def cropped(planes: Tensor, height: int, width: int) -> Tensor:
    """Planes up to a size; traced, as a tensor of its own, for a view would be asked for its strides."""
    if not torch.compiler.is_compiling():
        return planes[..., :height, :width]
    return functional.pad(planes, (0, width - planes.shape[-1], 0, height - planes.shape[-2]))


def to_blocks(padded: Tensor, rows: int, columns: int, reach: int, side: int = BLOCK) -> Tensor:
    """Blocks as channels: (N, I, h, w) -> (N, I side^2, rows + reach - 1, columns + reach - 1), channels last."""
    batch, channels, height, width = padded.shape
    rows, columns = rows + reach - 1, columns + reach - 1
    missing = 0, columns * side - width, 0, rows * side - height
    if torch.compiler.is_compiling() or any(missing):  # padding with nothing would copy all
        padded = functional.pad(padded, missing)
    cells = padded.view(batch, channels, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(batch, rows, columns, channels * side**2).permute(0, 3, 1, 2)


def from_blocks(blocks: Tensor, side: int) -> Tensor:
    """Channels as blocks: (N, O side^2, h, w) -> (N, O, h side, w side)."""
    batch, channels, rows, columns = blocks.shape
    cells = blocks.permute(0, 2, 3, 1).view(batch, rows, columns, channels // side**2, side, side)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, rows * side, columns * side)


@lru_cache(maxsize=16)
def _polyphase(taps: bytes, shape: tuple[int, ...], keep_every: int) -> np.ndarray:
    """Filter between blocks: (O, I, k, k) -> (O (BLOCK / keep_every)^2, I BLOCK^2, K, K)."""
    taps = np.frombuffer(taps).reshape(shape)
    outputs, inputs, length, _ = shape
    kept = np.arange(0, BLOCK, keep_every)
    reach = (kept[-1] + length - 1) // BLOCK + 1
    spread = np.zeros((outputs, len(kept), len(kept), inputs, reach * BLOCK, reach * BLOCK))
    for i, row in enumerate(kept):
        for j, column in enumerate(kept):
            spread[:, i, j, :, row : row + length, column : column + length] = taps
    cells = spread.reshape(-1, inputs, reach, BLOCK, reach, BLOCK).transpose(0, 1, 3, 5, 2, 4)
    return cells.reshape(-1, inputs * BLOCK**2, reach, reach)


@lru_cache(maxsize=2)
def _polyphase_even_input(taps: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The same for an input that is zero off the even positions: only those phases are kept."""
    kernel = _polyphase(taps, shape, 1)
    phases = kernel.reshape(len(kernel), BLOCK, BLOCK, *kernel.shape[-2:])[:, ::2, ::2]
    return phases.reshape(len(kernel), -1, *kernel.shape[-2:])


@lru_cache(maxsize=64)
def _constant(make, *key, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(make(*key), dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)


def _on(like: Tensor, make, *key) -> Tensor:
    """A constant made once in float64 for each dtype and device."""
    return _constant(make, *key, dtype=like.dtype, device=like.device)
