"""Means of squares of pixels, in fewer passes over memory than torch's own on the processor."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.pyramid import steps_of

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
    rows, columns = (2 * steps_of(length, 2) - length for length in plane.shape[-2:])  # a size that a tracer can follow
    if torch.compiler.is_compiling() or rows or columns:  # padding with nothing would copy all
        plane = F.pad(plane, (0, columns, 0, rows), mode="replicate")
    return means(plane, 2)


def shrunk(plane: Tensor, step: int) -> Tensor:
    """Means of squares of so many places; one over the edge counts what it holds."""
    rows, columns = (step * steps_of(length, step) - length for length in plane.shape[-2:])
    if not torch.compiler.is_compiling() and not (rows or columns):
        return means(plane, step)
    # A share of each square, for runtimes differ in what they make of a pool over the edge.
    held = F.pad(torch.ones_like(plane[:1, :1]), (0, columns, 0, rows))
    return means(F.pad(plane, (0, columns, 0, rows)), step) / means(held, step)
