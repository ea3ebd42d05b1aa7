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
from vdp_distill.chunks import Rows
from vdp_distill.packing import unpack
from vdp_distill.pipeline import STAGES
from vdp_distill.sets import Report, describe, merge, read_manifest, verify
from vdp_distill.targets import IMAGES, MAPS, complete, exact_metric, light_of, target_keys

__all__ = ["ShardDataset", "Report", "read_manifest", "verify", "describe", "merge"]

FILES_OPEN = 256
"""Shards that one process keeps open."""

LIGHT = tuple(f"light/{image}" for image in IMAGES)
HIDDEN = ("scaling", "audit", "header", "inputs")


class ShardDataset(Dataset):
    """Samples of a folder of shards, by number; opens files when it needs them, reads one sample at a time.

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
        self._files: OrderedDict[int, _Shard] = OrderedDict()
        self._process = os.getpid()
        self._metric = None
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
        known = {*LIGHT, *shard.paths, *shard.computable()}
        for field in fields:
            if field not in known:
                near = get_close_matches(field, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join((*LIGHT, *stored))}"
                raise ValueError(f"{self.folder} has no field {field!r}; {hint}")
        return tuple(fields)

    def __getstate__(self):
        return {**self.__dict__, "_files": OrderedDict(), "_metric": None}

    def __len__(self) -> int:
        return len(self._rows)

    def _shard(self, number: int) -> "_Shard":
        if self._process != os.getpid():  # a forked worker opens its own files
            self._files, self._process = OrderedDict(), os.getpid()
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        while len(self._files) >= FILES_OPEN:
            self._files.popitem(last=False)[1].file.close()
        self._files[number] = _Shard(self.paths[number])
        return self._files[number]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        shard, row = self._shard(bisect_right(self._starts, index) - 1), int(self._rows[index])
        sample = {field: shard.read(field, row) for field in self.fields if field in shard or field in LIGHT}
        if len(sample) < len(self.fields):
            sample |= self._computed(shard, row)
        return {field: sample[field] for field in self.fields}

    def _computed(self, shard: "_Shard", row: int) -> dict[str, Tensor]:
        """Targets that are not stored, from the inputs (sets made with ``store = "inputs"``)."""
        self._metric = self._metric or exact_metric()
        lights = [shard.read(field, row)[None] for field in LIGHT]
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


class _Shard:
    """One open shard: big fields read a sample at a time, columns kept whole."""

    def __init__(self, path: Path):
        self.file = shards.open_shard(path)
        self.paths = shards.dataset_paths(self.file)
        self._datasets = {name: self.file[name] for name in self.paths if not name.startswith("header/")}
        self._rows = {name: Rows(dataset) for name, dataset in self._datasets.items() if dataset.ndim > 3}
        self._logarithmic = {name: bool(dataset.attrs.get("log10", False)) for name, dataset in self._datasets.items()}
        self._columns: dict[str, np.ndarray] = {}

    def __contains__(self, field: str) -> bool:
        return field in self._datasets

    def is_text(self, path: str) -> bool:
        return path in self._datasets and self._datasets[path].dtype.kind == "S"

    def computable(self) -> tuple[str, ...]:
        """Fields that the inputs of this shard are enough for."""
        return target_keys(self._datasets["inputs/test"].shape[-1], tuple(stage.name for stage in STAGES), MAPS)

    def column(self, path: str) -> np.ndarray:
        if path not in self._columns:
            self._columns[path] = self._datasets[path][()]
        return self._columns[path]

    def read(self, field: str, row: int) -> Tensor:
        if field in LIGHT:
            return self._light(field, row)
        if field not in self._rows:
            value = self.column(field)[row]
            return torch.as_tensor(value) if value.dtype.kind in "iu" else torch.as_tensor(value, dtype=torch.float32)
        stored = self._rows[field][row]
        if stored.dtype == np.uint16:
            return torch.from_numpy(np.divide(stored, np.float32(65535), dtype=np.float32))
        scaling = f"scaling/{field}"
        scale = torch.from_numpy(self.column(scaling)[row]) if scaling in self._datasets else None
        return unpack(torch.from_numpy(stored), scale, self._logarithmic[field])

    def _light(self, field: str, row: int) -> Tensor:
        code = self.read(field.replace("light", "inputs"), row)
        names = ("colorspace", "max_luminance", "min_luminance", "E_ambient", "k_refl")
        conditions = {name: self.column(f"conditions/{name}")[row : row + 1] for name in names}
        return light_of(code[None], conditions)[0]
