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

__all__ = ["unit_frequency", "filter_on_canvas"]

GROUP_ELEMENTS = 1 << 18
"""Pixels that one thread transforms at a time: what the cache holds."""


def unit_frequency(height: int, width: int) -> np.ndarray:
    """Radial frequency in cycles/pixel of the real FFT of the canvas, shape (2 height, width + 1), float64."""
    vertical = np.fft.fftfreq(2 * height)
    horizontal = np.fft.rfftfreq(2 * width)
    return np.hypot(vertical[:, None], horizontal[None, :])


def filter_on_canvas(image: Tensor, transfer: Tensor, overwrite: bool = False) -> Tensor:
    """Filter images top-left on a canvas of zeros of twice their size.

    Parameters
    ----------
    image
        (N, C, height, width).
    transfer
        Real and even transfer function on the half spectrum of the canvas, (N or 1, C or 1, 2 height, width + 1).
    overwrite
        The image may be used for the result; only without a gradient.
    """
    if image.device.type == "cpu" and not transfer.requires_grad and not torch.compiler.is_compiling():
        return _filter_scipy(image, transfer, True) if overwrite else _SelfAdjointFilter.apply(image, transfer)
    return _filter_plain(image, transfer)


def _filter_plain(image: Tensor, transfer: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    spectrum = torch.fft.rfft(image, n=2 * width)
    spectrum = torch.fft.fft(spectrum, n=2 * height, dim=-2) * transfer
    columns = torch.fft.ifft(spectrum, dim=-2)[..., :height, :]
    return torch.fft.irfft(columns, n=2 * width)[..., :width]


class _SelfAdjointFilter(torch.autograd.Function):
    """The filter through SciPy's FFT, which on the CPU vectorises over columns; backward is the filter itself."""

    @staticmethod
    def forward(ctx, image: Tensor, transfer: Tensor) -> Tensor:
        ctx.save_for_backward(transfer)
        return _filter_scipy(image, transfer)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (transfer,) = ctx.saved_tensors
        return _SelfAdjointFilter.apply(gradient, transfer), None


def _filter_scipy(image: Tensor, transfer: Tensor, overwrite: bool = False) -> Tensor:
    """Filter on the processor: groups of images side by side in threads, for SciPy's FFT lets Python go."""
    source = image.detach().numpy()
    transfers = np.broadcast_to(transfer.numpy(), (len(source), *transfer.shape[1:]))
    target = source if overwrite else np.empty_like(source, order="C")
    per_group = max(1, GROUP_ELEMENTS // source[0].size)
    groups = [slice(start, start + per_group) for start in range(0, len(source), per_group)]

    def filter_group(group: slice) -> None:
        for channel in range(source.shape[1]):
            kernel = transfers[group, min(channel, transfers.shape[1] - 1)]
            target[group, channel] = _filter_planes(source[group, channel], kernel)

    # A pool of its own: threads kept between calls would not survive a fork.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(filter_group, groups))
    return torch.from_numpy(target)


def _filter_planes(planes: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Rows first, then a few columns at a time while they are in the cache."""
    height, width = planes.shape[-2:]
    rows = fft.rfft(planes, n=2 * width)
    columns = max(16, GROUP_ELEMENTS // (2 * height * len(planes)))
    for start in range(0, width + 1, columns):
        block = slice(start, start + columns)
        spectrum = fft.fft(rows[..., block], n=2 * height, axis=-2)
        spectrum *= transfer[..., block]
        rows[..., block] = fft.ifft(spectrum, axis=-2, overwrite_x=True)[..., :height, :]
    return fft.irfft(rows, n=2 * width, overwrite_x=True)[..., :width]
