"""Recipes of training: a network and how it is trained, as TOML."""

from dataclasses import dataclass, field
from pathlib import Path

from vdp_distill import surrogates, zoo
from vdp_distill.recipes import from_table, nearest, read_toml, recipe_path, write_toml

__all__ = ["Recipe", "Training", "read_recipe"]


PRECISIONS = ("32-true", "bf16-mixed")
SCHEDULES = ("constant", "cosine")
STRATEGIES = ("auto", "ddp")

POSITIVE = ("images_per_batch", "learning_rate", "steps", "validate_every", "validation_pairs", "accumulate", "devices")
NOT_NEGATIVE = ("warmup_steps", "clip_norm", "patience", "flat_images", "loader_processes", "gradient_weight")
SHARES = ("final_share", "ema_decay", "flat_gain")


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    images_per_batch
        Images that one step of the optimiser sees, over all devices; test and reference each count; even.
    learning_rate
        Of Adam, at its highest.
    steps
        Of the optimiser, in all.
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
    schedule, warmup_steps, final_share
        ``"constant"``, or ``"cosine"`` from the highest rate to ``final_share`` of it at the last step; before, so many
        steps in which the rate grows evenly.
    clip_norm
        Largest norm of the gradient of all weights; a longer one is shortened to it. 0: none.
    accumulate
        A batch goes through the network in so many parts, for the memory's sake; their gradients make one step.
    ema_decay
        Share of the old in the running mean of the weights, which is what is then validated and kept; the mean is over
        a tenth of the steps taken while those are few. 0: the last weights are kept.
    patience
        Stop after so many validations in a row without a better one. 0: never.
    flat_images, flat_gain
        Stop once the best validation loss has fallen by less than this share over so many training images; the paper's
        rule is 1 % over 200,000. 0 images: never.
    devices, strategy
        Processes that share a batch, each with a device, and how Fabric starts them: ``"ddp"`` runs the same command
        again for each; ``"auto"`` is that where there are several.
    start
        Released model, or folder of a run, whose weights the training starts from; its network must be the recipe's.
        Empty: from weights drawn with ``seed``.
    only
        How the names of the parameters begin that are learnt, with spaces between several; the others stay as they
        start. Empty: all are learnt.
    gradient_weight
        Of the distance between the gradients of log contrast, the network's and the metric's, in the loss of a visual
        system: 1 - cosine, of pairs near threshold. The data must hold the map ``gradient``. 0: not looked at.
    tensorboard
        Write the log for TensorBoard too; one of the packages ``tensorboard``, ``tensorboardX`` is then needed.
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
    schedule: str = "constant"
    warmup_steps: int = 0
    final_share: float = 0.0
    clip_norm: float = 0.0
    accumulate: int = 1
    ema_decay: float = 0.0
    patience: int = 0
    flat_images: int = 0
    flat_gain: float = 0.01
    devices: int = 1
    strategy: str = "auto"
    start: str = ""
    only: str = ""
    gradient_weight: float = 0.0
    tensorboard: bool = False

    def __post_init__(self):
        self._check_numbers()
        for name, known in (("precision", PRECISIONS), ("schedule", SCHEDULES), ("strategy", STRATEGIES)):
            if getattr(self, name) not in known:
                raise ValueError(f"[training]: {name} must be one of {known}, got {getattr(self, name)!r}")
        if self.images_per_batch % 2:
            raise ValueError(
                f"[training]: images_per_batch must be even, for pairs stay together, got {self.images_per_batch}"
            )
        if self.images_per_batch // 2 % self.parts:
            raise ValueError(
                f"[training]: {self.images_per_batch} images cannot be shared evenly, as pairs, by {self.devices} "
                f"device(s) in {self.accumulate} part(s) each; make images_per_batch a multiple of {2 * self.parts}"
            )
        if self.schedule == "cosine" and self.warmup_steps >= self.steps:
            raise ValueError(
                f"[training]: warmup_steps must be fewer than steps, got {self.warmup_steps} of {self.steps}"
            )

    def _check_numbers(self) -> None:
        wanted = {name: (getattr(self, name) > 0, "positive") for name in POSITIVE}
        wanted |= {name: (getattr(self, name) >= 0, "at least 0") for name in NOT_NEGATIVE}
        wanted |= {name: (0 <= getattr(self, name) < 1, "at least 0 and below 1") for name in SHARES}
        for name, (holds, what) in wanted.items():
            if not holds:
                raise ValueError(f"[training]: {name} must be {what}, got {getattr(self, name)!r}")

    @property
    def parts(self) -> int:
        """Parts of a batch, over all devices: each goes through the network at once."""
        return self.accumulate * self.devices


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained.

    Parameters
    ----------
    network
        Its shape, of a kind in :data:`vdp_distill.zoo.NETWORKS`.
    training
    """

    network: object = field(default_factory=surrogates.ChainConfig)
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
    if "network" not in tables:
        raise ValueError(f"{path} has no table [network]: which network is to be trained? kind = ... says it")
    network = zoo.network_config(tables["network"], path)
    return Recipe(network, from_table(Training, tables.get("training", {}), f"{path}, [training]"))
