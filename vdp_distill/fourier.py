"""Filters on a canvas: the shared arithmetic of light scatter and of the base band's contrast sensitivity.

The image lies top-left on a canvas of zeros of twice its size; the product with a transfer function is taken in the
Fourier domain. Half of the canvas's rows are empty and need no transform on the way in; half of them are cropped and
need none on the way out. A circular convolution with a symmetric kernel between padding and cropping is its own
adjoint, so the gradient is the same filter.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy import fft
from torch import Tensor
from torch.nn import functional

__all__ = ["unit_frequencies", "unit_frequency", "filter_on_canvas"]

GROUP_ELEMENTS = 1 << 18
"""Pixels that one thread transforms at a time: what the cache holds."""

SMALL_ELEMENTS = 1 << 17
"""Of a plane up to which torch's own transforms are faster than threads of SciPy's."""


def unit_frequencies(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Frequency in cycles/pixel of the real FFT of the canvas, (2 height, 1) down and (width + 1,) across, float64.

    In torch's own operations, so that an exported program can take images of many sizes.
    """
    row, column = (torch.arange(count, dtype=torch.float64) for count in (2 * height, width + 1))
    down = torch.where(row < height, row, row - 2 * height)  # ONNX cannot multiply by a size
    return (down / (2 * height))[:, None], column / (2 * width)


def unit_frequency(height: int, width: int) -> Tensor:
    """Radial frequency in cycles/pixel of the real FFT of the canvas, (2 height, width + 1), float64."""
    down, across = unit_frequencies(height, width)
    return (down**2 + across**2).sqrt()  # ONNX knows no hypot


def filter_on_canvas(image: Tensor, transfer: Tensor) -> Tensor:
    """Filter images top-left on a canvas of zeros, for the metric of twice their size.

    Parameters
    ----------
    image
        (N, C, height, width).
    transfer
        Real and even transfer function on the half spectrum of the canvas, which it gives its size: (N or 1, C or 1,
        2 height, width + 1).
    """
    if image.device.type == "cpu" and not transfer.requires_grad and not torch.compiler.is_compiling():
        return _SelfAdjointFilter.apply(image, transfer)
    return _filter_plain(image, transfer)


def _filter_plain(image: Tensor, transfer: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    rows, columns = _canvas(transfer)
    if (
        torch.compiler.is_compiling()
    ):  # other runtimes know the whole transform alone, and no padding of complex numbers
        spectrum = torch.fft.rfft2(functional.pad(image, (0, columns - width, 0, rows - height))) * transfer
        return torch.fft.irfft2(spectrum, s=(rows, columns))[..., :height, :width]
    spectrum = torch.fft.rfft(image, n=columns)
    spectrum = torch.fft.fft(spectrum, n=rows, dim=-2) * transfer
    cropped = torch.fft.ifft(spectrum, dim=-2)[..., :height, :]
    return torch.fft.irfft(cropped, n=columns)[..., :width]


def _canvas(transfer: Tensor | np.ndarray) -> tuple[int, int]:
    """Rows and columns of the canvas that a transfer function is of."""
    return transfer.shape[-2], 2 * (transfer.shape[-1] - 1)


class _SelfAdjointFilter(torch.autograd.Function):
    """The filter on the processor, of large planes through SciPy's FFT, which vectorises over columns.

    Backward is the filter itself.
    """

    @staticmethod
    def forward(ctx, image: Tensor, transfer: Tensor) -> Tensor:
        ctx.save_for_backward(transfer)
        if image.shape[-2] * image.shape[-1] > SMALL_ELEMENTS:
            return _filter_scipy(image, transfer)
        return _filter_plain(image, transfer).clone(memory_format=torch.contiguous_format)  # no view of the canvas

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (transfer,) = ctx.saved_tensors
        return _SelfAdjointFilter.apply(gradient, transfer), None


def _filter_scipy(image: Tensor, transfer: Tensor) -> Tensor:
    """Filter on the processor in threads, for SciPy's FFT lets Python go: images side by side, or parts of a plane."""
    source = image.detach().numpy()
    transfers = np.broadcast_to(transfer.numpy(), (len(source), *transfer.shape[1:]))
    target = np.empty(source.shape, source.dtype)
    per_group = max(1, GROUP_ELEMENTS // source[0].size)
    groups = [slice(start, start + per_group) for start in range(0, len(source), per_group)]

    def filter_group(group: slice, run=map) -> None:
        for channel in range(source.shape[1]):
            kernel = transfers[group, min(channel, transfers.shape[1] - 1)]
            _filter_planes(source[group, channel], kernel, target[group, channel], run)

    threads = torch.get_num_threads()
    # A pool of its own: threads kept between calls would not survive a fork.
    with ThreadPoolExecutor(threads) as pool:
        if len(groups) >= 2 * threads:
            list(pool.map(filter_group, groups))
        else:
            for group in groups:
                filter_group(group, pool.map)
    return torch.from_numpy(target)


def _filter_planes(planes: np.ndarray, transfer: np.ndarray, target: np.ndarray, run) -> None:
    """Rows, columns and rows again, a few at a time while they are in the cache; ``run`` is a kind of ``map``."""
    count, height, width = planes.shape
    canvas_rows, canvas_columns = _canvas(transfer)
    half = np.empty((count, height, transfer.shape[-1]), np.result_type(planes, np.complex64))

    def rows_forward(rows: slice) -> None:
        half[:, rows] = fft.rfft(planes[:, rows], n=canvas_columns)

    def filter_columns(columns: slice) -> None:
        spectrum = fft.fft(half[..., columns], n=canvas_rows, axis=-2)
        spectrum *= transfer[..., columns]
        half[..., columns] = fft.ifft(spectrum, axis=-2, overwrite_x=True)[:, :height]

    def rows_back(rows: slice) -> None:
        target[:, rows] = fft.irfft(half[:, rows], n=canvas_columns, overwrite_x=True)[..., :width]

    list(run(rows_forward, _slices(height, canvas_columns * count)))
    list(run(filter_columns, _slices(transfer.shape[-1], canvas_rows * count)))
    list(run(rows_back, _slices(height, canvas_columns * count)))


def _slices(length: int, elements: int) -> list[slice]:
    """Cuts of an axis, each of whose samples stands for so many elements."""
    step = max(16, GROUP_ELEMENTS // elements)
    return [slice(start, start + step) for start in range(0, length, step)]
