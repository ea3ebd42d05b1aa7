"""Networks that losses are made of, as they are released: recipe, weights, golden values and card in one folder.

The layout is that of the zoo (:mod:`vdp_distill.zoo`), whose models replace the metric; these do not, so they are
loaded here.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vdp_distill import zoo
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.recipes import models_folder, nearest, read_toml

__all__ = ["load", "save"]

FORMAT = "vdp_distill loss network 1"
GOLDEN_TOLERANCE = 1e-4
"""Largest difference from a golden output, of its largest value: another processor rounds otherwise."""


def save(folder: Path, network: nn.Module, kind: str, golden_input: Tensor, *, half: bool = False) -> None:
    """Write weights and golden values into a folder; the golden ones first, for the weights make it a model.

    Parameters
    ----------
    folder
        Where ``recipe.toml`` and the card stand.
    network
        Called with ``golden_input`` it gives a tensor or a list of them.
    kind
        As in the recipe's ``[network]``.
    golden_input
        (N, C, H, W).
    half
        Keep the weights in float16, for half the bytes; the golden values are then those of the rounded weights, which
        :func:`load` computes with in float32.
    """
    network = copy.deepcopy(network).cpu().eval()
    weights = {name: _half(value) if half else value for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    golden = {"input": golden_input} | _outputs(network, golden_input)
    write_tensors(folder / "golden.safetensors", golden, {"format": FORMAT})
    write_tensors(folder / "model.safetensors", weights, {"format": FORMAT, "kind": kind})


def load(model: str | Path, kind: str, build: Callable[[Mapping], nn.Module]) -> nn.Module:
    """A released network by name, or one from its folder: checked, frozen, in evaluation mode.

    Parameters
    ----------
    model
        Name of a folder in ``models/``, or the folder that ``vdp-distill train`` made.
    kind
        The network's kind, as its recipe must say.
    build
        Makes the network from the recipe's ``[network]``.

    Raises
    ------
    ValueError
        For an unknown name, another kind, weights that are cut off, foreign, or not those of the card, and outputs
        that differ from the golden ones.
    """
    folder = _folder(model, kind)
    table = read_toml(folder / "recipe.toml").get("network", {})
    if table.get("kind") != kind:
        raise ValueError(f"{folder / 'recipe.toml'} is of a network {table.get('kind')!r}, not {kind!r}")
    weights, metadata = read_tensors(folder / "model.safetensors")
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{folder / 'model.safetensors'} holds no loss network (format {metadata.get('format')!r})")
    network = build(table)
    zoo.put_weights(network, weights, folder)
    zoo.check_card(folder)
    network = network.eval().requires_grad_(False)
    _check_golden(network, folder)
    return network


def _folder(model: str | Path, kind: str) -> Path:
    released = {path.parent.name: path.parent for path in models_folder().glob("*/model.safetensors")}
    folder = released.get(str(model), Path(model))
    if not folder.is_dir():
        raise ValueError(f"there is no {kind} network {str(model)!r}, give its folder; {nearest(str(model), released)}")
    return folder


def _half(value: Tensor) -> Tensor:
    """In float16, unless that is too narrow for it."""
    rounded = value.half() if value.is_floating_point() else value
    return rounded if bool(rounded.isfinite().all()) else value


@torch.no_grad()
def _outputs(network: nn.Module, golden_input: Tensor) -> dict[str, Tensor]:
    output = network(golden_input)
    outputs = output if isinstance(output, Sequence) else [output]
    return {f"output/{number}": value for number, value in enumerate(outputs)}


def _check_golden(network: nn.Module, folder: Path) -> None:
    golden, _ = read_tensors(folder / "golden.safetensors")
    try:
        found = _outputs(network, golden["input"])
        worst = max(
            float((value - golden[name]).abs().max() / golden[name].abs().max()) for name, value in found.items()
        )
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{folder / 'golden.safetensors'} is of another network: {error}") from error
    if not worst <= GOLDEN_TOLERANCE:
        raise ValueError(
            f"{folder}: outputs differ from golden.safetensors by {worst:.2g}, more than {GOLDEN_TOLERANCE:g}"
        )
