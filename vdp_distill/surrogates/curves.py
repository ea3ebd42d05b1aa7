"""Display curves as polynomials: seven multiplications and additions in place of a power.

The fit weighs every light by what the eye makes of it. Inside 0..1 it departs from the curve by 1.7 % at most, 0.4 % on
the whole, of light plus the display's black; an error that test and reference share.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vdp_distill.display import Display

__all__ = ["light_polynomial", "polynomial_light"]

DEGREE = 7
NODES = 1025
LEAST_SHARE = 2e-3
"""Of the peak: darker light is fitted as well as this."""

NAMED = ("PQ", "HLG", "linear")
"""Curves that span too many decades, or mix channels: no polynomial."""


@lru_cache(maxsize=16)
def light_polynomial(display: Display) -> tuple[float, ...] | None:
    """Coefficients, from the constant up, of light in cd/m2 over code values; None for a curve that has no such fit.

    Examples
    --------
    >>> fitted = light_polynomial(Display("office", "sRGB", max_luminance=100, min_luminance=1))
    >>> bool(abs(sum(fitted) - 100) < 0.5), bool(abs(fitted[0] - 1) < 0.02)
    (True, True)
    """
    if display.curve in NAMED or display.primaries == "bt2020":
        return None
    code = torch.linspace(0, 1, NODES, dtype=torch.float64)
    light = display.light(code.view(1, 1, 1, -1)).flatten().numpy()
    weight = 1 / (light + LEAST_SHARE * light[-1])
    powers = code.numpy()[:, None] ** np.arange(DEGREE + 1)
    fitted, *_ = np.linalg.lstsq(powers * weight[:, None], light * weight, rcond=None)
    return tuple(fitted.tolist())


def polynomial_light(code: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Light in cd/m2 of code values in 0..1, any shape."""
    if torch.compiler.is_compiling():
        return _horner(code, coefficients)
    return _Polynomial.apply(code, coefficients)


class _Polynomial(torch.autograd.Function):
    """Horner's scheme, whose steps need not be kept: the derivative is a polynomial too."""

    @staticmethod
    def forward(ctx, x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.coefficients = coefficients
        return _horner(x, coefficients)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * _Polynomial.apply(x, _derivative(ctx.coefficients)), None


def _horner(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    *lower, first, highest = coefficients
    value = (x * highest).add_(first)
    for coefficient in reversed(lower):
        value = value.mul_(x).add_(coefficient)
    return value


def _derivative(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(power * factor for power, factor in enumerate(coefficients))[1:]
