"""Which samples go into which batch, and into which part of it on which device: a function of (seed, epoch) alone."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vdp_distill.recipes import nearest
from vdp_distill.sets import read_manifest
from vdp_distill.training.recipe import Training

__all__ = ["Batches", "SetMaker", "open_sets", "origin_of"]

SetMaker = Callable[..., Mapping[str, Dataset]]
"""Called as ``maker(fields, training, device)``; gives the data sets ``"train"`` and ``"val"``."""

SPLITS = ("train", "val")


def open_sets(
    data: str | Path | Mapping[str, Dataset] | SetMaker, fields: tuple[str, ...], training: Training, device
) -> Mapping[str, Dataset]:
    """Data sets by split: from a folder of shards, as they are, or made for this training.

    Raises
    ------
    FileNotFoundError, ValueError
        For a folder without shards, a field that they lack, or a mapping without a split.
    """
    from vdp_distill.dataset import ShardDataset

    if callable(data):
        data = data(fields, training, device)
    if not isinstance(data, Mapping):
        return {split: ShardDataset(data, fields, split=split) for split in SPLITS}
    for split in SPLITS:
        if split not in data:
            raise ValueError(f"data must hold a set {split!r} to train and validate; {nearest(split, data)}")
        if not len(data[split]):
            raise ValueError(f"the data set {split!r} is empty")
    return data


def origin_of(dataset: Dataset) -> str:
    """Where samples come from, so that one can be made again: recipe and set; empty for a set that does not say."""
    if hasattr(dataset, "origin"):
        return dataset.origin
    try:
        manifest = read_manifest(dataset.folder)
        names = [recipe["name"] for recipe in manifest["recipes"]]
        pairs = zip(names, manifest["sets"], strict=True)
        return ", ".join(f"recipe {name!r} (set {digest[:12]})" for name, digest in pairs)
    except (AttributeError, KeyError, TypeError, ValueError, FileNotFoundError):
        return ""


class Batches:
    """The batches of a run, as one of its devices gets them.

    A batch is cut into ``accumulate`` x ``devices`` parts of equal size: in turn, each device takes one. A data set
    whose attribute ``in_order`` is true is read in its own order, others are shuffled anew in every epoch.
    """

    def __init__(self, sets: Mapping[str, Dataset], training: Training, fabric: Fabric):
        self.sets, self.training, self.fabric = sets, training, fabric
        self.total = len(sets["train"])
        pairs = min(training.images_per_batch // 2, self.total)
        self.pairs = pairs - pairs % training.parts
        if not self.pairs:
            raise ValueError(
                f"{self.total} training sample(s) cannot be shared by {training.parts} parts of a batch; make more, or "
                "lower accumulate or devices"
            )
        self.steps_per_epoch = self.total // self.pairs

    def from_step(self, step: int) -> Iterator[tuple[list[int], list[dict[str, Tensor]]]]:
        """From a step on to the last: the samples' numbers in the whole batch, and this device's parts of it."""
        while step < self.training.steps:
            epoch, done = divmod(step, self.steps_per_epoch)
            last = min(self.steps_per_epoch, done + self.training.steps - step)
            batches = [self._numbers(epoch, place) for place in range(done, last)]
            parts = iter(self.loader("train", [part for batch in batches for part in self.own_parts(batch)]))
            for batch in batches:
                yield batch, [next(parts) for _ in range(self.training.accumulate)]
            step += len(batches)

    def _numbers(self, epoch: int, place: int) -> list[int]:
        chosen = range(place * self.pairs, (place + 1) * self.pairs)
        if getattr(self.sets["train"], "in_order", False):
            return list(chosen)
        return self._order(epoch)[chosen.start : chosen.stop].tolist()

    def _order(self, epoch: int) -> Tensor:
        if getattr(self, "_shuffled", (None,))[0] != epoch:
            generator = torch.Generator().manual_seed(1_000_003 * self.training.seed + epoch)
            self._shuffled = epoch, torch.randperm(self.total, generator=generator)
        return self._shuffled[1]

    def own_parts(self, batch: list[int]) -> list[list[int]]:
        """This device's parts of a batch."""
        size, devices, rank = self.pairs // self.training.parts, self.training.devices, self.fabric.global_rank
        starts = range(rank * size, self.pairs, devices * size)
        return [batch[start : start + size] for start in starts]

    def validation(self) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """This device's share of the validation samples, with their numbers."""
        chosen = self.validation_numbers()
        size = max(1, self.training.images_per_batch // 2 // self.training.parts)
        numbers = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        own = numbers[self.fabric.global_rank :: self.training.devices]
        yield from zip(own, self.loader("val", own), strict=True)

    def validation_numbers(self) -> list[int]:
        """Numbers of all validation samples, spread over the split."""
        total = len(self.sets["val"])
        return torch.linspace(0, total - 1, min(total, self.training.validation_pairs)).round().long().tolist()

    def loader(self, split: str, batches: list[list[int]]) -> DataLoader:
        """Batches of given samples, on this device."""
        loader = DataLoader(self.sets[split], batch_sampler=batches, num_workers=self.training.loader_processes)
        return self.fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    def identity(self) -> list:
        """What a resumed run must find again: sizes and origins of the sets."""
        return [[len(self.sets[split]), origin_of(self.sets[split])] for split in SPLITS]
