"""Read samples of one open shard into a batch.

A sample is decoded and turned into float32 before the next is read, while it lies in the processor's cache, straight
into its place in the batch. One thread: two were slower, for they wait for each other over every piece of a sample.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from vdp_distill import shards
from vdp_distill.chunks import Rows, one_thread
from vdp_distill.packing import unpack
from vdp_distill.stages import STAGES
from vdp_distill.targets import IMAGES, MAPS, light_of, target_keys

__all__ = ["LIGHT", "ShardReader"]

LIGHT = tuple(f"light/{image}" for image in IMAGES)
DISPLAY = ("colorspace", "max_luminance", "min_luminance", "E_ambient", "k_refl")


class ShardReader:
    """One open shard: big fields read row by row, columns kept whole.

    Parameters
    ----------
    path
        Of the shard.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it is not a whole shard.
    """

    def __init__(self, path: Path):
        self.file = shards.open_shard(path)
        self._fields: dict[str, _Field] = {}
        self._columns: dict[str, np.ndarray] = {}

    @cached_property
    def paths(self) -> list[str]:
        """All fields, in alphabetical order."""
        return shards.dataset_paths(self.file)

    def __contains__(self, field: str) -> bool:
        return field in self.file

    def is_text(self, path: str) -> bool:
        """Whether a field is a column of words."""
        return path in self and self.file[path].dtype.kind == "S"

    def computable(self) -> tuple[str, ...]:
        """Fields that the inputs of this shard are enough for."""
        return target_keys(self.file["inputs/test"].shape[-1], tuple(stage.name for stage in STAGES), MAPS)

    def column(self, path: str) -> np.ndarray:
        """A small field of every sample, kept once read."""
        if path not in self._columns:
            self._columns[path] = self.file[path][()]
        return self._columns[path]

    def empty(self, field: str, count: int) -> Tensor:
        """Memory for a field of so many samples, (count, ...): whole numbers stay whole, all else is float32."""
        source = self._source(_stored(field))
        is_column = isinstance(source, np.ndarray)
        shape, dtype = (source.shape[1:], source.dtype) if is_column else (source.rows.shape, np.dtype("float32"))
        return torch.from_numpy(np.empty((count, *shape), dtype if dtype.kind in "iu" else np.float32))

    def read(self, field: str, rows: Sequence[int], out: Sequence[Tensor]) -> None:
        """A field of some samples.

        Parameters
        ----------
        field
            Path in the shard, or one of :data:`LIGHT`.
        rows
            Which samples of the shard, in any order.
        out
            Memory for each, as :meth:`empty` gives it.

        Raises
        ------
        ValueError
            If the bytes of a sample are damaged.
        """
        source = self._source(_stored(field))
        if isinstance(source, np.ndarray):
            for row, target in zip(rows, out, strict=True):
                target.copy_(torch.as_tensor(source[row]))
            return
        desk = np.empty(source.rows.shape, source.rows.dtype)
        with one_thread():
            for row, target in zip(rows, out, strict=True):
                source.rows.read(row, desk)
                source.unpack(desk, row, target)
        if field in LIGHT:
            for row, target in zip(rows, out, strict=True):
                conditions = {name: self.column(f"conditions/{name}")[row : row + 1] for name in DISPLAY}
                target.copy_(light_of(target[None], conditions)[0])

    def _source(self, path: str) -> "_Field | np.ndarray":
        """Where a field is read from: itself, or its column."""
        if path in self._columns:
            return self._columns[path]
        if path not in self._fields:
            dataset, scaling = self.file[path], f"scaling/{path}"
            if dataset.ndim < 4:
                return self.column(path)
            self._fields[path] = _Field(dataset, self.column(scaling) if scaling in self else None)
        return self._fields[path]


class _Field:
    """A big field: how to read its rows, and how its numbers were stored."""

    def __init__(self, dataset: h5py.Dataset, scaling: np.ndarray | None):
        self.rows, self.scaling = Rows(dataset), None if scaling is None else torch.from_numpy(scaling)
        self.log10 = bool(dataset.attrs.get("log10", False))

    def unpack(self, stored: np.ndarray, row: int, out: Tensor) -> None:
        """Values of a sample from what is stored of it."""
        if stored.dtype == np.uint16:
            np.divide(stored, np.float32(65535), out=out.numpy(), dtype=np.float32)
        else:
            unpack(torch.from_numpy(stored), None if self.scaling is None else self.scaling[row], self.log10, out)


def _stored(field: str) -> str:
    """The path that a field is read from: light lies there as code values."""
    return field.replace("light/", "inputs/") if field in LIGHT else field
