"""A visual system for loops that count milliseconds: the fine octaves in blocks, the rest at a quarter of the size.

Light becomes one plane of receptor response (:mod:`vdp_distill.surrogates.sight`), to which mean colours add what they
are to the receptors (:mod:`vdp_distill.surrogates.tangent`). Each block of 4 x 4 pixels and its
surroundings become what a few filters find, which overlap as in a lapped transform; sensitivity and masking are
computed once a block (:mod:`vdp_distill.surrogates.fine`). The coarser octaves are the metric's own pyramid on a
picture of a quarter of the size (:mod:`vdp_distill.surrogates.coarse`). What is seen of both goes back to pixels with
its sign (:mod:`vdp_distill.surrogates.way_back`). Filters, gains and masking weights are learnt, by the metric's
gradient too; how sensitivity follows pixels per degree and luminance, and masking the scale, is the metric's.

Source: Mantiuk et al. 2011, sections 4 and 5, on another transform (:mod:`vdp_distill.surrogates.lapped`).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from vdp_distill.masking import mutual_contrast
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.surrogates.block_wise import BlockWiseVision
from vdp_distill.surrogates.blocks import at_corners, from_cells, of_four
from vdp_distill.surrogates.coarse import CoarseOctaves, octaves_of
from vdp_distill.surrogates.cortex import Seen
from vdp_distill.surrogates.energies import changed_in_blocks
from vdp_distill.surrogates.fine import Fine, FineOctaves
from vdp_distill.surrogates.lapped import SwiftConfig
from vdp_distill.surrogates.sight import Sight, look_at
from vdp_distill.surrogates.viewing import Viewing
from vdp_distill.surrogates.way_back import WayBack

__all__ = ["SwiftConfig", "SwiftVision"]


class SwiftVision(BlockWiseVision):
    """Planes of light to what is seen of their difference.

    Parameters
    ----------
    config
        Its shape.
    generator
        Draws the start of the correction; the rest starts from the metric's own numbers.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> vision = SwiftVision(SwiftConfig())
    >>> light = torch.full((1, 3, 40, 50), 50.0)
    >>> matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32)[None]
    >>> with torch.no_grad():
    ...     seen = vision(Pair(light, light), matrix, torch.full((1, 3, 1, 1), 1e-5), torch.tensor([45.0]))
    >>> seen.contrast_map.shape, float(seen.contrast_map.sum()), float(seen.quality)
    (torch.Size([1, 1, 40, 50]), 0.0, 100.0)
    """

    def __init__(self, config: SwiftConfig, generator: torch.Generator | None = None):
        super().__init__(len(config.groups), generator)
        self.config = config
        self.fine, self.coarse = FineOctaves(config), CoarseOctaves()
        self.back = WayBack(config)

    def look_at(self, image: Tensor, to_light: Callable[[Tensor], Tensor] | None, viewing: Viewing) -> Sight:
        """What one image is to the eye; arguments as for :func:`vdp_distill.surrogates.sight.look_at`."""
        return look_at(image, to_light, viewing)

    def compare(self, test: Sight, reference: Sight, pixels_per_degree: Tensor, wants_quality: bool = True) -> Seen:
        """What is seen of the difference between two images, without the quality correlate where it is not wanted."""
        blocks = ((test.blocks + reference.blocks) / 2).clamp(*DEFAULT_PARAMETERS.light_range_cdm2)
        corners, octaves = at_corners(blocks), octaves_of(test.size)
        picture, light = Pair(test.response, reference.response), Pair(test.coarse, reference.coarse)
        bands = self.coarse.analyse(picture, light, octaves, pixels_per_degree)
        mutual = [mutual_contrast(band.difference, band.reference) for band in bands]
        third = at_corners(mutual[0].mean(dim=1, keepdim=True))
        changed = changed_in_blocks(test.plane, reference.plane, corners.shape[-2:]) if wants_quality else None
        places = changed.places if wants_quality else None
        fine = self.fine(Pair(test.cells, reference.cells), corners, third, pixels_per_degree, places)
        responses = self.coarse.compare(bands, mutual, blocks, of_four(fine.texture[:, -1:]), pixels_per_degree)
        low = self.coarse.image(responses)
        parts = torch.cat([fine.found, at_corners(low.abs())], dim=1)
        factor = self.factor(parts, fine.texture, corners, pixels_per_degree)
        quality = self.quality(fine, responses, changed.blocks, pixels_per_degree) if wants_quality else None
        painted = self.back(*fine.waves, low, factor)
        return Seen(from_cells(painted.abs(), *test.size), quality)

    def quality(self, fine: Fine, responses: list[Tensor], changed: Tensor, pixels_per_degree: Tensor) -> Tensor:
        """The quality correlate Q from the root energy of every band where light changed, (N, 1, h, w) in blocks."""
        energies = [*fine.energy.split(self.config.groups, 1), *self.coarse.energies(responses, changed)]
        return self.quality_of(energies, pixels_per_degree)
