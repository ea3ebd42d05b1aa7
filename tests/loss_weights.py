"""Weights for tests of the losses: drawn at random, under torchvision's names, as no one can be given the real ones."""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from vdp_distill.losses.features import HEAD_CHANNELS
from vdp_distill.losses.niqe import BLOCK, fit_pristine
from vdp_distill.losses.trunks import TORCHVISION

VIEWING = {"encoding": "sRGB-display", "pixels_per_degree": 30}
TERMS = [{"loss": "l1"}, {"loss": "ssim", "weight": 0.5}, {"loss": "vdp", "weight": 0.1, "options": VIEWING}]
REQUIRED = {**VIEWING, "terms": TERMS}
"""Values for the options that losses cannot do without."""


def trunk_file(folder: Path, name: str) -> Path:
    """Weights of a trunk of torchvision, with a layer of its classifier, which a trunk has no place for."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        generator = torch.Generator().manual_seed(7)
        network = TORCHVISION[name]()
        tensors = {key: _spread(value, generator) for key, value in network.state_dict().items()}
        save_file({**tensors, "classifier.6.bias": torch.zeros(1000)}, path)
    return path


def heads_file(folder: Path, name: str) -> Path:
    """Heads of LPIPS under the names of its release."""
    path = folder / f"{name}_heads.safetensors"
    generator = torch.Generator().manual_seed(8)
    shapes = {f"lin{k}.model.1.weight": (1, count, 1, 1) for k, count in enumerate(HEAD_CHANNELS[name])}
    save_file({key: torch.rand(shape, generator=generator) for key, shape in shapes.items()}, path)
    return path


def options_for(name: str, needed: tuple[str, ...], folder: Path) -> dict:
    """Options with which a loss can be made here."""
    options = {option: REQUIRED[option] for option in needed}
    trunk = {"vgg": "vgg16", "lpips_vgg": "vgg16", "lpips_alex": "alexnet"}.get(name)
    if trunk:
        options["trunk_weights"] = trunk_file(folder, trunk)
    if name == "niqe":
        options["model"] = fit_pristine(photograph(2 * BLOCK))
    if name.startswith("lpips"):
        options["heads"] = heads_file(folder, trunk)
    return options


@cache
def photograph(side: int) -> torch.Tensor:
    """Two crops of a bundled photograph, (2, 3, side, side) float64 in 0..1."""
    from skimage import data

    image = torch.from_numpy(data.astronaut()).permute(2, 0, 1).double() / 255
    return torch.stack([image[:, top : top + side, left : left + side] for top, left in ((60, 150), (180, 80))])


def _spread(value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Weights that keep a signal's spread, and small biases."""
    spread = (2 / value[0].numel()) ** 0.5 if value.ndim == 4 else 0.1
    return spread * torch.randn(value.shape, generator=generator)
