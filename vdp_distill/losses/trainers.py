"""What trains the networks that losses are made of: a line a kind, by the ``kind`` of a recipe's ``[network]``."""

import importlib
from pathlib import Path
from types import MappingProxyType

from vdp_distill.recipes import read_toml, recipe_path

__all__ = ["TRAINERS", "kind_of", "train"]

TRAINERS = MappingProxyType(
    {
        "mdf": "mdf_training:train",
        "nima": "nima_training:train",
        "trunk": "trunk_training:train",
    }
)
"""Each is called as ``train(recipe, data, out, *, resume, progress)``, ``data`` being a folder of photographs."""


def kind_of(recipe: str | Path) -> str:
    """Kind of the network that a recipe describes."""
    return read_toml(recipe_path(recipe)).get("network", {}).get("kind", "paper")


def train(recipe: str | Path, data: Path, out: Path, *, resume: bool = False, progress: bool = True) -> Path:
    """Train what a recipe describes: a loss's network on photographs, or a surrogate of the metric on shards.

    Parameters
    ----------
    recipe
        A TOML file, or the name of one that ships.
    data
        Folder of photographs, or of shards.
    out
        Folder of the run; becomes the model's folder.
    resume
        Go on with the run in ``out``.
    progress
        Show a progress bar.

    Raises
    ------
    ValueError
        As the kind's own trainer does; a kind that is not in :data:`TRAINERS` is
        :func:`vdp_distill.distill.train`'s.
    """
    kind = kind_of(recipe)
    if kind not in TRAINERS:
        from vdp_distill.distill import train

        return train(recipe, data, out, resume=resume, progress=progress)
    module, _, function = TRAINERS[kind].partition(":")
    trainer = getattr(importlib.import_module(f"vdp_distill.losses.{module}"), function)
    return trainer(recipe_path(recipe), Path(data), Path(out), resume=resume, progress=progress)
