"""Blocks of 4 x 4 pixels: how the block-wise visual system cuts images, and what light its blocks hold.

What is known of a block is kept at its corners, where the windows of the filters have their middle: a row and a column
more than there are blocks.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.fourier import filter_on_canvas, unit_frequency
from vdp_distill.optics import eye_mtf
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pyramid import BLOCK, cropped
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.curves import StraightCurve
from vdp_distill.surrogates.means import means, shrunk
from vdp_distill.surrogates.rows import from_rows, in_rows, whole_blocks
from vdp_distill.surrogates.viewing import Viewing
from vdp_distill.tiles import in_tiles

__all__ = [
    "Light",
    "at_corners",
    "between",
    "from_cells",
    "in_cells",
    "in_response",
    "of_four",
    "on_retina",
    "sharp_share",
    "sharp_taps",
    "smoothed",
]

REACH = 2
"""Of the filter that stands for the sharp part of the eye's optics, in pixels."""

WIDE_BELOW = 1 / 16
"""Cycles a pixel up to which scatter is the metric's own filter, on means of two by two blocks."""

NODES = 32
"""Frequencies above that at which the short filter is fitted."""


class Light(NamedTuple):
    """Luminance of an image on the retina, cd/m2."""

    rest: Tensor
    """What wide scatter and colour add to every pixel over the surround, beyond the sharp image's own share."""

    blocks: Tensor
    """Mean of every block, (N, 1, h, w)."""

    coarse: Tensor
    """Means of every two by two blocks."""


def on_retina(plane: Tensor, size: tuple[int, int], viewing: Viewing, lift: Tensor) -> Light:
    """Wide scatter in the eye of a plane of light, (N, 1, H, W) in whole blocks, of which the image fills ``size``.

    A ring of the surround is filtered along: at the frame, pixels lie between an inner block and an outer one.
    ``lift`` is :attr:`vdp_distill.surrogates.tangent.Brightness.lift`, of two by two blocks.
    """
    surround, degree = viewing.surround_plane_cdm2, viewing.pixels_per_degree
    blocks = means(plane, BLOCK)
    pairs = shrunk(blocks, 2) - surround
    ringed = F.pad(_without_surround(plane, pairs, size, surround), (1, 1, 1, 1))
    unit = unit_frequency(*ringed.shape[-2:]).to(ringed)
    share = sharp_share(degree).view(-1, 1, 1, 1)
    rest = filter_on_canvas(ringed, eye_mtf(degree.view(-1, 1, 1, 1) / (2 * BLOCK) * unit) - share)
    bright, adapting = (rest + F.pad(own, (1, 1, 1, 1), mode="replicate") for own in lift.split(1, dim=1))
    in_blocks = between(adapting, 2, blocks.shape[-2:]) + share * (blocks - surround) + surround
    coarse = adapting[..., 1:-1, 1:-1] + share * pairs + surround
    wide = between(bright, 2 * BLOCK, plane.shape[-2:])
    return Light(wide, in_blocks, coarse.clamp(*DEFAULT_PARAMETERS.light_range_cdm2))


def _without_surround(plane: Tensor, pairs: Tensor, size: tuple[int, int], surround: Tensor) -> Tensor:
    """Means of two by two blocks less the surround, which is nothing beyond the image."""
    rows, columns = (-length % (2 * BLOCK) for length in size)
    if not rows and not columns:
        return pairs
    inside = plane[..., : size[0], : size[1]] - surround
    return means(F.pad(inside, (0, columns, 0, rows)), 2 * BLOCK)


def in_response(plane: Tensor, rest: Tensor, viewing: Viewing, curve: StraightCurve) -> Tensor:
    """Response of every pixel of an image, in cells, (N, BLOCK^2, h, w); ``rest`` is :func:`on_retina`'s."""
    surround, degree = viewing.surround_plane_cdm2, viewing.pixels_per_degree
    taps = (sharp_share(degree)[:, None] * sharp_taps(degree))[:, :, None, None]

    def respond(rows, rest, row, around, taps):
        plane = from_rows(rows) - around
        seen = smoothed(plane, taps) + from_rows(rest) + around
        return in_cells(curve(seen, row))

    around = surround.expand(plane.shape[0], 1, 1, 1)
    return in_tiles(respond, in_rows(plane), in_rows(rest), curve.row, around, taps, halo=1)


def smoothed(plane: Tensor, taps: Tensor) -> Tensor:
    """Separable symmetric filter of light over its surround, which is zero beyond the edge.

    Parameters
    ----------
    taps
        From the middle out, (N or 1, REACH + 1, 1, 1); they sum to the filter's share along the last axis, to 1 along
        the other.
    """
    whole = taps[:, :1] + 2 * taps[:, 1:].sum(dim=1, keepdim=True)
    for axis, weights in ((2, taps / whole), (3, taps)):
        edges = (REACH, REACH, 0, 0) if axis == 3 else (0, 0, REACH, REACH)
        padded, length = F.pad(plane, edges), plane.shape[axis]
        plane = plane * weights[:, :1]
        for reach in range(1, REACH + 1):
            sides = padded.narrow(axis, REACH - reach, length) + padded.narrow(axis, REACH + reach, length)
            plane = torch.addcmul(plane, sides, weights[:, reach : reach + 1])
    return plane


def sharp_share(pixels_per_degree: Tensor) -> Tensor:
    """Share of fine detail that wide scatter leaves, (N,)."""
    return eye_mtf(pixels_per_degree * WIDE_BELOW)


def sharp_taps(pixels_per_degree: Tensor) -> Tensor:
    """The short separable filter nearest to what the optics do to the finer detail, (N, REACH + 1), its sum 1."""
    degree = pixels_per_degree.double()
    frequency, inverse = (degree.new_tensor(part) for part in _fit())
    goal = eye_mtf(degree[:, None] * frequency) / sharp_share(degree)[:, None] - 1
    sides = goal @ inverse.mT
    return torch.cat([1 - 2 * sides.sum(dim=1, keepdim=True), sides], dim=1).to(pixels_per_degree.dtype)


@lru_cache(maxsize=1)
def _fit() -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of the fit in cycles a pixel, and what makes taps (REACH,) of a transfer less 1 at them."""
    frequency = WIDE_BELOW + (0.5 - WIDE_BELOW) * np.arange(1, NODES + 1) / NODES
    waves = 2 * np.cos(2 * np.pi * np.arange(1, REACH + 1) * frequency[:, None]) - 2
    return frequency, np.linalg.pinv(waves)


def between(ringed: Tensor, step: int, size: tuple[int, int]) -> Tensor:
    """A value a block, with a ring of blocks around, to the blocks' pixels, bilinear between their middles."""
    grown = bilinear(ringed, step)
    return grown[..., step : step + size[0], step : step + size[1]]


def in_cells(plane: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, BLOCK^2, h, w): a channel for each place in a block, channels last in memory."""
    whole = whole_blocks(plane)[:, 0]
    if torch.compiler.is_compiling() or whole.dtype != torch.float32:
        cells = whole.unflatten(1, (-1, BLOCK)).unflatten(3, (-1, BLOCK)).transpose(2, 3).flatten(3)
    else:
        cells = _Cells.apply(whole)
    return cells.permute(0, 3, 1, 2)


class _Cells(torch.autograd.Function):
    """Blocks out of rows of pixels, four pixels moved at a time: as one number of the size of four."""

    @staticmethod
    def forward(ctx, plane: Tensor) -> Tensor:
        four = plane.contiguous().view(torch.complex128).unflatten(1, (-1, BLOCK))
        return four.transpose(2, 3).contiguous().view(torch.float32).flatten(3)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient.unflatten(3, (BLOCK, BLOCK)).transpose(2, 3).flatten(3).flatten(1, 2)


def at_corners(blocks: Tensor) -> Tensor:
    """Means of the four blocks that meet at a corner, (N, 1, h + 1, w + 1)."""
    return of_four(F.pad(blocks, (1, 1, 1, 1), mode="replicate"))


def of_four(plane: Tensor) -> Tensor:
    """Means where four places of a plane meet, (N, 1, h - 1, w - 1)."""
    rows = plane[..., 1:, :] + plane[..., :-1, :]
    return (rows[..., 1:] + rows[..., :-1]) / 4


def from_cells(cells: Tensor, height: int, width: int) -> Tensor:
    """(N, BLOCK^2, h, w) -> (N, 1, height, width): :func:`in_cells` undone."""
    if torch.compiler.is_compiling() or cells.dtype != torch.float32:
        return cropped(F.pixel_shuffle(cells, BLOCK), height, width)
    return cropped(_Pixels.apply(cells)[:, None], height, width)


class _Pixels(torch.autograd.Function):
    """:class:`_Cells` undone."""

    @staticmethod
    def forward(ctx, cells: Tensor) -> Tensor:
        four = cells.permute(0, 2, 3, 1).contiguous().view(torch.complex128)
        return four.transpose(2, 3).contiguous().view(torch.float32).flatten(1, 2)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return in_cells(gradient[:, None])
