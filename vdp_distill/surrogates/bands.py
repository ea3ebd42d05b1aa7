"""Parts of a small cortex: a band of the pair, the filters it starts from, and steps between resolutions.

Source: Simoncelli and Freeman 1995.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill import sp3_filters
from vdp_distill.pipeline import Pair
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.means import halved
from vdp_distill.tiles import in_tiles

__all__ = ["Band", "mean_luminance", "starting_taps", "to_size"]


class Band(NamedTuple):
    """A band of the pair."""

    difference: Tensor
    """Test less reference, (N, O, h, w)."""

    reference: Tensor
    level: int
    """Of the pyramid: octaves that the band's size is below the image's."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.difference.shape[-2:]


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


def mean_luminance(luminance: Pair) -> Tensor:
    """log10 of the luminance that both images adapt the eye to."""
    return in_tiles(lambda test, reference: ((test + reference) / 2).clamp(1e-5, 1e5).log10(), *luminance)


def to_size(plane: Tensor, octaves: int, size: tuple[int, int]) -> Tensor:
    """A plane so many octaves coarser: means where it shrinks, bilinear where it grows, to a size."""
    for _ in range(octaves):
        plane = halved(plane)
    if octaves >= 0:
        return plane
    if not torch.compiler.is_compiling() and tuple(size) == tuple(2 * length for length in plane.shape[-2:]):
        return bilinear(plane, 2)
    return F.interpolate(plane, size=tuple(size), mode="bilinear", align_corners=False)
