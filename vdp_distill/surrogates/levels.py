"""Levels of the block-wise visual system: its shape, what is seen at one of them, and what masks from beside."""

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.blocks import grown, of_four
from vdp_distill.surrogates.channels import LEVEL_OCTAVES
from vdp_distill.surrogates.lapped import PLACES
from vdp_distill.surrogates.sight import STEP

__all__ = ["COARSEST", "FINEST_SHARED", "Level", "SwiftConfig", "at_base", "neighbours"]

FINEST_SHARED, COARSEST = 1, LEVEL_OCTAVES
"""Groups of pairs at a level's ends; the high-pass residual before them is of the first level alone."""


@dataclass(frozen=True)
class SwiftConfig:
    """Shape of a block-wise visual system.

    Parameters
    ----------
    kind
        ``"swift"``.
    orientations
        Of the pairs of filters at each of four frequencies.
    """

    kind: str = "swift"
    orientations: int = 4

    def __post_init__(self):
        if self.orientations < 2:
            raise ValueError(f"network: orientations must be at least 2, got {self.orientations}")

    @property
    def groups(self) -> tuple[int, ...]:
        """Pairs of filters of each frequency."""
        return tuple(self.orientations * len(places) for places in PLACES)

    @property
    def pairs(self) -> int:
        """Pairs of filters of a level."""
        return sum(self.groups)

    def pairs_of(self, groups: slice) -> slice:
        """Which pairs are those of some groups."""
        starts = 0, *accumulate(self.groups)
        return slice(starts[groups.start], starts[groups.stop])


class Level(NamedTuple):
    """What is seen of the difference between two images at one level."""

    found: Tensor
    """Contrast at the corners of its blocks, (N, K, h + 1, w + 1): of each group, or of all together."""

    texture: Tensor
    """Mean amplitude of what both images share, of each group, (N, 4, h + 1, w + 1)."""

    energy: Tensor
    """Root energy of its pairs, (N, pairs)."""


def neighbours(finer: list[Level], coarser: list[Tensor], like: Tensor) -> list[Tensor]:
    """Texture of the octaves before and after a level, at its corners, (N, 2, h, w); none for the only level.

    Parameters
    ----------
    finer, coarser
        The level before, and the texture of the one after, where there is one.
    like
        A plane of the level's size, (N, 1, h, w).
    """
    if not (finer or coarser):
        return []
    nothing = torch.zeros_like(like)
    before = [_at_next(level.texture[:, COARSEST : COARSEST + 1]) for level in finer]
    after = [grown(texture[:, FINEST_SHARED : FINEST_SHARED + 1], STEP, *like.shape[-2:]) for texture in coarser]
    return [torch.cat([*(before or [nothing]), *(after or [nothing])], dim=1)]


def _at_next(texture: Tensor) -> Tensor:
    """Means about every eighth corner, where those of the next level lie."""
    half = STEP // 2
    edges = (half, half + STEP - 1, half, half + STEP - 1)
    return F.avg_pool2d(F.pad(texture, edges, mode="replicate"), STEP + 1, STEP)


def at_base(level: Level, octaves: int, height: int, width: int) -> Tensor:
    """Texture of the last octave, which masks the base band, at its places, (N, 1, height, width)."""
    last = (octaves - 1) % LEVEL_OCTAVES + 1
    texture = level.texture[:, last : last + 1]
    if last == LEVEL_OCTAVES:  # a place lies on two corners and the one between
        found = F.avg_pool2d(F.pad(texture, (0, 1, 0, 1), mode="replicate"), 3, 2)
    elif last == LEVEL_OCTAVES - 1:
        found = of_four(texture)
    else:  # two places lie between two corners
        found = bilinear(texture, 2)[..., 1:-1, 1:-1]
    return found[..., :height, :width]
