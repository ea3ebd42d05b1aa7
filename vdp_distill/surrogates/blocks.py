"""Blocks of 4 x 4 pixels: how the block-wise visual system cuts images, and what light its blocks hold.

What is known of a block is kept at its corners, where the windows of the filters have their middle: a row and a column
more than there are blocks.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from vdp_distill.fourier import filter_on_canvas, unit_frequency
from vdp_distill.optics import eye_mtf
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.pyramid import BLOCK
from vdp_distill.surrogates import grey
from vdp_distill.tiles import in_tiles

__all__ = ["Light", "at_corners", "flattening", "grown", "in_cells", "in_response", "on_retina", "shrunk"]

PASSED_AT = 1 / 12
"""Cycles a pixel at which the eye's optics are taken for the light that blocks have and their pairs lack."""


class Light(NamedTuple):
    """Luminance of both images on the retina, cd/m2."""

    sharp: Tensor
    """Mean of the pair in every block before scatter, (N, 1, h, w)."""

    luminance: Tensor
    """The same after scatter."""

    coarse: Pair
    """After scatter, of every two by two blocks."""


def in_response(images: Pair, to_luminance: Callable, shares: grey.Shares, curve: grey.Curve) -> tuple[Pair, Pair]:
    """Response of every pixel as if light came sharp to the retina, in cells, and luminance of blocks, cd/m2."""

    def respond(rows, weight, row):
        luminance = to_luminance(rows, weight)
        cells = luminance.unflatten(3, (BLOCK, -1, BLOCK)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
        return curve(cells, row), cells.mean(dim=1, keepdim=True)

    weight = shares.luminance[:, :, None, None]
    test, reference = (in_tiles(respond, rows_of_blocks(image), weight, curve.row) for image in images)
    return Pair(test[0], reference[0]), Pair(test[1], reference[1])


def on_retina(blocks: Pair, surround: Tensor, ppd: Tensor) -> Light:
    """Light after scatter in the eye: the metric's filter on two by two blocks, a share of what is finer."""
    low, high = DEFAULT_PARAMETERS.light_range_cdm2
    pairs = Pair(*(shrunk(plane, 2) for plane in blocks))
    unit = pairs.reference.new_tensor(unit_frequency(*pairs.reference.shape[-2:]))
    transfer = eye_mtf(ppd.view(-1, 1, 1, 1) / (2 * BLOCK) * unit)
    coarse = Pair(*(filter_on_canvas(plane - surround, transfer) + surround for plane in pairs))
    passed = eye_mtf(ppd * PASSED_AT).view(-1, 1, 1, 1)
    sharp, rest = sum(blocks) / 2, (sum(coarse) - passed * sum(pairs)) / 2
    grown = F.interpolate(rest, scale_factor=2, mode="bilinear", align_corners=False)
    luminance = grown[..., : sharp.shape[-2], : sharp.shape[-1]] + passed * sharp
    return Light(sharp, luminance.clamp(low, high), Pair(*(plane.clamp(low, high) for plane in coarse)))


def flattening(light: Light, curve: grey.Curve) -> Tensor:
    """By how much scattered light flattens the response at every corner of a block."""
    return curve.slope(at_corners(light.luminance)) / curve.slope(at_corners(light.sharp))


def whole_blocks(image: Tensor) -> Tensor:
    """The image grown at its far edges to a whole number of blocks."""
    rows, columns = (-length % BLOCK for length in image.shape[-2:])
    return F.pad(image, (0, columns, 0, rows), mode="replicate") if rows or columns else image


def rows_of_blocks(image: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, h, BLOCK W): a row of blocks a row."""
    return whole_blocks(image).unflatten(2, (-1, BLOCK)).flatten(3)


def in_cells(plane: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, BLOCK^2, h, w): a channel for each place in a block."""
    return F.pixel_unshuffle(whole_blocks(plane), BLOCK)


def at_corners(blocks: Tensor) -> Tensor:
    """Means of the four blocks that meet at a corner, (N, 1, h + 1, w + 1)."""
    return F.avg_pool2d(F.pad(blocks, (1, 1, 1, 1), mode="replicate"), 2, stride=1)


def shrunk(plane: Tensor, step: int) -> Tensor:
    """Means of squares of so many places; one over the edge counts what it holds."""
    return F.avg_pool2d(plane, step, ceil_mode=True, count_include_pad=False)


def grown(corners: Tensor, step: int, height: int, width: int) -> Tensor:
    """A value a corner to so many places between two of them, bilinear, and cut to a size."""
    whole = [step * (length - 1) + 1 for length in corners.shape[-2:]]
    return F.interpolate(corners, size=whole, mode="bilinear", align_corners=True)[..., :height, :width]
