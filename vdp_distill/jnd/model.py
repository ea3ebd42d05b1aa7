"""Trained JND networks: save one, load one by name or folder, and ask how many people see a difference."""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill import checks, zoo
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.jnd.recipe import NETWORKS, network_config, read_recipe
from vdp_distill.jnd.responses import Responder
from vdp_distill.judgements import reduce_image
from vdp_distill.recipes import chosen_folder, models_folder, nearest, read_toml

__all__ = ["JND", "load", "load_network", "names", "save_network"]

FORMAT = "vdp_distill JND network 1"
GOLDEN_SIZE = (64, 80)
GOLDEN_TOLERANCE = 1e-4
"""Largest difference from a golden probability: another processor rounds otherwise."""


def names() -> list[str]:
    """Released JND networks, by the names that :func:`load` takes."""
    folders = (path.parent for path in models_folder().glob("*/model.safetensors"))
    kinds = {folder.name: read_toml(folder / "recipe.toml").get("network", {}).get("kind") for folder in folders}
    return sorted(name for name, kind in kinds.items() if kind in NETWORKS)


def _folder(model: str | Path) -> Path:
    released = {name: models_folder() / name for name in names()}
    folder = chosen_folder(model, released)
    if not folder.is_dir():
        raise ValueError(
            f"model must be a folder or a released JND network, got {str(model)!r}; {nearest(str(model), released)}"
        )
    return folder


def save_network(folder: Path, network: nn.Module) -> None:
    """Write weights and golden values into a folder; the golden ones first, for the weights make it a model."""
    network = copy.deepcopy(network).cpu().eval()
    inputs = _golden_input(network.uses_contrast)
    with torch.no_grad():
        golden = {f"input/{name}": value for name, value in inputs.items()}
        golden["output/probability"] = network.probability(**inputs)
    write_tensors(folder / "golden.safetensors", golden, {"format": FORMAT})
    write_tensors(folder / "model.safetensors", network.state_dict(), {"format": FORMAT, "kind": network.config.kind})


def _golden_input(uses_contrast: bool) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(20160214)
    reference = 20 * torch.randn(2, 1, *GOLDEN_SIZE, generator=generator)
    difference = torch.randn(reference.shape, generator=generator) * torch.tensor([0.3, 3.0]).view(2, 1, 1, 1)
    inputs = {"test": reference + difference, "reference": reference}
    return inputs | ({"contrast": difference.abs() / 100} if uses_contrast else {})


def load_network(model: str | Path) -> nn.Module:
    """The network of a model alone, checked: see :func:`load`."""
    folder = _folder(model)
    config = network_config(read_toml(folder / "recipe.toml").get("network", {}), folder / "recipe.toml")
    weights, metadata = read_tensors(folder / "model.safetensors")
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{folder / 'model.safetensors'} holds no JND network of this package (format {metadata.get('format')!r})"
        )
    network = NETWORKS[config.kind][1](config)
    zoo.put_weights(network, weights, folder)
    zoo.check_card(folder)
    _check_golden(network.eval(), folder)
    return network.requires_grad_(False)


def _check_golden(network: nn.Module, folder: Path) -> None:
    if not (folder / "golden.safetensors").is_file():
        return
    golden, _ = read_tensors(folder / "golden.safetensors")
    inputs = {name.removeprefix("input/"): value for name, value in golden.items() if name.startswith("input/")}
    try:
        with torch.no_grad():
            worst = float((network.probability(**inputs) - golden["output/probability"]).abs().max())
    except (KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"{folder / 'golden.safetensors'} is of another network: {error}") from error
    if not worst <= GOLDEN_TOLERANCE:
        raise ValueError(
            f"{folder}: outputs differ from golden.safetensors by {worst:.2g}, more than {GOLDEN_TOLERANCE:g}"
        )


class JND(nn.Module):
    """A trained JND network behind its frozen eye: images in, share of people who see a difference out.

    Parameters
    ----------
    network
        A network of :data:`vdp_distill.jnd.recipe.NETWORKS`.
    responder
        The eye, with the display or encoding of the images.
    trained_pixels_per_degree
        At which the network was trained. Images with more are reduced to it, with fewer enlarged: the network's
        filters then meet the frequencies that they know.
    name
        For records.

    Examples
    --------
    >>> from vdp_distill.jnd.network import DifferenceConfig, DifferenceNetwork
    >>> eye = Responder(display="mcl-jci", pixels_per_degree=60)
    >>> model = JND(DifferenceNetwork(DifferenceConfig()), eye, trained_pixels_per_degree=30)
    >>> image = torch.rand(1, 3, 64, 96)
    >>> model(image, image).item()
    0.0
    """

    def __init__(self, network: nn.Module, responder: Responder, trained_pixels_per_degree: float, name: str = "jnd"):
        super().__init__()
        self.network, self.responder, self.name = network.eval(), responder, name
        self.eyes = nn.ModuleList(responder.metrics.values())  # so that they move along to another device
        self.trained_pixels_per_degree = trained_pixels_per_degree

    def train(self, mode: bool = True) -> "JND":
        """It is trained already: inside a network that trains, its statistics stay what they are."""
        super().train(mode)
        self.network.eval()
        self.eyes.eval()
        return self

    def forward(self, test: Tensor, reference: Tensor) -> Tensor:
        """Share of people who see the difference, (N,).

        Parameters
        ----------
        test, reference
            (N, C, H, W) as the display or encoding takes them.

        Raises
        ------
        ValueError
            For images that do not fit, are out of range, or are too small at the network's pixels per degree.
        """
        checks.check_pair(test, reference)
        dtype = next(self.network.parameters()).dtype
        test, reference = test.to(dtype), reference.to(dtype)
        scale = self.trained_pixels_per_degree / float(self.responder.settings.pixels_per_degree)
        test, reference = (_scaled(image, scale) for image in (test, reference))
        if min(test.shape[-2:]) < checks.SMALLEST_SIDE:
            raise ValueError(
                f"{self.name} works at {self.trained_pixels_per_degree:.4g} pixels per degree, where these images have "
                f"{tuple(test.shape[-2:])} pixels; at least {checks.SMALLEST_SIDE} a side are needed"
            )
        responses = self.responder(test, reference, self.trained_pixels_per_degree)
        return self.network.probability(*responses)


def _scaled(image: Tensor, scale: float) -> Tensor:
    if scale <= 1:
        return reduce_image(image, scale)
    size = [round(side * scale) for side in image.shape[-2:]]
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def load(model: str | Path, *, responses: str | Path | None = None, **settings) -> JND:
    """A trained JND network with the frozen stages in front of it.

    Parameters
    ----------
    model
        A name of :func:`names`, with or without its version, or the folder that training made.
    responses
        Frozen stages in place of those it was trained with: ``"exact"``, or a chain's name or folder.
    **settings
        As for :func:`vdp_distill.hdrvdp2`: the display or encoding of the images and their pixels per degree.

    Raises
    ------
    ValueError
        For an unknown name, a name without its version that a trained folder here has too, weights that are cut off,
        foreign, or not those of the card, or outputs that differ from the golden ones.
    """
    network, folder = load_network(model), _folder(model)
    trained = read_recipe(folder / "recipe.toml").data
    eye = Responder(responses or trained.responses, contrast=network.uses_contrast, **settings)
    return JND(network, eye, trained.trained_pixels_per_degree(), folder.name)
