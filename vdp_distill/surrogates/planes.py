"""Light of a pair in one plane, tangent to what all receptors see, and where light changed.

Each image has a tangent of its own (:mod:`vdp_distill.surrogates.tangent`), so a change of colour, however large, is
followed in the image that has changed.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill.detection import changed_light
from vdp_distill.pipeline import Pair
from vdp_distill.pyramid import cropped
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.means import means
from vdp_distill.surrogates.rows import from_rows, in_rows
from vdp_distill.surrogates.tangent import STEP, brightness, weights_of
from vdp_distill.surrogates.viewing import Viewing, mix
from vdp_distill.tiles import in_tiles

__all__ = ["Planes", "light_planes"]


class Planes(NamedTuple):
    """Light of a pair."""

    plane: Pair
    """One plane of each image, cd/m2, (N, 1, H, W)."""

    lift: Pair
    """What each lacks after scatter: :attr:`vdp_distill.surrogates.tangent.Brightness.lift`."""

    changed: Tensor | None
    """1 where light changed, (N, 1, H, W), after :func:`vdp_distill.detection.changed_light`; None if nobody asked."""

    ends_cdm2: Tensor
    """Least mean and largest value of the planes, (2,)."""


def light_planes(
    images: Pair, viewing: Viewing, to_light: Callable[[Tensor], Tensor] | None = None, wants_changed: bool = True
) -> Planes:
    """Light of both images in one plane each.

    Parameters
    ----------
    images
        (N, C, H, W) each.
    to_light
        What makes light in cd/m2 of pixels; None where they are light.
    wants_changed
        Say where light changed.
    """
    size = images.reference.shape[-2:]
    lights, colours = zip(*(_light_and_means(image, to_light) for image in images), strict=True)
    seen = [brightness(means_cdm2, viewing) for means_cdm2 in colours]
    weights = [weights_of(*own, viewing.shares) for own in zip(colours, seen, strict=True)]

    def project(test, reference, *weights):
        light = Pair(from_rows(test, STEP), from_rows(reference, STEP))
        planes = [in_rows(_projected(*own), STEP) for own in zip(light, weights, strict=True)]
        return *planes, *([in_rows(changed_light(*light), STEP)] if wants_changed else [])

    found = in_tiles(project, *lights, *weights, halo=1)
    test, reference, *changed = (cropped(from_rows(rows, STEP), *size) for rows in found)
    plane, lift = Pair(test, reference), Pair(*(own.lift for own in seen))
    return Planes(plane, lift, changed[0] if changed else None, _ends(plane, colours, viewing))


def _light_and_means(image: Tensor, to_light: Callable[[Tensor], Tensor] | None) -> tuple[Tensor, Tensor]:
    """Light in rows of STEP x STEP pixels, and their means, cd/m2."""

    def see(rows):
        light = to_light(from_rows(rows, STEP))
        return in_rows(light, STEP), means(light, STEP)

    rows = in_rows(image, STEP)
    return (rows, means(from_rows(rows, STEP), STEP)) if to_light is None else in_tiles(see, rows)


def _projected(light: Tensor, weights: Tensor) -> Tensor:
    """The plane of light, (N, C, H, W), for weights of its squares."""
    *channels, taken = bilinear(weights, STEP).split(1, dim=1)
    return sum(light[:, i : i + 1] * weight for i, weight in enumerate(channels)) - taken


def _ends(plane: Pair, colours: tuple[Tensor, Tensor], viewing: Viewing) -> Tensor:
    """Of means at the dark end: among saturated colours, a dark pixel's plane may fall below its luminance."""
    dark = [mix(means_cdm2, viewing.shares.plane[:, :, None, None]).amin() for means_cdm2 in colours]
    return torch.stack([torch.stack(dark).amin(), torch.maximum(*(image.amax() for image in plane))]).detach()
