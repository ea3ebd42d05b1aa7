"""Pixelwise work on large images, a tile at a time, so that intermediate values stay in the processor's cache.

A chain of twenty elementwise operations on a 1080p band reads and writes memory twenty times; on a tile it does so
once. Under autograd a tile is computed again in the backward pass, so that memory does not grow with the chain either.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["TILE_ELEMENTS", "look_up", "in_tiles"]

TILE_ELEMENTS = 1 << 18
"""Elements of the largest input a tile: about a megabyte in float32."""


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """Values of a table at flat indices of any shape; three times as fast as ``take`` on the processor."""
    return table.flatten().index_select(0, index.flatten()).view(index.shape)


def in_tiles(function: Callable[..., Tensor | tuple[Tensor, ...]], *inputs: Tensor, halo: int = 0):
    """Apply a function that works pixel by pixel to tensors of one height, tile by tile.

    Parameters
    ----------
    function
        Takes the inputs, gives a tensor or a tuple of tensors of the same batch and height. A batch of 1 among the
        inputs is lent to every tile; so is a height of 1.
    *inputs
        (N, C, H, W) each.
    halo
        Rows above and below that the function looks at.

    Returns
    -------
    Tensor or tuple of Tensor
        What ``function(*inputs)`` returns.
    """
    if torch.compiler.is_compiling():
        return function(*inputs)
    batch, height = max(len(x) for x in inputs), max(x.shape[2] for x in inputs)
    elements = max(x.numel() for x in inputs) // batch
    if elements * batch <= 2 * TILE_ELEMENTS:
        return function(*inputs)
    images = max(1, TILE_ELEMENTS // elements)
    rows = height if images > 1 else max(16, height * TILE_ELEMENTS // elements)
    columns = zip(*(_cut(x, batch, height, images, rows, halo) for x in inputs), strict=True)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _joined(function, columns, halo)
    return _filled(function, columns, (batch, height), halo)


def _cut(x: Tensor, batch: int, height: int, images: int, rows: int, halo: int) -> list[list[tuple[Tensor, int]]]:
    """Parts of an input by images, then by rows, each with the number of rows that are halo above it.

    One split an axis, for the gradient of a split is one concatenation; that of a slice is a whole tensor of zeros.
    """
    groups = x.split(images) if len(x) > 1 else [x] * -(-batch // images)
    if x.shape[2] == 1:
        return [[(group, 0)] * -(-height // rows) for group in groups]
    return [_with_halo(group.split(rows, dim=2), halo) for group in groups]


def _with_halo(parts: tuple[Tensor, ...], halo: int) -> list[tuple[Tensor, int]]:
    if halo == 0 or len(parts) == 1:
        return [(part, 0) for part in parts]
    above = [[], *([part[:, :, -halo:]] for part in parts[:-1])]
    below = [*([part[:, :, :halo]] for part in parts[1:]), []]
    cut = zip(above, parts, below, strict=True)
    return [(torch.cat([*over, part, *under], dim=2), halo * len(over)) for over, part, under in cut]


def _tile(function, parts: list[tuple[Tensor, int]], rows: int):
    """The function on one tile, without the rows of the halo."""
    results = function(*(part for part, _ in parts))
    top = max(above for _, above in parts)
    return tuple(x[:, :, top : top + rows] for x in (results if isinstance(results, tuple) else (results,)))


def _rows(parts: list[tuple[Tensor, int]], is_last: bool, halo: int) -> int:
    """Rows of a tile that are its own."""
    height, above = max((part.shape[2], above) for part, above in parts)
    return height - above - (0 if is_last else halo)


def _filled(function, columns, size: tuple[int, int], halo: int):
    """Tiles written into their place."""
    outputs, first = None, 0
    for column in columns:
        tiles, top = list(zip(*column, strict=True)), 0
        for number, parts in enumerate(tiles):
            results = _tile(function, parts, _rows(parts, number + 1 == len(tiles), halo))
            if outputs is None:
                outputs = tuple(x.new_empty(size[0], x.shape[1], size[1], x.shape[3]) for x in results)
            last, bottom = first + results[0].shape[0], top + results[0].shape[2]
            for output, result in zip(outputs, results, strict=True):
                output[first:last, :, top:bottom] = result
            top = bottom
        first = last
    return outputs[0] if len(outputs) == 1 else outputs


def _joined(function, columns, halo: int):
    """Tiles with a gradient: each is computed again when it flows back."""
    images = []
    for column in columns:
        tiles = list(zip(*column, strict=True))
        sizes = [_rows(parts, number + 1 == len(tiles), halo) for number, parts in enumerate(tiles)]
        results = [
            checkpoint(_tile, function, parts, rows, use_reentrant=False, preserve_rng_state=False)
            for parts, rows in zip(tiles, sizes, strict=True)
        ]
        images.append([torch.cat(parts, dim=2) for parts in zip(*results, strict=True)])
    outputs = tuple(torch.cat(parts) for parts in zip(*images, strict=True))
    return outputs[0] if len(outputs) == 1 else outputs
