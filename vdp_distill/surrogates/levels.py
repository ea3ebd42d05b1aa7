"""Levels of the block-wise visual system: its shape, what is seen at one of them, and what masks from beside."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.surrogates.blocks import grown
from vdp_distill.surrogates.channels import LEVEL_OCTAVES
from vdp_distill.surrogates.lapped import FREQUENCIES
from vdp_distill.surrogates.sight import STEP

__all__ = ["COARSEST", "FINEST_SHARED", "Level", "SwiftConfig", "neighbours"]

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
    """Texture of the octaves before and after a level, at its places, (N, 2, h, w); none for the only level.

    Parameters
    ----------
    finer, coarser
        The level before, and the texture of the one after, where there is one.
    """
    if not (finer or coarser):
        return []
    size, nothing = like.shape[-2:], torch.zeros_like(like)
    before = [F.adaptive_avg_pool2d(level.texture[:, COARSEST : COARSEST + 1], tuple(size)) for level in finer]
    after = [grown(texture[:, FINEST_SHARED : FINEST_SHARED + 1], STEP, *size) for texture in coarser]
    return [torch.cat([*(before or [nothing]), *(after or [nothing])], dim=1)]
