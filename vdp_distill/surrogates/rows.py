"""Images in rows of blocks: tiles are cut between rows, so that a tile holds whole blocks."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.pyramid import BLOCK, steps_of

__all__ = ["from_rows", "in_rows", "whole_blocks"]


def whole_blocks(image: Tensor, block: int = BLOCK) -> Tensor:
    """The image grown at its far edges to a whole number of blocks."""
    rows, columns = (block * steps_of(length, block) - length for length in image.shape[-2:])
    if not torch.compiler.is_compiling() and not (rows or columns):  # padding with nothing would copy all
        return image
    return F.pad(image, (0, columns, 0, rows), mode="replicate")


def in_rows(image: Tensor, block: int = BLOCK) -> Tensor:
    """(N, C, H, W) -> (N, C, h, block W): a row of blocks a row, for tiles. Traced, images stay as they are."""
    whole = whole_blocks(image, block)
    return whole if torch.compiler.is_compiling() else whole.unflatten(2, (-1, block)).flatten(3)


def from_rows(rows: Tensor, block: int = BLOCK) -> Tensor:
    """The image in whole blocks, from rows of them."""
    return rows if torch.compiler.is_compiling() else rows.unflatten(3, (block, -1)).flatten(2, 3)
