"""What one image is to the block-wise eye, whatever it is compared with: response in blocks and about them, light.

Light becomes one plane of receptor response, kept in blocks of 4 x 4 pixels that filters will look at, and a picture of
a quarter of the size for the coarser octaves. Source: as for :mod:`vdp_distill.surrogates.swift`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.pyramid import BLOCK, cropped, steps_of
from vdp_distill.surrogates.blocks import in_response, on_retina
from vdp_distill.surrogates.curves import StraightCurve
from vdp_distill.surrogates.means import means
from vdp_distill.surrogates.response import Curve
from vdp_distill.surrogates.rows import from_rows, in_rows
from vdp_distill.surrogates.tangent import STEP, brightness
from vdp_distill.surrogates.viewing import Viewing, mix
from vdp_distill.tiles import in_tiles

__all__ = ["LOW_PASS", "RING", "Sight", "filtered", "look_at", "lowered", "ringed"]

RING = 2
"""Cells about an image that the widest windows see."""

LEAST_BLOCKS = 7
"""Of a side: the coarser octaves' filters reach over six. A smaller image is grown for them."""

LOW_PASS = np.convolve(np.convolve(np.ones(BLOCK), np.ones(BLOCK)), [1, 2, 2, 1])
"""Taps along an axis of what makes the smaller picture: means of four pixels twice over, for a quarter of a cycle a
pixel would come out as a constant, and the eye would be far more sensitive to that than to the grating."""


class Sight(NamedTuple):
    """What an image is to the eye by itself."""

    size: tuple[int, int]
    plane: Tensor
    """Light of every pixel as it leaves the image, weighted to one plane in whole blocks, (N, 1, H, W)."""

    cells: Tensor
    """Response in cells, with rings of the outermost repeated, (N, BLOCK^2, h + 2 RING, w + 2 RING)."""

    blocks: Tensor
    """Luminance of every block, (N, 1, h, w)."""

    coarse: Tensor
    """The same of two by two blocks."""

    response: Tensor
    """Response of every block and its surroundings, (N, 1, h, w)."""

    @property
    def ends_cdm2(self) -> Tensor:
        """Luminance, among which is that of the darkest pixel and of the brightest."""
        return self.plane


def look_at(image: Tensor, to_light: Callable[[Tensor], Tensor] | None, viewing: Viewing) -> Sight:
    """What one image is to the eye.

    Parameters
    ----------
    image
        (N, C, H, W), of any kind.
    to_light
        What makes light in cd/m2 of pixels; None where they are light.
    viewing
        With the reference's shares.
    """
    size, curve = image.shape[-2:], Curve(viewing.shares, image)
    plane, means_cdm2 = _plane_and_means(image, to_light, viewing.shares.plane[:, :, None, None])
    lift = brightness(means_cdm2, viewing).lift
    light = on_retina(plane, size, viewing, lift)
    cells = in_response(plane, light.rest, viewing, StraightCurve(curve, image.dtype))
    cells, blocks = ringed(_large_enough(cells)), _large_enough(light.blocks)
    return Sight(size, plane, cells, blocks, light.coarse, lowered(cells))


def _plane_and_means(
    image: Tensor, to_light: Callable[[Tensor], Tensor] | None, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Light weighted to one plane, in whole blocks, and mean colours."""

    def see(rows, weight):
        pixels = from_rows(rows, STEP)
        light = pixels if to_light is None else to_light(pixels)
        return in_rows(mix(light, weight), STEP), means(light, STEP)

    rows, means_cdm2 = in_tiles(see, in_rows(image, STEP), weight)
    return cropped(from_rows(rows, STEP), *(BLOCK * steps_of(length, BLOCK) for length in image.shape[-2:])), means_cdm2


def _large_enough(blocks: Tensor) -> Tensor:
    """Blocks, at their far edges repeated up to LEAST_BLOCKS."""
    rows, columns = (max(0, LEAST_BLOCKS - length) for length in blocks.shape[-2:])
    return F.pad(blocks, (0, columns, 0, rows), mode="replicate") if rows or columns else blocks


def ringed(cells: Tensor) -> Tensor:
    """Cells with rings of the outermost repeated, channels last in memory."""
    return F.pad(cells, (RING,) * 4, mode="replicate").contiguous(memory_format=torch.channels_last)


def filtered(cells: Tensor, taps: Tensor) -> Tensor:
    """What filters find in ringed cells: where cells meet or, for an odd number of cells, in their middles.

    Parameters
    ----------
    cells
        (N, BLOCK^2, h + 2 RING, w + 2 RING).
    taps
        (filters, k, k), k a multiple of BLOCK.

    Returns
    -------
    Tensor
        (N, filters, h + 1, w + 1), or (N, filters, h, w) for an odd k / BLOCK.
    """
    side = taps.shape[-1] // BLOCK
    spare = RING - side // 2
    kernel = taps.view(-1, side, BLOCK, side, BLOCK).permute(0, 2, 4, 1, 3).reshape(-1, BLOCK**2, side, side)
    if spare:
        cells = cells[:, :, spare:-spare, spare:-spare]
    return F.conv2d(cells, kernel.contiguous(memory_format=torch.channels_last))


def lowered(cells: Tensor) -> Tensor:
    """The picture that coarser octaves see, of ringed cells: LOW_PASS about the middle of every block."""
    ramp = cells.new_tensor(LOW_PASS / LOW_PASS.sum())
    spare = (3 * BLOCK - len(ramp)) // 2
    return filtered(cells, F.pad(ramp[:, None] * ramp, (spare,) * 4)[None])
