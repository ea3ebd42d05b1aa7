"""Means of squares of pixels: a step down in resolution, some six times as fast as pooling on the processor."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["halved", "means", "shrunk"]


def means(plane: Tensor, step: int) -> Tensor:
    """Means of step x step pixels, (..., H, W) -> (..., H / step, W / step).

    Parameters
    ----------
    plane
        Its sides are multiples of ``step``.

    Examples
    --------
    >>> means(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 2)
    tensor([[[[4.]]]])
    """
    if torch.compiler.is_compiling() or plane.device.type != "cpu":
        return F.avg_pool2d(plane, step)
    return _Means.apply(plane, step)


class _Means(torch.autograd.Function):
    """Sums of slices; the derivative spreads a value over its square."""

    @staticmethod
    def forward(ctx, plane: Tensor, step: int) -> Tensor:
        ctx.step = step
        rows = sum(plane[..., first::step, :] for first in range(step))
        return sum(rows[..., first::step] for first in range(step)) / step**2

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        step, (*batch, height, width) = ctx.step, gradient.shape
        spread = (gradient / step**2)[..., :, None, :, None].expand(*batch, height, step, width, step)
        return spread.reshape(*batch, step * height, step * width), None


def halved(plane: Tensor) -> Tensor:
    """Means of 2 x 2 pixels; at an odd edge, of what there is."""
    rows, columns = (2 * -(-length // 2) - length for length in plane.shape[-2:])  # a size that a tracer can follow
    if torch.compiler.is_compiling() or rows or columns:  # padding with nothing would copy all
        plane = F.pad(plane, (0, columns, 0, rows), mode="replicate")
    return means(plane, 2)


def shrunk(plane: Tensor, step: int) -> Tensor:
    """Means of squares of so many places; one over the edge counts what it holds."""
    if torch.compiler.is_compiling() or any(length % step for length in plane.shape[-2:]):
        return F.avg_pool2d(plane, step, ceil_mode=True, count_include_pad=False)
    return means(plane, step)
