"""Read samples of one open shard: some rows at once, shared between threads.

Reading a chunk from the file, undoing LZ4 and turning its numbers into float32 all let go of Python's lock; only the
Fletcher checksum holds it. Every sample gets memory of its own: one large batch would be new pages each time.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vdp_distill import shards
from vdp_distill.chunks import Rows, one_thread
from vdp_distill.packing import unpack
from vdp_distill.pipeline import STAGES
from vdp_distill.targets import IMAGES, MAPS, light_of, target_keys

__all__ = ["LIGHT", "THREADS", "ShardReader"]

LIGHT = tuple(f"light/{image}" for image in IMAGES)
DISPLAY = ("colorspace", "max_luminance", "min_luminance", "E_ambient", "k_refl")

THREADS = 2
"""Threads that share the rows of a batch; more would only wait for Python's lock."""


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
        self.paths = shards.dataset_paths(self.file)
        self._datasets = {name: self.file[name] for name in self.paths if not name.startswith("header/")}
        self._rows = {name: Rows(dataset) for name, dataset in self._datasets.items() if dataset.ndim > 3}
        self._logarithmic = {name: bool(dataset.attrs.get("log10", False)) for name, dataset in self._datasets.items()}
        self._columns: dict[str, np.ndarray] = {}

    def __contains__(self, field: str) -> bool:
        return field in self._datasets

    def is_text(self, path: str) -> bool:
        """Whether a field is a column of words."""
        return path in self._datasets and self._datasets[path].dtype.kind == "S"

    def computable(self) -> tuple[str, ...]:
        """Fields that the inputs of this shard are enough for."""
        return target_keys(self._datasets["inputs/test"].shape[-1], tuple(stage.name for stage in STAGES), MAPS)

    def column(self, path: str) -> np.ndarray:
        """A small field of every sample, kept once read."""
        if path not in self._columns:
            self._columns[path] = self._datasets[path][()]
        return self._columns[path]

    def read(self, field: str, rows: Sequence[int], pool: ThreadPoolExecutor | None = None) -> Sequence[Tensor]:
        """A field of some samples.

        Parameters
        ----------
        field
            Path in the shard, or one of :data:`LIGHT`.
        rows
            Which samples of the shard, in any order.
        pool
            Threads that share the rows; None reads them one after another.

        Returns
        -------
        sequence of Tensor
            One a sample: whole numbers stay whole, everything else is float32. The same for any company of rows.

        Raises
        ------
        ValueError
            If the bytes of a sample are damaged.
        """
        if field in LIGHT:
            conditions = {name: self.column(f"conditions/{name}")[rows] for name in DISPLAY}
            codes = self._decoded(field.replace("light", "inputs"), rows, pool)
            return [light_of(codes[one][None], _at(conditions, one))[0] for one in range(len(rows))]
        if field not in self._rows:
            values = self.column(field)[rows]
            return torch.as_tensor(values, dtype=None if values.dtype.kind in "iu" else torch.float32)
        return self._decoded(field, rows, pool)

    def _decoded(self, field: str, rows: Sequence[int], pool: ThreadPoolExecutor | None) -> list[Tensor]:
        def decode(share: slice) -> list[Tensor]:
            return [self._unpacked(field, row) for row in rows[share]]

        cuts = np.linspace(0, len(rows), (THREADS if pool else 1) + 1).astype(int).tolist()
        shares = [slice(*ends) for ends in pairwise(cuts)]
        with one_thread():
            return [one for share in (pool.map if pool else map)(decode, shares) for one in share]

    def _unpacked(self, field: str, row: int) -> Tensor:
        stored, scaling = self._rows[field][row], f"scaling/{field}"
        if stored.dtype == np.uint16:
            return torch.from_numpy(np.divide(stored, np.float32(65535), dtype=np.float32))
        scale = torch.from_numpy(self.column(scaling)[row]) if scaling in self._datasets else None
        return unpack(torch.from_numpy(stored), scale, self._logarithmic[field])


def _at(conditions: dict[str, np.ndarray], place: int) -> dict[str, np.ndarray]:
    """The condition of one sample, as columns of one."""
    return {name: column[place : place + 1] for name, column in conditions.items()}
