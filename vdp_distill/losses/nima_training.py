"""Train NIMA: on AVA, or on photographs that are degraded by known steps and rated by rule.

A run is a folder: ``recipe.toml``, ``log.csv``, ``curve.png``, the best network so far as ``model.safetensors`` with
its golden values and card, and ``resume.safetensors``. The batches are a function of (seed, epoch), crops and dropout
of (seed, step), so a run that was killed goes on from its last validation as if it had never stopped.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vdp_distill.checkpoints import load_state, save_state, written_together
from vdp_distill.losses.nima import NIMA, emd, mean_and_spread
from vdp_distill.losses.nima_ava import AVADataset
from vdp_distill.losses.nima_pictures import middle_crops, open_set, random_crops, split_by_group
from vdp_distill.losses.nima_rated import RatedSet
from vdp_distill.losses.nima_recipe import NIMARecipe
from vdp_distill.losses.nima_report import write_report
from vdp_distill.losses.nima_weights import put_trunk, save_nima
from vdp_distill.training.divergence import DivergedError
from vdp_distill.training.report import Progress
from vdp_distill.training.resumable import STATE, claim, conduct

__all__ = ["train"]

LAST_LAYER_SPREAD = 0.01
"""Of its initial weights: torchvision's are so large that the softmax of 1280 features begins saturated."""


@dataclass
class Position:
    """Where a run stands."""

    step: int = 0
    best_loss: float = math.inf
    train_loss: float = 0.0
    train_steps: int = 0
    rows: list[dict] = field(default_factory=list)


def train(
    recipe: str | Path | NIMARecipe,
    data: str | Path | None,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train a NIMA.

    Parameters
    ----------
    recipe
        A file, the bare name of one that ships, or a :class:`~vdp_distill.losses.nima_recipe.NIMARecipe`.
    data
        A folder with ``AVA.txt`` and ``images/``; or photographs, a file or a folder of them, to be degraded and rated
        by rule; None for scikit-image's.
    out
        Folder of the run; becomes the model's folder, which :class:`vdp_distill.losses.nima.HybridLoss` takes.
    resume
        Go on with the run in ``out``, if there is one.
    progress
        Show a progress bar.

    Raises
    ------
    ValueError
        For a wrong recipe, data that are too few, or a folder that holds another run.
    DivergedError
        When the loss becomes NaN or infinite; the best network so far and the last good state stay.
    """
    recipe, out = NIMARecipe.read(recipe), Path(out)
    data_set = open_set(data, recipe.training.picture_side)
    if recipe.network.calibrated and isinstance(data_set, RatedSet):
        raise ValueError("[network]: calibrated = true needs people's ratings; these pictures are rated by rule")
    run = _Run(recipe, data_set, out)
    claim(out, recipe, NIMARecipe.read, resume)  # after wrong data are refused
    return conduct(run, resume, progress)


class _Run:
    """Network, optimiser, data and position of a run."""

    def __init__(self, recipe: NIMARecipe, data_set: AVADataset | RatedSet, out: Path):
        self.recipe, self.training, self.out, self.data_set = recipe, recipe.training, out, data_set
        self.chosen, self.held_out = split_by_group(data_set.groups, self.training.validation_share, self.training.seed)
        self.fabric = Fabric(accelerator=self.training.accelerator, devices=1)
        self.network = _new_network(recipe)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.training.learning_rate)
        self.model, self.optimizer = self.fabric.setup(self.network, optimizer)
        self.position, self.state_path, self.steps = Position(), out / STATE, self.training.steps
        self.batch = min(self.training.pictures_per_batch, len(self.chosen))
        self.steps_per_epoch = len(self.chosen) // self.batch

    def steps_done(self) -> int:
        return self.position.step

    def restore(self) -> None:
        """Go back to the last saved position."""
        self.position = Position(**load_state(self.state_path, self.network, self.optimizer, identity=self.identity()))

    def save(self, is_best: bool) -> None:
        """Write all files of the run together, so that a full disk leaves those of the last validation."""
        with written_together(self.out, last=STATE) as folder:
            if is_best:
                save_nima(folder, self.network)
            write_report(folder, self.out, self.recipe, self.data_set, self.position.rows)
            identity = self.identity()
            save_state(folder / STATE, self.network, self.optimizer, asdict(self.position), identity=identity)

    def identity(self) -> dict:
        return {"number of pictures": len(self.data_set)}

    def run(self, bar: Progress) -> None:
        """Train to the last step; validate and save on the way."""
        at = self.position
        for images, truth in self.batches():
            loss = self.step(images, truth)
            at.step, at.train_steps, at.train_loss = at.step + 1, at.train_steps + 1, at.train_loss + loss
            bar.advance(loss)
            if at.step % self.training.validate_every == 0 or at.step == self.training.steps:
                self.validate()

    def batches(self) -> Iterator[list[Tensor]]:
        """Batches from the position on; the order is that of (seed, epoch)."""
        while self.position.step < self.training.steps:
            epoch, done = divmod(self.position.step, self.steps_per_epoch)
            generator = torch.Generator().manual_seed(1_000_003 * self.training.seed + epoch)
            order = torch.tensor(self.chosen)[torch.randperm(len(self.chosen), generator=generator)]
            batches = order[: self.steps_per_epoch * self.batch].view(-1, self.batch)[done:].tolist()
            yield from self.loader(batches[: self.training.steps - self.position.step])

    def loader(self, batches: list[list[int]]) -> DataLoader:
        loader = DataLoader(self.data_set, batch_sampler=batches, num_workers=self.training.loader_processes)
        return self.fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    def step(self, images: Tensor, truth: Tensor) -> float:
        """One step of the optimiser; gives the loss."""
        at, training = self.position, self.training
        seed = 1_000_003 * (training.seed + 1) + at.step
        cut = random_crops(images, training.crop_side, torch.Generator().manual_seed(seed))
        self.optimizer.param_groups[0]["lr"] = training.learning_rate * training.decay ** (
            at.step // training.decay_every
        )
        self.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # dropout draws from the global generator
            loss = emd(self.model(cut), truth, training.emd_exponent).mean()
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        gradients = [value.grad for value in self.network.parameters() if value.grad is not None]
        if not bool((loss.detach() + nn.utils.get_total_norm(gradients)).isfinite()):
            raise DivergedError(
                f"the loss or its gradient became NaN or infinite at step {at.step}; {self.out} keeps the best network "
                "and the last good state: lower learning_rate in a new recipe"
            )
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def validate(self) -> None:
        """Errors on what is not trained on, the middle of each picture; keep the network if it is the best."""
        self.model.eval()
        groups = [self.held_out[start : start + self.batch] for start in range(0, len(self.held_out), self.batch)]
        outputs = [
            (self.model(middle_crops(images, self.training.crop_side)), truth) for images, truth in self.loader(groups)
        ]
        estimate, truth = (torch.cat(parts).double().cpu() for parts in zip(*outputs, strict=True))
        loss = float(emd(estimate, truth, self.training.emd_exponent).mean())
        if not math.isfinite(loss):
            raise DivergedError(
                f"the validation loss became {loss} at step {self.position.step}; {self.out} keeps the best"
            )
        self.record(loss, estimate, truth)

    def record(self, loss: float, estimate: Tensor, truth: Tensor) -> None:
        """A row of the log; save, and keep the network if it is the best so far."""
        at = self.position
        ours, theirs = mean_and_spread(estimate)[0], mean_and_spread(truth)[0]
        constant = self.constant().expand_as(truth)
        at.rows.append(
            {
                "step": at.step,
                "train_emd": at.train_loss / max(1, at.train_steps),
                "val_emd": loss,
                "val_emd_r1": float(emd(estimate, truth, r=1).mean()),
                "val_emd_of_a_constant": float(emd(constant, truth, self.training.emd_exponent).mean()),
                "val_pearson": _correlation(pearsonr, ours, theirs),
                "val_spearman": _correlation(spearmanr, ours, theirs),
                "val_rmse_of_mean": float((ours - theirs).square().mean().sqrt()),
            }
        )
        at.train_loss, at.train_steps = 0.0, 0
        is_best, at.best_loss = loss < at.best_loss, min(loss, at.best_loss)
        self.save(is_best)

    def constant(self) -> Tensor:
        """What one knows without looking: the mean distribution of the training samples, (1, 10)."""
        if not hasattr(self, "_constant"):
            every = max(1, len(self.chosen) // 1000)
            truths = [self.data_set[number][1] for number in self.chosen[::every]]
            self._constant = torch.stack(truths).double().mean(dim=0, keepdim=True)
        return self._constant


def _new_network(recipe: NIMARecipe) -> NIMA:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)  # torchvision draws from the global generator
        network = NIMA(recipe.network)
        nn.init.normal_(network.classifier[1].weight, 0, LAST_LAYER_SPREAD)
    if recipe.training.trunk:
        put_trunk(network, recipe.training.trunk)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = recipe.training.norm_momentum
    return network


def _correlation(statistic, ours: Tensor, theirs: Tensor) -> float:
    """NaN where one side is constant."""
    if len(ours) < 2 or float(ours.std()) == 0 or float(theirs.std()) == 0:
        return math.nan
    return float(statistic(ours.numpy(), theirs.numpy()).statistic)
