"""What a shard is: one HDF5 file that holds some samples whole, with everything needed to trust it.

====================================  ==================  =====================================================
path                                  shape, type         what
====================================  ==================  =====================================================
``inputs/test``, ``.../reference``    (n,3,H,W) uint16    code values (or log light where the display is linear)
``stages/achromatic/test`` ...        (n,K,H,W) float     a stage of :data:`vdp_distill.stages.STAGES`
``P_map``, ``C_map``, ``gradient``    (n,K,H,W) float     maps
``P_det C_max log_C sum_S Q``         (n,) float32        numbers
``conditions/...``                    (n, ...)            viewing condition of each sample
``samples/...``                       (n, ...)            index, source, split, crop, distortion of each sample
``audit/...``                         (m,) float64        float32 against float64 for one sample in a hundred
``scaling/<path>``                    (n,2) float32       shift and scale of each sample of a float16 field
====================================  ==================  =====================================================

A chunk holds one sample, so that reading one never decodes another (:mod:`vdp_distill.chunks`). ``header/`` holds the
recipe, the hash of the set, versions, sources, and a SHA-256 of every dataset's values.
:mod:`vdp_distill.shard_writer` writes shards.
"""

import hashlib
import json
from pathlib import Path

import h5py

from vdp_distill.chunks import Rows, one_thread

__all__ = [
    "FORMAT",
    "open_shard",
    "dataset_paths",
    "read_header",
    "shard_paths",
    "shard_name",
    "damage",
    "field_name",
]

FORMAT = "vdp_distill shard 2"
READABLE = ("vdp_distill shard 1", FORMAT)
"""The first had no lz4; it is read as before."""


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:06d}.h5"


def shard_paths(folder: str | Path) -> list[Path]:
    """Finished shards of a folder, in order."""
    return sorted(Path(folder).glob("shard-??????.h5"))


def field_name(path: str) -> str:
    """The stage or map that a dataset's path belongs to: ``stages/pyramid/test/0`` to ``pyramid``."""
    parts = path.split("/")
    return parts[1] if parts[0] == "stages" else parts[-1]


def open_shard(path: str | Path) -> h5py.File:
    """A shard for reading, without HDF5's file lock, which network drives often lack.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file is cut short, is no HDF5, or is somebody else's HDF5.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no shard {path}; make it again with --resume")
    try:
        file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    except OSError as error:
        raise ValueError(f"{path} is no HDF5 file or is cut short: {error}; delete it and --resume") from error
    found = file.attrs.get("format", "no format")
    if found not in READABLE:
        file.close()
        raise ValueError(
            f"{path} is HDF5, but no shard that this version reads: it says {found!r}, expected "
            f"{' or '.join(map(repr, READABLE))}"
        )
    return file


def dataset_paths(file: h5py.File) -> list[str]:
    """Paths of all datasets of a shard, in alphabetical order."""
    paths: list[str] = []
    file.visititems(lambda name, item: paths.append(name) if isinstance(item, h5py.Dataset) else None)
    return paths


def read_header(file: h5py.File) -> dict:
    """Everything about a shard but its samples: recipe, set, versions, checksums, ..."""
    return {name: json.loads(bytes(dataset[:])) for name, dataset in file["header"].items()}


def damage(path: Path) -> list[str]:
    """What is wrong with a shard's values, a sentence each; empty if every checksum agrees."""
    try:
        with open_shard(path) as file:
            checksums = read_header(file)["checksums"]
            return [
                f"{path.name}: values of {name} are not those that were written"
                for name, expected in checksums.items()
                if _digest(file[name]) != expected
            ]
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        return [f"{path.name}: cannot be read: {error}"]


def _digest(dataset: h5py.Dataset) -> str:
    """SHA-256 of a dataset's values, a sample at a time."""
    if dataset.ndim < 4:
        return hashlib.sha256(dataset[()].tobytes()).hexdigest()
    digest, rows = hashlib.sha256(), Rows(dataset)
    with one_thread():
        for row in range(len(rows)):
            digest.update(rows[row])
    return digest.hexdigest()
