"""A cortex that learns: the metric's pyramid, sensitivity, masking and detection, with filters and gains of its own.

The structure is the metric's (:func:`vdp_distill.pipeline.cortex`), but for steps between resolutions, which are means
and straight lines. Filters and gains start as the metric's and are then trained against its answers.
Sources: Mantiuk et al. 2011, section 5; Simoncelli and Freeman 1995.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill import csf, detection, masking
from vdp_distill.pipeline import Pair
from vdp_distill.polyphase import correlate
from vdp_distill.pyramid import band_frequencies, pyramid_height, pyramid_sizes
from vdp_distill.surrogates.bands import Band, mean_luminance, starting_taps, to_size
from vdp_distill.surrogates.learnt_pyramid import LearntPyramid
from vdp_distill.tiles import in_tiles

__all__ = ["CortexConfig", "SmallCortex", "Seen"]

CLASSES = 6
"""Bands with gains of their own: high-pass, the three finest levels, coarser ones, base band."""

KINDS = ("cortex", "fast")


@dataclass(frozen=True)
class CortexConfig:
    """Shape of a visual system with a cortex.

    Parameters
    ----------
    kind
        ``"cortex"``: the metric's own, which learns nothing. ``"fast"``: a :class:`SmallCortex`.
    scatter_every
        1: light scatter at full resolution; 2: the wide part of it at half, with learnt taps for the rest.
    """

    kind: str = "cortex"
    scatter_every: int = 2

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"network: kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.scatter_every not in (1, 2):
            raise ValueError(f"network: scatter_every must be 1 or 2, got {self.scatter_every}")
        if self.kind == "cortex" and self.scatter_every == 1:
            raise ValueError("network: a cortex with scatter_every 1 has nothing to learn; take 2")


class Seen(NamedTuple):
    """What a small cortex makes of a pair."""

    contrast_map: Tensor
    """S, (N, 1, H, W)."""

    quality: Tensor | None
    """Q, (N,); None where nobody asked for it."""


class SmallCortex(LearntPyramid):
    """Two achromatic responses to a map of contrast and the quality correlate.

    Examples
    --------
    >>> cortex = SmallCortex()
    >>> plane = torch.zeros(1, 1, 40, 48)
    >>> with torch.no_grad():
    ...     seen = cortex(Pair(plane, plane), Pair(plane + 50, plane + 50), plane, torch.tensor([45.0]))
    >>> seen.contrast_map.shape, float(seen.contrast_map.sum()), float(seen.quality)
    (torch.Size([1, 1, 40, 48]), 0.0, 100.0)
    """

    def __init__(self):
        super().__init__(starting_taps(), CLASSES)

    def forward(self, achromatic: Pair, luminance: Pair, changed: Tensor | None, pixels_per_degree: Tensor) -> Seen:
        """Look at a batch of pairs.

        Parameters
        ----------
        achromatic, luminance
            Responses in JND and adapting luminance in cd/m2 of both images, (N, 1, H, W) each, no side under 17.
        changed
            :func:`vdp_distill.detection.changed_light`, (N, 1, H, W); None where the quality correlate is not wanted.
        pixels_per_degree
            (1,) or (N,).
        """
        size = achromatic.test.shape[-2:]
        bands = self.analyse(achromatic)
        frequencies = band_frequencies(pixels_per_degree, len(bands))
        bands[-1] = self.base(bands[-1], luminance, frequencies[:, -1])
        responses = self.compare(bands, luminance, frequencies, pixels_per_degree)
        quality = self.quality(responses, changed, frequencies, size) if changed is not None else None
        return Seen(self.synthesise(responses).abs(), quality)

    def analyse(self, achromatic: Pair) -> list[Band]:
        """Bands of every level, the high-pass one before the finest level's own; last, the low-pass rest."""
        levels = pyramid_height(*achromatic.reference.shape[-2:])
        images = achromatic.test - achromatic.reference, achromatic.reference
        # One after the other: what is larger than 32 MB the system clears anew at every call.
        high, low = zip(*(correlate(image, self._pass()).split(1, dim=1) for image in images), strict=True)
        bands = [Band(*high, 0)]
        for level in range(levels):
            found, low = zip(*(self.bands_of(image, level) for image in low), strict=True)
            bands.append(Band(*found, level))
        return [*bands, Band(*low, levels)]

    def _pass(self, end: str = "") -> Tensor:
        """Filters of what is too fine for a level, and of what is left to all, (2, 1, k, k)."""
        high, low = getattr(self, f"pass_taps{end}")
        return torch.stack([high, low / low.sum()])[:, None]

    def compare(
        self, bands: list[Band], luminance: Pair, frequencies: Tensor, pixels_per_degree: Tensor
    ) -> list[Tensor]:
        """Masked difference of every band."""
        mutual = [masking.mutual_contrast(band.difference, band.reference) for band in bands]
        log10_luminance = mean_luminance(luminance)
        tables, responses, level = csf.csf_tables(frequencies), [], 0
        for number, band in enumerate(bands):
            kind = kind_of(number, len(bands))
            gain = self.gain(kind, pixels_per_degree)
            if kind == CLASSES - 1:
                seen = (gain.expand(band.reference.shape[0], 1, 1, 1),)
            else:
                log10_luminance = to_size(log10_luminance, band.level - level, band.size)
                level, seen = band.level, (log10_luminance, tables[number] * gain)
            maskers = mutual[number], *neighbours(bands, mutual, number)
            responses.append(self.masked(band, maskers, number, kind, *seen))
        return responses

    def quality(self, responses: list[Tensor], changed: Tensor, frequencies: Tensor, size: tuple[int, int]) -> Tensor:
        """The quality correlate Q from the energy of every band where light changed."""
        energies = []
        for number, (response, full_size) in enumerate(zip(responses, pyramid_sizes(*size), strict=True)):
            kind = kind_of(number, len(responses))
            changed = to_size(changed, int(number > 1), response.shape[-2:])
            rows = in_tiles(detection.row_energy, response, changed)
            pixels = math.prod(full_size)
            shared = self.energy_gain[kind].exp()
            energies.append(detection.band_energy(rows, pixels) * shared)
        return detection.quality(energies, detection.quality_weights(frequencies))

    def synthesise(self, responses: list[Tensor]) -> Tensor:
        """Map from the bands' responses."""
        high, *levels, low = responses
        for level, own in reversed([*enumerate(levels)]):
            low = self.image_of(own, low, level)
        return correlate(torch.cat([high, low], dim=1), self._pass("_back").transpose(0, 1))


def kind_of(number: int, count: int) -> int:
    """Whose gains a band has: its own among the finest, those of all coarser ones, or the base band's."""
    return CLASSES - 1 if number + 1 == count else min(number, CLASSES - 2)


def neighbours(bands: list[Band], mutual: list[Tensor], number: int) -> tuple[Tensor, Tensor]:
    """:func:`vdp_distill.masking.neighbours` by means where a band shrinks, by straight lines where it grows."""
    band, (orientations, *size) = bands[number], mutual[number].shape[1:]
    found = []
    for lender, is_there in ((number - 1, number > 0), (number + 1, number + 2 < len(bands))):
        if is_there:
            found.append(to_size(mutual[lender][:, :orientations], band.level - bands[lender].level, size))
        else:
            found.append(mutual[number].new_zeros(1, 1, 1, 1))
    return tuple(found)
