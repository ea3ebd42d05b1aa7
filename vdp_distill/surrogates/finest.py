"""The finest level of a small cortex in blocks of pixels, from its filters to the filters back.

At full resolution most of the time would go into copies between planes and the blocks that convolutions run on
(:mod:`vdp_distill.polyphase`). So the bands stay in blocks of 4 x 4 pixels: (N, bands 16, h, w), channels last. The
arithmetic is that of :mod:`vdp_distill.surrogates.bands`, its derivative written out. This is for frozen filters; what
is trained or traced takes the planes' way.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.polyphase import convolve_blocks, correlate_blocks, planes_of
from vdp_distill.pyramid import BLOCK, to_blocks
from vdp_distill.tiles import TILE_ELEMENTS, gradients_of

__all__ = ["Blocks", "as_blocks", "compared", "every_second", "filtered", "fits", "image_of", "inner", "row_energy"]

SIDE = 9
"""Of the filters back: they reach over one block."""

CELLS = BLOCK**2

TINY = 1e-12
"""Keeps the derivative of a square root finite at 0."""


class Blocks(NamedTuple):
    """Planes in blocks."""

    cells: Tensor
    """(N, planes 16, h, w), or with a ring of mirrored blocks around, (N, planes 16, h + 2, w + 2)."""

    size: tuple[int, int]
    """Height and width of the planes."""


def fits(taps: Tensor, taps_back: Tensor) -> bool:
    """Whether a level with these filters can stay in blocks."""
    is_learnt = torch.is_grad_enabled() and (taps.requires_grad or taps_back.requires_grad)
    return taps_back.shape[-1] == SIDE and not is_learnt and not torch.compiler.is_compiling()


def filtered(image: Tensor, taps: list[Tensor], low_taps: Tensor) -> tuple[list[Blocks], Tensor]:
    """Groups of bands, (O, 1, 9, 9) each, of a plane, (N, 1, H, W), and what is left to the next level as a plane."""
    *bands, low = correlate_blocks(image, [*((own, 1) for own in taps), (low_taps, 2)])
    size = image.shape[-2:]
    return [Blocks(cells, size) for cells in bands], planes_of(low, size, 2)


def as_blocks(plane: Tensor) -> Tensor:
    """(N, O, H, W) -> (N, O 16, h, w), zeros beyond the plane."""
    return to_blocks(plane, *map(_whole, plane.shape[-2:]), 1)


def every_second(blocks: Blocks) -> Tensor:
    """Planes at every second pixel of each axis."""
    split = blocks.cells.unflatten(1, (-1, BLOCK, BLOCK))[:, :, ::2, ::2].flatten(1, 3)
    return planes_of(split, blocks.size, 2)


def inner(blocks: Blocks) -> Tensor:
    """Cells without the ring."""
    return blocks.cells[..., 1:-1, 1:-1]


def row_energy(cells: Tensor, changed: Tensor) -> Tensor:
    """:func:`vdp_distill.detection.row_energy` of every row of blocks, (N, O, h, 1); ``changed`` is (N, 16, h, w)."""
    return torch.linalg.vector_norm(cells.unflatten(1, (-1, CELLS)) * changed[:, None], dim=(2, 4))[..., None]


def image_of(parts: list[Blocks], taps: list[Tensor]) -> Tensor:
    """Sum of what filters, (1, O, k, k), make of ringed bands: (N, 1, H, W)."""
    total = sum(convolve_blocks(blocks.cells, own) for blocks, own in zip(parts, taps, strict=True))
    return planes_of(total, parts[0].size)


def compared(difference: Blocks, signal: Tensor, scale: Tensor, threshold: Tensor) -> Blocks:
    """Difference in units of its masked threshold, with a ring of mirrored blocks around.

    Parameters
    ----------
    difference
        O bands.
    signal
        What masks them, at every second pixel, (N, O, H / 2, W / 2).
    scale, threshold
        Of the masking signal, and the square of the threshold without it, in cells: (N, 16, h, w).
    """
    size, halves = difference.size, _halves(signal, difference.cells.shape[-2:])
    return Blocks(_Compared.apply(difference.cells, halves, scale, threshold, size), size)


def _whole(length: int) -> int:
    return -(-length // BLOCK)


def _halves(signal: Tensor, shape: tuple[int, int]) -> Tensor:
    """A plane at every second pixel in blocks, one more at the far edges, which it grows to fill."""
    rows, columns = (2 * (length + 1) - own for length, own in zip(shape, signal.shape[-2:], strict=True))
    grown = F.pad(signal, (0, columns, 0, rows), mode="replicate")
    return to_blocks(grown, shape[0] + 1, shape[1] + 1, 1, BLOCK // 2)


@lru_cache(maxsize=8)
def _between(planes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kernel from every second pixel to every pixel, bilinear: (planes 16, planes 4, 2, 2)."""
    with torch.inference_mode(False):
        line = torch.zeros(BLOCK, 2 * BLOCK // 2, dtype=dtype, device=device)
        for pixel in range(BLOCK):
            line[pixel, pixel // 2] += 0.5
            line[pixel, (pixel + 1) // 2] += 0.5
        line = line.view(BLOCK, 2, BLOCK // 2)  # pixel; block, place in it
        kernel = torch.einsum("ria,sjb->rsabij", line, line).reshape(CELLS, BLOCK, 2, 2)
        kernel = torch.einsum("op,chij->ocphij", torch.eye(planes, dtype=dtype, device=device), kernel)
        kernel = kernel.reshape(planes * CELLS, planes * BLOCK, 2, 2)
        return kernel.contiguous(memory_format=torch.channels_last)


def _at_pixels(halves: Tensor) -> Tensor:
    planes = halves.shape[1] // BLOCK
    return F.conv2d(halves, _between(planes, halves.dtype, halves.device))


def _over_planes(cells: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Bands apart from their cells, and cells of one plane to go with them."""
    return like.unflatten(1, (-1, CELLS)), cells[:, None]


def _plain(difference: Tensor, halves: Tensor, scale: Tensor, threshold: Tensor) -> Tensor:
    """What :class:`_Compared` finds, without the ring, as it reads."""
    signal, scale = _over_planes(scale, _at_pixels(halves))
    shrink = (threshold[:, None] + (signal * scale) ** 2).rsqrt().flatten(1, 2)
    return difference**3 * (difference.abs() + TINY).sqrt() * shrink


class _Compared(torch.autograd.Function):
    """A tile of rows at a time, and its derivative, which computes a tile again."""

    @staticmethod
    def forward(ctx, difference: Tensor, halves: Tensor, scale: Tensor, threshold: Tensor, size) -> Tensor:
        ctx.save_for_backward(difference, halves, scale, threshold)
        ctx.size = size
        batch, channels, rows, columns = difference.shape
        ringed = difference.new_empty(batch, rows + 2, columns + 2, channels).permute(0, 3, 1, 2)
        for tile in _tiles(difference):
            excited, root, _ = _excited(difference[:, :, tile])
            shrink, *_ = _shrink(halves, scale, threshold, tile)
            excited.mul_(root).unflatten(1, (-1, CELLS)).mul_(shrink)
            ringed[:, :, tile.start + 1 : tile.stop + 1, 1:-1] = excited
        for target, source in _mirrored(ringed, size):
            target.copy_(source)
        return ringed

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, needed = ctx.saved_tensors, ctx.needs_input_grad[:4]
        gradient = gradient.clone(memory_format=torch.channels_last)
        for target, source in reversed(_mirrored(gradient, ctx.size)):
            source.add_(target)
            target.zero_()
        gradient = gradient[..., 1:-1, 1:-1]
        if torch.is_grad_enabled():
            return *gradients_of(_plain, inputs, needed, (gradient,)), None
        found = [torch.zeros_like(x) for x in inputs]
        for tile in _tiles(inputs[0]):
            _flow_back(gradient[:, :, tile], inputs, tile, found)
        return *(own if is_needed else None for own, is_needed in zip(found, needed, strict=True)), None


def _tiles(cells: Tensor) -> list[slice]:
    rows = cells.shape[2]
    step = max(1, TILE_ELEMENTS * rows // cells.numel())
    return [slice(top, min(top + step, rows)) for top in range(0, rows, step)]


def _excited(difference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Its cube, the root and its magnitude."""
    magnitude = difference.abs()
    return difference.square().mul_(difference), (magnitude + TINY).sqrt_(), magnitude


def _shrink(halves: Tensor, scale: Tensor, threshold: Tensor, tile: slice) -> tuple[Tensor, Tensor, Tensor]:
    """One over the masked threshold, (N, O, 16, h, w); the masking signal before and after its scale."""
    signal = _at_pixels(halves[:, :, tile.start : tile.stop + 1]).unflatten(1, (-1, CELLS))
    masking = signal * scale[:, None, :, tile]
    return torch.addcmul(threshold[:, None, :, tile], masking, masking).rsqrt_(), signal, masking


def _flow_back(gradient: Tensor, inputs: tuple[Tensor, ...], tile: slice, found: list[Tensor]) -> None:
    difference, halves, scale, threshold = inputs
    cube, root, magnitude = _excited(difference[:, :, tile])
    shrink, signal, masking = _shrink(halves, scale, threshold, tile)
    gradient = gradient.unflatten(1, (-1, CELLS))
    cube, root, magnitude = (part.unflatten(1, (-1, CELLS)) for part in (cube, root, magnitude))
    square = difference[:, :, tile].square().unflatten(1, (-1, CELLS))
    passed = gradient * shrink
    slope = torch.addcdiv(3 * root, magnitude, root, value=0.5).mul_(square).mul_(passed)
    found[0][:, :, tile] = slope.flatten(1, 2)
    flow = cube.mul_(root).mul_(passed).mul_(shrink).mul_(shrink).neg_()
    found[3][:, :, tile] = flow.sum(dim=1).div_(2)
    flow.mul_(masking)
    # The flow at the masked signal is flow / 1, at what makes it: its partners.
    found[2][:, :, tile] = (flow * signal).sum(dim=1)
    at_signal = flow.mul_(scale[:, None, :, tile]).flatten(1, 2)
    kernel = _between(signal.shape[1], signal.dtype, signal.device)
    found[1][:, :, tile.start : tile.stop + 1] += F.conv_transpose2d(at_signal, kernel)


def _mirrored(ringed: Tensor, size: tuple[int, int]) -> list[tuple[Tensor, Tensor]]:
    """Rows and columns of pixels beyond an image, each with the one that it mirrors, to be copied in this order."""
    cells = ringed.permute(0, 2, 3, 1).unflatten(3, (-1, BLOCK, BLOCK))
    pairs = []
    for axis, length in enumerate(size):
        beyond = [*range(-BLOCK, 0), *range(length, BLOCK * (_whole(length) + 1))]
        for place in beyond:
            mirror = -place if place < 0 else 2 * (length - 1) - place
            pairs.append(tuple(_line(cells, axis, at) for at in (place, mirror)))
    return pairs


def _line(cells: Tensor, axis: int, place: int) -> Tensor:
    """A row or a column of pixels of ringed blocks, (N, h, w, O, 4, 4)."""
    block, within = divmod(place, BLOCK)
    return cells.select(axis + 1, block + 1).select(axis - 2 if axis == 0 else -1, within)
