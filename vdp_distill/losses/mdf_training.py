"""Train MDF's discriminators on a single image, coarse to fine.

At each scale a generator is given its predecessor's output, enlarged, with the task's distortion added, and a critic
learns to tell what it makes of that from the image itself (WGAN-GP). Then both are frozen and the next scale begins,
from their weights where the widths agree. Only the discriminators are kept for the loss.

A run is a folder: ``recipe.toml``, ``log.csv``, ``curve.png``, ``resume.safetensors``, and when all scales are done
``model.safetensors`` with its golden values and card. What is drawn at a round is a function of (seed, scale, round),
so a run that was killed goes on as if it had never stopped.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill.checkpoints import load_state, read_tensors, save_state
from vdp_distill.losses.mdf import Discriminators
from vdp_distill.losses.mdf_adversary import Generator, critic_loss, generator_loss, initialise
from vdp_distill.losses.mdf_recipe import MDFRecipe
from vdp_distill.losses.mdf_report import describe, write_curves
from vdp_distill.losses.mdf_tasks import DISTORTIONS, pyramid, resized, seed_images
from vdp_distill.losses.mdf_weights import save_discriminators
from vdp_distill.training.divergence import DivergedError
from vdp_distill.training.report import Progress
from vdp_distill.training.resumable import STATE, claim, conduct

__all__ = ["train"]

BETAS = (0.5, 0.999)
"""Of Adam, as in SinGAN."""
LATE_RATE = 0.1
"""Share of the learning rate that is left after the decay."""
MEASURED = ("critic_loss", "generator_loss", "score_gap", "mse_given", "mse_restored")


@dataclass
class Position:
    """Where a run stands: rounds done of a scale, and what they summed to since the last row of the log."""

    scale: int = 0
    round: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * len(MEASURED))
    counted: int = 0
    rows: list[dict] = field(default_factory=list)


def train(
    recipe: str | Path | MDFRecipe,
    data: str | Path | None,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train the discriminators of a task.

    Parameters
    ----------
    recipe
        A file, the bare name of one that ships, or a :class:`~vdp_distill.losses.mdf_recipe.MDFRecipe`.
    data
        The image to train on, or a folder of several, which take turns; None for scikit-image's ``astronaut``.
    out
        Folder of the run; becomes the model's folder, which :class:`vdp_distill.losses.mdf.MDFLoss` takes.
    resume
        Go on with the run in ``out``, if there is one.
    progress
        Show a progress bar.

    Raises
    ------
    ValueError
        For a wrong recipe, images that are too small, or a folder that holds another run.
    DivergedError
        When a loss becomes NaN or infinite; the last good state stays.
    """
    recipe, seeds, out = MDFRecipe.read(recipe), seed_images(data), Path(out)
    run = _Run(recipe, seeds, out)
    claim(out, recipe, MDFRecipe.read, resume)  # after wrong data are refused
    return conduct(run, resume, progress)


class _Run:
    """Networks, images and position of a run."""

    def __init__(self, recipe: MDFRecipe, seeds: list, out: Path):
        self.recipe, self.training, self.out, self.seeds = recipe, recipe.training, out, seeds
        self.scales = len(recipe.network.widths)
        self.levels = [pyramid(seed.image, self.training, self.scales) for seed in seeds]
        discriminators = Discriminators(recipe.network)
        generators = nn.ModuleList(Generator(recipe.network, width) for width in recipe.network.widths)
        self.networks = nn.ModuleDict({"discriminators": discriminators, "generators": generators}).eval()
        initialise(self.networks, torch.Generator().manual_seed(self.training.seed))
        self.position, self.state_path = Position(), out / STATE
        self.steps = self.scales * self.training.steps_per_scale
        self.optimizer = self.new_optimizer()

    def pair(self, scale: int) -> tuple[nn.Module, nn.Module]:
        """Discriminator and generator of a scale."""
        return self.networks["discriminators"][f"s{scale}"], self.networks["generators"][scale]

    def new_optimizer(self) -> torch.optim.Adam:
        """Of a scale's two networks: whose gradients are absent is left alone."""
        critic, generator = self.pair(min(self.position.scale, self.scales - 1))
        weights = [*critic.parameters(), *generator.parameters()]
        return torch.optim.Adam(weights, lr=self.training.learning_rate, betas=BETAS)

    def steps_done(self) -> int:
        return self.position.scale * self.training.steps_per_scale + self.position.round

    def identity(self) -> dict:
        return {"images": [seed.sha256 for seed in self.seeds]}

    def restore(self) -> None:
        """Go back to the last saved position."""
        self.position = Position(**read_tensors(self.state_path)[1]["position"])
        self.optimizer = self.new_optimizer()
        load_state(self.state_path, self.networks, self.optimizer, identity=self.identity())

    def save(self) -> None:
        if not all(bool(value.isfinite().all()) for value in self.networks.state_dict().values()):
            self.stop("a weight")
        save_state(self.state_path, self.networks, self.optimizer, asdict(self.position), identity=self.identity())

    def run(self, bar: Progress) -> None:
        """Train every scale that is left, then write the model."""
        at = self.position
        while at.scale < self.scales:
            if at.round == 0:
                self.begin_scale()
            while at.round < self.training.steps_per_scale:
                bar.advance(self.round())
                if at.round % self.training.save_every == 0 and at.round < self.training.steps_per_scale:
                    self.record()
                    self.save()
            self.end_scale()
        if not (self.out / "model.safetensors").is_file():
            save_discriminators(self.out, self.networks["discriminators"])
            describe(self.out, self.recipe, self.networks["discriminators"], self.seeds, at.rows)

    def begin_scale(self) -> None:
        """Start from the scale before, where the widths agree."""
        scale, widths = self.position.scale, self.recipe.network.widths
        if scale and widths[scale] == widths[scale - 1]:
            for ours, before in zip(self.pair(scale), self.pair(scale - 1), strict=True):
                ours.load_state_dict(before.state_dict())
        self.optimizer = self.new_optimizer()

    def end_scale(self) -> None:
        """Freeze the scale's networks and save."""
        self.record()
        self.networks.eval()
        self.position.scale, self.position.round = self.position.scale + 1, 0
        self.optimizer = self.new_optimizer()
        self.save()
        write_curves(self.out, self.position.rows)

    def round(self) -> float:
        """Train the critic, then the generator; gives the squared error of what was restored."""
        at, training = self.position, self.training
        draw = torch.Generator().manual_seed(1_000_003 * training.seed + self.steps_done())
        levels = self.levels[at.round % len(self.levels)]
        real, given = levels[at.scale + 1], self.given(levels, draw)
        critic, generator = self.pair(at.scale)
        critic.train(), generator.train()
        late = at.round >= training.decay_after * training.steps_per_scale
        self.optimizer.param_groups[0]["lr"] = training.learning_rate * (LATE_RATE if late else 1)

        def score(image: Tensor) -> Tensor:
            return critic(image)[-1]

        fake = generator(given).detach()
        for _ in range(training.critic_steps):
            share = torch.rand((), generator=draw)
            of_critic = critic_loss(score, real, fake, share, training.gradient_penalty)
            self.step(of_critic, critic)
        for _ in range(training.generator_steps):
            fake = generator(given)
            of_generator = generator_loss(score, fake, real, training.reconstruction)
            self.step(of_generator, generator)
        self.count(of_critic, of_generator, score, given, fake.detach(), real)
        return at.sums[-1] / at.counted

    @torch.no_grad()
    def given(self, levels: list[Tensor], draw: torch.Generator) -> Tensor:
        """What the scale's generator restores: its predecessors' work, enlarged and distorted."""
        image = levels[0]
        for scale in range(self.position.scale + 1):
            level = levels[scale + 1]
            distortion = DISTORTIONS[self.training.task](level, self.training, draw)
            image = resized(image, level.shape[-2:]) + distortion
            if scale < self.position.scale:
                image = self.pair(scale)[1](image)
        return image

    def step(self, loss: Tensor, network: nn.Module) -> None:
        """One step of the optimiser for one of the two networks."""
        if not bool(loss.isfinite()):
            self.stop("the loss")
        self.optimizer.zero_grad()
        loss.backward(inputs=list(network.parameters()))
        self.optimizer.step()

    @torch.no_grad()
    def count(self, of_critic, of_generator, score, given, fake, real) -> None:
        at = self.position
        gap = score(real).mean() - score(fake).mean()
        measured = (of_critic, of_generator, gap, F.mse_loss(given, real), F.mse_loss(fake, real))
        at.sums = [total + float(value) for total, value in zip(at.sums, measured, strict=True)]
        at.counted, at.round = at.counted + 1, at.round + 1

    def record(self) -> None:
        """A row of the log: means since the row before."""
        at = self.position
        height, width = self.levels[0][at.scale + 1].shape[-2:]
        means = dict(zip(MEASURED, (total / max(1, at.counted) for total in at.sums), strict=True))
        row = {"scale": at.scale, "round": at.round, "height": height, "width": width}
        row |= {name: means[name] for name in MEASURED[:3]}
        row |= {f"psnr_{name}_db": psnr_db(means[f"mse_{name}"]) for name in ("given", "restored")}
        at.rows.append(row)
        at.sums, at.counted = [0.0] * len(MEASURED), 0

    def stop(self, what: str) -> None:
        raise DivergedError(
            f"{what} became NaN or infinite at scale {self.position.scale}, round {self.position.round}; "
            f"{self.out} keeps the last good state: lower learning_rate in a new recipe, or resume to look again"
        )


def psnr_db(mean_squared_error: float) -> float:
    """Of images in -1..1."""
    return 10 * math.log10(4 / mean_squared_error) if mean_squared_error > 0 else math.inf
