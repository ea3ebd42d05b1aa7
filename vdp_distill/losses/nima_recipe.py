"""Recipes of NIMA: a network and how it is trained, as TOML."""

from dataclasses import dataclass, field

from vdp_distill.losses.nima import NIMAConfig
from vdp_distill.losses.runs import RunRecipe, check_positive

__all__ = ["NIMARecipe", "NIMATraining"]

POSITIVE = ("pictures_per_batch", "learning_rate", "steps", "decay_every", "decay", "validate_every")
TRUNK_STRIDE = 32
"""Of MnasNet: a crop under it leaves nothing to pool."""


@dataclass(frozen=True)
class NIMATraining:
    """How NIMA is trained; the defaults are the paper's, but for the number of steps: 25 epochs of 80 % of AVA.

    Parameters
    ----------
    picture_side, crop_side
        Every picture is scaled to a square of the first; a random square of the second is cut from it.
    pictures_per_batch, learning_rate
        Of Adam.
    steps
        Batches in all.
    decay_every, decay
        After so many steps the learning rate is multiplied by ``decay``.
    emd_exponent
        r of the loss.
    validation_share
        Of the pictures; all versions of one photograph are on one side.
    validate_every
        Steps between validations, each of which logs and saves.
    norm_momentum
        Of batch normalisation. torchvision's 0.0003 fits longer runs.
    trunk
        A ``.safetensors`` of torchvision's MnasNet to start from; empty for random weights.
    seed
        Of the weights and of everything drawn.
    accelerator
        As Lightning Fabric names it: ``"auto"``, ``"cpu"``, ``"cuda"``.
    loader_processes
        Processes that read pictures; 0 reads in the training process.
    """

    picture_side: int = 256
    crop_side: int = 192
    pictures_per_batch: int = 128
    learning_rate: float = 1e-4
    steps: int = 40_000
    decay_every: int = 1_600
    decay: float = 0.95
    emd_exponent: float = 2.0
    validation_share: float = 0.2
    validate_every: int = 1_600
    norm_momentum: float = 0.01
    trunk: str = ""
    seed: int = 0
    accelerator: str = "auto"
    loader_processes: int = 0

    def __post_init__(self):
        check_positive(self, POSITIVE)
        if self.pictures_per_batch < 2:
            raise ValueError("[training]: pictures_per_batch must be at least 2, for batch normalisation, got 1")
        if not TRUNK_STRIDE <= self.crop_side <= self.picture_side:
            raise ValueError(
                f"[training]: crop_side must be at least {TRUNK_STRIDE} and at most picture_side, got "
                f"{self.crop_side} and {self.picture_side}"
            )
        if not 0 < self.validation_share < 1 or not 0 < self.norm_momentum <= 1 or not self.emd_exponent >= 1:
            raise ValueError(
                "[training]: validation_share must lie between 0 and 1, norm_momentum in 0..1, emd_exponent be at "
                "least 1"
            )
        if self.loader_processes < 0:
            raise ValueError(f"[training]: loader_processes must be at least 0, got {self.loader_processes}")


@dataclass(frozen=True)
class NIMARecipe(RunRecipe):
    """A network and how it is trained.

    Examples
    --------
    >>> NIMARecipe.read("nima-paper").training.crop_side
    192
    """

    network: NIMAConfig = field(default_factory=NIMAConfig)
    training: NIMATraining = field(default_factory=NIMATraining)
