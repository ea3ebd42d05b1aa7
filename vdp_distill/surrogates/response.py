"""Response of all receptors together to one plane of light: a curve, there and back.

Source: as for :mod:`vdp_distill.adaptation`.
"""

import torch
from torch import Tensor

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import response_tables
from vdp_distill.surrogates.viewing import PEAK_SENSITIVITY, TINY, Shares
from vdp_distill.tiles import look_up

__all__ = ["Curve", "OfReceptors"]


class Curve:
    """Response of all receptors to luminance: one look-up, in a table of the sum over the receptors at their shares.

    Parameters
    ----------
    shares
        Of the images.
    like
        A tensor whose dtype the response takes.

    Attributes
    ----------
    zero
        Response of all receptors where that of the curve is zero, (N, 1, 1, 1), float64, JND.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> from vdp_distill.surrogates.viewing import receptor_shares
    >>> matrix = torch.tensor(display_matrix("ccfl-lcd", 3))[None]
    >>> curve = Curve(receptor_shares(torch.full((1, 3, 8, 8), 50.0, dtype=torch.float64), matrix), matrix)
    >>> luminance = torch.tensor([0.1, 10.0], dtype=torch.float64).view(1, 1, 1, 2)
    >>> [round(float(light), 9) for light in curve.luminance(curve(luminance, curve.row), curve.row).flatten()]
    [0.1, 10.0]
    """

    def __init__(self, shares: Shares, like: Tensor):
        self.low, self.high = DEFAULT_PARAMETERS.lut_log10_range
        table, zero = self.table_of(shares)
        self.table, self.zero = table.to(like.dtype), zero[..., None, None]
        self.count = self.table.shape[1]
        self.steps = self.table.diff(dim=1, append=self.table[:, -1:])
        self.per_decade = (self.count - 1) / (self.high - self.low)
        self.row = torch.arange(self.table.shape[0], device=self.table.device).view(-1, 1, 1, 1) * self.count

    def __call__(self, luminance: Tensor, row: Tensor) -> Tensor:
        """Response in JND to luminance in cd/m2, (n, ...), for the images whose rows of the table are given."""
        position, node = self._node(luminance)
        index = node.long() + row
        return look_up(self.table, index) + (position - node) * look_up(self.steps, index)

    @staticmethod
    def table_of(shares: Shares) -> tuple[Tensor, Tensor]:
        """Response at the nodes of log luminance, (N, nodes), from that to the reference's mean on, (N, 1)."""
        return _table(shares)

    def luminance(self, response: Tensor, row: Tensor) -> Tensor:
        """Luminance in cd/m2 that has this response, by bisection of the table; within the table's range."""
        node = torch.zeros_like(response, dtype=torch.long)
        with torch.no_grad():
            step = 1 << (self.count - 2).bit_length()
            while step := step // 2:
                later = (node + step).clamp(max=self.count - 2)
                node = torch.where(look_up(self.table, later + row) <= response, later, node)
        index = node + row
        share = (response - look_up(self.table, index)) / look_up(self.steps, index).clamp(min=TINY)
        return 10 ** (self.low + (node + share.clamp(0, 1)) / self.per_decade)

    def _node(self, luminance: Tensor) -> tuple[Tensor, Tensor]:
        position = (luminance.clamp(10**self.low, 10**self.high).log10() - self.low) * self.per_decade
        return position, position.detach().floor().clamp(0, self.count - 2)


class OfReceptors(Curve):
    """The same of L, M and rods each by itself, to their own light: three rows an image."""

    @staticmethod
    def table_of(shares: Shares) -> tuple[Tensor, Tensor]:
        """Response of every receptor at the nodes of its own log light, (3 N, nodes)."""
        cones, rods = response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, shares.receptors.device)
        low, high = DEFAULT_PARAMETERS.lut_log10_range
        per_decade = (len(cones) - 1) / (high - low)
        mean = (shares.mean_cdm2[:, None] * shares.receptors).double().clamp(10**low, 10**high)
        node = ((mean.log10() - low) * per_decade).round().long()
        total = torch.stack([cones, cones, rods]).expand(node.shape[0], -1, -1)
        zero = total.gather(2, node[..., None])
        return (total - zero).flatten(0, 1), zero.flatten(0, 1)


def _table(shares: Shares) -> tuple[Tensor, Tensor]:
    """Summed response at the nodes of log luminance, (N, nodes), counted from that to the reference's mean, (N, 1)."""
    low, high = DEFAULT_PARAMETERS.lut_log10_range
    cones, rods = response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, shares.receptors.device)
    per_decade = (len(cones) - 1) / (high - low)
    nodes = torch.arange(len(cones), dtype=cones.dtype, device=cones.device)
    shift = shares.receptors.double().clamp(min=1e-9).log10() * per_decade
    total = sum(_shifted(curve, nodes + shift[:, i : i + 1]) for i, curve in enumerate((cones, cones, rods)))
    mean = (shares.mean_cdm2.double().log10() - low) * per_decade
    zero = total.gather(1, mean.round().long().clamp(0, len(cones) - 1)[:, None])
    return total - zero, zero


def _shifted(curve: Tensor, position: Tensor) -> Tensor:
    position = position.clamp(0, len(curve) - 1)
    node = position.floor().clamp(max=len(curve) - 2).long()
    return curve[node] + (position - node) * (curve[node + 1] - curve[node])
