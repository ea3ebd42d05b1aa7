"""Light of a pair in one plane, and what that plane leaves out of colour.

Far from the image's mean colour, receptors respond otherwise than the plane says. How much so is found in means of
4 x 4 pixels, where all receptors cost a sixteenth, and added to the response. What is still given up is fine detail of
such colours. Sources: as for :mod:`vdp_distill.optics` and :mod:`vdp_distill.adaptation`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill import adaptation, receptors
from vdp_distill.fourier import filter_on_canvas
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair, response_tables
from vdp_distill.pyramid import BLOCK
from vdp_distill.surrogates.blocks import rows_of_blocks, shrunk, whole_blocks
from vdp_distill.surrogates.grey import PEAK_SENSITIVITY, Curve, Shares, mix, response_shares, transfer
from vdp_distill.surrogates.half_resolution import made_once
from vdp_distill.tiles import in_tiles

__all__ = ["Planes", "colour_response", "light_planes"]


MARGIN = 16
"""Means of 4 x 4 pixels on the canvas beyond the image: wide glare, which runs over it, is the plane's own affair."""


class Planes(NamedTuple):
    """Light of a pair, cd/m2."""

    plane: Pair
    """One plane of each image, (N, 1, H, W)."""

    colours: Pair
    """Means of 4 x 4 pixels, (N, C, h, w)."""


def light_planes(images: Pair, shares: Shares, to_light: Callable[[Tensor], Tensor] = lambda image: image) -> Planes:
    """Light of both images.

    Rods count as much as they respond at the reference's lightness there.

    Parameters
    ----------
    images
        (N, C, H, W) each.
    to_light
        What makes light in cd/m2 of pixels.
    """
    size = images.reference.shape[-2:]
    weights = [weight[:, :, None, None] for weight in (shares.cones, shares.rods)]

    def see(rows, cones, rods):
        light = to_light(rows.unflatten(3, (BLOCK, -1)).flatten(2, 3))
        planes = torch.cat([mix(light, cones), mix(light, rods)], dim=1)
        return planes.unflatten(2, (-1, BLOCK)).flatten(3), F.avg_pool2d(light, BLOCK)

    seen = [in_tiles(see, rows_of_blocks(image), *weights) for image in images]
    both = Pair(*(rows.unflatten(3, (BLOCK, -1)).flatten(2, 3)[..., : size[0], : size[1]] for rows, _ in seen))
    with torch.no_grad():
        lightness = shrunk(both.reference[:, :1], BLOCK).permute(0, 2, 3, 1) * shares.receptors[:, None, None]
        share = response_shares(lightness.clamp(min=DEFAULT_PARAMETERS.light_range_cdm2[0]))[..., 2]
        share = F.interpolate(share[:, None], size=size, mode="bilinear")
    joined = Pair(*(in_tiles(_joined, planes, share) for planes in both))
    return Planes(joined, Pair(*(colours for _, colours in seen)))


def _joined(planes: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(planes[:, :1], planes[:, 1:], share)


def colour_response(
    planes: Planes, shares: Shares, surround_cdm2: Tensor, pixels_per_degree: Tensor, curve: Curve
) -> Pair:
    """Response of all receptors less that to the plane, of means of 4 x 4 pixels; JND, at the images' size.

    Parameters
    ----------
    surround_cdm2
        Broadcast against (N, C, 1, 1).
    curve
        Response to the plane.
    """
    reference, size = planes.colours.reference, planes.plane.reference.shape[-2:]
    anchor = receptors.photoreceptors(reference.mean(dim=(2, 3), keepdim=True), shares.matrix).detach()
    tables = response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, reference.device)
    surround = surround_cdm2.expand(*reference.shape[:2], 1, 1)
    around = torch.cat([surround, mix(surround, shares.luminance[:, :, None, None])], dim=1)
    canvas = ((length + MARGIN + 1) // 2 for length in reference.shape[-2:])
    blur = made_once(transfer, pixels_per_degree / BLOCK, *canvas)

    def missing(plane: Tensor, colours: Tensor) -> Tensor:
        light = torch.cat([colours, F.avg_pool2d(whole_blocks(plane), BLOCK)], dim=1)
        light = (filter_on_canvas(light - around, blur) + around).clamp(*DEFAULT_PARAMETERS.light_range_cdm2)
        seen = receptors.photoreceptors(light[:, :-1], shares.matrix)
        response, _ = adaptation.luminance_masking(seen, anchor, tables)
        apart = response.sum(dim=1, keepdim=True) - curve(light[:, -1:], curve.row)
        wide = F.interpolate(apart, scale_factor=BLOCK, mode="bilinear", align_corners=False)
        return wide[..., : size[0], : size[1]]

    return Pair(*map(missing, *planes))
