"""Curves that are read in a few operations: of displays as polynomials, of receptors as straight pieces.

A display's is fitted with seven multiplications and additions in place of a power. The fit weighs every light by what
the eye makes of it. Inside 0..1 it departs from the curve by 3 % at most, 0.4 % on the whole, of light plus the
display's black; an error that test and reference share.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vdp_distill.display import Display
from vdp_distill.surrogates.response import Curve, OfReceptors
from vdp_distill.surrogates.viewing import Shares
from vdp_distill.tiles import look_up

__all__ = ["ReceptorCurves", "StraightCurve", "continued_light", "light_polynomial", "polynomial_light"]

DEGREE = 7
NODES = 1025
LEAST_SHARE = 2e-3
"""Of the peak: darker light is fitted as well as this."""

PIECES_LOG2 = 6
"""Of the straight pieces in an octave of light: the leading digits of a floating-point number's mantissa say which."""

FORMATS = {torch.float32: (torch.int32, 23, 127), torch.float64: (torch.int64, 52, 1023)}
"""Of a number: integers of its size, digits of its mantissa, what is added to its exponent (IEEE 754)."""

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


def continued_light(code: Tensor, coefficients: tuple[float, ...], display: Display) -> Tensor:
    """The same of any code values: outside 0..1, and in gradients at its ends, the display's straight tails."""
    below, above = torch.where(code <= 0, code, 0), torch.where(code >= 1, code - 1, 0)
    dark, bright = display.tail_slopes_cdm2
    return polynomial_light(code - below - above, coefficients) + dark * below + bright * above


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


class StraightCurve:
    """Response of all receptors to luminance in straight pieces, 64 an octave, found without a logarithm.

    Parameters
    ----------
    curve
        What it follows, to within 0.002 JND; 0.2 in the pieces that hold its ends.
    dtype
        Of the luminance.
    """

    def __init__(self, curve: Curve, dtype: torch.dtype):
        light, value = self._at_nodes(curve)
        slope = value.diff(dim=1) / light.diff()
        self.slope, self.offset = slope.to(dtype), (value[:, :-1] - slope * light[:-1]).to(dtype)

    def _at_nodes(self, curve: Curve) -> tuple[Tensor, Tensor]:
        """Light where pieces meet, (nodes,), and the curve's value there, (rows, nodes); float64."""
        self.range = 10**curve.low, 10**curve.high
        self.first, last = (math.floor(math.log2(light)) for light in self.range)
        count = (last + 1 - self.first) << PIECES_LOG2
        node = torch.arange(count + 1, dtype=torch.float64, device=curve.table.device)
        octave = (node / 2**PIECES_LOG2).floor()
        light = 2 ** (octave + self.first) * (1 + node / 2**PIECES_LOG2 - octave)
        value = curve(light.view(1, 1, 1, -1), curve.row)[:, 0, 0]
        self.row = torch.arange(value.shape[0], device=light.device, dtype=torch.int32).view(-1, 1, 1, 1) * count
        return light, value

    def __call__(self, luminance: Tensor, row: Tensor) -> Tensor:
        """Response in JND to luminance in cd/m2, (n, ...), for the images whose rows of the table are given."""
        luminance = luminance.clamp(*self.range)
        index = self.piece_of(luminance.detach()) + row
        return torch.addcmul(look_up(self.offset, index), look_up(self.slope, index), luminance)

    def piece_of(self, luminance: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # other runtimes do not look into numbers
            octave = luminance.log2().floor()
            piece = (luminance / 2**octave - 1) * 2**PIECES_LOG2
            return ((octave - self.first) * 2**PIECES_LOG2 + piece.clamp(0, 2**PIECES_LOG2 - 1)).int()
        integers, digits, bias = FORMATS[luminance.dtype]
        leading = luminance.view(integers) >> (digits - PIECES_LOG2)
        return leading.int() - ((self.first + bias) << PIECES_LOG2)


class ReceptorCurves(StraightCurve):
    """The same of L, M and rods each by itself, with a slope that has no steps.

    Parameters
    ----------
    shares
        Of the images, by whose mean light responses are counted from.
    like
        A tensor whose dtype the response takes.
    """

    def __init__(self, shares: Shares, like: Tensor):
        light, value = self._at_nodes(OfReceptors(shares, like.double()))
        self.row = self.row.view(-1, 3, 1, 1)
        slope = (value[:, 2:] - value[:, :-2]) / (light[2:] - light[:-2])
        slope = torch.cat([slope[:, :1], slope, slope[:, -1:]], dim=1)
        bend = slope.diff(dim=1) / light.diff()
        first = slope[:, :-1] - bend * light[:-1]
        offset = value[:, :-1] - (first + bend * light[:-1] / 2) * light[:-1]
        self.bend, self.slope, self.offset = (part.to(like.dtype) for part in (bend, first, offset))

    def __call__(self, receptors: Tensor) -> tuple[Tensor, Tensor]:
        """Response in JND to light of receptors, (N, 3, h, w) in cd/m2, and its rise with that, JND / (cd/m2)."""
        light = receptors.clamp(*self.range)
        index = self.piece_of(light.detach()) + self.row
        first, rest = look_up(self.slope, index), look_up(self.bend, index) * light
        return torch.addcmul(look_up(self.offset, index), first + rest / 2, light), first + rest
