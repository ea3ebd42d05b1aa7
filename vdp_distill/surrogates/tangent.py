"""How light becomes one plane that all receptors share: at every place, a tangent about the colour of that place.

Receptors respond to their own light; a plane has one. Where the image is even, the plane is light weighted as receptors
count at the reference's mean colour, and what it lacks there, to be as bright to the receptors and to be luminance, is
added after scatter: means of few pixels know it. Finer detail has weights of its place, by which the response to the
plane changes as that of all receptors together does. What is given up is second order in how far a pixel lies from the
means. Sources: as for :mod:`vdp_distill.optics` and :mod:`vdp_distill.adaptation`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill import adaptation, receptors
from vdp_distill.fourier import filter_on_canvas
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import response_tables
from vdp_distill.surrogates.grey import transfer
from vdp_distill.surrogates.half_resolution import made_once
from vdp_distill.surrogates.response import Curve
from vdp_distill.surrogates.viewing import PEAK_SENSITIVITY, Shares, Viewing, log_slopes, mix

__all__ = ["Brightness", "STEP", "brightness", "weights_of"]

STEP = 8
"""Means are of so many pixels each way."""

MARGIN = 16
"""Means on the canvas beyond the image: wide glare, which runs over it, is the plane's own affair."""


class Brightness(NamedTuple):
    """How bright mean colours are."""

    receptors: Tensor
    """L, M and rod response to them on the retina, cd/m2, (N, 3, h, w), float64."""

    even_cdm2: Tensor
    """Luminance of light of the reference's mean colour that is as bright, (N, 1, h, w), float64."""

    lift: Tensor
    """What the plane lacks after scatter to be that, and to be luminance, cd/m2, (N, 2, h, w)."""


def brightness(means_cdm2: Tensor, viewing: Viewing) -> Brightness:
    """Look at mean colours.

    Parameters
    ----------
    means_cdm2
        Means of STEP x STEP pixels as they leave the image, (N, C, h, w).
    viewing
        Its pixels per degree are the image's.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> from vdp_distill.surrogates.viewing import receptor_shares
    >>> even = torch.tensor([20.0, 20.0, 20.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    >>> matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32)[None]
    >>> viewing = Viewing(receptor_shares(even, matrix), torch.full((1, 3, 1, 1), 20.0), torch.tensor([30.0]))
    >>> seen = brightness(even, viewing)
    >>> bool((seen.lift.abs() < 1e-3).all())  # light of the mean colour lacks nothing
    True
    """
    shares, surround = viewing.shares, viewing.surround_cdm2
    canvas = ((length + MARGIN + 1) // 2 for length in means_cdm2.shape[-2:])
    blur = made_once(transfer, viewing.pixels_per_degree / STEP, *canvas)
    light = (filter_on_canvas(means_cdm2 - surround, blur) + surround).clamp(*DEFAULT_PARAMETERS.light_range_cdm2)
    # In double: rounded to 1e-5 JND, what the plane lacks would differ between images that hardly do.
    seen = receptors.photoreceptors(light.double(), shares.matrix.double())
    curve = Curve(shares, seen)
    tables = response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, light.device)
    anchor = (shares.mean_cdm2[:, None] * shares.receptors)[..., None, None]
    response, level = adaptation.luminance_masking(seen, anchor, tables)
    even = curve.luminance((response + level).sum(dim=1, keepdim=True) - curve.zero, curve.row)
    plane = mix(light.double(), shares.plane[:, :, None, None])
    lift = torch.cat([even, adaptation.adapting_luminance(seen)], dim=1) - plane
    return Brightness(seen, even, lift.to(means_cdm2.dtype))


def weights_of(means_cdm2: Tensor, seen: Brightness, shares: Shares) -> Tensor:
    """What a light channel counts in the plane's detail; then what is taken off the sum of all; (N, C + 1, h, w).

    The former is the rise of the receptors' response with the channel over that of the plane's response with the plane.
    """
    even = seen.even_cdm2
    rise = log_slopes(even * shares.receptors[:, :, None, None]).sum(dim=1, keepdim=True) / even
    own = log_slopes(seen.receptors) / seen.receptors
    weights = (receptors.photoreceptors(own, shares.matrix.double().mT) / rise).to(means_cdm2.dtype)
    taken = mix(means_cdm2, weights - shares.plane[:, :, None, None])
    return torch.cat([weights, taken], dim=1)
