"""A visual system in a hurry: the block-wise one, with colours a block, fewer filters, its third octave in blocks too.

It is that of :mod:`vdp_distill.surrogates.swift` with three things left out. Display and receptors look at mean colours
of blocks, about which pixels are grey (:mod:`vdp_distill.surrogates.glimpse`). Its filters of the finest detail are
fewer (:mod:`vdp_distill.surrogates.windows`). And the third octave is looked at in windows
(:mod:`vdp_distill.surrogates.third`): only what is coarser has the metric's own pyramid, on a picture of an eighth.

Source: as for :mod:`vdp_distill.surrogates.swift`.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vdp_distill.masking import mutual_contrast
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.polyphase import correlate
from vdp_distill.pyramid import BLOCK, cropped, pyramid_height
from vdp_distill.surrogates.bands import Band
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.block_wise import BlockWiseVision
from vdp_distill.surrogates.blocks import from_cells
from vdp_distill.surrogates.channels import mixed, sensitivities
from vdp_distill.surrogates.coarse import CoarseOctaves
from vdp_distill.surrogates.cortex import Seen
from vdp_distill.surrogates.energies import LEAST_SHARE, energy_of_rows, root_energy
from vdp_distill.surrogates.glimpse import Glimpse, glimpse_of
from vdp_distill.surrogates.lapped import BAND_FREQUENCIES
from vdp_distill.surrogates.layers import start_from
from vdp_distill.surrogates.means import halved
from vdp_distill.surrogates.third import PICTURE_TAPS, ThirdOctave
from vdp_distill.surrogates.viewing import Viewing
from vdp_distill.surrogates.waves import sharpening
from vdp_distill.surrogates.way_back import grown_to_cells
from vdp_distill.surrogates.windows import GlanceConfig, WindowOctaves

__all__ = ["GlanceConfig", "GlanceVision"]

FINER = 3
"""Octaves in windows."""

FREQUENCIES = (*BAND_FREQUENCIES, BAND_FREQUENCIES[-1] / 2)
"""Cycles a pixel at which the metric reads the sensitivity of the residual and of these octaves."""

LEAST_CHANGE = LEAST_SHARE * DEFAULT_PARAMETERS.quality_least_difference
"""Of light, relative, that counts as one."""

TINY = 1e-9
"""cd/m2 over that from which a pixel has changed altogether."""

EIGHTH_TAPS = tuple(np.convolve(PICTURE_TAPS, [1, 0, 0, 0, 1]).tolist())
"""Along an axis, of what makes the picture of an eighth of the size."""

SHARPEN_SIDE = 5
"""Of the filter that makes this picture what it were in the metric's pyramid."""


class GlanceVision(BlockWiseVision):
    """Light of a pair, or code values, to what is seen of their difference.

    Parameters
    ----------
    config
        Its shape.
    generator
        Draws the start of the correction; the rest starts from the metric's own numbers.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> vision = GlanceVision(GlanceConfig())
    >>> light = torch.full((1, 3, 40, 50), 50.0)
    >>> matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32)[None]
    >>> with torch.no_grad():
    ...     seen = vision(Pair(light, light), matrix, torch.full((1, 3, 1, 1), 1e-5), torch.tensor([45.0]))
    >>> seen.contrast_map.shape, float(seen.contrast_map.sum()), float(seen.quality)
    (torch.Size([1, 1, 40, 50]), 0.0, 100.0)
    """

    def __init__(self, config: GlanceConfig, generator: torch.Generator | None = None):
        super().__init__(len(config.groups) + 1, generator)
        self.config = config
        self.fine, self.third = WindowOctaves(config), ThirdOctave(config.orientations[-1])
        self.coarse = CoarseOctaves(FINER, None)
        start_from(self, {"sharpen_taps": sharpening(np.array(EIGHTH_TAPS), 2**FINER, SHARPEN_SIDE)})

    def look_at(self, image: Tensor, to_light: Callable[[Tensor], Tensor] | None, viewing: Viewing) -> Glimpse:
        """What one image is to the eye; arguments as for :func:`vdp_distill.surrogates.glimpse.glimpse_of`."""
        return glimpse_of(image, to_light, viewing)

    def compare(self, test: Glimpse, reference: Glimpse, pixels_per_degree: Tensor, wants_quality: bool = True) -> Seen:
        """What is seen of the difference between two images, without the quality correlate where it is not wanted."""
        eighth = halved(((test.plane + reference.plane) / 2).clamp(*DEFAULT_PARAMETERS.light_range_cdm2))
        sensitivity = sensitivities(eighth, pixels_per_degree, FREQUENCIES)
        third = self.third.look(Pair(test.response, reference.response))
        texture = third.mutual.mean(dim=1, keepdim=True)
        size = test.plane.shape[-2:]
        grown = cropped(bilinear(torch.cat([sensitivity[:, :-1], texture], dim=1), 2), *size)
        changed = changed_share(test, reference) if wants_quality else None
        fine = self.fine(Pair(test, reference), grown[:, :-1], grown[:, -1:], pixels_per_degree, changed)
        known = halved(fine.texture)
        bands, mutual = self._bands(test, reference, pixels_per_degree)
        fourth = mutual[0].mean(dim=1, keepdim=True) if len(bands) > 1 else torch.zeros_like(texture)
        neighbours = torch.cat([known[:, -1:], fourth], dim=1)
        waves, contrast = self.third.compare(third, sensitivity[:, -1:], neighbours, pixels_per_degree)
        # In the metric the base band is masked from the first orientation alone, all other bands from their own.
        finer = texture if len(bands) > 1 else third.mutual[:, :1]
        responses = self.coarse.compare(bands, mutual, eighth, finer, pixels_per_degree)
        low = self.third.image(waves, size) + cropped(bilinear(self.coarse.image(responses), 2), *size)
        parts = torch.cat([halved(fine.contrast), halved(low.abs())], dim=1)
        factor = self.factor(parts, known, eighth, pixels_per_degree)
        painted = (self.fine.painted(fine.waves) + grown_to_cells(low)) * cropped(bilinear(factor, 2), *size)
        contrast_map = from_cells(painted.abs(), *test.size)
        if changed is None:
            return Seen(contrast_map, None)
        energies = self.energies(fine.energy, contrast, responses, halved(changed))
        return Seen(contrast_map, self.quality_of(energies, pixels_per_degree))

    def _bands(self, test: Glimpse, reference: Glimpse, pixels_per_degree: Tensor) -> tuple[list[Band], list[Tensor]]:
        """Bands of the coarse octaves, and the contrast that both images share in each."""
        octaves = max(FINER, pyramid_height(*test.size))
        taps = self.sharpen_taps[None, None]
        picture = Pair(*(correlate(halved(sight.response), taps) for sight in (test, reference)))
        light = Pair(halved(test.plane), halved(reference.plane))
        bands = self.coarse.analyse(picture, light, octaves, pixels_per_degree)
        return bands, [mutual_contrast(band.difference, band.reference) for band in bands]

    def energies(self, fine: Tensor, third: Tensor, responses: list[Tensor], changed: Tensor) -> list[Tensor]:
        """Root energy of every band where light changed, (N, 1, h, w) at every eighth pixel."""
        own = root_energy(energy_of_rows(third, changed * changed), third[0, 0].numel()) * self.third.energy_gain.exp()
        return [*fine.split(self.config.groups, 1), own, *self.coarse.energies(responses, changed)]


def changed_share(test: Glimpse, reference: Glimpse) -> Tensor:
    """Share of a block's pixels whose light changed, (N, 1, h, w)."""
    with torch.no_grad():
        over = (test.light - reference.light).abs_().sub_(reference.light, alpha=LEAST_CHANGE)
        changed = over.mul_(1 / TINY).clamp_(0, 1)  # a comparison takes longer
        return mixed(changed, changed.new_full((BLOCK**2, 1), BLOCK**-2))
