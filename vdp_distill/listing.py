"""The list of everything that is released: what each model is, how large, what takes its name, where its card lies."""

from pathlib import Path
from typing import NamedTuple

from vdp_distill import zoo
from vdp_distill.checkpoints import read_tensors
from vdp_distill.criterion import criterion_names
from vdp_distill.jnd import model as jnd_model
from vdp_distill.recipes import models_folder, read_toml

__all__ = ["Released", "listed", "released"]

EXACT = "HDR-VDP 2.2 itself, not a network; for compare, jnd, benchmark and export"

SURROGATE = "surrogate of the metric; for compare, jnd, benchmark, export and VDPLoss"

LOSS_NETWORKS = {
    "mdf": "feature distance of multi-scale discriminators; for vdp_distill.losses",
    "nima": "aesthetic score; for vdp_distill.losses",
    "trunk": "features of losses where no VGG is at hand; for vdp_distill.losses",
}
"""What networks of losses are, by the ``kind`` in their recipe."""


class Released(NamedTuple):
    """A released model.

    Attributes
    ----------
    name
        Of its folder.
    what
        What it is, and what takes its name.
    numbers
        Parameters of its network, or numbers of its criterion.
    card
        Its README.
    """

    name: str
    what: str
    numbers: int
    card: Path

    def __str__(self) -> str:
        return f"{self.name:16} {self.what}; {self.numbers:,} parameters; card: {self.card}"


def released() -> list[Released]:
    """All released models: surrogates, the criterion of people, JND networks, networks of losses; each by name.

    Examples
    --------
    >>> [model.numbers for model in released() if model.name == "people-v1"]
    [6]
    """
    surrogates = dict.fromkeys(zoo.names(), SURROGATE)
    criteria = {name: "criterion of people; for compare and jnd" for name in criterion_names()}
    networks = {
        name: "share of people who see a difference, a network; for vdp_distill.jnd.model" for name in jnd_model.names()
    }
    named = surrogates | criteria | networks
    return [_released(name, what) for name, what in (named | _of_losses(set(named))).items()]


def listed() -> list[str]:
    """A line for the exact metric and for every released model."""
    return [f"{'exact':16} {EXACT}", *map(str, released())]


def _of_losses(known: set[str]) -> dict[str, str]:
    folders = sorted(path.parent for path in models_folder().glob("*/model.safetensors"))
    kinds = {folder.name: _kind(folder) for folder in folders if folder.name not in known}
    return {name: LOSS_NETWORKS.get(kind, f"network of kind {kind!r}") for name, kind in kinds.items()}


def _kind(folder: Path) -> str:
    return read_toml(folder / "recipe.toml").get("network", {}).get("kind", "unknown")


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What batch normalisation keeps beside its parameters."""


def _released(name: str, what: str) -> Released:
    folder = models_folder() / name
    if (folder / "model.safetensors").is_file():
        weights, _ = read_tensors(folder / "model.safetensors")
        numbers = sum(value.numel() for name, value in weights.items() if not name.endswith(STATISTICS))
    else:
        table = read_toml(folder / "criterion.toml").get("criterion", {})
        numbers = sum(isinstance(value, int | float) for value in table.values())
    return Released(name, what, numbers, folder / "README.md")
