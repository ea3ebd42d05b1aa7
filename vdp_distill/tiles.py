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
    tiles = [(n, top) for n in range(0, batch, images) for top in range(0, height, rows)]
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _joined(function, inputs, tiles, (images, rows), halo)
    return _filled(function, inputs, tiles, (images, rows), halo)


def _tile(function, inputs, start, extent, halo):
    """The function on one tile, without the halo's rows."""
    height = max(x.shape[2] for x in inputs)
    first, last = max(0, start[1] - halo), min(height, start[1] + extent[1] + halo)
    parts = [_part(x, slice(start[0], start[0] + extent[0]), slice(first, last)) for x in inputs]
    results = function(*parts)
    kept = slice(start[1] - first, min(height, start[1] + extent[1]) - first)
    return tuple(x[:, :, kept] for x in (results if isinstance(results, tuple) else (results,)))


def _part(x: Tensor, images: slice, rows: slice) -> Tensor:
    x = x if len(x) == 1 else x[images]
    return x if x.shape[2] == 1 else x[:, :, rows]


def _filled(function, inputs, tiles, extent, halo):
    """Tiles written into their place."""
    batch, height = max(len(x) for x in inputs), max(x.shape[2] for x in inputs)
    outputs = None
    for n, top in tiles:
        results = _tile(function, inputs, (n, top), extent, halo)
        if outputs is None:
            outputs = tuple(x.new_empty(batch, x.shape[1], height, x.shape[3]) for x in results)
        for output, result in zip(outputs, results, strict=True):
            output[n : n + extent[0], :, top : top + extent[1]] = result
    return outputs[0] if len(outputs) == 1 else outputs


def _joined(function, inputs, tiles, extent, halo):
    """Tiles with a gradient: each is computed again when it flows back."""
    rows: dict[int, list] = {}
    for n, top in tiles:
        tile = checkpoint(
            _tile, function, inputs, (n, top), extent, halo, use_reentrant=False, preserve_rng_state=False
        )
        rows.setdefault(n, []).append(tile)
    images = [[torch.cat(parts, dim=2) for parts in zip(*tiles, strict=True)] for tiles in rows.values()]
    outputs = tuple(torch.cat(parts) for parts in zip(*images, strict=True))
    return outputs[0] if len(outputs) == 1 else outputs
