"""Losses of single pixels: L1, L2, Charbonnier and PSNR."""

import torch
from torch import Tensor

from vdp_distill.losses.contract import ImageLoss

__all__ = ["Charbonnier", "L1", "L2", "PSNR"]

PIXELS = (1, 2, 3)


class L1(ImageLoss):
    """Mean absolute difference.

    Examples
    --------
    >>> L1()(torch.full((1, 1, 2, 2), 0.75), torch.full((1, 1, 2, 2), 0.5))
    tensor(0.2500)
    """

    paper = "Mean absolute error"

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        return (test - reference).abs().mean(PIXELS)


class L2(ImageLoss):
    """Mean squared difference.

    Examples
    --------
    >>> L2()(torch.full((1, 1, 2, 2), 0.75), torch.full((1, 1, 2, 2), 0.5))
    tensor(0.0625)
    """

    paper = "Mean squared error"

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        return (test - reference).square().mean(PIXELS)


class Charbonnier(ImageLoss):
    """L1 with a rounded foot: mean of sqrt(d^2 + epsilon^2), which is epsilon for identical images.

    Parameters
    ----------
    epsilon
        Differences under it count squared.
    **checks
        As for :class:`ImageLoss`.

    Examples
    --------
    >>> grey = torch.full((1, 1, 2, 2), 0.5)
    >>> Charbonnier(epsilon=0.01)(grey, grey)
    tensor(0.0100)
    """

    paper = "Charbonnier et al. 1994, Two deterministic half-quadratic regularization algorithms for computed imaging"
    is_zero_at_identical = False

    def __init__(self, *, epsilon: float = 1e-3, **checks):
        super().__init__(**checks)
        if not epsilon > 0:
            raise ValueError(f"epsilon must be positive, got {epsilon!r}; without it the loss is L1")
        self.epsilon = epsilon

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        return ((test - reference).square() + self.epsilon**2).sqrt().mean(PIXELS)


class PSNR(ImageLoss):
    """Minus the peak signal-to-noise ratio in dB of a peak of 1: lower is better, as for every loss.

    Parameters
    ----------
    ceiling
        PSNR in dB of identical images: the mean squared error is raised by what makes it so, that the gradient stays
        finite.
    **checks
        As for :class:`ImageLoss`.

    Examples
    --------
    >>> PSNR()(torch.full((1, 1, 2, 2), 0.6), torch.full((1, 1, 2, 2), 0.5))
    tensor(-20.0000)
    """

    paper = "Peak signal-to-noise ratio, as in ITU-T J.247"
    is_zero_at_identical = False

    def __init__(self, *, ceiling: float = 80.0, **checks):
        super().__init__(**checks)
        if not ceiling > 0:
            raise ValueError(f"ceiling must be positive dB, got {ceiling!r}")
        self.floor = 10 ** (-ceiling / 10)

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        return 10 * torch.log10((test - reference).square().mean(PIXELS) + self.floor)
