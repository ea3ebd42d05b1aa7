"""Distillation: train a surrogate on shards, through Lightning Fabric.

A run is a folder: ``recipe.toml``, ``log.csv``, ``curve.png``, the best network so far as ``model.safetensors`` with
its golden values and card, and ``resume.safetensors``. The order of the samples is a function of (seed, epoch), so a
run that was killed goes on from its position as if it had never stopped.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vdp_distill import zoo
from vdp_distill.chain_losses import ERROR_NAMES, LEARNT_STAGES, network_batch, stage_errors, stage_losses
from vdp_distill.checkpoints import load_state, save_state, write_whole
from vdp_distill.training_recipe import Recipe, read_recipe
from vdp_distill.training_report import Progress, write_report

__all__ = ["DATA_FIELDS", "DivergedError", "train"]

IMAGES = ("test", "reference")
DATA_FIELDS = (
    *(f"light/{image}" for image in IMAGES),
    *(f"stages/{stage}/{image}" for stage in LEARNT_STAGES for image in IMAGES),
    "conditions/surround_cdm2",
    "samples/index",
)
"""What a sample must hold, by its path in a shard."""


class DivergedError(ValueError):
    """The loss became NaN or infinite; the message names the samples."""


@dataclass
class Position:
    """Where a run stands."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    train_loss: float = 0.0
    train_steps: int = 0
    rows: list[dict] = field(default_factory=list)


def train(
    recipe: str | Path | Recipe,
    data: str | Path | Mapping[str, Dataset],
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train a network.

    Parameters
    ----------
    recipe
        A file, the bare name of one that ships, or a :class:`Recipe`.
    data
        Folder of shards, or data sets ``{"train": ..., "val": ...}`` whose samples hold :data:`DATA_FIELDS`.
    out
        Folder of the run; becomes the model's folder.
    resume
        Go on with the run in ``out``, if there is one.
    progress
        Show a progress bar.

    Returns
    -------
    Path
        ``out``; :func:`vdp_distill.zoo.load` takes it.

    Raises
    ------
    ValueError
        For a wrong recipe, data without what is needed, or a folder that holds another run.
    DivergedError
        When the loss becomes NaN; the best network so far and the last good state stay.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    sets = data if isinstance(data, Mapping) else _shards(data)
    out = Path(out)
    _claim(out, recipe, resume)
    run = _Run(recipe, sets, out)
    if resume and run.state_path.is_file():
        run.restore()
    with Progress(recipe.training.steps, run.position.step, progress) as bar:
        run.run(bar)
    return out


def _shards(folder: str | Path) -> dict[str, Dataset]:
    from vdp_distill.dataset import ShardDataset

    return {split: ShardDataset(folder, DATA_FIELDS, split=split) for split in ("train", "val")}


def _claim(out: Path, recipe: Recipe, resume: bool) -> None:
    """Make the folder this run's own, or refuse another's."""
    path = out / "recipe.toml"
    if path.is_file():
        if not resume:
            raise ValueError(f"{out} already holds a training run; go on with it by --resume, or choose another folder")
        if read_recipe(path) != recipe:
            raise ValueError(f"{out} holds a run of another recipe; resume with {path}, or choose another folder")
        return
    write_whole(path, lambda partial: partial.write_text(recipe.text(), encoding="utf-8"))


class _Run:
    """Network, optimiser, data and position of a run."""

    def __init__(self, recipe: Recipe, sets: Mapping[str, Dataset], out: Path):
        self.recipe, self.training, self.out = recipe, recipe.training, out
        self.fabric = Fabric(accelerator=self.training.accelerator, devices=1, precision=self.training.precision)
        generator = torch.Generator().manual_seed(self.training.seed)
        self.network = zoo.NETWORKS[recipe.network.kind][1](recipe.network, generator)
        learnt = [value for value in self.network.parameters() if value.requires_grad]
        optimizer = torch.optim.Adam(learnt, lr=self.training.learning_rate)
        self.model, self.optimizer = self.fabric.setup(self.network, optimizer)
        self.sets, self.position = sets, Position()
        self.state_path = out / "resume.safetensors"
        self.steps_per_epoch = max(1, len(sets["train"]) // self._pairs_per_batch())

    def _pairs_per_batch(self) -> int:
        return min(self.training.images_per_batch // 2, len(self.sets["train"]))

    def restore(self) -> None:
        """Go back to the last saved position."""
        saved = load_state(self.state_path, self.network, self.optimizer)
        if saved.pop("pairs") != [len(self.sets["train"]), len(self.sets["val"])]:
            raise ValueError(f"{self.out} was trained on other data; resume with the same, or choose another folder")
        self.position = Position(**saved)

    def save(self) -> None:
        pairs = [len(self.sets["train"]), len(self.sets["val"])]
        save_state(self.state_path, self.network, self.optimizer, {**asdict(self.position), "pairs": pairs})

    def run(self, bar: Progress) -> None:
        """Train to the last step; validate and save on the way."""
        for batch in self.batches():
            loss = self.step(batch)
            at = self.position
            at.step, at.train_steps, at.train_loss = at.step + 1, at.train_steps + 1, at.train_loss + loss
            bar.advance(loss)
            if at.step % self.training.validate_every == 0 or at.step == self.training.steps:
                self.validate()
                self.save()

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """Batches from the position on; the order is that of (seed, epoch)."""
        while self.position.step < self.training.steps:
            epoch, done = divmod(self.position.step, self.steps_per_epoch)
            generator = torch.Generator().manual_seed(1_000_003 * self.training.seed + epoch)
            order = torch.randperm(len(self.sets["train"]), generator=generator)
            size = self._pairs_per_batch()
            chosen = order[: self.steps_per_epoch * size].view(-1, size)[done:].tolist()
            chosen = chosen[: self.training.steps - self.position.step]
            yield from self.loader("train", chosen)

    def loader(self, split: str, batches: list[list[int]]) -> DataLoader:
        loader = DataLoader(self.sets[split], batch_sampler=batches, num_workers=self.training.loader_processes)
        return self.fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    def step(self, batch: dict[str, Tensor]) -> float:
        """One step of the optimiser; gives the loss."""
        self.model.train()
        loss = self.losses(batch).mean()
        if not bool(loss.isfinite()):
            self.stop(batch)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()
        return float(loss.detach())

    def losses(self, batch: dict[str, Tensor]) -> Tensor:
        """Losses of a batch, (images, stages)."""
        light, surround, target = network_batch(batch)
        return stage_losses(self.model(light, surround), target)

    def stop(self, batch: dict[str, Tensor]) -> None:
        """Say which samples did it; nothing of this step is kept."""
        with torch.no_grad():
            bad = ~self.losses(batch).isfinite().all(dim=1)
        bad = bad.view(2, -1).any(dim=0).cpu()
        samples = batch["samples/index"].cpu()[bad].tolist() if bool(bad.any()) else batch["samples/index"].tolist()
        finite = all(bool(value.isfinite().all()) for value in self.network.parameters())
        raise DivergedError(
            f"the loss became NaN or infinite at step {self.position.step}; the samples with index {samples} did "
            f"it{'' if finite else ', or the step before them, which left NaN in the weights'}; "
            f"{self.out} keeps the best network and the last good state"
        )

    @torch.no_grad()
    def validate(self) -> None:
        """Losses and errors on sources that are not trained on; keep the network if it is the best."""
        self.model.eval()
        total = len(self.sets["val"])
        chosen = torch.linspace(0, total - 1, min(total, self.training.validation_pairs)).round().long().tolist()
        size = self.training.images_per_batch // 2
        sums, count = torch.zeros(1 + len(ERROR_NAMES), dtype=torch.float64), 0
        for batch in self.loader("val", [chosen[start : start + size] for start in range(0, len(chosen), size)]):
            light, surround, target = network_batch(batch)
            output = self.model(light, surround)
            loss = stage_losses(output, target).mean(dim=1, keepdim=True)
            errors = torch.cat([loss, stage_errors(output, target)], dim=1)
            sums, count = sums + errors.double().sum(dim=0).cpu(), count + len(light)
        means = (sums / count).tolist()
        self.record(means[0], [math.sqrt(value) for value in means[1:]])

    def record(self, loss: float, errors: list[float]) -> None:
        """A row of the log; save the network if it is the best so far."""
        at = self.position
        if not math.isfinite(loss):
            raise DivergedError(
                f"the validation loss became {loss} at step {at.step}; {self.out} keeps the best network and the "
                "last good state"
            )
        row = {
            "step": at.step,
            "epoch": round(at.step / self.steps_per_epoch, 3),
            "images": at.step * 2 * self._pairs_per_batch(),
        }
        row |= {"train_loss": at.train_loss / max(1, at.train_steps), "val_loss": loss}
        at.rows.append(row | {f"val_{name}": value for name, value in zip(ERROR_NAMES, errors, strict=True)})
        at.train_loss, at.train_steps = 0.0, 0
        if loss < at.best_loss:
            at.best_loss, at.best_step = loss, at.step
            zoo.save_network(self.out, self.network)
        write_report(self.out, self.recipe.text(), self.network, at.rows)
