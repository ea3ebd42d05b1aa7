"""What says how many people tell an encoded picture from its original: a metric or model, and a criterion.

A large picture is judged in tiles, each with a margin around it, so that memory does not grow with it; and, while a
quality is searched for, on the few tiles that show most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vdp_distill import zoo
from vdp_distill.criterion import PEOPLE, STRICT, Criterion, contrast_of, criterion_names, load_criterion
from vdp_distill.metric import HDRVDP2

__all__ = ["Judge", "Tile", "judging", "tiles_of"]

WHOLE_PIXELS = 2_100_000
"""Pictures up to this size (1080p) are judged in one piece."""

TILE_PIXELS = 512
MARGIN_PIXELS = 64
SAMPLED_SHARE = 0.12
"""Share of a large picture's tiles that a search looks at."""


@dataclass(frozen=True)
class Tile:
    """A part of a picture: what is computed, with its margin, and what of it counts; rows, then columns."""

    box: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def pixels(self) -> int:
        """Pixels that count."""
        return math.prod(side.stop - side.start for side in self.core)


def tiles_of(height: int, width: int) -> list[Tile]:
    """Tiles of equal size whose cores cover a picture once; the whole picture where it is small.

    Examples
    --------
    >>> len(tiles_of(1080, 1920)), len(tiles_of(3000, 4000))
    (1, 48)
    """
    if height * width <= WHOLE_PIXELS:
        whole = (slice(0, height), slice(0, width))
        return [Tile(whole, whole)]
    return [Tile((rows[0], columns[0]), (rows[1], columns[1])) for rows in _cut(height) for columns in _cut(width)]


def _cut(length: int) -> list[tuple[slice, slice]]:
    """Boxes of one length along an axis, and the part of each that counts, counted from the box's start."""
    edges = np.linspace(0, length, -(-length // TILE_PIXELS) + 1).round().astype(int).tolist()
    size = min(length, max(np.diff(edges)) + 2 * MARGIN_PIXELS)
    starts = [min(max(0, edge - MARGIN_PIXELS), length - size) for edge in edges[:-1]]
    cores = zip(starts, edges[:-1], edges[1:], strict=True)
    return [(slice(start, int(start + size)), slice(low - start, high - start)) for start, low, high in cores]


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
        The original, (H, W, 3) in 0..1.
    device
        Where it is computed.
    """

    def __init__(self, metric, criterion: Criterion, pixels_per_degree: float, codes: np.ndarray, device: str = "cpu"):
        self.metric, self.criterion, self.pixels_per_degree = metric, criterion, pixels_per_degree
        self.codes, self.device = codes, device
        self.tiles = tiles_of(*codes.shape[:2])

    def energies(self, shown: np.ndarray, tiles: Sequence[Tile] | None = None) -> np.ndarray:
        """What the criterion pools, of every tile."""
        found = [self._energy(shown, tile) for tile in (self.tiles if tiles is None else tiles)]
        return np.array(found)

    def _energy(self, shown: np.ndarray, tile: Tile) -> float:
        test, reference = (self._tensor(codes[tile.box]) for codes in (shown, self.codes))
        if torch.equal(test, reference):
            return 0.0
        with torch.no_grad():
            contrast = contrast_of(self.metric(test, reference))[:, :, tile.core[0], tile.core[1]]
            pixels = self.codes.shape[0] * self.codes.shape[1]
            return float(self.criterion.energy(contrast, self.pixels_per_degree, pixels))

    def _tensor(self, codes: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(codes.transpose(2, 0, 1)))[None].to(self.device)

    def visibility(self, energies: np.ndarray, tiles: Sequence[Tile] | None = None) -> float:
        """V of the picture, or of some of its tiles."""
        weights = [tile.pixels for tile in (self.tiles if tiles is None else tiles)]
        return float(self.criterion.visibility(torch.tensor(np.average(energies, weights=weights))))

    def probability(self, visibility: float) -> float:
        """Share of people who see a difference."""
        return float(self.criterion.probability(torch.tensor(visibility, dtype=torch.float64), self.pixels_per_degree))

    def most_visible(self, energies: np.ndarray) -> list[Tile]:
        """The tiles that hold most of the energy."""
        count = max(1, math.ceil(SAMPLED_SHARE * len(self.tiles)))
        chosen = np.argsort(energies * [tile.pixels for tile in self.tiles])[::-1][:count]
        return [self.tiles[index] for index in sorted(chosen)]


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
    is_criterion = str(model) in criterion_names()
    own = model if is_criterion else STRICT.name if model == "exact" else PEOPLE
    if not isinstance(criterion, Criterion):
        criterion = load_criterion(own if criterion is None else criterion)
    if is_criterion or model == "exact":
        return HDRVDP2(**settings).to(device), criterion
    return zoo.load(model, device, **settings), criterion
