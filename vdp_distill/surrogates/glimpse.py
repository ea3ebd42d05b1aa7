"""What one image is to an eye in a hurry: colours a block, and of every pixel how bright it is, were it grey.

The metric's display, scatter and receptors look at mean colours of blocks. Between those means a pixel's response
follows the logarithm of its light on the retina, at the slope that the receptors have at its block's colour: light is
the display's at the pixel's mean code value, through the short filter of :mod:`vdp_distill.surrogates.blocks`. What is
given up are colours finer than a block.

Sources: as for :mod:`vdp_distill.optics` and :mod:`vdp_distill.adaptation`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.fourier import filter_on_canvas, unit_frequency
from vdp_distill.optics import eye_mtf
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.polyphase import correlate_blocks
from vdp_distill.pyramid import BLOCK
from vdp_distill.receptors import photoreceptors
from vdp_distill.surrogates.blocks import (
    at_corners,
    between,
    from_cells,
    in_cells,
    of_four,
    sharp_share,
    sharp_taps,
    smoothed,
)
from vdp_distill.surrogates.channels import mixed
from vdp_distill.surrogates.curves import ReceptorCurves
from vdp_distill.surrogates.means import shrunk
from vdp_distill.surrogates.rows import whole_blocks
from vdp_distill.surrogates.viewing import Viewing, mix
from vdp_distill.surrogates.way_back import grown_to_cells
from vdp_distill.tiles import in_tiles

__all__ = ["Glimpse", "POWER", "glimpse_of"]

POWER = 2.2
"""Light that comes without code values is looked at as its root of this order."""


class Glimpse(NamedTuple):
    """What an image is to the eye by itself."""

    size: tuple[int, int]

    light: Tensor
    """Luminance of every pixel as it leaves the image, were it grey, cd/m2, in cells, (N, BLOCK^2, h, w)."""

    cells: Tensor
    """Natural logarithm of light on the retina of every pixel, were it grey, likewise."""

    slope: Tensor
    """Response to that, JND a natural logarithm, (N, 1, h, w)."""

    plane: Tensor
    """Luminance of every block on the retina, cd/m2, (N, 1, h, w)."""

    response: Tensor
    """Response of every block and its surroundings, (N, 1, h, w), JND."""

    ends_cdm2: Tensor
    """Luminance of the darkest pixel and of the brightest, were they grey."""


def glimpse_of(image: Tensor, to_light: Callable[[Tensor], Tensor] | None, viewing: Viewing) -> Glimpse:
    """What one image is to the eye; arguments as for :func:`vdp_distill.surrogates.sight.look_at`.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> from vdp_distill.surrogates.viewing import receptor_shares
    >>> light, matrix = torch.full((1, 3, 40, 40), 50.0), torch.tensor(display_matrix("ccfl-lcd", 3)).float()[None]
    >>> viewing = Viewing(receptor_shares(light, matrix), torch.full((1, 3, 1, 1), 50.0), torch.tensor([30.0]))
    >>> seen = glimpse_of(light, None, viewing)
    >>> [round(float(seen.plane.mean())), round(float(seen.cells.exp().mean()))]
    [50, 50]
    """
    codes, to_light = (image, to_light) if to_light is not None else (_root(image), _powered)
    shares, weight = viewing.shares, viewing.shares.plane[:, :, None, None]
    total = weight.sum(dim=1, keepdim=True)

    def to_grey(code: Tensor) -> Tensor:
        return in_tiles(lambda code, total: to_light(code) * total, code, total)

    colours = _block_means(codes)
    light, wide = _scattered(to_light(colours), viewing)
    seen = photoreceptors(light, shares.matrix)
    response, rise = ReceptorCurves(shares, seen)(seen)
    slope, luminance = (rise * seen).sum(dim=1, keepdim=True), seen[:, :2].sum(dim=1, keepdim=True)
    plane = mix(codes, weight / total)
    own = to_grey(in_cells(plane))
    cells = _on_retina(own, wide, viewing)
    share = sharp_share(viewing.pixels_per_degree).view(-1, 1, 1, 1)
    even = _log(share * to_grey(mix(colours, weight / total)) + wide)
    mean = mixed(cells, cells.new_full((BLOCK**2, 1), BLOCK**-2))
    response = response.sum(dim=1, keepdim=True) + slope * (mean - even)
    ends = to_grey(torch.stack(plane.detach().aminmax()).view(1, 1, 1, 2))
    return Glimpse(image.shape[-2:], own, cells, slope, luminance, of_four(at_corners(response)), ends)


def _block_means(codes: Tensor) -> Tensor:
    """Means of blocks, (N, C, h, w); of few channels a convolution takes half the time of sums of slices."""
    count = codes.shape[1]
    taps = torch.eye(count, dtype=codes.dtype, device=codes.device)[..., None, None] / BLOCK**2
    return F.conv2d(whole_blocks(codes), taps.expand(-1, -1, BLOCK, BLOCK), stride=BLOCK)


def _root(light: Tensor) -> Tensor:
    return light.clamp(min=DEFAULT_PARAMETERS.light_range_cdm2[0]) ** (1 / POWER)


def _powered(root: Tensor) -> Tensor:
    return root**POWER


def _log(light: Tensor) -> Tensor:
    return light.clamp(min=DEFAULT_PARAMETERS.light_range_cdm2[0]).log()


def _scattered(light: Tensor, viewing: Viewing) -> tuple[Tensor, Tensor]:
    """Light of blocks on the retina, cd/m2, (N, C, h, w), and what wide scatter adds to the plane, (N, 1, h, w)."""
    around, degree = viewing.surround_cdm2, viewing.pixels_per_degree
    share = sharp_share(degree).view(-1, 1, 1, 1)
    ring = F.pad(shrunk(light - around, 2), (1, 1, 1, 1))
    unit = unit_frequency(*ring.shape[-2:]).to(ring)
    wide = filter_on_canvas(ring, eye_mtf(degree.view(-1, 1, 1, 1) / (2 * BLOCK) * unit) - share)
    wide = between(wide + (1 - share) * around, 2, light.shape[-2:])
    seen = torch.addcmul(wide, light, share).clamp(*DEFAULT_PARAMETERS.light_range_cdm2)
    return seen, mix(wide, viewing.shares.plane[:, :, None, None])


def _on_retina(cells: Tensor, wide: Tensor, viewing: Viewing) -> Tensor:
    """Logarithm of light on the retina, of light in cells: through the short filter, and with wide scatter's."""
    share, around = sharp_share(viewing.pixels_per_degree), viewing.surround_plane_cdm2
    sharp = _sharp(cells - around, sharp_taps(viewing.pixels_per_degree), share)
    return _log(sharp + grown_to_cells(wide + share.view(-1, 1, 1, 1) * around))


def _sharp(cells: Tensor, taps: Tensor, share: Tensor) -> Tensor:
    """The short filter, of light over its surround in cells; for taps from the middle out, (N or 1, reach + 1)."""
    if torch.compiler.is_compiling():  # ONNX knows no convolution by each image's own filter
        plane = from_cells(cells, BLOCK * cells.shape[2], BLOCK * cells.shape[3])
        return in_cells(smoothed(plane, (share[:, None] * taps)[:, :, None, None]))
    line = torch.cat([taps[:, 1:].flip(1), taps], dim=1)
    return correlate_blocks(cells, share[:, None, None] * line[:, :, None] * line[:, None])
