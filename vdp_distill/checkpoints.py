"""Files of a training run that survive a kill: every one is written beside its name and moved there when whole."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

__all__ = ["load_state", "read_tensors", "save_state", "write_tensors", "write_whole"]

METADATA = "vdp_distill"


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name, then give it its own.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; what stood there before is untouched.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with open(partial, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"cannot write {path}: {reason}; what was there before is untouched") from error
    finally:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Tensors as safetensors, with metadata as JSON; the same content gives the same bytes."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = {METADATA: json.dumps(dict(metadata), sort_keys=True)}  # one entry: safetensors keeps no order of several
    write_whole(path, lambda partial: partial.write_bytes(save(plain, text)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and metadata of :func:`write_tensors`.

    Raises
    ------
    ValueError
        For a missing file, or one that is cut off or is not safetensors.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - not a mapping
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} is not a whole safetensors file of this package: {error}") from error


def save_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, position: Mapping) -> None:
    """Everything that a run needs to go on as if it had never stopped."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{key}": value for key, value in state.items()})
    write_tensors(path, tensors, {"position": dict(position)})


def load_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Put a saved state back; gives the position."""
    tensors, metadata = read_tensors(path)
    weights = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    network.load_state_dict(weights)
    state: dict[int, dict] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return metadata["position"]
