"""How light is looked at: by which receptors, in what surround, from how far.

Sources: as for :mod:`vdp_distill.receptors` and :mod:`vdp_distill.adaptation`.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import response_tables
from vdp_distill.tiles import look_up

__all__ = ["PEAK_SENSITIVITY", "Shares", "TINY", "Viewing", "log_slopes", "mix", "receptor_shares"]

SLOPE_NODES = 4
"""The slope of a response is taken over so many nodes of its table to either side."""

TINY = 1e-9
"""JND; the least that a slope, or a step of a table, counts as."""

PEAK_SENSITIVITY = 2.4
"""log10 of the peak contrast sensitivity that the networks are trained with."""


class Shares(NamedTuple):
    """What receptors make of light."""

    plane: Tensor
    """Luminance that each cd/m2 of a light channel counts as where the image is even, (N, C)."""

    receptors: Tensor
    """L, M and rod response for each cd/m2 of luminance of the reference's mean colour, (N, 3)."""

    mean_cdm2: Tensor
    """Mean luminance of the reference, (N,)."""

    matrix: Tensor
    """L, M and rod response for each cd/m2 of a light channel, (1 or N, C, 3)."""


class Viewing(NamedTuple):
    """Whose light it is, and how it is looked at."""

    shares: Shares

    surround_cdm2: Tensor
    """Broadcast against (N, C, 1, 1)."""

    pixels_per_degree: Tensor
    """(1,) or (N,)."""

    @property
    def surround_plane_cdm2(self) -> Tensor:
        """(N or 1, 1, 1, 1)."""
        return (self.surround_cdm2 * self.shares.plane[:, :, None, None]).sum(dim=1, keepdim=True)


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
        matrix = matrix[..., [0, 1, 3]]
        mean = (reference_cdm2.mean(dim=(2, 3)).clamp(min=dark)[:, None] @ matrix)[:, 0]
        luminance = mean[:, :2].sum(dim=1)
        own = log_slopes(mean[..., None, None])[..., 0, 0]
        plane = (matrix * (own / mean)[:, None]).sum(dim=2) * (luminance / own.sum(dim=1))[:, None]
    return Shares(plane, mean / luminance[:, None], luminance, matrix)


def mix(light_cdm2: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum of the light channels, (N, 1, H, W), for weights (N, C, 1, 1) or (N, C, H, W)."""
    (first, *others), (share, *shares) = (part.split(1, dim=1) for part in (light_cdm2, weight))
    total = first * share
    for channel, share in zip(others, shares, strict=True):
        total = torch.addcmul(total, channel, share)
    return total


def log_slopes(light_cdm2: Tensor) -> Tensor:
    """Rise of the response of L, M and rods with the natural logarithm of their light, (N, 3, h, w), JND."""
    low, high = DEFAULT_PARAMETERS.lut_log10_range
    table = _slope_table(light_cdm2.device)
    nodes = table.shape[1]
    row = torch.tensor([0, 0, nodes], device=table.device).view(1, 3, 1, 1)
    position = (light_cdm2.clamp(10**low, 10**high).log10() - low) * ((nodes - 1) / (high - low))
    node = position.detach().floor().clamp(0, nodes - 2)
    index, table = node.long() + row, table.to(light_cdm2.dtype)
    return torch.lerp(look_up(table, index), look_up(table, index + 1), position - node)


@lru_cache(maxsize=4)
def _slope_table(device: torch.device) -> Tensor:
    """Slopes of cones and rods at the nodes of their tables, (2, nodes)."""
    low, high = DEFAULT_PARAMETERS.lut_log10_range
    with torch.inference_mode(False):
        tables = response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, device)
        last = tables.shape[1] - 1
        node = torch.arange(last + 1, device=device)
        ends = (node - SLOPE_NODES).clamp(min=0), (node + SLOPE_NODES).clamp(max=last)
        width = (ends[1] - ends[0]) * ((high - low) / last) * torch.log(torch.tensor(10.0, dtype=tables.dtype))
        return ((tables[:, ends[1]] - tables[:, ends[0]]) / width).clamp(min=TINY)
