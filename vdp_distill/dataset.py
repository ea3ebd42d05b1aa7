"""Read a folder of shards: samples for training. Checks and descriptions of whole sets are in ``sets``."""

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from vdp_distill import shards
from vdp_distill.sets import Report, describe, merge, read_manifest, verify
from vdp_distill.shard_reader import LIGHT, THREADS, ShardReader
from vdp_distill.targets import MAPS, complete, exact_metric

__all__ = ["ShardDataset", "Report", "read_manifest", "verify", "describe", "merge"]

FILES_OPEN = 256
"""Shards that one process keeps open."""

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

    A ``DataLoader`` reads a batch at once: every shard is opened once for it, and two threads share its samples.
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
        self._pool = self._metric = None
        self.fields = self._checked(fields)
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
        return {**self.__dict__, "_files": OrderedDict(), "_pool": None, "_metric": None}

    def __len__(self) -> int:
        return len(self._rows)

    def _shard(self, number: int) -> ShardReader:
        if self._process != os.getpid():  # a forked worker opens its own files, and its parent's threads are not there
            self._files, self._pool, self._process = OrderedDict(), None, os.getpid()
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        while len(self._files) >= FILES_OPEN:
            self._files.popitem(last=False)[1].file.close()
        self._files[number] = ShardReader(self.paths[number])
        return self._files[number]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Samples of some numbers, as :class:`torch.utils.data.DataLoader` asks for a batch of them.

        Raises
        ------
        IndexError
            For a number outside the set.
        ValueError
            If the bytes of a sample are damaged.
        """
        places: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            if not -len(self) <= index < len(self):
                raise IndexError(f"sample {index} of {len(self)}")
            places.setdefault(bisect_right(self._starts, index % len(self)) - 1, []).append(place)
        samples: list[dict[str, Tensor]] = [{} for _ in indices]
        for number, of_shard in places.items():
            rows = [int(self._rows[indices[place] % len(self)]) for place in of_shard]
            for place, sample in zip(of_shard, self._read(self._shard(number), rows), strict=True):
                samples[place] = sample
        return samples

    def _read(self, shard: ShardReader, rows: list[int]) -> list[dict[str, Tensor]]:
        """Some samples of a shard."""
        if self._pool is None and len(rows) > 1:
            self._pool = ThreadPoolExecutor(THREADS)
        pool = self._pool if len(rows) > 1 else None
        stored = [field for field in self.fields if field in shard or field in LIGHT]
        columns = {field: shard.read(field, rows, pool) for field in stored}
        samples = [{field: column[place] for field, column in columns.items()} for place in range(len(rows))]
        if len(stored) == len(self.fields):
            return samples
        whole = [sample | self._computed(shard, row) for sample, row in zip(samples, rows, strict=True)]
        return [{field: sample[field] for field in self.fields} for sample in whole]

    def _computed(self, shard: ShardReader, row: int) -> dict[str, Tensor]:
        """Targets that are not stored, from the inputs (sets made with ``store = "inputs"``)."""
        self._metric = self._metric or exact_metric()
        lights = [shard.read(field, [row])[0][None] for field in LIGHT]
        names = ("pixels_per_degree", "surround_cdm2", "emission")
        conditions = {name: shard.column(f"conditions/{name}")[row : row + 1] for name in names}
        stages = tuple(dict.fromkeys(field.split("/")[1] for field in self.fields if field.startswith("stages/")))
        maps = tuple(field for field in self.fields if field in MAPS)
        return {key: value[0] for key, value in complete(self._metric, *lights, conditions, stages, maps).items()}

    def text(self, field: str) -> list[str]:
        """A column of words of every sample: ``"samples/distortion"``, ``"conditions/colorspace"``, ..."""
        columns = [self._shard(number).column(field) for number in range(len(self.paths))]
        pieces = [
            column[self._rows[start:stop]]
            for column, start, stop in zip(columns, self._starts[:-1], self._starts[1:], strict=True)
        ]
        return [value.decode() for value in np.concatenate(pieces)]
