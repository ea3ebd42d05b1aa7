"""What one image is to the block-wise eye, whatever it is compared with: response at every level, light.

Light becomes one plane of receptor response, kept in blocks of 4 x 4 pixels that filters will look at. The next level
is the response at every eighth pixel, and so on to the pyramid's end. Source: as for
:mod:`vdp_distill.surrogates.swift`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.pyramid import BLOCK
from vdp_distill.surrogates import grey
from vdp_distill.surrogates.blocks import in_cells, in_response, of_four, on_retina, whole_blocks
from vdp_distill.surrogates.channels import levels_of
from vdp_distill.surrogates.curves import StraightCurve
from vdp_distill.surrogates.means import shrunk
from vdp_distill.tiles import in_tiles

__all__ = ["STEP", "Sight", "kernel_of", "look_at", "lowered", "ringed"]

STEP = 2 * BLOCK
"""From a level to the next: three octaves."""


class Sight(NamedTuple):
    """What an image is to the eye by itself."""

    size: tuple[int, int]
    levels: list[Tensor]
    """Response of every level in cells, with a ring of the outermost repeated, (N, BLOCK^2, h + 2, w + 2)."""

    blocks: Tensor
    """Luminance of every block, (N, 1, h, w)."""

    coarse: Tensor
    """The same of two by two blocks."""

    response: Tensor
    """Response of two by two blocks and their surroundings."""


def look_at(
    image: Tensor,
    to_luminance: Callable[[Tensor, Tensor], Tensor],
    viewing: tuple[grey.Shares, Tensor, Tensor],
) -> Sight:
    """What one image is to the eye.

    Parameters
    ----------
    image
        (N, C, H, W), of any kind.
    to_luminance
        Pixels (n, C, h, w) and ``shares.luminance`` (n, C, 1, 1) to cd/m2, (n, 1, h, w).
    viewing
        The reference's :func:`vdp_distill.surrogates.grey.receptor_shares`, light of the surround in cd/m2, broadcast
        against (N, C, 1, 1), and pixels per degree, (1,) or (N,).
    """
    shares, surround_cdm2, pixels_per_degree = viewing
    size, weight = image.shape[-2:], shares.luminance[:, :, None, None]
    surround = (surround_cdm2 * weight).sum(dim=1, keepdim=True)
    plane = in_tiles(to_luminance, whole_blocks(image), weight)
    light = on_retina(plane, size, surround, pixels_per_degree)
    curve = StraightCurve(grey.Curve(shares, image), image.dtype)
    cells = in_response(plane, light.rest, surround, pixels_per_degree, curve)
    levels = [ringed(cells)]
    response = coarsest = lowered(levels[0])
    for _ in range(1, levels_of(size)):
        levels.append(ringed(in_cells(coarsest)))
        coarsest = lowered(levels[-1])
    return Sight(size, levels, light.blocks, light.coarse, response)


def ringed(cells: Tensor) -> Tensor:
    """Cells with a ring of the outermost repeated, channels last in memory."""
    return F.pad(cells, (1, 1, 1, 1), mode="replicate").contiguous(memory_format=torch.channels_last)


def kernel_of(taps: Tensor) -> Tensor:
    """Filters (filters, 8, 8) as weights of a convolution of cells: it gives what they find where four cells meet."""
    kernel = taps.view(-1, 2, BLOCK, 2, BLOCK).permute(0, 2, 4, 1, 3).reshape(-1, BLOCK**2, 2, 2)
    return kernel.contiguous(memory_format=torch.channels_last)


def lowered(cells: Tensor) -> Tensor:
    """The picture that the next level sees, of ringed cells: a level at every eighth of its pixels.

    Two means over eight pixels, one after the other: one alone would leave a tenth of a fine grating, and coarse as it
    then looks, the eye would be far more sensitive to that than to the grating.
    """
    ramp = torch.arange(1, STEP, 2, dtype=cells.dtype, device=cells.device)
    ramp = torch.cat([ramp, ramp.flip(0)])
    corners = F.conv2d(cells, kernel_of((ramp[:, None] * ramp / ramp.sum() ** 2)[None]))
    return shrunk(of_four(corners), 2)
