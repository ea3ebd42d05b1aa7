"""What waves in blocks get wrong of how parts of contrast add up, put right by two small convolutions."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.tiles import in_tiles

__all__ = ["FEATURES", "HIDDEN", "correction"]

FEATURES, HIDDEN = 9, 16
"""Of the correction: contrast in four parts, texture in three bands, luminance, geometry; and what is between."""

LEAST_CONTRAST, LEAST_TEXTURE = 1e-7, 1e-2
LARGEST_FACTOR = 3.0
"""Natural logarithm of how far contrast may be corrected."""


def correction(
    parts: Tensor, texture: Tensor, luminance_cdm2: Tensor, octaves: Tensor, weights: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Factor of a map of contrast, read off the logarithms of what is there.

    Parameters
    ----------
    parts
        Contrast in the finest bands and in all coarse ones together, (N, 4, h, w).
    texture
        What both images share in the finest bands, in JND, (N, 3, h, w).
    luminance_cdm2
        That the eye adapts to, (N, 1, h, w).
    octaves
        Pixels per degree as a logarithm, (N,) or (1,).
    weights
        Taps (HIDDEN, FEATURES, 3, 3) and offsets (HIDDEN,) of the first convolution, taps of the second.

    Returns
    -------
    Tensor
        (N, 1, h, w), positive.
    """
    first, offset, last = weights

    def correct(parts, texture, luminance, octaves):
        known = (parts + LEAST_CONTRAST).log10(), (texture + LEAST_TEXTURE).log10(), luminance.log10()
        features = torch.cat([*known, octaves.expand_as(luminance)], dim=1)
        features = features.contiguous(memory_format=torch.channels_last)
        hidden = F.leaky_relu(F.conv2d(features, first, offset, padding=1), 0.1)
        logarithm = LARGEST_FACTOR * (F.conv2d(hidden, last, padding=1) / LARGEST_FACTOR).tanh()
        return logarithm.exp()

    return in_tiles(correct, parts, texture, luminance_cdm2, octaves.view(-1, 1, 1, 1), halo=2, learnt=weights)
