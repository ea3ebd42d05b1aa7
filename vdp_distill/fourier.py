"""Filters on a canvas: the shared arithmetic of light scatter and of the base band's contrast sensitivity.

The image lies top-left on a canvas of zeros of twice its size; the product with a transfer function is taken in the
Fourier domain. Half of the canvas's rows are empty and need no transform on the way in; half of them are cropped and
need none on the way out. A circular convolution with a symmetric kernel between padding and cropping is its own
adjoint, so the gradient is the same filter.
"""

import numpy as np
import torch
from torch import Tensor

__all__ = ["unit_frequency", "filter_on_canvas"]


def unit_frequency(height: int, width: int) -> np.ndarray:
    """Radial frequency in cycles/pixel of the real FFT of the canvas, shape (2 height, width + 1), float64."""
    vertical = np.fft.fftfreq(2 * height)
    horizontal = np.fft.rfftfreq(2 * width)
    return np.hypot(vertical[:, None], horizontal[None, :])


def filter_on_canvas(image: Tensor, transfer: Tensor) -> Tensor:
    """Filter images top-left on a canvas of zeros of twice their size.

    Parameters
    ----------
    image
        (..., height, width).
    transfer
        Real and even transfer function on the half spectrum of the canvas, broadcast against
        (..., 2 height, width + 1).
    """
    if image.device.type == "cpu" and not transfer.requires_grad and not torch.compiler.is_compiling():
        return _SelfAdjointFilter.apply(image, transfer)
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


def _filter_scipy(image: Tensor, transfer: Tensor) -> Tensor:
    from scipy import fft

    height, width = image.shape[-2:]
    workers = torch.get_num_threads()
    spectrum = fft.rfft(image.detach().numpy(), n=2 * width, workers=workers)
    spectrum = fft.fft(spectrum, n=2 * height, axis=-2, workers=workers, overwrite_x=True)
    spectrum *= transfer.numpy()
    spectrum = fft.ifft(spectrum, axis=-2, workers=workers, overwrite_x=True)[..., :height, :]
    filtered = fft.irfft(spectrum, n=2 * width, workers=workers, overwrite_x=True)[..., :width]
    return torch.from_numpy(np.ascontiguousarray(filtered))
