"""Light of a pair in one plane, and what that plane leaves out of colour.

Far from the image's mean colour, receptors respond otherwise than the plane says. How much so is found in means of
4 x 4 pixels, where all receptors cost a sixteenth, and added to the response. What is still given up is fine detail of
such colours. Sources: as for :mod:`vdp_distill.optics` and :mod:`vdp_distill.adaptation`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill import adaptation, csf, receptors
from vdp_distill.fourier import filter_on_canvas
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair, response_tables
from vdp_distill.pyramid import BLOCK, cropped
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.blocks import from_rows, in_rows, whole_blocks
from vdp_distill.surrogates.grey import PEAK_SENSITIVITY, Curve, Shares, mix, response_shares, transfer
from vdp_distill.surrogates.half_resolution import made_once
from vdp_distill.surrogates.means import means
from vdp_distill.tiles import in_tiles

__all__ = ["Planes", "changed_plane", "colour_response", "light_planes"]


MARGIN = 16
"""Means of 4 x 4 pixels on the canvas beyond the image: wide glare, which runs over it, is the plane's own affair."""


NODES = 1024
"""Of log10 luminance at which the rods' share is found, between which it is taken as linear."""

LEAST_SHARE = 0.3
"""The metric counts a pixel as changed if any channel does; the plane moves by as little as this share of that."""


class Planes(NamedTuple):
    """Light of a pair, cd/m2."""

    plane: Pair
    """One plane of each image, (N, 1, H, W)."""

    colours: Pair | None
    """Means of 4 x 4 pixels, (N, C, h, w), if they were asked for."""


def light_planes(
    images: Pair, shares: Shares, to_light: Callable[[Tensor], Tensor] = lambda image: image, keep_colours: bool = True
) -> Planes:
    """Light of both images.

    Rods count as much as they respond at the reference's lightness there.

    Parameters
    ----------
    images
        (N, C, H, W) each.
    to_light
        What makes light in cd/m2 of pixels.
    keep_colours
        Find the means of the colours too.
    """
    size = images.reference.shape[-2:]
    weights = [weight[:, :, None, None] for weight in (shares.cones, shares.rods)]

    def light_of(rows):
        light = to_light(from_rows(rows))
        return light, [means(light, BLOCK)] if keep_colours else []

    def see_both(rows, *weights):
        light, colours = light_of(rows)
        return *(in_rows(mix(light, weight)) for weight in weights), *colours

    def see(rows, share, *weights):
        light, colours = light_of(rows)
        planes = (in_rows(mix(light, weight)) for weight in weights)
        plane = torch.lerp(*planes, share)
        return (plane, *colours) if colours else plane

    cones, rods, *colours = in_tiles(see_both, in_rows(images.reference), *weights)
    share = _share_of_rods(cones, shares)
    reference = in_tiles(torch.lerp, cones, rods, share)
    seen = in_tiles(see, in_rows(images.test), share, *weights)
    test, *own = seen if keep_colours else (seen,)
    plane = Pair(*(cropped(from_rows(rows), *size) for rows in (test, reference)))
    return Planes(plane, Pair(own[0], colours[0]) if keep_colours else None)


def _share_of_rods(cones: Tensor, shares: Shares) -> Tensor:
    """What the rods' plane counts at the lightness of the cones' plane; both in rows of blocks."""
    with torch.no_grad():
        nodes = torch.logspace(*DEFAULT_PARAMETERS.lut_log10_range, NODES, dtype=cones.dtype, device=cones.device)
        table = response_shares(nodes[:, None] * shares.receptors[:, None])[..., 2]
        lightness = means(from_rows(cones), BLOCK).clamp(min=DEFAULT_PARAMETERS.light_range_cdm2[0])
        share = csf.band_sensitivity(lightness.log10(), table[:, None, None])  # linear between nodes of any table
        return in_rows(bilinear(share, BLOCK))


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
        light = torch.cat([colours, means(whole_blocks(plane), BLOCK)], dim=1)
        light = (filter_on_canvas(light - around, blur) + around).clamp(*DEFAULT_PARAMETERS.light_range_cdm2)
        seen = receptors.photoreceptors(light[:, :-1], shares.matrix)
        response, _ = adaptation.luminance_masking(seen, anchor, tables)
        apart = response.sum(dim=1, keepdim=True) - curve(light[:, -1:], curve.row)
        return cropped(bilinear(apart, BLOCK), *size)

    return Pair(*map(missing, *planes))


def changed_plane(test: Tensor, reference: Tensor) -> Tensor:
    """1 where light changed, (N, 1, H, W), after :func:`vdp_distill.detection.changed_light`, from one plane."""
    least = LEAST_SHARE * DEFAULT_PARAMETERS.quality_least_difference
    with torch.no_grad():
        return in_tiles(lambda t, r: ((t - r).abs() > least * r).to(r.dtype), test, reference)
