"""What a kind of network needs to be trained, and which code trains which kind: a line a kind.

:func:`vdp_distill.distill.train` runs every :class:`Task` in one way: batches, schedule, checkpoints, log. Kinds that
are trained quite otherwise are handed over whole to a module of their own.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vdp_distill import zoo
from vdp_distill.recipes import nearest, read_toml, recipe_path

__all__ = ["TASKS", "TRAINERS", "ErrorColumn", "Task", "check_data", "kind_of", "task_for", "trainer_for"]

TASKS = MappingProxyType(
    {
        "paper": "vdp_distill.training.chain:ChainTask",
        "chain": "vdp_distill.training.conditioned:ConditionedTask",
        "cortex": "vdp_distill.training.cortex:CortexTask",
        "fast": "vdp_distill.training.cortex:CortexTask",
        "swift": "vdp_distill.training.cortex:CortexTask",
        "glance": "vdp_distill.training.cortex:CortexTask",
        "forward": "vdp_distill.training.forward:ForwardTask",
    }
)
"""Tasks by the ``kind`` in a recipe's ``[network]``, as module and class; a task is made from the network's shape."""

TRAINERS = MappingProxyType(
    {
        "trunk": "vdp_distill.losses.trunk_training",
        "mdf": "vdp_distill.losses.mdf_training",
        "nima": "vdp_distill.losses.nima_training",
        "jnd": "vdp_distill.jnd.training",
        "jnd-paper": "vdp_distill.jnd.training",
    }
)
"""Modules whose ``train(recipe, data, out, *, resume, progress)`` does all of a kind's training."""

SHARDS = "shards: pass --data FOLDER, which vdp-distill generate makes, or --data online:RECIPE"
PEOPLE = "MCL-JCI or photographs, as its recipe's [data] says: pass --data FOLDER"
NEEDED_DATA = MappingProxyType(
    {
        **dict.fromkeys(TASKS, SHARDS),
        "forward": "what a metric says of pairs: use vdp_distill.training.forward.ForwardModel, from Python",
        "trunk": "photographs: pass --data FOLDER",
        "jnd": PEOPLE,
        "jnd-paper": PEOPLE,
    }
)
"""What the kinds that cannot do without data are trained on."""


class ErrorColumn(NamedTuple):
    """An error that is logged at every validation.

    Attributes
    ----------
    name
        Of the log's column, after ``val_``.
    label, unit
        In the curve and in the card.
    is_square
        The errors are squares, and the root of their mean is logged; else their mean.
    """

    name: str
    label: str
    unit: str
    is_square: bool = False

    def over_samples(self, mean: float) -> float:
        """What is logged, from the mean over all samples."""
        return mean**0.5 if self.is_square else mean


class Task(ABC):
    """How a kind of network is trained and judged.

    ``module``, in every method, is called like the network. Within it the recipe's precision holds; what it gives is
    float32. Other methods and attributes of the network pass through, without that precision.

    Attributes
    ----------
    columns
        The errors that are logged.
    about, limits
        What the card says first, and what it says of the network's validity.
    usage
        What the card says last: what validation samples are, and how the network is called; ``{name}`` is the model's.
    knows_gradients
        Whether ``gradient_weight`` has a meaning for it.
    maker
        What trains it, as the card says.
    loss_label, loss_unit
        Of the curve.
    """

    columns: tuple[ErrorColumn, ...]
    about: str
    limits: str
    usage: str = """\
Validation sources are photographs that no training sample was cut from; viewing conditions are of the same kind.

    from vdp_distill.zoo import load
    model = load("path/to/{name}", encoding="sRGB-display", pixels_per_degree=30)
    result = model(test, reference)"""
    knows_gradients: bool = False
    maker: str = "vdp-distill train"
    loss_label: str = "loss"
    loss_unit: str = ""

    def __init__(self, config, training=None):
        self.config = config
        self.gradient_weight = training.gradient_weight if training is not None else 0.0
        if self.gradient_weight and not self.knows_gradients:
            raise ValueError(f"[training]: gradient_weight is for visual systems, not for a network {config.kind!r}")

    @property
    @abstractmethod
    def fields(self) -> tuple[str, ...]:
        """What a sample must hold, by its path in a shard; ``"samples/index"`` is one."""

    @abstractmethod
    def losses(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        """Losses of a batch of N samples, (M, K), whose mean is minimised; row m belongs to sample ``m % N``.

        Gradients of gradients are allowed. torch's own random numbers are seeded from (seed, step) before every step.
        """

    @abstractmethod
    def errors(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        """Errors of a batch, (M, columns); NaN where an image has none. Called without gradients."""

    def evaluate(self, module: Callable, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Losses and errors of a batch; a task that can share the work between them does."""
        return self.losses(module, batch), self.errors(module, batch)

    def parameter_groups(self, network: nn.Module, training) -> list[dict]:
        """Groups of learnt parameters, as torch's optimisers take them, each with its own rate at the schedule's peak.

        A group's ``lr`` is what the schedule multiplies.
        """
        learnt = [value for value in network.parameters() if value.requires_grad]
        return [{"params": learnt, "lr": training.learning_rate}]

    def build(self, generator: torch.Generator) -> nn.Module:
        """The network with its initial weights."""
        return zoo.NETWORKS[self.config.kind][1](self.config, generator)

    def save(self, folder: Path, network: nn.Module) -> None:
        """Write weights and golden values as the zoo reads them."""
        zoo.save_network(folder, network)


def task_for(config, training=None) -> Task:
    """The task of a network's shape, by its kind, for a :class:`vdp_distill.training.recipe.Training`.

    Raises
    ------
    ValueError
        For a kind that no task is known for.

    Examples
    --------
    >>> from vdp_distill.surrogates import ChainConfig
    >>> [column.unit for column in task_for(ChainConfig()).columns]
    ['log10 cd/m2', 'log10 cd/m2', 'JND', 'JND']
    """
    if config.kind not in TASKS:
        raise ValueError(f"no task is known for networks of kind {config.kind!r}; {nearest(config.kind, TASKS)}")
    module, _, name = TASKS[config.kind].partition(":")
    return getattr(importlib.import_module(module), name)(config, training)


def kind_of(recipe: str | Path) -> str:
    """Kind of the network that a recipe describes, from its file or bare name."""
    table = read_toml(recipe_path(recipe)).get("network", {})
    return str(table.get("kind", "paper")) if isinstance(table, Mapping) else "paper"


def check_data(kind: str, data: object) -> None:
    """Refuse to train without data where it is needed, and say which."""
    if data is None and kind in NEEDED_DATA:
        raise ValueError(f"a network of kind {kind!r} is trained on {NEEDED_DATA[kind]}")


def trainer_for(kind: str) -> Callable[..., Path] | None:
    """The function that does all of a kind's training; None for a kind that has a task."""
    return importlib.import_module(TRAINERS[kind]).train if kind in TRAINERS else None
