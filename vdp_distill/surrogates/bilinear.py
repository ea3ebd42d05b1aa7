"""Planes grown by straight lines, with a derivative that gathers where torch's own scatters, number by number."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["bilinear"]


def bilinear(plane: Tensor, step: int) -> Tensor:
    """``step`` times as many rows and columns, bilinear between the middles of pixels, and even beyond the outermost.

    The same numbers as ``interpolate`` with ``align_corners=False`` gives, and the same derivative, which on the
    processor takes a tenth of its time.

    Parameters
    ----------
    plane
        (N, C, H, W).
    step
        Even.

    Examples
    --------
    >>> bilinear(torch.tensor([[[[0.0, 4.0]]]]), 2)[0, 0, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    if torch.compiler.is_compiling() or plane.device.type != "cpu" or not plane.requires_grad:
        return _grown(plane, step)
    return _Bilinear.apply(plane, step)


def _grown(plane: Tensor, step: int) -> Tensor:
    return F.interpolate(plane, scale_factor=float(step), mode="bilinear", align_corners=False)


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, plane: Tensor, step: int) -> Tensor:
        ctx.step = step
        return _grown(plane, step)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return _gathered(gradient, ctx.step), None


def _gathered(gradient: Tensor, step: int) -> Tensor:
    """What a gradient of the grown plane is to the plane: sums under the tent that a pixel has grown to."""
    if step == 2:  # few enough to be added up one by one
        rows = _of_two(*gradient.unflatten(-2, (-1, 2)).unbind(-2), -2)
        return _of_two(*rows.unflatten(-1, (-1, 2)).unbind(-1), -1)
    ramp = torch.arange(1, 2 * step, 2, dtype=gradient.dtype) / (2 * step)
    tent = torch.cat([ramp, ramp.flip(0)])
    planes = F.pad(gradient.flatten(0, 1)[:, None], (3 * step // 2,) * 4)
    ringed = F.conv2d(planes, (tent[:, None] * tent)[None, None], stride=step)
    return _folded(_folded(ringed.unflatten(0, gradient.shape[:2])[:, :, 0]).mT).mT


def _folded(ringed: Tensor) -> Tensor:
    """Rows without the one before and the one after them, which are added to the outermost."""
    inside = ringed[:, :, 1:-1].clone()
    inside[:, :, :1] += ringed[:, :, :1]
    inside[:, :, -1:] += ringed[:, :, -1:]
    return inside


def _of_two(first: Tensor, second: Tensor, axis: int) -> Tensor:
    """What flows back from two pixels in a pixel's place and from its neighbours'; an edge is its own neighbour."""
    last = first.shape[axis] - 1
    total = (first + second) * 0.75
    total.narrow(axis, 0, last).add_(first.narrow(axis, 1, last), alpha=0.25)
    total.narrow(axis, 1, last).add_(second.narrow(axis, 0, last), alpha=0.25)
    total.select(axis, 0).add_(first.select(axis, 0), alpha=0.25)
    total.select(axis, last).add_(second.select(axis, last), alpha=0.25)
    return total
