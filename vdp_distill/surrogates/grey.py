"""Optics and retina in one plane: what the surrogates of the whole metric see of light.

The metric follows L cones, M cones and rods, each through the eye's optics, and adds up their responses. One plane
carries them: the light of each receptor over its mean in the reference, weighted by how much the receptor's response
changes with it. So a change of colour alone is seen too: around the reference's mean colour, the response to the plane
is to first order the sum of the responses. How much cones and rods count follows the lightness of the place. The second
order, pixels far from the mean colour, is found at a quarter of the resolution (:mod:`vdp_distill.surrogates.planes`).

Light scatter is the metric's own filter, or that of :mod:`vdp_distill.surrogates.half_resolution`, whose taps may be
learnt; nothing else here is. Sources: as for :mod:`vdp_distill.optics` and
:mod:`vdp_distill.adaptation`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill.fourier import filter_on_canvas, unit_frequency
from vdp_distill.optics import eye_mtf
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair, response_tables
from vdp_distill.surrogates.half_resolution import made_once, scatter_half
from vdp_distill.tiles import in_tiles, look_up

__all__ = [
    "Curve",
    "PEAK_SENSITIVITY",
    "Shares",
    "mix",
    "receptor_shares",
    "respond",
    "response_shares",
    "scatter",
    "transfer",
]

SLOPE_DECADES = 0.1
"""The slope of a response is taken so far to either side of the mean."""

TINY = 1e-9
"""JND; keeps shares finite where no receptor responds."""

PEAK_SENSITIVITY = 2.4
"""log10 of the peak contrast sensitivity that the networks are trained with."""


class Shares(NamedTuple):
    """How light becomes one plane, and the plane becomes receptors again."""

    luminance: Tensor
    """Weight of each light channel at the mean lightness, (N, C)."""

    cones: Tensor
    """Weight of each light channel where cones alone respond, (N, C)."""

    rods: Tensor
    """The same for rods. The mean of every such plane is the luminance that the eye adapts to."""

    receptors: Tensor
    """L, M and rod response for each cd/m2 of luminance, (N, 3)."""

    mean_cdm2: Tensor
    """Mean luminance of the reference, (N,)."""

    matrix: Tensor
    """L, M and rod response for each cd/m2 of a light channel, (1 or N, C, 3)."""


def receptor_shares(reference_cdm2: Tensor, matrix: Tensor) -> Shares:
    """Shares of the receptors in the mean light of the reference.

    Parameters
    ----------
    reference_cdm2
        (N, C, H, W).
    matrix
        (1 or N, C, 4), columns L, M, S, rod.
    """
    with torch.no_grad():
        dark = DEFAULT_PARAMETERS.light_range_cdm2[0]
        mean = (reference_cdm2.mean(dim=(2, 3)).clamp(min=dark)[:, None] @ matrix)[:, 0, [0, 1, 3]]
        luminance = mean[:, :2].sum(dim=1)
        share = response_shares(mean)[:, None]
        channels = matrix[..., [0, 1, 3]] * (luminance[:, None] / mean)[:, None]
        cones, rods = (channels[..., :2] * share[..., :2]).sum(dim=2) / share[..., :2].sum(dim=2), channels[..., 2]
        weight = torch.lerp(cones, rods, share[..., 2])
    return Shares(weight, cones, rods, mean / luminance[:, None], luminance, matrix[..., [0, 1, 3]])


def response_shares(light_cdm2: Tensor) -> Tensor:
    """How much of the response to a relative change of light comes from L, M and rods, (..., 3); their sum is 1.

    Parameters
    ----------
    light_cdm2
        Of the receptors, (..., 3).
    """
    low, high = DEFAULT_PARAMETERS.lut_log10_range
    cones, rods = response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, light_cdm2.device)
    per_decade = (len(cones) - 1) / (high - low)
    node, reach = (light_cdm2.double().log10() - low) * per_decade, SLOPE_DECADES * per_decade
    rises = [
        _shifted(curve, node[..., i] + reach) - _shifted(curve, node[..., i] - reach)
        for i, curve in enumerate((cones, cones, rods))
    ]
    rises = torch.stack(rises, dim=-1).clamp(min=TINY)
    return (rises / rises.sum(dim=-1, keepdim=True)).to(light_cdm2)


def mix(light_cdm2: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum of the light channels, (N, 1, H, W), for weights (N, C, 1, 1)."""
    return sum(light_cdm2[:, i : i + 1] * weight[:, i : i + 1] for i in range(light_cdm2.shape[1]))


def scatter(plane: Pair, surround: Tensor, pixels_per_degree: Tensor, taps: Tensor | None = None) -> Pair:
    """Luminance on the retina of both images, within the metric's range of light.

    Parameters
    ----------
    plane
        Light of both images in one plane, (N, 1, H, W).
    surround
        (N or 1, 1, 1, 1) in cd/m2.
    pixels_per_degree
        (1,) or (N,).
    taps
        None: the metric's filter. A table: these taps on the sharp image, and the rest at half resolution
        (:func:`vdp_distill.surrogates.half_resolution.scatter_half`).
    """

    def filtered(light: Tensor) -> Tensor:
        if taps is None:
            return filter_on_canvas(light, made_once(transfer, pixels_per_degree, *light.shape[-2:]))
        return scatter_half(light, pixels_per_degree, taps)

    difference = filtered(plane.test - plane.reference)
    reference = filtered(plane.reference - surround) + surround
    low, high = DEFAULT_PARAMETERS.light_range_cdm2
    return Pair((reference + difference).clamp(low, high), reference.clamp(low, high))


def respond(luminance: Pair, curve: "Curve", colour: Pair | None = None) -> Pair:
    """Response of all receptors together, in JND units, without the image's mean.

    Parameters
    ----------
    luminance
        :func:`scatter` of both images.
    colour
        :func:`vdp_distill.surrogates.planes.colour_response`; None where light has one channel.
    """

    def see(plane, row, *colour):
        return sum(colour, start=curve(plane, row))

    extra = [()] * 2 if colour is None else [(part,) for part in colour]
    responses = (in_tiles(see, plane, curve.row, *own) for plane, own in zip(luminance, extra, strict=True))
    return Pair(*(plane - plane.mean(dim=(2, 3), keepdim=True) for plane in responses))


class Curve:
    """Response of all receptors to luminance: one look-up, in a table of the sum over the receptors at their shares.

    Parameters
    ----------
    shares
        Of the images.
    like
        A tensor whose dtype the response takes.
    """

    def __init__(self, shares: Shares, like: Tensor):
        self.low, self.high = DEFAULT_PARAMETERS.lut_log10_range
        self.table = _table(shares).to(like.dtype)
        self.count = self.table.shape[1]
        self.steps = self.table.diff(dim=1, append=self.table[:, -1:])
        self.per_decade = (self.count - 1) / (self.high - self.low)
        self.row = torch.arange(self.table.shape[0], device=self.table.device).view(-1, 1, 1, 1) * self.count

    def __call__(self, luminance: Tensor, row: Tensor) -> Tensor:
        """Response in JND to luminance in cd/m2, (n, ...), for the images whose rows of the table are given."""
        position, node = self._node(luminance)
        index = node.long() + row
        return look_up(self.table, index) + (position - node) * look_up(self.steps, index)

    def _node(self, luminance: Tensor) -> tuple[Tensor, Tensor]:
        position = (luminance.clamp(10**self.low, 10**self.high).log10() - self.low) * self.per_decade
        return position, position.detach().floor().clamp(0, self.count - 2)


def _table(shares: Shares) -> Tensor:
    """Summed response at the nodes of log luminance, (N, nodes), counted from that to the reference's mean."""
    low, high = DEFAULT_PARAMETERS.lut_log10_range
    cones, rods = response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, shares.receptors.device)
    per_decade = (len(cones) - 1) / (high - low)
    nodes = torch.arange(len(cones), dtype=cones.dtype, device=cones.device)
    shift = shares.receptors.double().clamp(min=1e-9).log10() * per_decade
    total = sum(_shifted(curve, nodes + shift[:, i : i + 1]) for i, curve in enumerate((cones, cones, rods)))
    mean = (shares.mean_cdm2.double().log10() - low) * per_decade
    return total - total.gather(1, mean.round().long().clamp(0, len(cones) - 1)[:, None])


def _shifted(curve: Tensor, position: Tensor) -> Tensor:
    position = position.clamp(0, len(curve) - 1)
    node = position.floor().clamp(max=len(curve) - 2).long()
    return curve[node] + (position - node) * (curve[node + 1] - curve[node])


def transfer(pixels_per_degree: Tensor, height: int, width: int) -> Tensor:
    """The metric's filter for light scatter on the canvas of images of a size."""
    frequency = unit_frequency(height, width).to(pixels_per_degree)
    return eye_mtf(pixels_per_degree.view(-1, 1, 1, 1) * frequency)
