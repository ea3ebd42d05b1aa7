"""Steps between resolutions, in fewer passes over memory than torch's own on the processor: means, and back."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.pyramid import steps_of

__all__ = ["doubled", "halved", "means", "shrunk"]


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


def doubled(plane: Tensor, height: int, width: int) -> Tensor:
    """Values of every second pixel of each axis at every pixel of a size, bilinear; beyond the last, its own.

    Parameters
    ----------
    plane
        (..., ceil(height / 2), ceil(width / 2)).

    Examples
    --------
    >>> doubled(torch.tensor([[[[1.0, 3.0]]]]), 1, 4)
    tensor([[[[1., 2., 3., 3.]]]])
    """
    if torch.compiler.is_compiling() or plane.device.type != "cpu":
        whole = [2 * length - 1 for length in plane.shape[-2:]]
        plane = F.interpolate(plane, size=whole, mode="bilinear", align_corners=True)
        return F.pad(plane, (0, width - whole[1], 0, height - whole[0]), mode="replicate")
    return _Doubled.apply(plane, height, width)


class _Doubled(torch.autograd.Function):
    """Means of neighbours written between them; the derivative gives each half of what lies between."""

    @staticmethod
    def forward(ctx, plane: Tensor, height: int, width: int) -> Tensor:
        wide = plane.new_empty(*plane.shape[:-1], width)
        _fill_between(wide.transpose(-2, -1), plane.transpose(-2, -1))
        whole = plane.new_empty(*plane.shape[:-2], height, width)
        _fill_between(whole, wide)
        return whole

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows = _gathered(gradient)
        return _gathered(rows.transpose(-2, -1)).transpose(-2, -1), None, None


def _fill_between(target: Tensor, source: Tensor) -> None:
    """Rows at every second row, and between them their means."""
    between = target.shape[-2] // 2
    target[..., ::2, :] = source
    target[..., 1 : 2 * source.shape[-2] - 1 : 2, :] = (source[..., :-1, :] + source[..., 1:, :]).div_(2)
    if between == source.shape[-2]:
        target[..., -1, :] = source[..., -1, :]


def _gathered(gradient: Tensor) -> Tensor:
    """What flows back to every second row."""
    even, odd = gradient[..., ::2, :], gradient[..., 1::2, :]
    inner = even.shape[-2] - 1
    half = odd[..., :inner, :] / 2
    total = even.clone()
    total[..., :-1, :] += half
    total[..., 1:, :] += half
    if odd.shape[-2] > inner:
        total[..., -1, :] += odd[..., -1, :]
    return total
