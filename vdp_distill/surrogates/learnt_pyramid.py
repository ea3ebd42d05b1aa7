"""A pyramid that learns: its filters, the base band's sensitivity and masking with gains, for cortices built of them.

Sources: Mantiuk et al. 2011, section 5; Simoncelli and Freeman 1995.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from vdp_distill import csf, masking
from vdp_distill.fourier import unit_frequency
from vdp_distill.pipeline import Pair
from vdp_distill.polyphase import correlate, correlate_zero_stuffed
from vdp_distill.surrogates.bands import Band
from vdp_distill.surrogates.channels import log2_ppd
from vdp_distill.surrogates.layers import start_from
from vdp_distill.tiles import in_tiles

__all__ = ["LOW_PASS_SUM", "LearntPyramid"]

LOW_PASS_SUM = 2.0
"""Of the taps of the metric's low-pass filters: a constant grows by as much from level to level."""


class LearntPyramid(nn.Module):
    """Filters and gains.

    Parameters
    ----------
    taps
        Of a pyramid's filters, by the names of :func:`vdp_distill.surrogates.bands.starting_taps`.
    kinds
        Bands with gains of their own.
    """

    def __init__(self, taps: Mapping[str, np.ndarray], kinds: int):
        super().__init__()
        start_from(self, taps)
        self.sensitivity_gain = nn.Parameter(torch.zeros(3, kinds))
        self.masking_gain = nn.Parameter(torch.zeros(3, kinds))
        self.output_gain = nn.Parameter(torch.zeros(kinds))
        self.energy_gain = nn.Parameter(torch.zeros(kinds))

    def bands_of(self, image: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Bands of a level at every pixel, and what is left to the next."""
        taps, low_taps = self.level_taps(level)
        return correlate(image, taps), correlate(image, low_taps, keep_every=2)

    def image_of(self, bands: Tensor, low: Tensor, level: int) -> Tensor:
        """The way back: from bands of a level and what comes from the next."""
        taps, low_taps = self.level_taps(level, "_back")
        low = correlate_zero_stuffed(low, low_taps, *bands.shape[-2:])
        return low + correlate(bands, taps.transpose(0, 1))

    def level_taps(self, level: int, end: str = "") -> tuple[Tensor, Tensor]:
        """Filters of a level's bands, (O, 1, k, k), and of what is left to the next, (1, 1, k, k).

        What is left keeps a constant's size: a filter that lent it more would do so again at every level of a larger
        image, which no small one can teach it.
        """
        name = "first" if level == 0 else "later"
        bands, low = (getattr(self, f"{name}_{part}{end}") for part in ("taps", "low_taps"))
        return bands[:, None], (low * (LOW_PASS_SUM / low.sum()))[None, None]

    def base(self, band: Band, luminance: Pair, frequency_cpd: Tensor) -> Band:
        """The base band through the metric's own contrast sensitivity."""
        batch = band.reference.shape[0]
        both = torch.cat([band.reference + band.difference, band.reference])
        padding = band.reference.mean(dim=(2, 3), keepdim=True).repeat(2, 1, 1, 1)
        mean_luminance = torch.cat(luminance).mean(dim=(1, 2, 3))
        frequency = frequency_cpd if frequency_cpd.shape[0] == 1 else frequency_cpd.repeat(2)
        canvas = unit_frequency(*both.shape[-2:]).to(both)
        filtered = csf.baseband(both, padding, mean_luminance, frequency, canvas)
        difference = filtered[:batch] - filtered[batch:]
        return Band(difference, filtered[batch:], band.level)

    def gain(self, kind: int, pixels_per_degree: Tensor) -> Tensor:
        """On sensitivity, (N, 1, 1, 1)."""
        octaves = log2_ppd(pixels_per_degree).view(-1, 1, 1, 1)
        constant, slope, bend = self.sensitivity_gain[:, kind]
        return (constant + slope * octaves + bend * octaves**2).exp()

    def masked(
        self, band: Band, maskers: tuple[Tensor, ...], number: int, kind: int, plane: Tensor, *table: Tensor
    ) -> Tensor:
        """Difference of a band in units of its masked threshold, (N, O, h, w).

        Parameters
        ----------
        maskers
            As for :func:`vdp_distill.masking.masked_difference`.
        number, kind
            Of the band, whose gain is 2^number; of its own gains.
        plane
            log10 of luminance at the band's size, (N, 1, h, w); without a table, sensitivity itself.
        *table
            The band's sensitivity, :func:`vdp_distill.csf.csf_tables`.
        """
        learnt, output = self.masking_gain[:, kind].exp(), self.output_gain[kind].exp()
        weights = tuple(gain * weight for gain, weight in zip(learnt, masking.masking_weights(), strict=True))

        def compare(difference, plane, *rest):
            maskers, table = rest[:3], rest[3:]
            sensitivity = csf.band_sensitivity(plane, *table) if table else plane
            return output * masking.masked_difference(difference, sensitivity, maskers, number, weights=weights)

        return in_tiles(compare, band.difference, plane, *maskers, *table, learnt=(output, *weights, *table))
