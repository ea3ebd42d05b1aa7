"""What says how many people tell an encoded picture from its original: a metric or model, and a criterion.

A large picture is judged in tiles, each with a margin around it, so that memory does not grow with it, and tiles side
by side in threads. While a quality is searched for, only the few smaller cells are watched that show most.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vdp_distill import checks, zoo
from vdp_distill.criterion import PEOPLE, STRICT, Criterion, contrast_of, criterion_names, load_criterion
from vdp_distill.jnd.shown import Shown
from vdp_distill.metric import HDRVDP2
from vdp_distill.small_metric import Remembered

__all__ = ["Judge", "Tile", "judging", "tiles_of"]

WHOLE_PIXELS = 2_100_000
"""Pictures up to this size (1080p) are judged in one piece."""

TILE_PIXELS = 1536
CELL_PIXELS = 512
MARGIN_PIXELS = 64
CELL_MARGIN_PIXELS = 32
"""Of a cell, which stands for the whole picture by the ratio of the two alone."""

EVEN_PIXELS = 32
"""Sides of tiles are multiples of this where the picture allows it: Fourier transforms of other lengths cost more."""

CELLS_AT_ONCE = 2
"""Cells that are looked at in one batch: each step's own cost is then shared by them."""

WATCHED_SHARE = 0.08
"""Share of a large picture's cells that a search looks at."""

REMEMBERED_PIXELS = 40_000_000
"""Pictures up to this size are remembered by a metric that can: fourteen bytes a pixel."""

MOST_THREADS = 4
"""Tiles that are judged at a time, at most: each takes memory. Where there are more cores, a tile has several."""


@dataclass(frozen=True)
class Tile:
    """A part of a picture: what is computed, with its margin, and what of it counts; rows, then columns."""

    box: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def pixels(self) -> int:
        """Pixels that count."""
        return math.prod(side.stop - side.start for side in self.core)

    @property
    def place(self) -> tuple[slice, slice]:
        """Where in the picture that lies which counts."""
        sides = zip(self.box, self.core, strict=True)
        return tuple(slice(box.start + core.start, box.start + core.stop) for box, core in sides)


def tiles_of(height: int, width: int, side: int = TILE_PIXELS, margin: int = MARGIN_PIXELS) -> list[Tile]:
    """Tiles of equal size whose cores cover a picture once; the whole picture where it is small.

    Examples
    --------
    >>> len(tiles_of(1080, 1920)), len(tiles_of(3000, 4000)), len(tiles_of(3000, 4000, side=512))
    (1, 6, 48)
    """
    if height * width <= WHOLE_PIXELS:
        whole = (slice(0, height), slice(0, width))
        return [Tile(whole, whole)]
    cuts = _cut(height, side, margin), _cut(width, side, margin)
    return [Tile((rows[0], columns[0]), (rows[1], columns[1])) for rows in cuts[0] for columns in cuts[1]]


def _cut(length: int, side: int, margin: int) -> list[tuple[slice, slice]]:
    """Boxes of one length along an axis, and the part of each that counts, counted from the box's start."""
    edges = np.linspace(0, length, -(-length // side) + 1).round().astype(int)
    # No box needs a margin beyond the picture.
    reach = np.minimum(edges[1:] + margin, length) - np.maximum(edges[:-1] - margin, 0)
    size = min(length, -(-int(reach.max()) // EVEN_PIXELS) * EVEN_PIXELS)
    starts = np.clip(edges[:-1] - margin, 0, length - size).tolist()
    cores = zip(starts, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return [(slice(start, start + size), slice(low - start, high - start)) for start, low, high in cores]


class Judge:
    """Judges encoded copies of one picture.

    Parameters
    ----------
    metric
        Called like :class:`vdp_distill.HDRVDP2`, with its settings at construction.
    criterion
        From contrast to the share of people.
    pixels_per_degree
        That the picture is seen at.
    codes
        The original, (H, W, 3): uint8, or float32 in 0..1.
    device
        Where it is computed.
    """

    def __init__(self, metric, criterion: Criterion, pixels_per_degree: float, codes: np.ndarray, device: str = "cpu"):
        self.metric, self.criterion, self.pixels_per_degree = metric, criterion, pixels_per_degree
        self.codes, self.device = codes, torch.device(device)
        self.remembered: dict[str, Remembered] = {}
        self.tiles = tiles_of(*codes.shape[:2], TILE_PIXELS, MARGIN_PIXELS)
        self.cells = tiles_of(*codes.shape[:2], CELL_PIXELS, CELL_MARGIN_PIXELS)

    def contrast(self, shown: np.ndarray | Shown) -> Tensor:
        """What is seen of the difference at every pixel, (1, 1, H, W).

        Parameters
        ----------
        shown
            The copy, (H, W, 3) of uint8.
        """
        found = torch.empty(1, 1, *shown.shape[:2])

        def look(tile: Tile) -> None:
            found[:, :, *tile.place] = self._seen(shown, [tile])[0]

        self._side_by_side(look, self.tiles)
        return found

    def visibility(self, contrast: Tensor) -> float:
        """V of the whole picture from its :meth:`contrast`."""
        return self._pooled([self._energy(contrast)], [1])

    def most_visible(self, contrast: Tensor) -> list[Tile]:
        """The cells that hold most of what is seen."""
        energies = [self._energy(contrast[:, :, *cell.place]) * cell.pixels for cell in self.cells]
        count = max(1, math.ceil(WATCHED_SHARE * len(self.cells)))
        return [self.cells[index] for index in sorted(np.argsort(energies)[::-1][:count])]

    def visibility_in(self, shown: np.ndarray | Shown, cells: Sequence[Tile]) -> float:
        """V of some cells, as if the picture held no others."""
        groups = [cells[start : start + CELLS_AT_ONCE] for start in range(0, len(cells), CELLS_AT_ONCE)]
        seen = (one for group in self._side_by_side(lambda group: self._seen(shown, group), groups) for one in group)
        return self._pooled([self._energy(contrast) for contrast in seen], [cell.pixels for cell in cells])

    def probability(self, visibility: float) -> float:
        """Share of people who see a difference."""
        return float(self.criterion.probability(torch.tensor(visibility, dtype=torch.float64), self.pixels_per_degree))

    def _seen(self, shown: np.ndarray | Shown, tiles: Sequence[Tile]) -> list[Tensor]:
        """Contrast of tiles of one size, looked at together."""
        copies = [shown[tile.box] for tile in tiles]
        if all(np.array_equal(copy, self.codes[tile.box]) for copy, tile in zip(copies, tiles, strict=True)):
            contrast = torch.zeros(len(tiles), 1, *copies[0].shape[:2])
        else:
            with torch.no_grad():  # here, for threads do not inherit it
                contrast = contrast_of(self.metric(self._tensor(copies), self._reference(tiles))).cpu()
        return [found[None, :, *tile.core] for found, tile in zip(contrast, tiles, strict=True)]

    def _reference(self, tiles: Sequence[Tile]) -> Tensor | Remembered:
        """The original's tiles, or, where the metric can keep it and memory allows, what they are to the eye."""
        boxes = [tile.box for tile in tiles]
        if not hasattr(self.metric, "remember") or math.prod(self.codes.shape[:2]) > REMEMBERED_PIXELS:
            return self._tensor([self.codes[box] for box in boxes])
        place = str(boxes)
        if place not in self.remembered:
            self.remembered[place] = self.metric.remember(self._tensor([self.codes[box] for box in boxes]))
        return self.remembered[place]

    def _tensor(self, codes: Sequence[np.ndarray]) -> Tensor:
        planes = [torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1))) for part in codes]
        stacked = torch.stack(planes).to(self.device)
        return stacked if stacked.is_floating_point() else stacked.float().div_(255)

    def _energy(self, contrast: Tensor) -> float:
        return float(self.criterion.energy(contrast, self.pixels_per_degree, math.prod(self.codes.shape[:2])))

    def _pooled(self, energies: Sequence[float], pixels: Sequence[int]) -> float:
        return float(self.criterion.visibility(torch.tensor(np.average(energies, weights=pixels))))

    def _side_by_side(self, work: Callable, tiles: Sequence) -> list:
        """Tiles in threads with cores of their own: threads that share every step of a tile wait at each."""
        before = torch.get_num_threads()
        threads = min(before, MOST_THREADS)
        if len(tiles) == 1 or threads == 1 or self.device.type != "cpu":
            return [work(tile) for tile in tiles]
        torch.set_num_threads(before // threads)
        try:
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(work, tiles))
        finally:
            torch.set_num_threads(before)


def judging(
    model: str | Path = PEOPLE, criterion: str | Path | Criterion | None = None, device: str = "cpu", **settings
) -> tuple[HDRVDP2, Criterion]:
    """The metric and the criterion that a model's name stands for.

    Parameters
    ----------
    model
        A released criterion (over the exact metric), ``"exact"`` (P_det itself), or a surrogate (under the released
        criterion).
    criterion
        Another one than the model's own: a name, a file, or a :class:`Criterion`.
    **settings
        As for :func:`vdp_distill.hdrvdp2`.
    """
    device, is_criterion = checks.as_device(device), str(model) in criterion_names()
    own = model if is_criterion else STRICT.name if model == "exact" else PEOPLE
    if not isinstance(criterion, Criterion):
        criterion = load_criterion(own if criterion is None else criterion)
    if is_criterion or model == "exact":
        return HDRVDP2(**settings).to(device), criterion
    return zoo.load(model, device, **settings), criterion
