"""Convolution of many channels, fast in float64 too.

The library's fast convolution on the processor knows float32 and less. In float64 it gathers every pixel's whole
neighbourhood first, K^2 copies of an image; here a pixel gathers its row's neighbours alone, K copies, and one matrix
product a kernel row does the rest, some rows at a time while they are in the cache.
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["convolve"]

GATHERED_ELEMENTS = 1 << 19
"""Elements gathered at a time: four megabytes of float64."""


def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Valid correlation of channels-last images with one kernel.

    Parameters
    ----------
    image
        (N, I, H, W), channels last in memory.
    kernel
        (O, I, K, K).

    Returns
    -------
    Tensor
        (N, O, H - K + 1, W - K + 1), channels last.

    Examples
    --------
    >>> image = torch.rand(1, 16, 9, 9, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    >>> kernel = torch.rand(4, 16, 3, 3, dtype=torch.float64)
    >>> convolve(image, kernel).allclose(functional.conv2d(image, kernel))
    True
    """
    is_traced = torch.compiler.is_compiling()
    if image.dtype != torch.float64 or image.device.type != "cpu" or kernel.requires_grad or is_traced:
        return functional.conv2d(image, kernel)
    return _DoubleConvolution.apply(image, kernel)


class _DoubleConvolution(torch.autograd.Function):
    """The matrix products; backward is the same with the kernel turned about, on a frame of zeros."""

    @staticmethod
    def forward(ctx, image: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(kernel)
        return _by_rows(image, kernel)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (kernel,) = ctx.saved_tensors
        framed = functional.pad(gradient.permute(0, 2, 3, 1), (0, 0, *(kernel.shape[-1] - 1,) * 4)).permute(0, 3, 1, 2)
        return convolve(framed, kernel.flip(2, 3).transpose(0, 1)), None


def _by_rows(image: Tensor, kernel: Tensor) -> Tensor:
    """The convolution of some output rows at a time."""
    pixels = image.permute(0, 2, 3, 1).contiguous()
    batch, height, width, channels = pixels.shape
    outputs, _, reach, _ = kernel.shape
    products = kernel.permute(2, 3, 1, 0).reshape(reach, 1, reach * channels, outputs).expand(-1, batch, -1, -1)
    convolved = pixels.new_empty(batch, height - reach + 1, width - reach + 1, outputs)
    step = max(1, GATHERED_ELEMENTS // (batch * width * channels * reach))
    for top in range(0, convolved.shape[1], step):
        rows = convolved[:, top : top + step]
        rows.copy_(_rows(pixels[:, top : top + rows.shape[1] + reach - 1], products).view_as(rows))
    return convolved.permute(0, 3, 1, 2)


def _rows(pixels: Tensor, products: Tensor) -> Tensor:
    """(N, h + K - 1, W, I) and a matrix (N, K I, O) a kernel row -> (N, h (W - K + 1), O)."""
    reach, channels = len(products), pixels.shape[-1]
    gathered = pixels.flatten(2).unfold(2, reach * channels, channels).contiguous()
    height = gathered.shape[1] - reach + 1
    parts = [gathered[:, row : row + height].flatten(1, 2) for row in range(reach)]
    total = torch.bmm(parts[0], products[0])
    for part, product in zip(parts[1:], products[1:], strict=True):
        total.baddbmm_(part, product)
    return total
