"""Weights that others released: found, fetched and checked, never shipped.

A file is what torchvision put at its address; its name begins with its SHA-256, and a file with another hash is not
opened. What is opened is read by torch's tensors-only reader, or is safetensors under the same names.
"""

import os
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from vdp_distill.checkpoints import read_tensors
from vdp_distill.io import file_hash
from vdp_distill.losses.contract import MissingWeights, WeightsFile

__all__ = ["read_arrays", "read_released", "where_it_is_kept"]


def where_it_is_kept(file: WeightsFile) -> Path:
    """Where torchvision and we keep a released file."""
    return Path(torch.hub.get_dir()) / "checkpoints" / file.name


def read_released(file: WeightsFile, path: str | Path | None = None) -> dict[str, Tensor]:
    """Tensors of a released file, from a path, or from where torch keeps such files, fetched there if it is not.

    Parameters
    ----------
    file
        What is wanted.
    path
        The file itself, or the same tensors under the same names as ``.safetensors``.

    Raises
    ------
    MissingWeights
        If it is not there and cannot be fetched: the message names the address and the substitute.
    ValueError
        If the file is cut off or another one.
    """
    found = where_it_is_kept(file) if path is None else Path(path)
    if path is not None and not found.is_file():
        raise MissingWeights(f"there are no weights {found}; {_advice(file)}")
    if found.suffix == ".safetensors":
        return read_tensors(found)[0]
    _check_hash(found, file)
    try:
        options = {"map_location": "cpu", "progress": False, "check_hash": True, "weights_only": True}
        return torch.hub.load_state_dict_from_url(
            file.address, model_dir=os.fspath(found.parent), file_name=found.name, **options
        )
    except (URLError, OSError) as error:
        raise MissingWeights(f"{file.name} is not here and could not be fetched ({error}); {_advice(file)}") from error


def read_arrays(path: str | Path) -> dict[str, Tensor]:
    """Tensors of an ``.npz`` or ``.safetensors`` file of plain arrays.

    Raises
    ------
    MissingWeights
        If there is no such file.
    ValueError
        If it is cut off or holds anything but arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeights(f"there are no weights {path}")
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a whole .npz file of plain arrays: {error}") from error


def _check_hash(path: Path, file: WeightsFile) -> None:
    if not path.is_file():
        return
    found = file_hash(path)
    if not found.startswith(file.hash_prefix):
        raise ValueError(
            f"{path} has the SHA-256 {found[:12]}..., {file.name} has {file.hash_prefix}...: it is cut off or another "
            f"file; delete it, then {_advice(file)}"
        )


def _advice(file: WeightsFile) -> str:
    place = f"put {file.address} at {where_it_is_kept(file)} or pass its path as trunk_weights="
    return f"{place}; without it, use {file.substitute}"
