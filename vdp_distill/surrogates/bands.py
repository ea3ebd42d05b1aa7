"""Parts of a small cortex: a band of the pair, the filters it starts from, and what masks it.

Sources: Mantiuk et al. 2011, section 5.2; Simoncelli and Freeman 1995.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill import csf, masking, sp3_filters
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.power import power
from vdp_distill.surrogates.means import doubled, halved
from vdp_distill.tiles import in_tiles

__all__ = [
    "Band",
    "masked_difference",
    "masking_signal",
    "mean_luminance",
    "mutual_contrast",
    "starting_taps",
    "to_size",
]

TINY = 1e-12
"""Keeps the derivative of a square root finite at 0."""


class Band(NamedTuple):
    """A band of the pair."""

    difference: Tensor
    """Test less reference, (N, O, h, w)."""

    reference: Tensor
    level: int
    """Of the pyramid: octaves that the band's size is below the image's."""

    is_reduced: bool = False
    """Whether what masks is raised to its power at every second pixel alone."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.difference.shape[-2:]

    @property
    def masked_at(self) -> int:
        """Octaves that the size at which masking is computed is below the image's."""
        return self.level + self.is_reduced


def starting_taps() -> dict[str, np.ndarray]:
    """The metric's filters: high-pass and low-pass of the image, bands of a level, and what is left to the next.

    Those of the first level and of later ones are learnt apart. The names are the parameters' of a small cortex; those
    of the way back, to the map, end in ``_back``.
    """
    high, low, oriented = sp3_filters.HIGH_PASS, sp3_filters.LOW_PASS, sp3_filters.ORIENTED
    there = {"pass_taps": np.stack([high, np.pad(low, (len(high) - len(low)) // 2)])}
    there |= {"first_taps": oriented, "later_taps": oriented}
    there |= dict.fromkeys(("first_low_taps", "later_low_taps"), sp3_filters.LOW_PASS_DECIMATING)
    return there | {f"{name}_back": taps[..., ::-1, ::-1].copy() for name, taps in there.items()}


def mutual_contrast(band: Band) -> Tensor:
    """:func:`vdp_distill.masking.mutual_contrast`; of a reduced band, at every second pixel of each axis."""
    shared = masking.mutual_contrast(band.difference, band.reference)
    return shared[..., ::2, ::2] if band.is_reduced else shared


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
) -> Tensor:
    """Difference of a band in units of its masked threshold, (N, O, h, w).

    Parameters
    ----------
    plane
        log10 of luminance at the band's size, (N, 1, h, w); without a table, sensitivity itself.
    table
        The band's sensitivity, :func:`vdp_distill.csf.csf_tables`.
    signal
        :func:`masking_signal`, at the band's size or at every second pixel.
    number
        Of the band, whose gain is 2^number.
    output
        Factor on the result.
    """
    p, q, gain = DEFAULT_PARAMETERS.mask_p, DEFAULT_PARAMETERS.mask_q, 2.0**number

    def compare(difference, plane, signal, *table):
        sensitivity = csf.band_sensitivity(plane, *table) if table else plane
        threshold = gain ** (2 * p - 2) / output**2 * power(sensitivity, -2 * p)
        masked = gain**p / output * power(sensitivity / gain, q) * signal
        excitation = difference**3 * (difference.abs() + TINY).sqrt()
        return excitation * torch.addcmul(threshold, masked, masked).rsqrt()

    if band.is_reduced:
        signal = doubled(signal, *band.size)
    tables = () if table is None else (table,)
    return in_tiles(compare, band.difference, plane, signal, *tables, learnt=(output, *tables))
