"""Discriminators from files: our released ones, those of a run, and the authors' arrays."""

from pathlib import Path

import torch
from torch import Tensor

from vdp_distill.losses import released, weights
from vdp_distill.losses.mdf import Discriminators, MDFConfig
from vdp_distill.recipes import from_table

__all__ = ["golden_input", "load_discriminators", "read_arrays", "save_discriminators"]

GOLDEN_SIZE = (21, 24)


def golden_input(channels: int) -> Tensor:
    """The image in -1..1 whose taps are kept with a model."""
    generator = torch.Generator().manual_seed(20220104)
    return 2 * torch.rand(1, channels, *GOLDEN_SIZE, generator=generator) - 1


def save_discriminators(folder: Path, stack: Discriminators) -> None:
    """Write weights and golden values of discriminators into a folder that holds their ``recipe.toml``."""
    released.save(folder, stack, "mdf", golden_input(stack.config.channels))


def load_discriminators(model: str | Path) -> Discriminators:
    """Discriminators by the name of a released model, from the folder of a run, or from an ``.npz`` of arrays.

    Raises
    ------
    ValueError
        For an unknown name, and for weights that are broken or not those of their recipe and card.
    """
    if Path(model).suffix in (".npz", ".pth", ".pt"):
        return read_arrays(model)

    def build(table) -> Discriminators:
        return Discriminators(from_table(MDFConfig, table, f"{model}: [network]"))

    return released.load(model, "mdf", build)


def read_arrays(path: str | Path) -> Discriminators:
    """The authors' released discriminators, as plain arrays in an ``.npz``.

    The authors publish pickled modules, which are never opened here. Each array is named by its scale and its place:
    ``s0.head.conv.weight``, ..., ``s7.tail.bias``, as in ``state_dict()`` of each module.

    Parameters
    ----------
    path
        The file; nothing in it is unpickled.

    Raises
    ------
    ValueError
        For a missing file, one that is no ``.npz``, and arrays that do not make up a set of discriminators.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give an .npz of arrays named s0.head.conv.weight, ...")
    if path.suffix != ".npz":
        raise ValueError(
            f"{path} is a pickle, which is never opened here; export each module's state_dict() as arrays named "
            "s0.head.conv.weight, ... with numpy.savez"
        )
    return _assembled(weights.read_arrays(path), path)


def _assembled(arrays: dict[str, Tensor], path: Path) -> Discriminators:
    stack = Discriminators(_described(arrays, path))
    expected = {name: tuple(value.shape) for name, value in stack.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in arrays.items()}
    wrong = next((name for name in {**expected, **found} if expected.get(name) != found.get(name)), None)
    if wrong is not None:
        raise ValueError(
            f"{path}: {wrong} is {found.get(wrong, 'missing')}, expected {expected.get(wrong, 'no such array')}"
        )
    if not all(bool(value.isfinite().all()) for value in arrays.values()):
        raise ValueError(f"{path} holds NaN or infinite values")
    stack.load_state_dict(arrays)
    return stack.eval().requires_grad_(False)


def _described(arrays: dict[str, Tensor], path: Path) -> MDFConfig:
    """Shape of the set, read off the first layers."""
    heads = []
    while (head := arrays.get(f"s{len(heads)}.head.conv.weight")) is not None and head.ndim == 4:
        heads.append(head)
    if not heads:
        raise ValueError(
            f"{path} holds no discriminators: expected arrays named s0.head.conv.weight (width, channels, 3, 3), ..., "
            f"got {', '.join(list(arrays)[:3]) or 'none'}"
        )
    blocks = sum(name.startswith("s0.body.") and name.endswith(".conv.weight") for name in arrays)
    return MDFConfig(channels=heads[0].shape[1], widths=tuple(len(head) for head in heads), convolutions=blocks + 2)
