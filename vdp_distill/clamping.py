"""Clamping with a gradient at the ends: a black pixel and a white one must be able to come back."""

import torch
from torch import Tensor

__all__ = ["clamped"]


def clamped(value: Tensor, low: float, high: float) -> Tensor:
    """Values cut off at two ends; the gradient is 1 from end to end, the ends included, and 0 beyond.

    ``torch.clamp`` gives none at the ends themselves, where images have many of their pixels.

    Examples
    --------
    >>> code = torch.tensor([-0.5, 0.0, 1.0, 1.5], requires_grad=True)
    >>> clamped(code, 0, 1).sum().backward()
    >>> code.grad
    tensor([0., 1., 1., 0.])
    """
    return torch.where((value < low) | (value > high), value.detach().clamp(low, high), value)
