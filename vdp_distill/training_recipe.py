"""Recipes of training: a network and how it is trained, as TOML."""

from dataclasses import dataclass, field
from pathlib import Path

from vdp_distill import surrogates, zoo
from vdp_distill.recipes import from_table, nearest, read_toml, recipe_path, write_toml

__all__ = ["Recipe", "Training", "read_recipe"]


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    images_per_batch
        Test and reference each count; even.
    learning_rate
        Of Adam.
    steps
        Batches in all.
    validate_every
        Steps between validations, each of which logs and saves.
    validation_pairs
        At most so many, spread over the split.
    seed
        Of the initial weights and of the samples' order.
    accelerator, precision
        As Lightning Fabric names them: ``"auto"``, ``"cpu"``, ``"cuda"``; ``"32-true"``, ``"bf16-mixed"``.
    loader_processes
        Processes that read shards; 0 reads in the training process.
    """

    images_per_batch: int = 16
    learning_rate: float = 5e-4
    steps: int = 10_000
    validate_every: int = 500
    validation_pairs: int = 256
    seed: int = 0
    accelerator: str = "auto"
    precision: str = "32-true"
    loader_processes: int = 0

    def __post_init__(self):
        positive = {
            name: getattr(self, name)
            for name in ("images_per_batch", "learning_rate", "steps", "validate_every", "validation_pairs")
        }
        for name, value in positive.items():
            if not value > 0:
                raise ValueError(f"[training]: {name} must be positive, got {value!r}")
        if self.images_per_batch % 2:
            raise ValueError(
                f"[training]: images_per_batch must be even, for pairs stay together, got {self.images_per_batch}"
            )
        if self.loader_processes < 0:
            raise ValueError(f"[training]: loader_processes must be at least 0, got {self.loader_processes}")


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained."""

    network: surrogates.ChainConfig = field(default_factory=surrogates.ChainConfig)
    training: Training = field(default_factory=Training)

    def text(self) -> str:
        """TOML that :func:`read_recipe` reads back."""
        return write_toml({"network": self.network, "training": self.training})


def read_recipe(recipe: str | Path) -> Recipe:
    """A training recipe from a file, or by its bare name if it ships.

    Raises
    ------
    ValueError
        For an unknown recipe, table or key, with the nearest known.
    """
    path = recipe_path(recipe)
    tables = read_toml(path)
    known = ("network", "training")
    for name in tables:
        if name not in known:
            raise ValueError(f"{path} has no place for {name!r}; {nearest(name, known)}")
    network = zoo.network_config(tables.get("network", {}), path)
    return Recipe(network, from_table(Training, tables.get("training", {}), f"{path}, [training]"))
