"""What amplitudes in blocks get wrong: how parts of contrast add up, by two small convolutions, and waves' crests."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.tiles import in_tiles

__all__ = ["FEATURES", "HIDDEN", "corrected", "peaked"]

FEATURES, HIDDEN = 9, 16
"""Of the correction: contrast in four parts, texture in three bands, luminance, geometry; and what is between."""

LEAST_CONTRAST, LEAST_TEXTURE = 1e-7, 1e-2
LARGEST_FACTOR = 3.0
"""Natural logarithm of how far a sum of contrast may be corrected."""

CREST = 3.0
"""A wave's crest to the power of 3.5 is 2.5 times the mean of all of it, and the pixels beside a corner see three
quarters of what it is raised by."""

TINY = 1e-12
"""Contrast that is none."""


def corrected(
    parts: Tensor, texture: Tensor, luminance_cdm2: Tensor, octaves: Tensor, weights: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Sum of the parts of a contrast map, times a factor that is read off the logarithms of what is there.

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
        (N, 1, h, w); zero where all parts are.
    """
    first, offset, last = weights

    def correct(parts, texture, luminance, octaves):
        known = (parts + LEAST_CONTRAST).log10(), (texture + LEAST_TEXTURE).log10(), luminance.log10()
        features = torch.cat([*known, octaves.expand_as(luminance)], dim=1)
        features = features.contiguous(memory_format=torch.channels_last)
        hidden = F.leaky_relu(F.conv2d(features, first, offset, padding=1), 0.1)
        factor = LARGEST_FACTOR * (F.conv2d(hidden, last, padding=1) / LARGEST_FACTOR).tanh()
        return parts.sum(dim=1, keepdim=True) * factor.exp()

    return in_tiles(correct, parts, texture, luminance_cdm2, octaves.view(-1, 1, 1, 1), halo=2, learnt=weights)


def peaked(contrast: Tensor, parts: Tensor) -> Tensor:
    """A map at corners with its highest place raised to a wave's crest, its sum as it was, (N, 1, h, w).

    The metric's map follows every wave, and its pooling counts from the highest crest; amplitudes know the mean alone,
    so that everything would be seen two and a half times too well in ``P_map``. What coarse octaves find, the last of
    ``parts``, has its crests.
    """
    highest = contrast == contrast.amax(dim=(1, 2, 3), keepdim=True)
    fine = parts[:, :-1].sum(dim=1, keepdim=True) / (parts.sum(dim=1, keepdim=True) + TINY)
    raised = torch.where(highest, (1 + (CREST - 1) * fine) * contrast, contrast)
    before, after = (values.sum(dim=(1, 2, 3), keepdim=True) + TINY for values in (contrast, raised))
    return raised * (before / after)
