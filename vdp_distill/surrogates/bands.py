"""Parts of a small cortex: a band of the pair, the filters it starts from, and what masks it.

Sources: Mantiuk et al. 2011, section 5.2; Simoncelli and Freeman 1995.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill import csf, sp3_filters
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.power import power
from vdp_distill.surrogates.finest import Blocks, as_blocks, compared
from vdp_distill.surrogates.means import halved
from vdp_distill.tiles import in_tiles

__all__ = ["Band", "masked_difference", "masking_signal", "mean_luminance", "of_one_side", "starting_taps", "to_size"]

BAND_SIDE = 9
"""Of the filters of a level's bands, but for the first."""

TINY = 1e-12
"""Keeps the derivative of a square root finite at 0."""


class Band(NamedTuple):
    """A band of the pair: the difference where it counts, and both where masking is computed."""

    difference: Tensor | Blocks
    coarse: Tensor
    reference: Tensor
    level: int
    """Of the pyramid: octaves that the band's size is below the image's."""

    is_reduced: bool = False
    """Whether masking is computed at every second pixel."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the difference."""
        return self.difference.size if isinstance(self.difference, Blocks) else self.difference.shape[-2:]

    @property
    def masked_at(self) -> int:
        """Octaves that the size at which masking is computed is below the image's."""
        return self.level + self.is_reduced


def starting_taps(side: int) -> dict[str, np.ndarray]:
    """The metric's filters, those of the first level joined with the pass before it, cut to their sides.

    The names are the parameters' of a small cortex; those of the way back, to the map, end in ``_back``.
    """
    oriented, turned = sp3_filters.ORIENTED, sp3_filters.ORIENTED[..., ::-1, ::-1]
    before, decimating = sp3_filters.LOW_PASS, sp3_filters.LOW_PASS_DECIMATING
    low = _cut(_joined(before, decimating), side), _cut(decimating, side)

    def taps(bands: np.ndarray, end: str) -> dict[str, np.ndarray]:
        first = [sp3_filters.HIGH_PASS, *(_joined(before, band) for band in bands)]
        cut = np.stack([_cut(own, side) for own in first]), np.stack([_cut(own, BAND_SIDE) for own in bands])
        named = zip(("first_taps", "later_taps", "first_low_taps", "later_low_taps"), (*cut, *low), strict=True)
        return {name + end: values for name, values in named}

    return taps(oriented, "") | taps(turned, "_back")


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One filter that does what two do after one another; SciPy's would take a second and a half to import."""
    height, width = second.shape
    taps = np.zeros(np.add(first.shape, second.shape) - 1)
    for (row, column), tap in np.ndenumerate(first):
        taps[row : row + height, column : column + width] += tap * second
    return taps


def _cut(taps: np.ndarray, side: int) -> np.ndarray:
    """The middle of a filter, or all of it in a frame of zeros."""
    margin = (len(taps) - side) // 2
    return np.pad(taps, -margin) if margin < 0 else taps[margin : margin + side, margin : margin + side]


def of_one_side(*filters: Tensor) -> list[Tensor]:
    """Filters, (O, 1, k, k) each, framed with zeros to the largest side."""
    side = max(taps.shape[-1] for taps in filters)
    return [F.pad(taps, ((side - taps.shape[-1]) // 2,) * 4) for taps in filters]


def masking_signal(own: Tensor, lent: list[Tensor], gains: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """What masks a band, before the band's sensitivity.

    Parameters
    ----------
    own
        Contrast that both images share in the band, (N, O, h, w).
    lent
        That of the neighbour bands at its size, (N, 1 or O, h, w) each.
    gains
        Of the band itself, of its neighbours and of its other orientations.
    """
    q = DEFAULT_PARAMETERS.mask_q
    return in_tiles(lambda own, *lent: _sum_of_powers(own, lent, gains, q), own, *lent, learnt=gains)


def _sum_of_powers(own, lent, gains, q):
    itself, neighbour, crossing = gains
    signal = itself * power(own, q)
    if lent:
        signal = signal + neighbour * power(sum(lent), q)
    if own.shape[1] == 1:
        return signal
    return signal + crossing * power((own.sum(dim=1, keepdim=True) - own).clamp(min=0), q)


def mean_luminance(luminance: Pair) -> Tensor:
    """log10 of the luminance that both images adapt the eye to."""
    return in_tiles(lambda test, reference: ((test + reference) / 2).clamp(1e-5, 1e5).log10(), *luminance)


def to_size(plane: Tensor, octaves: int, size: tuple[int, int]) -> Tensor:
    """A plane so many octaves coarser: means where it shrinks, bilinear where it grows, to a size."""
    for _ in range(octaves):
        plane = halved(plane)
    return plane if octaves >= 0 else F.interpolate(plane, size=tuple(size), mode="bilinear", align_corners=False)


def masked_difference(
    band: Band, plane: Tensor, table: Tensor | None, signal: Tensor, number: int, output: Tensor
) -> Tensor | Blocks:
    """Difference of a band in units of its masked threshold.

    Parameters
    ----------
    plane
        log10 of luminance at the difference's size, (N, 1, H, W); without a table, sensitivity itself.
    table
        The band's sensitivity, :func:`vdp_distill.csf.csf_tables`.
    signal
        :func:`masking_signal`, at the difference's size or at every second pixel.
    number
        Of the band, whose gain is 2^number.
    output
        Factor on the result.
    """
    p, q, gain = DEFAULT_PARAMETERS.mask_p, DEFAULT_PARAMETERS.mask_q, 2.0**number

    def scales(plane, *table):
        sensitivity = csf.band_sensitivity(plane, *table) if table else plane
        scale = gain**p / output * power(sensitivity / gain, q)
        return scale, gain ** (2 * p - 2) / output**2 * power(sensitivity, -2 * p)

    def compare(difference, plane, signal, *table):
        scale, threshold = scales(plane, *table)
        masked = scale * signal
        excitation = difference**3 * (difference.abs() + TINY).sqrt()
        return excitation * torch.addcmul(threshold, masked, masked).rsqrt()

    if isinstance(band.difference, Blocks):
        return compared(band.difference, signal, *in_tiles(scales, as_blocks(plane), table))

    height, width = band.difference.shape[-2:]
    if band.is_reduced:
        whole = [2 * length - 1 for length in signal.shape[-2:]]
        signal = F.interpolate(signal, size=whole, mode="bilinear", align_corners=True)
        signal = F.pad(signal, (0, width - whole[1], 0, height - whole[0]), mode="replicate")
    tables = () if table is None else (table,)
    return in_tiles(compare, band.difference, plane, signal, *tables, learnt=(output, *tables))
