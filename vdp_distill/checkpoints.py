"""Files of a training run that survive a kill: every one is written beside its name and moved there when whole."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

if TYPE_CHECKING:
    from vdp_distill.training.schedule import WeightAverage

__all__ = ["load_state", "read_tensors", "save_state", "write_tensors", "write_whole", "written_together"]

METADATA = "vdp_distill"
STAGING = ".writing"
MENDED = "move the file away to train anew from the first step"


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


@contextmanager
def written_together(folder: Path, last: str = "") -> Iterator[Path]:
    """A folder to write several files into, which all get their place in ``folder`` once the last one is whole.

    Parameters
    ----------
    folder
    last
        Name of the file that takes its place last.

    Raises
    ------
    OSError
        If one of them cannot be written; what stood in the folder before is untouched.
    """
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)  # what a killed process left
    try:
        yield staging
        for path in sorted(staging.iterdir(), key=lambda path: (path.name == last, path.name)):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


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
        hint = f"; {MENDED}" if Path(path).name.startswith("resume") else ""
        raise ValueError(f"{path} is not a whole safetensors file of this package: {error}{hint}") from error


def save_state(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: Mapping,
    *,
    average: "WeightAverage | None" = None,
    identity: Mapping | None = None,
) -> None:
    """Everything that a run needs to go on as if it had never stopped.

    Parameters
    ----------
    path, network, optimizer
    position
        Where the run stands, as JSON can hold it.
    average
        The running mean of the network's weights, if there is one.
    identity
        What it is a run of, as JSON can hold it; :func:`load_state` compares.
    """
    weights = network.state_dict() if average is None else average.trained()
    tensors = {f"network.{name}": value for name, value in weights.items()}
    tensors |= {f"average.{name}": value for name, value in (average.state() if average else {}).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{key}": value for key, value in state.items()})
    write_tensors(path, tensors, {"identity": dict(identity or {}), "position": dict(position)})


def load_state(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    average: "WeightAverage | None" = None,
    identity: Mapping | None = None,
) -> dict:
    """Put a saved state back; gives the position.

    Raises
    ------
    ValueError
        For a file that is cut off, or of another run; nothing is changed then.
    """
    tensors, metadata = read_tensors(path)
    _check_identity(path, metadata, identity or {})
    weights, means = _part(tensors, "network."), _part(tensors, "average.")
    _check_weights(path, weights, network.state_dict())
    _check_weights(path, means, average.state() if average else {})
    state: dict[int, dict] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    network.load_state_dict(weights)
    if average:
        average.restore(means)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return metadata["position"]


def _check_weights(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    if _shapes(found) != _shapes(expected):
        raise ValueError(f"{path} holds the weights of another network; {MENDED}")
    if not all(bool(value.isfinite().all()) for value in found.values()):
        raise ValueError(f"{path} holds weights that are NaN or infinite; {MENDED}")


def _check_identity(path: Path, metadata: Mapping, identity: Mapping) -> None:
    if "position" not in metadata:
        raise ValueError(f"{path} is no state of a training run; {MENDED}")
    for name, expected in identity.items():
        if metadata.get("identity", {}).get(name) != json.loads(json.dumps(expected)):
            raise ValueError(
                f"{path} is of a run with other {name}; resume with the same, choose another folder, or {MENDED}"
            )


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple]:
    return {name: tuple(value.shape) for name, value in tensors.items()}
