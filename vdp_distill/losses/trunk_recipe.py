"""Recipes of our own trunk: its shape and how it is trained, as TOML."""

from dataclasses import dataclass, field
from pathlib import Path

from vdp_distill.recipes import from_table, nearest, read_toml, recipe_path, write_toml

__all__ = ["TrunkNetwork", "TrunkRecipe", "TrunkTraining", "read_recipe"]


@dataclass(frozen=True)
class TrunkNetwork:
    """Shape of the trunk.

    Parameters
    ----------
    widths
        Channels of each stage.
    """

    kind: str = "trunk"
    widths: tuple[int, ...] = (16, 32, 64, 96)


@dataclass(frozen=True)
class TrunkTraining:
    """How the trunk is trained.

    Parameters
    ----------
    crop_pixels
        Side of a crop.
    crops_per_batch
        Crops of a step, each degraded in its own way.
    learning_rate
        Of Adam at the start; it falls to 0 along half a cosine.
    steps
        Batches in all.
    held_out
        Photographs, the last by name, that are kept for the card's table.
    validate_every
        Steps between rows of the log, each of which saves.
    seed
        Of the weights, the crops and what is done to them.
    """

    crop_pixels: int = 64
    crops_per_batch: int = 24
    learning_rate: float = 1e-3
    steps: int = 3000
    held_out: int = 6
    validate_every: int = 250
    seed: int = 0

    def __post_init__(self):
        for name in ("crop_pixels", "crops_per_batch", "learning_rate", "steps", "held_out", "validate_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"[training]: {name} must be positive, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class TrunkRecipe:
    """A trunk and how it is trained."""

    network: TrunkNetwork = field(default_factory=TrunkNetwork)
    training: TrunkTraining = field(default_factory=TrunkTraining)

    def text(self) -> str:
        """TOML that :func:`read_recipe` reads back."""
        return write_toml({"network": self.network, "training": self.training})


def read_recipe(recipe: str | Path) -> TrunkRecipe:
    """A recipe from a file, or by its bare name if it ships."""
    path = recipe_path(recipe)
    tables = read_toml(path)
    for name in tables:
        if name not in ("network", "training"):
            raise ValueError(f"{path} has no place for {name!r}; {nearest(name, ('network', 'training'))}")
    network = from_table(TrunkNetwork, tables.get("network", {}), f"{path}, [network]")
    return TrunkRecipe(network, from_table(TrunkTraining, tables.get("training", {}), f"{path}, [training]"))
