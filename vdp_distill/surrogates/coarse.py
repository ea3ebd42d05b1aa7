"""The coarse octaves of the block-wise visual system: the metric's pyramid, from the third octave on or a later one.

It looks at a picture of a quarter of the size (:func:`vdp_distill.surrogates.sight.lowered`) or less, where every pixel
and the sign of every wave cost a sixteenth: here waves of its octaves and of the base band cancel as they do in the
metric. Filters of its first octave start with what that picture lacks put back, all others as the metric's.
Sources: Mantiuk et al. 2011, section 5; Simoncelli and Freeman 1995.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from vdp_distill import csf
from vdp_distill.pipeline import Pair
from vdp_distill.pyramid import band_frequencies, pyramid_height
from vdp_distill.surrogates.bands import Band, starting_taps, to_size
from vdp_distill.surrogates.cortex import neighbours
from vdp_distill.surrogates.energies import energy_of_rows, root_energy
from vdp_distill.surrogates.lapped import FINE_OCTAVES
from vdp_distill.surrogates.learnt_pyramid import LOW_PASS_SUM, LearntPyramid
from vdp_distill.surrogates.sight import LOW_PASS
from vdp_distill.surrogates.waves import as_if_sharp

__all__ = ["CoarseOctaves", "octaves_of"]

KINDS = THIRD, LATER, BASE = 0, 1, 2
"""Bands with gains of their own."""

CUT = 2
"""Taps left off the low-pass filters on every side, all under a twentieth: so a picture of seven pixels suffices."""


class CoarseOctaves(LearntPyramid):
    """All octaves but the finest, and the base band.

    Parameters
    ----------
    finer
        Octaves that others look at; there, the picture has one pixel for so many doublings.
    low_pass
        Taps along an axis of what makes the picture of the image, for filters to make up for; None for a picture like
        the metric's own.
    """

    def __init__(self, finer: int = FINE_OCTAVES, low_pass: tuple[float, ...] | None = tuple(LOW_PASS)):
        super().__init__(_starting(finer, low_pass), len(KINDS))
        self.finer, self.first_band = finer, finer + 1  # after the residual and the finer octaves
        self.finer_gain = nn.Parameter(torch.zeros(()))

    def analyse(self, picture: Pair, luminance: Pair, octaves: int, pixels_per_degree: Tensor) -> list[Band]:
        """Bands of every octave, the base band last and through its contrast sensitivity.

        Parameters
        ----------
        picture
            Response of both images, JND, (N, 1, h, w) each.
        luminance
            Of both images, cd/m2, whose mean the base band is adapted to.
        octaves
            :func:`octaves_of` the image.
        pixels_per_degree
            Of the image, (1,) or (N,).
        """
        # As the metric does, each about its own mean, and grown by the gain of the octaves above.
        lent = LOW_PASS_SUM**self.finer
        test, reference = (lent * (plane - plane.mean(dim=(1, 2, 3), keepdim=True)) for plane in picture)
        # Together: what is small costs by the call. Slices, for an exported program's batch is a symbol.
        low, batch, bands = torch.cat([test - reference, reference]), reference.shape[0], []
        for level in range(octaves - self.finer):
            found, low = self.bands_of(low, level)
            bands.append(Band(found[:batch], found[batch:], level))
        frequency_cpd = band_frequencies(pixels_per_degree, octaves + 2)[:, -1]
        return [*bands, self.base(Band(low[:batch], low[batch:], octaves - self.finer), luminance, frequency_cpd)]

    def compare(
        self, bands: list[Band], mutual: list[Tensor], luminance: Tensor, finer: Tensor, pixels_per_degree: Tensor
    ) -> list[Tensor]:
        """Masked difference of every band.

        Parameters
        ----------
        bands, mutual
            :meth:`analyse`, and :func:`vdp_distill.masking.mutual_contrast` of each.
        luminance
            That the eye adapts to, at every pixel of the picture, cd/m2, (N, 1, h, w).
        finer
            What masks from the octave before, likewise.
        pixels_per_degree
            Of the image, (1,) or (N,).
        """
        tables = csf.csf_tables(band_frequencies(pixels_per_degree, len(bands) + self.first_band))[self.first_band :]
        log10_luminance, responses = luminance.log10(), []
        for number, band in enumerate(bands):
            kind = kind_of(number, len(bands))
            gain = self.gain(kind, pixels_per_degree)
            if kind == BASE:
                seen = (gain.expand(band.reference.shape[0], 1, 1, 1),)
            else:
                log10_luminance = to_size(log10_luminance, int(number > 0), band.size)
                seen = log10_luminance, tables[number] * gain
            before, after = neighbours(bands, mutual, number)
            maskers = mutual[number], before if number else finer * self.finer_gain.exp(), after
            responses.append(self.masked(band, maskers, number + self.first_band, kind, *seen))
        return responses

    def image(self, responses: list[Tensor]) -> Tensor:
        """What is seen in all bands together, with its sign, at every pixel of the picture, (N, 1, h, w)."""
        *octaves, low = responses
        for level, own in reversed([*enumerate(octaves)]):
            low = self.image_of(own, low, level)
        return low / LOW_PASS_SUM**self.finer

    def energies(self, responses: list[Tensor], changed: Tensor) -> list[Tensor]:
        """Root energy of every band, (N, O) each, where light changed, (N, 1, h, w)."""
        energies = []
        for number, found in enumerate(responses):
            changed = to_size(changed, int(number > 0), found.shape[-2:])
            energy = root_energy(energy_of_rows(found, changed * changed), found[0, 0].numel())
            energies.append(self.energy_gain[kind_of(number, len(responses))].exp() * energy)
        return energies


def octaves_of(size: tuple[int, int]) -> int:
    """Octaves of the pyramid for an image; one coarse octave at least."""
    return max(FINE_OCTAVES + 1, pyramid_height(*size))


def kind_of(number: int, count: int) -> int:
    """Whose gains a band has."""
    return BASE if number + 1 == count else min(number, LATER)


@lru_cache(maxsize=2)
def _starting(finer: int, low_pass: tuple[float, ...] | None) -> dict[str, np.ndarray]:
    """Filters by name, as :func:`vdp_distill.surrogates.bands.starting_taps` has them."""
    taps = {name: value for name, value in starting_taps().items() if not name.startswith("pass")}
    taps |= {name: value[CUT:-CUT, CUT:-CUT] for name, value in taps.items() if "low" in name}
    if low_pass is None:
        return taps
    bands, low = as_if_sharp(np.array(low_pass), 2**finer, taps["first_low_taps"].shape[0])
    return taps | {"first_taps": bands, "first_low_taps": low}
