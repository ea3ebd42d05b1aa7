"""The zoo: load a trained model by name or from its folder; recipe, weights and golden values.

A model's folder holds ``recipe.toml`` (its network and training), ``model.safetensors``, ``golden.safetensors`` (an
input and every output, recomputed when the model is loaded) and ``README.md`` (its card, with the hash of the weights).
Nothing is ever unpickled.
"""

import copy
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.io import file_hash
from vdp_distill.recipes import chosen_folder, from_table, models_folder, nearest, read_toml
from vdp_distill.small_metric import GlanceVDP, SmallVDP, SwiftVDP
from vdp_distill.surrogate_metric import ChainVDP, ConditionedVDP, SurrogateVDP
from vdp_distill.surrogates.conditioned import ConditionedChain, ConditionedConfig
from vdp_distill.surrogates.cortex import CortexConfig
from vdp_distill.surrogates.forward import ForwardConfig, ForwardNetwork
from vdp_distill.surrogates.glance import GlanceConfig, GlanceVision
from vdp_distill.surrogates.paper import Chain, ChainConfig
from vdp_distill.surrogates.swift import SwiftConfig, SwiftVision
from vdp_distill.surrogates.vision import SmallVision

__all__ = [
    "ChainVDP",
    "NETWORKS",
    "check_card",
    "load",
    "load_network",
    "model_folder",
    "names",
    "network_config",
    "put_weights",
    "save_network",
]

FORMAT = "vdp_distill network 1"
GOLDEN_SIZE = (33, 40)
GOLDEN_SEED = 20190614
GOLDEN_TOLERANCE = 1e-4
"""Largest difference from a golden output, in the networks' units: another processor rounds otherwise."""

NETWORKS = {
    "paper": (ChainConfig, Chain),
    "chain": (ConditionedConfig, ConditionedChain),
    "cortex": (CortexConfig, SmallVision),
    "fast": (CortexConfig, SmallVision),
    "swift": (SwiftConfig, SwiftVision),
    "glance": (GlanceConfig, GlanceVision),
    "forward": (ForwardConfig, ForwardNetwork),
}
"""Kinds of network, by the ``kind`` in a recipe's ``[network]``: shape and class."""

METRICS = {
    Chain: ChainVDP,
    ConditionedChain: ConditionedVDP,
    SmallVision: SmallVDP,
    SwiftVision: SwiftVDP,
    GlanceVision: GlanceVDP,
}
"""What makes a network callable like the metric; a forward model is a loss of another one."""

Network = Chain | ConditionedChain | SmallVision | SwiftVision | ForwardNetwork
NetworkConfig = ChainConfig | ConditionedConfig | CortexConfig | SwiftConfig | ForwardConfig

CARD_HASH = re.compile(r"model\.safetensors`?: `?([0-9a-f]{64})")


def names() -> list[str]:
    """Released models, by the names that :func:`load` takes."""
    folders = (path.parent for path in models_folder().glob("*/model.safetensors"))
    return sorted(folder.name for folder in folders if _kind(folder) in NETWORKS)


def _kind(folder: Path) -> str:
    """Kind of a released network: the folder also holds those that losses are made of."""
    return read_toml(folder / "recipe.toml").get("network", {}).get("kind", "paper")


def load(model: str | Path, device: torch.device | str | None = None, **settings) -> SurrogateVDP:
    """A trained model, called like the metric.

    Parameters
    ----------
    model
        A name of :func:`names`, with or without its version, or the folder that ``vdp-distill train`` made.
    device
        Where to; the CPU by default.
    **settings
        As for :func:`vdp_distill.hdrvdp2`; may be given at the call instead.

    Raises
    ------
    ValueError
        For an unknown name, a name without its version that a trained folder here has too, weights that are cut off,
        foreign, or not those of the card, a recipe of another network, or outputs that differ from the golden ones.
    """
    network = load_network(model)
    if type(network) not in METRICS:
        raise ValueError(
            f"{model} is a forward model of another metric; load it by vdp_distill.losses.forward.ForwardLoss(folder)"
        )
    return METRICS[type(network)](network, model_folder(model).name, **settings).to(device or "cpu")


def model_folder(model: str | Path) -> Path:
    """Folder of a released model, by name, or of a trained one, by path."""
    released = {name: models_folder() / name for name in names()}
    folder = chosen_folder(model, released)
    if not folder.is_dir():
        raise ValueError(
            f"model must be 'exact', a folder, or a released model, got {str(model)!r}; {nearest(str(model), released)}"
        )
    return folder


def load_network(model: str | Path) -> Network:
    """The network of a model alone, checked: see :func:`load`."""
    folder = model_folder(model)
    table = read_toml(folder / "recipe.toml").get("network", {})
    config = network_config(table, folder / "recipe.toml")
    weights, metadata = read_tensors(folder / "model.safetensors")
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{folder / 'model.safetensors'} holds no weights of this package (format {metadata.get('format')!r})"
        )
    network = _new(config)
    put_weights(network, weights, folder)
    check_card(folder)
    _check_golden(network, folder)
    return network.eval()


def _new(config: NetworkConfig) -> Network:
    """A network whose weights have the dtype of the files, whatever torch makes new tensors of."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        return NETWORKS[config.kind][1](config)
    finally:
        torch.set_default_dtype(default)


def network_config(table: Mapping, where: object) -> NetworkConfig:
    """Shape of a network from a recipe's ``[network]``."""
    kind = table.get("kind", "paper")
    if kind not in NETWORKS:
        raise ValueError(
            f"{where} is of a network {kind!r} that this version does not know; {nearest(str(kind), NETWORKS)}"
        )
    return from_table(NETWORKS[kind][0], table, f"{where}, [network]")


def save_network(folder: Path, network: Network) -> None:
    """Write weights and golden values into a folder; the golden ones first, for the weights make it a model."""
    network = copy.deepcopy(network).cpu().eval()
    generator = torch.Generator().manual_seed(GOLDEN_SEED)
    inputs = network.golden_input(*GOLDEN_SIZE, generator)
    golden = {f"input/{name}": value for name, value in inputs.items()}
    golden |= {f"output/{name}": value for name, value in _golden_output(network, inputs).items()}
    write_tensors(folder / "golden.safetensors", golden, {"format": FORMAT})
    write_tensors(folder / "model.safetensors", network.state_dict(), {"format": FORMAT, "kind": network.config.kind})


def _golden_output(network: Network, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        return network.see_golden(inputs)._asdict()


def put_weights(network: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Load weights into a network, refused if they are of another one or not finite."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if found != expected:
        wrong = next(name for name in {**expected, **found} if expected.get(name) != found.get(name))
        raise ValueError(
            f"{folder}: the weights are of another network than recipe.toml describes: {wrong} is "
            f"{found.get(wrong, 'missing')} in the file and {expected.get(wrong, 'unknown')} in the recipe"
        )
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError(f"{folder}: the weights hold NaN or infinite values")
    network.load_state_dict(weights)


def check_card(folder: Path) -> None:
    """Refuse weights whose hash is not the one that the model's card states."""
    card = folder / "README.md"
    stated = CARD_HASH.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    found = file_hash(folder / "model.safetensors")
    if stated and stated[1] != found:
        raise ValueError(
            f"{folder}: model.safetensors has the hash {found[:12]}..., its card says {stated[1][:12]}...; one of "
            "them was changed"
        )


def _departure(value: Tensor, golden: Tensor) -> float:
    """Largest difference, in the networks' units or relative to the largest value where that is over 1."""
    return float((value - golden).abs().max() / golden.abs().max().clamp(min=1))


def _check_golden(network: nn.Module, folder: Path) -> None:
    if not (folder / "golden.safetensors").is_file():
        return
    golden, _ = read_tensors(folder / "golden.safetensors")
    try:
        inputs = {name.removeprefix("input/"): value for name, value in golden.items() if name.startswith("input/")}
        output = _golden_output(network.eval(), inputs)
        worst = max(_departure(value, golden[f"output/{name}"]) for name, value in output.items())
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{folder / 'golden.safetensors'} is of another network: {error}") from error
    if not worst <= GOLDEN_TOLERANCE:
        raise ValueError(
            f"{folder}: outputs differ from golden.safetensors by {worst:.2g}, more than {GOLDEN_TOLERANCE:g}"
        )
