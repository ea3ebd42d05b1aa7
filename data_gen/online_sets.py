"""Data sets of a recipe for training without a file: samples by number, made when they are asked for."""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from data_gen.online import OnlineDataset
from data_gen.reading import load_recipe
from data_gen.recipe import Recipe
from data_gen.sampling import Sampler

__all__ = ["OnlineSamples", "OnlineSets"]

ENDLESS = 2**40
"""Samples of a training set: more than are ever asked for."""

VALIDATION_START = 2**32
"""Number of the first validation sample, so that made scenes are never those of training."""

BLOCKS_KEPT = 2


class OnlineSamples(Dataset):
    """Samples of a recipe by number, from the photographs of one split, as :class:`vdp_distill.dataset.ShardDataset`
    has them.

    Blocks are computed whole and the last few kept, so reading in order computes each once.

    Parameters
    ----------
    recipe, images, device
        As for :class:`data_gen.online.OnlineDataset`.
    fields
        Which fields a sample has.
    split
        ``"train"``, ``"val"`` or ``"test"``: photographs of the other splits are left out. Made scenes belong to a
        split by the samples' numbers.
    first, count
        Numbers of the samples.
    keep
        How many blocks stay in memory.

    Raises
    ------
    ValueError
        If no photograph is of that split, or, at the first sample, for a field that the recipe does not make.
    """

    in_order = True

    def __init__(self, recipe, images=None, *, fields, split="train", first=0, count=ENDLESS, keep=BLOCKS_KEPT, device):
        self.online = OnlineDataset(recipe, images, device=device)
        self.recipe: Recipe = self.online.recipe
        self.fields, self.split, self.first, self.count, self.keep = tuple(fields), split, first, count, keep
        sources = self.online.sampler.album.sources
        own = [source for source in sources if source.split == split]
        if sources and not own:
            raise ValueError(f"none of the {len(sources)} photographs is of the split {split!r}; use more photographs")
        self.online.sampler = Sampler(self.recipe, self.online.sampler.album.folder, own)
        self._blocks: OrderedDict[int, dict[str, Tensor]] = OrderedDict()

    @property
    def origin(self) -> str:
        """The recipe, by name and hash, and the split: with a sample's index, all that is needed to make it again."""
        return f"recipe {self.recipe.name!r} ({self.recipe.hash()[:12]}), online, split {self.split!r}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if not 0 <= number < self.count:
            raise IndexError(f"sample {number} of {self.count}")
        block, row = divmod(self.first + number, self.recipe.samples_per_block)
        fields = self._block(block)
        return {name: fields[name][row] for name in self.fields}

    def _block(self, number: int) -> dict[str, Tensor]:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        made = self.online.block(number)
        missing = [name for name in self.fields if name not in made]
        if missing:
            raise ValueError(
                f"recipe {self.recipe.name!r} makes no {', '.join(missing)}; name them in its [targets], with store = "
                '"all"'
            )
        self._blocks[number] = {name: _as_trained(made[name]) for name in self.fields}
        while len(self._blocks) > self.keep:
            self._blocks.popitem(last=False)
        return self._blocks[number]


def _as_trained(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.float64 else values


class OnlineSets:
    """What :func:`vdp_distill.distill.train` takes in place of a folder: sets for the task that it trains.

    Validation samples are computed once and stay in memory.

    Parameters
    ----------
    recipe
        Path, bare name or :class:`Recipe`.
    images
        Folder of photographs; None for those bundled with scikit-image.
    """

    def __init__(self, recipe: str | Path | Recipe, images: str | Path | None = None):
        self.recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
        self.images = images

    def __call__(self, fields, training, device) -> dict[str, OnlineSamples]:
        options = {"fields": fields, "device": device}
        count = training.validation_pairs
        blocks = -(-count // self.recipe.samples_per_block) + 1
        return {
            "train": OnlineSamples(self.recipe, self.images, split="train", **options),
            "val": OnlineSamples(
                self.recipe, self.images, split="val", first=VALIDATION_START, count=count, keep=blocks, **options
            ),
        }
