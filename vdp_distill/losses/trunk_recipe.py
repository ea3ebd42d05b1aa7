"""Recipes of our own trunk: its shape and how it is trained, as TOML."""

from dataclasses import dataclass, field

from vdp_distill.losses.runs import RunRecipe, check_positive

__all__ = ["TrunkNetwork", "TrunkRecipe", "TrunkTraining"]

POSITIVE = ("crop_pixels", "crops_per_batch", "learning_rate", "steps", "held_out", "validate_every")


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
        check_positive(self, POSITIVE)


@dataclass(frozen=True)
class TrunkRecipe(RunRecipe):
    """A trunk and how it is trained."""

    network: TrunkNetwork = field(default_factory=TrunkNetwork)
    training: TrunkTraining = field(default_factory=TrunkTraining)
