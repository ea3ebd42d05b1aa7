"""Recipes of JND networks: a network, the judgements and the eye that it learns from, and how, as TOML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vdp_distill.display_files import load_display
from vdp_distill.jnd.network import LOSSES, DifferenceConfig, DifferenceNetwork, PaperConfig, PaperNetwork
from vdp_distill.jnd.responses import KEEP
from vdp_distill.judgements import Viewing
from vdp_distill.recipes import from_table, nearest, read_toml, recipe_path, write_toml

__all__ = ["Data", "NETWORKS", "Recipe", "Training", "network_config", "read_recipe"]

NETWORKS = {"jnd-paper": (PaperConfig, PaperNetwork), "jnd": (DifferenceConfig, DifferenceNetwork)}
"""Kinds of network, by the ``kind`` in a recipe's ``[network]``: shape and class."""

DATA = ("synthetic", "mcl-jci")


@dataclass(frozen=True)
class Data:
    """The judgements and the eye.

    Parameters
    ----------
    kind
        ``"synthetic"``: a folder of photographs, judged by synthetic observers; ``"mcl-jci"``: the measured set.
    responses
        ``"exact"``, or the name or folder of a trained chain: the frozen stages in front of the network.
    keep
        Where their responses are kept: ``"memory"``, ``"disk"`` (in the run's folder) or ``"recompute"``.
    display, pixels_per_degree
        How the pictures are seen at their own size.
    size
        Their height and width; photographs are cut and shrunk to it.
    height
        Rows to which they are reduced, and pixels per degree with them; 0 leaves them as they are.
    levels
        JPEG qualities that are taken.
    seed
        Of the synthetic observers.
    """

    kind: str = "synthetic"
    responses: str = "exact"
    keep: str = "memory"
    display: str = "mcl-jci"
    pixels_per_degree: float = 90.0
    size: tuple[int, ...] = (1080, 1920)
    height: int = 270
    levels: tuple[int, ...] = tuple(range(5, 101, 5))
    seed: int = 0

    def __post_init__(self):
        for name, known in (("kind", DATA), ("keep", KEEP)):
            if getattr(self, name) not in known:
                raise ValueError(f"[data]: {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        load_display(self.display)
        if len(self.size) != 2 or min(self.size) < 1 or not self.levels or self.height < 0:
            raise ValueError(
                f"[data]: size must be height and width, levels at least one, height 0 or more, got {self.size}, "
                f"{self.levels} and {self.height}"
            )

    def viewing(self) -> Viewing:
        """How the pairs are seen."""
        return Viewing(self.display, self.pixels_per_degree, self.height or None)

    def trained_pixels_per_degree(self) -> float:
        """Pixels per degree of what the network sees."""
        return self.viewing().reduced_pixels_per_degree(self.size[0])


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Parameters
    ----------
    loss
        ``"binomial"`` (of a probability), ``"distance"`` or ``"contrastive"``.
    pairs_per_batch
        Pairs a step.
    learning_rate
        Of Adam.
    steps
        Batches in all.
    validate_every
        Steps between validations, each of which logs and saves.
    fold
        The fold of sources that is held out and validated on; 0 trains on all and validates on nothing.
    seed
        Of the initial weights and of the pairs' order.
    """

    loss: str = "binomial"
    pairs_per_batch: int = 8
    learning_rate: float = 5e-4
    steps: int = 200
    validate_every: int = 50
    fold: int = 1
    seed: int = 0

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"[training]: loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        for name in ("pairs_per_batch", "learning_rate", "steps", "validate_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"[training]: {name} must be positive, got {getattr(self, name)!r}")
        if self.fold < 0:
            raise ValueError(f"[training]: fold must be 0 (none) or the number of a fold, got {self.fold}")


@dataclass(frozen=True)
class Recipe:
    """A JND network, what it learns from, and how."""

    network: PaperConfig | DifferenceConfig = field(default_factory=DifferenceConfig)
    data: Data = field(default_factory=Data)
    training: Training = field(default_factory=Training)

    def __post_init__(self):
        gives_probability = self.network.kind == "jnd"
        if gives_probability != (self.training.loss == "binomial"):
            raise ValueError(
                f"[training]: a network {self.network.kind!r} is trained by "
                f"{'binomial' if gives_probability else 'distance or contrastive'}, got {self.training.loss!r}"
            )

    def text(self) -> str:
        """TOML that :func:`read_recipe` reads back."""
        return write_toml({"network": self.network, "data": self.data, "training": self.training})


def network_config(table: Mapping, where: object) -> PaperConfig | DifferenceConfig:
    """Shape of a JND network from a recipe's ``[network]``.

    Raises
    ------
    ValueError
        For an unknown kind or key, with the nearest known.
    """
    kind = table.get("kind", "none")
    if kind not in NETWORKS:
        raise ValueError(f"{where} is of a network {kind!r}, not of a JND network; {nearest(str(kind), NETWORKS)}")
    return from_table(NETWORKS[kind][0], table, f"{where}, [network]")


def read_recipe(recipe: str | Path) -> Recipe:
    """A JND recipe from a file, or by its bare name if it ships.

    Raises
    ------
    ValueError
        For an unknown recipe, table or key, with the nearest known.

    Examples
    --------
    >>> read_recipe("jnd-paper").network.distance
    'euclidean'
    """
    path = recipe_path(recipe)
    tables = read_toml(path)
    known = ("network", "data", "training")
    for name in tables:
        if name not in known:
            raise ValueError(f"{path} has no place for {name!r}; {nearest(name, known)}")
    network = network_config(tables.get("network", {}), path)
    data = from_table(Data, tables.get("data", {}), f"{path}, [data]")
    return Recipe(network, data, from_table(Training, tables.get("training", {}), f"{path}, [training]"))
