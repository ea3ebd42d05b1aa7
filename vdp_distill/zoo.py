"""The zoo: load a trained model by name or from its folder; recipe, weights and golden values.

A model's folder holds ``recipe.toml`` (its network and training), ``model.safetensors``, ``golden.safetensors`` (an
input and every output, recomputed when the model is loaded) and ``README.md`` (its card, with the hash of the weights).
Nothing is ever unpickled.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vdp_distill import surrogates
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.io import file_hash
from vdp_distill.metric import HDRVDP2, Result
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair, Retina
from vdp_distill.recipes import from_table, models_folder, nearest, read_toml
from vdp_distill.settings import Settings, surround_of

__all__ = ["ChainVDP", "NETWORKS", "load", "load_network", "model_folder", "names", "network_config", "save_network"]

FORMAT = "vdp_distill network 1"
GOLDEN_SIZE = (33, 40)
GOLDEN_TOLERANCE = 1e-4
"""Largest difference from a golden output, in the networks' units: another processor rounds otherwise."""

NETWORKS = {"paper": (surrogates.ChainConfig, surrogates.Chain)}
"""Kinds of network, by the ``kind`` in a recipe's ``[network]``: shape and class."""

CARD_HASH = re.compile(r"model\.safetensors`?: `?([0-9a-f]{64})")


class ChainVDP(HDRVDP2):
    """The metric with a trained chain in place of its optics and retina; the exact cortex and detection follow.

    The call is that of :class:`vdp_distill.HDRVDP2`. The chain knows neither the pixels per degree nor the display's
    spectra; the later stages know the former.

    Parameters
    ----------
    chain
        The networks; they are frozen.
    name
        For ``Result.settings["model"]``.
    **settings
        As for :func:`vdp_distill.hdrvdp2`; without any they are all given at the call.

    Examples
    --------
    >>> model = ChainVDP(surrogates.Chain(surrogates.ChainConfig()))
    >>> grey = torch.full((1, 3, 32, 32), 0.5)
    >>> float(model(grey, grey, encoding="sRGB-display", pixels_per_degree=30).P_det)
    0.0
    """

    def __init__(self, chain: surrogates.Chain, name: str = "chain", **settings):
        nn.Module.__init__(self)
        self.fitted = DEFAULT_PARAMETERS
        self.name, self.chain = name, chain.eval().requires_grad_(False)
        self.settings = Settings.create(**settings) if settings else None
        self.geometries = nn.ModuleDict()

    def settings_for(self, **overrides) -> Settings:
        """The settings of a call, refused where the chain cannot follow them."""
        settings = Settings.create(**overrides) if self.settings is None else super().settings_for(**overrides)
        fixed = {"mtf": True, "peak_sensitivity": 2.4, "emission": None, "rgb_display": None, "engine": "torch"}
        for name, value in fixed.items():
            given = getattr(settings, name)
            if given is not value and (isinstance(given, Tensor) or given != value):
                raise ValueError(f"{self.name} was trained with {name}={value!r} and takes no other; use model='exact'")
        return settings

    def forward(self, test, reference, **overrides) -> Result:
        """Predict for a pair or a batch of pairs; see :func:`vdp_distill.hdrvdp2`."""
        result = super().forward(test, reference, **overrides)
        return replace(result, settings={**result.settings, "model": self.name})

    def retina(self, lights: Pair, settings: Settings) -> Retina:
        """The chain's stages of both images, stacked to one batch, test first."""
        channels, expected = lights.test.shape[1], self.chain.config.channels
        if channels != expected:
            hint = "repeat the grey image to three channels" if expected == 3 else "pass its luminance"
            raise ValueError(f"{self.name} takes light of {expected} channel(s), got {channels}; {hint}")
        surround = surround_of(settings, lights.reference)
        surround = surround.expand(lights.test.shape[0], channels, 1, 1).repeat(2, 1, 1, 1)
        return self.chain.retina(torch.cat(lights), surround)


def names() -> list[str]:
    """Released models, by the names that :func:`load` takes."""
    return sorted(path.parent.name for path in models_folder().glob("*/model.safetensors"))


def load(model: str | Path, device: torch.device | str | None = None, **settings) -> ChainVDP:
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
        For an unknown name, weights that are cut off, foreign, or not those of the card, a recipe of another network,
        or outputs that differ from the golden ones.
    """
    return ChainVDP(load_network(model), model_folder(model).name, **settings).to(device or "cpu")


def model_folder(model: str | Path) -> Path:
    """Folder of a released model, by name, or of a trained one, by path."""
    released = {name: models_folder() / name for name in names()}
    newest = {name.rpartition("-v")[0]: folder for name, folder in released.items()}
    folder = (newest | released).get(str(model), Path(model))
    if not folder.is_dir():
        raise ValueError(
            f"model must be 'exact', a folder, or a released model, got {str(model)!r}; {nearest(str(model), released)}"
        )
    return folder


def load_network(model: str | Path) -> surrogates.Chain:
    """The network of a model alone, checked: see :func:`load`."""
    folder = model_folder(model)
    table = read_toml(folder / "recipe.toml").get("network", {})
    config = network_config(table, folder / "recipe.toml")
    weights, metadata = read_tensors(folder / "model.safetensors")
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{folder / 'model.safetensors'} holds no weights of this package (format {metadata.get('format')!r})"
        )
    network = NETWORKS[config.kind][1](config)
    _put_weights(network, weights, folder)
    _check_card(folder)
    _check_golden(network, folder)
    return network.eval()


def network_config(table: Mapping, where: object) -> surrogates.ChainConfig:
    """Shape of a network from a recipe's ``[network]``."""
    kind = table.get("kind", "paper")
    if kind not in NETWORKS:
        raise ValueError(
            f"{where} is of a network {kind!r} that this version does not know; {nearest(str(kind), NETWORKS)}"
        )
    return from_table(NETWORKS[kind][0], table, f"{where}, [network]")


def save_network(folder: Path, network: surrogates.Chain) -> None:
    """Write weights and golden values into a folder; the golden ones first, for the weights make it a model."""
    light, surround = _golden_input(network.config.channels)
    network = copy.deepcopy(network).cpu().eval()
    with torch.no_grad():
        output = network(light, surround)
    golden = {"input/light": light, "input/surround": surround}
    golden |= {f"output/{name}": value for name, value in output._asdict().items()}
    write_tensors(folder / "golden.safetensors", golden, {"format": FORMAT})
    write_tensors(folder / "model.safetensors", network.state_dict(), {"format": FORMAT, "kind": network.config.kind})


def _golden_input(channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(20190614)
    light = torch.rand(1, channels, *GOLDEN_SIZE, generator=generator)
    return light, torch.full((1, channels, 1, 1), -0.25)


def _put_weights(network: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
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


def _check_card(folder: Path) -> None:
    card = folder / "README.md"
    stated = CARD_HASH.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    found = file_hash(folder / "model.safetensors")
    if stated and stated[1] != found:
        raise ValueError(
            f"{folder}: model.safetensors has the hash {found[:12]}..., its card says {stated[1][:12]}...; one of "
            "them was changed"
        )


def _check_golden(network: nn.Module, folder: Path) -> None:
    if not (folder / "golden.safetensors").is_file():
        return
    golden, _ = read_tensors(folder / "golden.safetensors")
    try:
        with torch.no_grad():
            output = network.eval()(golden["input/light"], golden["input/surround"])._asdict()
        worst = max(float((value - golden[f"output/{name}"]).abs().max()) for name, value in output.items())
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{folder / 'golden.safetensors'} is of another network: {error}") from error
    if not worst <= GOLDEN_TOLERANCE:
        raise ValueError(
            f"{folder}: outputs differ from golden.safetensors by {worst:.2g}, more than {GOLDEN_TOLERANCE:g}"
        )
