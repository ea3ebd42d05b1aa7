"""Recipes of MDF's discriminators: their shape and how they are trained, as TOML."""

from dataclasses import dataclass, field

from vdp_distill.losses.mdf import MDFConfig
from vdp_distill.losses.runs import RunRecipe, check_positive

__all__ = ["MDFRecipe", "MDFTraining", "TASKS"]

TASKS = ("sr", "denoise", "jpeg")
"""Restorations whose mistakes discriminators learn: super-resolution, denoising, removal of JPEG's artefacts."""


@dataclass(frozen=True)
class MDFTraining:
    """How discriminators are trained; what the paper leaves open is SinGAN's (Rott Shaham et al., ICCV 2019).

    Parameters
    ----------
    task
        One of :data:`TASKS`.
    coarsest_side, finest_side
        Shorter side of the image in pixels at the two ends of the pyramid; the scales between are geometric.
    steps_per_scale
        Rounds at each scale; each trains the critic ``critic_steps`` times, then the generator ``generator_steps``.
    learning_rate
        Of Adam, for both; a tenth of it after ``decay_after`` of a scale's rounds.
    gradient_penalty, reconstruction
        Weights of WGAN-GP's penalty, and of the squared error in the generator's loss.
    noise_sigma
        Of the noise that ``"denoise"`` adds at each scale, for code values in 0..1.
    jpeg_qualities
        Lowest and highest quality that ``"jpeg"`` draws, 1 to 95.
    seed
        Of the weights and of everything drawn.
    save_every
        Rounds between rows of the log, each of which saves the state.
    """

    task: str = "sr"
    coarsest_side: int = 25
    finest_side: int = 187
    steps_per_scale: int = 2000
    critic_steps: int = 3
    generator_steps: int = 3
    learning_rate: float = 5e-4
    decay_after: float = 0.8
    gradient_penalty: float = 0.1
    reconstruction: float = 10.0
    noise_sigma: float = 0.1
    jpeg_qualities: tuple[int, ...] = (7, 10)
    seed: int = 0
    save_every: int = 100

    def __post_init__(self):
        if self.task not in TASKS:
            raise ValueError(f"[training]: task must be one of {', '.join(TASKS)}, got {self.task!r}")
        check_positive(self, ("steps_per_scale", "critic_steps", "generator_steps", "learning_rate", "save_every"))
        if not 0 < self.coarsest_side <= self.finest_side:
            raise ValueError(
                "[training]: coarsest_side must be positive and at most finest_side, got "
                f"{self.coarsest_side} and {self.finest_side}"
            )
        if len(self.jpeg_qualities) != 2 or not 1 <= self.jpeg_qualities[0] <= self.jpeg_qualities[1] <= 95:
            raise ValueError(
                f"[training]: jpeg_qualities must be lowest and highest, within 1 to 95, got {self.jpeg_qualities}"
            )
        if min(self.gradient_penalty, self.reconstruction, self.noise_sigma) < 0 or not 0 < self.decay_after <= 1:
            raise ValueError(
                "[training]: gradient_penalty, reconstruction and noise_sigma must be at least 0, decay_after in 0..1"
            )


@dataclass(frozen=True)
class MDFRecipe(RunRecipe):
    """Discriminators and how they are trained.

    Examples
    --------
    >>> MDFRecipe.read("mdf-jpeg").training.task
    'jpeg'
    """

    network: MDFConfig = field(default_factory=MDFConfig)
    training: MDFTraining = field(default_factory=MDFTraining)

    def __post_init__(self):
        if self.training.coarsest_side < self.network.reach:
            raise ValueError(
                f"[training]: coarsest_side must be at least {self.network.reach}, which a score sees, got "
                f"{self.training.coarsest_side}"
            )
