"""Read a folder of shards: samples for training. Checks and descriptions of whole sets are in ``sets``."""

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vdp_distill import shards
from vdp_distill.pipeline import Retina
from vdp_distill.sets import Report, describe, merge, read_manifest, verify
from vdp_distill.shard_reader import LIGHT, ShardReader
from vdp_distill.targets import MAPS, NUMBERS, complete, early_stages, exact_metric

__all__ = ["ShardDataset", "Report", "read_manifest", "verify", "describe", "merge"]

FILES_OPEN = 512
"""Shards that one process keeps open: half a million samples of them, and under most systems' limit of 1024 files."""

HIDDEN = ("scaling", "audit", "header", "inputs")


class ShardDataset(Dataset):
    """Samples of a folder of shards, by number or some at once; opens files when it needs them, never reads one whole.

    Parameters
    ----------
    folder
        What ``vdp-distill generate`` wrote.
    fields
        Which fields a sample has, by their path in a shard (``"stages/achromatic/test"``, ``"P_map"``,
        ``"conditions/pixels_per_degree"``, ``"inputs/test"``), or ``"light/test"`` and ``"light/reference"``: the
        light in cd/m2 that the stored code values give on the sample's display. None: light, and every stage, map,
        number and numeric condition.
    split
        ``"train"``, ``"val"`` or ``"test"``; None for all.

    Raises
    ------
    FileNotFoundError
        If the folder holds no shard.
    ValueError
        For an unknown field or split, or a file that is no shard.

    Notes
    -----
    A sample is a dict of float32 tensors without batch axis; ``samples/index`` is int64. Copies for worker processes
    open their own files.

    A ``DataLoader`` reads a batch at once, and every shard is opened once for it. Its own collation copies the batch;
    ``DataLoader(data, sampler=BatchSampler(order, 64, drop_last=True), batch_size=None)`` takes it as it is read.
    """

    def __init__(self, folder: str | Path, fields: Sequence[str] | None = None, *, split: str | None = None):
        self.folder = Path(folder)
        self.paths = shards.shard_paths(self.folder)
        if not self.paths:
            raise FileNotFoundError(
                f"no shards in {self.folder}; vdp-distill generate tiny --out {self.folder} makes some"
            )
        if split not in (None, "train", "val", "test"):
            raise ValueError(f"split must be train, val, test or None, got {split!r}")
        self._files: OrderedDict[int, ShardReader] = OrderedDict()
        self._process = os.getpid()
        self._metric = None
        self.fields = self._checked(fields)
        self._stored = tuple(field for field in self.fields if field in LIGHT or field in self._shard(0))
        self._find_samples(split)

    def _find_samples(self, split: str | None) -> None:
        chosen = []
        for path in self.paths:
            with shards.open_shard(path) as file:
                splits = file["samples/split"][:]
            chosen.append(np.flatnonzero(splits == split.encode()) if split else np.arange(len(splits)))
        self._rows = np.concatenate(chosen)
        self._starts = np.cumsum([0, *map(len, chosen)])
        if not len(self._rows):
            raise ValueError(
                f"{self.folder} has no sample of the split {split!r}; make more samples, or use more images"
            )

    def _checked(self, fields) -> tuple[str, ...]:
        shard = self._shard(0)
        stored = [path for path in shard.paths if path.split("/")[0] not in HIDDEN and not shard.is_text(path)]
        if fields is None:
            return (*LIGHT, *(path for path in stored if not path.startswith("samples/") or path == "samples/index"))
        fields_stored = [path for path in shard.paths if not path.startswith("header/")]
        words = [path for path in fields_stored if shard.is_text(path)]
        known = {*LIGHT, *fields_stored, *shard.computable()}
        for field in fields:
            if field in words:
                raise ValueError(
                    f"{self.folder} holds words in {field!r}, not numbers; read them with .text({field!r})"
                )
            if field not in known:
                near = get_close_matches(field, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join((*LIGHT, *stored))}"
                raise ValueError(f"{self.folder} has no field {field!r}; {hint}")
        return tuple(fields)

    def __getstate__(self):
        return {**self.__dict__, "_files": OrderedDict(), "_metric": None}

    def __len__(self) -> int:
        return len(self._rows)

    def _shard(self, number: int) -> ShardReader:
        if self._process != os.getpid():  # a forked worker opens its own files
            self._files, self._process = OrderedDict(), os.getpid()
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        while len(self._files) >= FILES_OPEN:
            self._files.popitem(last=False)[1].file.close()
        self._files[number] = ShardReader(self.paths[number])
        return self._files[number]

    def __getitem__(self, index: int | Sequence[int]) -> dict[str, Tensor]:
        return self.batch(index) if isinstance(index, Sequence) else self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Samples of some numbers, as a ``DataLoader`` asks for them; they share a batch's memory."""
        if not len(indices):
            return []
        columns = [column.unbind() for column in self.batch(indices).values()]
        return [dict(zip(self.fields, values, strict=True)) for values in zip(*columns, strict=True)]

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Some samples together; ``data[[3, 1]]`` is the same.

        Parameters
        ----------
        indices
            Their numbers, at least one, in any order.

        Returns
        -------
        dict of Tensor
            (N, ...) each.

        Raises
        ------
        IndexError
            For a number outside the set.
        ValueError
            If the bytes of a sample are damaged.
        """
        places = self._places(indices)
        first = self._shard(next(iter(places)))
        batch = {field: first.empty(field, len(indices)) for field in self._stored}
        computed: list[dict[str, Tensor]] = [{} for _ in indices]
        for number, of_shard in places.items():
            shard, rows = self._shard(number), [int(self._rows[indices[place] % len(self)]) for place in of_shard]
            for field, column in batch.items():
                shard.read(field, rows, [column[place] for place in of_shard])
            if len(batch) < len(self.fields):
                for place, row in zip(of_shard, rows, strict=True):
                    computed[place] = self._computed(shard, row)
        missing = [field for field in self.fields if field not in batch]
        batch |= {field: torch.stack([sample[field] for sample in computed]) for field in missing}
        return {field: batch[field] for field in self.fields}

    def _places(self, indices: Sequence[int]) -> dict[int, list[int]]:
        """Which places of a batch each shard fills."""
        if not len(indices):
            raise ValueError("a batch needs the number of at least one sample, got none")
        places: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            if not -len(self) <= index < len(self):
                raise IndexError(f"sample {index} of {len(self)}")
            places.setdefault(bisect_right(self._starts, index % len(self)) - 1, []).append(place)
        return places

    def _computed(self, shard: ShardReader, row: int) -> dict[str, Tensor]:
        """Targets that are not stored, from the inputs (sets made with ``store = "inputs"``)."""
        self._metric = self._metric or exact_metric()
        lights = [shard.empty(field, 1) for field in LIGHT]
        for field, light in zip(LIGHT, lights, strict=True):
            shard.read(field, [row], light)
        names = ("pixels_per_degree", "surround_cdm2", "emission")
        conditions = {name: shard.column(f"conditions/{name}")[row : row + 1] for name in names}
        stages = tuple(dict.fromkeys(field.split("/")[1] for field in self.fields if field.startswith("stages/")))
        maps = tuple(field for field in self.fields if field in MAPS)
        if set(stages) <= set(Retina._fields) and not {*MAPS, *NUMBERS} & set(self.fields):
            fields = early_stages(self._metric, *lights, conditions, stages)
        else:
            fields = complete(self._metric, *lights, conditions, stages, maps)
        return {key: value[0] for key, value in fields.items()}

    def made_by(self, number: int) -> str:
        """Recipe and set of a sample in words: in a merged folder ``samples/index`` is of its own set alone."""
        (place,) = self._places([number])
        digest = shards.read_header(self._shard(place).file)["set"]
        manifest = read_manifest(self.folder)
        names = dict(zip(manifest["sets"], (recipe["name"] for recipe in manifest["recipes"]), strict=True))
        return f"recipe {names[digest]!r} (set {digest[:12]})"

    def text(self, field: str) -> list[str]:
        """A column of words of every sample: ``"samples/distortion"``, ``"conditions/colorspace"``, ..."""
        columns = [self._shard(number).column(field) for number in range(len(self.paths))]
        pieces = [
            column[self._rows[start:stop]]
            for column, start, stop in zip(columns, self._starts[:-1], self._starts[1:], strict=True)
        ]
        return [value.decode() for value in np.concatenate(pieces)]
