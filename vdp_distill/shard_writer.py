"""Write a shard block by block: under another name, flushed to the disk, renamed when whole.

What has a shard's name is a shard. Memory holds one block, however many samples a shard has.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from vdp_distill.chunks import create_field, write_row
from vdp_distill.packing import PACKINGS, pack
from vdp_distill.shards import FORMAT, field_name
from vdp_distill.targets import NUMBERS, UNITS

__all__ = ["Writer", "new_shard"]


@contextmanager
def new_shard(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file that gets its name when the block under ``with`` ends well, and vanishes otherwise.

    Parameters
    ----------
    path
        Final name; ``NAME.part-PROCESS`` beside it until then.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.part-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with h5py.File(partial, "w", libver=("earliest", "v110"), locking=False) as file:
            yield file
        with open(partial, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # HDF5 says RuntimeError where a last flush fails
        if isinstance(error, RuntimeError) and "errno" not in str(error):
            raise
        raise OSError(f"cannot write {path} (disk full, or no right to write?): {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a loss of power, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Writer:
    """Fills an open file with samples, block after block.

    Parameters
    ----------
    file
        From :func:`new_shard`.
    count
        Samples that it will hold.
    dtype
        ``"float16"`` or ``"float32"`` for stages and maps.
    compression
        One of :data:`vdp_distill.chunks.COMPRESSIONS`.
    """

    def __init__(self, file: h5py.File, count: int, dtype: str, compression: str):
        self.file, self.count, self.dtype, self.compression = file, count, dtype, compression
        self.done = 0
        self.columns: dict[str, list[np.ndarray]] = {}
        self.hashes: dict[str, hashlib._Hash] = {}

    def add(self, fields: dict[str, np.ndarray]) -> None:
        """Some samples more: arrays by path, stages and maps in float32."""
        for path, values in fields.items():
            for name, stored, about in _stored(path, values, self.dtype):
                if stored.ndim < 4:
                    self.columns.setdefault(name, []).append(stored)
                else:
                    self._write(name, stored, about)
        self.done += len(fields["samples/index"])

    def finish(self, header: dict) -> None:
        """Columns, header and checksums, when all samples are in."""
        if self.done != self.count:
            raise ValueError(f"a shard of {self.count} samples was given {self.done}")
        for name, parts in self.columns.items():
            values = np.concatenate(parts)
            dataset = self.file.create_dataset(name, data=values)
            if name in NUMBERS:
                dataset.attrs["unit"] = UNITS[name]
            self._hash(name, values)
        self.file.attrs["format"] = FORMAT
        checksums = {name: digest.hexdigest() for name, digest in self.hashes.items()}
        for name, value in {**header, "checksums": checksums}.items():
            # A dataset of bytes, for attributes end at 64 KiB.
            text = json.dumps(value, sort_keys=True).encode()
            self.file.create_dataset(f"header/{name}", data=np.frombuffer(text, np.uint8))

    def _write(self, name: str, stored: np.ndarray, about: dict) -> None:
        dataset = self.file[name] if name in self.file else self._create(name, stored, about)
        self._hash(name, stored)
        for row, values in enumerate(stored):
            write_row(dataset, self.done + row, values, self.compression)

    def _create(self, name: str, stored: np.ndarray, about: dict) -> h5py.Dataset:
        shape = (self.count, *stored.shape[1:])
        dataset = create_field(self.file, name, shape, stored.dtype, self.compression)
        dataset.attrs.update(about)
        return dataset

    def _hash(self, name: str, values: np.ndarray) -> None:
        self.hashes.setdefault(name, hashlib.sha256()).update(np.ascontiguousarray(values))


def _stored(path: str, values: np.ndarray, dtype: str) -> Iterator[tuple[str, np.ndarray, dict]]:
    """What a field is stored as: path, array, attributes; and its scaling."""
    name = field_name(path)
    if name not in PACKINGS or path.startswith(("audit/", "conditions/", "samples/", "inputs/")):
        yield path, values, {}
        return
    packing = PACKINGS[name]
    stored, scaling = pack(values, packing, dtype)
    yield path, stored, {"unit": UNITS[name], "log10": packing.log10 and scaling is not None}
    if scaling is not None:
        yield f"scaling/{path}", scaling, {}
