"""NIMA's weights: released ones, those of a run, and a trunk trained elsewhere."""

from pathlib import Path

import torch
from torch import Tensor

from vdp_distill.checkpoints import read_tensors
from vdp_distill.losses import released
from vdp_distill.losses.nima import NIMA, NIMAConfig
from vdp_distill.recipes import from_table

__all__ = ["golden_input", "load_nima", "put_trunk", "save_nima"]

TRUNK = "layers."


def golden_input() -> Tensor:
    """The image whose ratings are kept with a model, in 0..1."""
    return torch.rand(1, 3, 64, 72, generator=torch.Generator().manual_seed(20180401))


def save_nima(folder: Path, network: NIMA) -> None:
    """Write weights, in float16, and golden values of a NIMA into a folder that holds its ``recipe.toml``."""
    released.save(folder, network, "nima", golden_input(), half=True)


def load_nima(model: str | Path) -> NIMA:
    """A released NIMA by name, or one from its folder; frozen.

    Raises
    ------
    ValueError
        For an unknown name, and for weights that are broken or not those of their recipe and card.
    ImportError
        If torchvision is not installed.
    """
    return released.load(model, "nima", lambda table: NIMA(from_table(NIMAConfig, table, f"{model}: [network]")))


def put_trunk(network: NIMA, path: str | Path) -> None:
    """Put the trunk of a torchvision MnasNet into a network; its last layer stays as it is.

    Parameters
    ----------
    network
        Of the same width.
    path
        A ``.safetensors`` of torchvision's ``state_dict()``. Its own files are pickles, which are never opened here;
        where you trust one, ``safetensors.torch.save_file(mnasnet1_0(weights="DEFAULT").state_dict(), path)``.

    Raises
    ------
    ValueError
        For a missing file, another format, or a trunk of another width.
    """
    if Path(path).suffix in (".pth", ".pt"):
        raise ValueError(
            f"{path} is a pickle, which is never opened here; save torchvision's state_dict() with "
            "safetensors.torch.save_file and give that file"
        )
    tensors, _ = read_tensors(Path(path))
    trunk = {name: value for name, value in tensors.items() if name.startswith(TRUNK)}
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items() if name.startswith(TRUNK)}
    found = {name: tuple(value.shape) for name, value in trunk.items()}
    wrong = next((name for name in {**expected, **found} if expected.get(name) != found.get(name)), None)
    if wrong is not None:
        raise ValueError(
            f"{path}: {wrong} is {found.get(wrong, 'missing')}, a MnasNet of width {network.config.width_multiplier} "
            f"has {expected.get(wrong, 'no such tensor')}"
        )
    network.load_state_dict(trunk, strict=False)
