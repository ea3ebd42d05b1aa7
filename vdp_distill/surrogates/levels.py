"""Levels of the block-wise visual system: its shape, what is seen at one of them, and what masks from beside."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.surrogates.blocks import grown, of_four
from vdp_distill.surrogates.channels import LEVEL_OCTAVES
from vdp_distill.surrogates.lapped import FREQUENCIES
from vdp_distill.surrogates.sight import STEP

__all__ = ["COARSEST", "FINEST_SHARED", "Level", "SwiftConfig", "at_base", "neighbours"]

FINEST_SHARED, COARSEST = 1, LEVEL_OCTAVES
"""Groups of filters at a level's ends; the high-pass residual before them is of the first level alone."""


@dataclass(frozen=True)
class SwiftConfig:
    """Shape of a block-wise visual system.

    Parameters
    ----------
    kind
        ``"swift"``.
    orientations
        Of the filters at each of three frequencies; each has two phases.
    """

    kind: str = "swift"
    orientations: int = 4

    def __post_init__(self):
        if self.orientations < 2:
            raise ValueError(f"network: orientations must be at least 2, got {self.orientations}")

    @property
    def group(self) -> int:
        """Filters of a frequency."""
        return 2 * self.orientations

    @property
    def filters(self) -> int:
        """Filters of a level."""
        return len(FREQUENCIES) * self.group


class Level(NamedTuple):
    """What is seen of the difference between two images at one level."""

    found: Tensor
    """Contrast at the corners of its blocks, (N, K, h + 1, w + 1): of each group of filters, or of all together."""

    texture: Tensor
    """Mean of what both images share, of each group of filters, (N, 4, h + 1, w + 1)."""

    energy: Tensor
    """Root energy of its filters, (N, filters)."""


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
        found = F.interpolate(texture, scale_factor=2, mode="bilinear", align_corners=False)[..., 1:-1, 1:-1]
    return found[..., :height, :width]
