"""A training run: steps of the optimiser, validation, and what is kept of it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset

from vdp_distill import zoo
from vdp_distill.checkpoints import load_state, save_state, written_together
from vdp_distill.recipes import nearest
from vdp_distill.training.batches import Batches
from vdp_distill.training.divergence import DivergedError, bad_rows, bad_samples, named
from vdp_distill.training.processes import InPrecision, average_gradients, found_anywhere, in_first_process
from vdp_distill.training.recipe import Recipe
from vdp_distill.training.report import Progress, write_report
from vdp_distill.training.resumable import STATE
from vdp_distill.training.schedule import WeightAverage, learning_rate_share, why_stop
from vdp_distill.training.tasks import Task

__all__ = ["STATE", "Position", "Run"]


@dataclass
class Position:
    """Where a run stands."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    train_loss: float = 0.0
    train_steps: int = 0
    rows: list[dict] = field(default_factory=list)


def _first_network(recipe: Recipe, task: Task, is_resumed: bool) -> nn.Module:
    """The network that a training starts with, only what is learnt asking for gradients.

    One that is resumed needs its start no more, which may be gone.
    """
    start = recipe.training.start
    if start and not is_resumed:
        network = zoo.load_network(start)
        if network.config != recipe.network:
            raise ValueError(f"[training]: start={start!r} is another network than [network] says: {network.config}")
    else:
        network = task.build(torch.Generator().manual_seed(recipe.training.seed))
    parameters, only = dict(network.named_parameters()), tuple(recipe.training.only.split())
    for beginning in only:
        if not any(name.startswith(beginning) for name in parameters):
            raise ValueError(
                f"[training]: only={beginning!r} is the beginning of no parameter; {nearest(beginning, parameters)}"
            )
    for name, value in parameters.items():
        value.requires_grad_(value.requires_grad and name.startswith(only or ""))
    return network


class Run:
    """Network, optimiser, data and position of a run, in one of its processes.

    Parameters
    ----------
    fabric
        Launched.
    recipe, task
    sets
        Data sets ``"train"`` and ``"val"``.
    out
        Folder of the run.
    resume
        Whether :meth:`restore` will be asked for what it holds.
    """

    def __init__(
        self, fabric: Fabric, recipe: Recipe, task: Task, sets: Mapping[str, Dataset], out: Path, resume: bool = False
    ):
        self.fabric, self.recipe, self.training, self.task, self.out = fabric, recipe, recipe.training, task, out
        is_resumed = resume and (out / STATE).is_file()
        self.network = fabric.to_device(_first_network(recipe, task, is_resumed))
        self.model = InPrecision(fabric, self.network)
        groups = task.parameter_groups(self.network, self.training)
        self.highest_rates = [group["lr"] for group in groups]
        self.learnt = [value for group in groups for value in group["params"]]
        self.optimizer = torch.optim.Adam(groups, lr=self.training.learning_rate)
        self.average = WeightAverage(self.network, self.training.ema_decay)
        self.sets, self.batches = sets, Batches(sets, self.training, fabric)
        self.position = Position()

    def identity(self) -> dict:
        """What the state of this run can be put into: the same recipe and data."""
        return {"recipe": self.recipe.text(), "data": self.batches.identity()}

    def restore(self) -> None:
        """Go back to the last saved position, if there is one."""
        path = self.out / STATE
        if path.is_file():
            kept = {"average": self.average, "identity": self.identity()}
            self.position = Position(**load_state(path, self.network, self.optimizer, **kept))

    def run(self, bar: Progress) -> None:
        """Train to the last step, or until it is no use; validate and save on the way."""
        at = self.position
        if why_stop(self.training, at.rows):
            return
        for numbers, parts in self.batches.from_step(at.step):
            loss = self.step(numbers, parts)
            at.step, at.train_steps, at.train_loss = at.step + 1, at.train_steps + 1, at.train_loss + loss
            bar.advance(loss)
            if at.step % self.training.validate_every == 0 or at.step == self.training.steps:
                self.validate()
                if why_stop(self.training, at.rows):
                    return

    def step(self, numbers: list[int], parts: list[dict[str, Tensor]]) -> float:
        """One step of the optimiser; gives the loss of the whole batch."""
        torch.manual_seed(1_000_003 * self.training.seed + self.position.step)
        self.network.train()
        self.optimizer.zero_grad()
        losses = []
        for part in parts:
            loss = self.task.losses(self.model, part).mean()
            self.fabric.backward(loss / len(parts))
            losses.append(loss.detach())
        loss = average_gradients(self.fabric, self.learnt, torch.stack(losses).mean())
        norm = torch.nn.utils.get_total_norm([value.grad for value in self.learnt if value.grad is not None])
        if not bool((loss + norm).isfinite()):
            self.stop(numbers, parts)
        self.update(norm)
        return float(loss)

    def update(self, norm: Tensor) -> None:
        """Move the weights by the gradient of this norm, at this step's learning rate."""
        if self.training.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.learnt, self.training.clip_norm, norm)
        share = learning_rate_share(self.training, self.position.step)
        for group, highest in zip(self.optimizer.param_groups, self.highest_rates, strict=True):
            group["lr"] = highest * share
        self.optimizer.step()
        self.average.update()

    def stop(self, numbers: list[int], parts: list[dict[str, Tensor]]) -> None:
        """Say which samples did it; nothing of this step is kept."""
        bad = torch.cat([bad_samples(self.task, self.model, self.network, part) for part in parts])
        own = [number for part in self.batches.own_parts(numbers) for number in part]
        guilty = {number for number, is_bad in zip(own, bad.tolist(), strict=True) if is_bad}
        samples = found_anywhere(self.fabric, numbers, guilty) or numbers
        finite = all(bool(value.isfinite().all()) for value in self.network.parameters())
        raise DivergedError(
            f"the loss or its gradient became NaN or infinite at step {self.position.step}; the samples with "
            f"{named(self.sets['train'], samples)} did it"
            f"{'' if finite else ', or the step before them, which left NaN in the weights'}; {self.kept()}"
        )

    def kept(self) -> str:
        """What a stopped run leaves, and what to do."""
        if (self.out / STATE).is_file():
            return f"{self.out} keeps the best network and the last good state"
        rate = f"learning_rate = {self.training.learning_rate:g}"
        return f"nothing was validated yet, so nothing is kept; look at these samples, or lower {rate}"

    @torch.no_grad()
    def validate(self) -> None:
        """Losses and errors on sources that are not trained on, of the weights that are kept."""
        self.network.eval()
        torch.manual_seed(self.training.seed)
        totals = torch.zeros(2, 1 + len(self.task.columns), dtype=torch.float64)
        bad: set[int] = set()
        with self.average.in_place():
            for numbers, batch in self.batches.validation():
                losses, errors = self.task.evaluate(self.model, batch)
                bad |= {numbers[place] for place in bad_rows(losses, len(numbers)).nonzero().flatten().tolist()}
                rows = torch.cat([losses.mean(dim=1, keepdim=True), errors], dim=1).double().cpu()
                totals += torch.stack([rows.nansum(dim=0), (~rows.isnan()).sum(dim=0)])
            totals = self.fabric.all_reduce(self.fabric.to_device(totals), reduce_op="sum")
            loss, *errors = (totals[0] / totals[1]).tolist()
            self.refuse(found_anywhere(self.fabric, self.batches.validation_numbers(), bad))
            self.record(loss, errors)

    def refuse(self, bad: list[int]) -> None:
        """Stop for a validation loss that is no number."""
        if bad:
            raise DivergedError(
                f"the validation loss became NaN or infinite at step {self.position.step}, by the samples with "
                f"{named(self.sets['val'], bad)}; {self.kept()}"
            )

    def record(self, loss: float, errors: list[float]) -> None:
        """A row of the log; save the network if it is the best so far."""
        at = self.position
        at.rows.append(self.row(loss, errors))
        at.train_loss, at.train_steps = 0.0, 0
        is_best = loss < at.best_loss
        if is_best:
            at.best_loss, at.best_step = loss, at.step
        in_first_process(self.fabric, lambda: self.save(is_best))
        self.fabric.log_dict(at.rows[-1], step=at.step)

    def row(self, loss: float, errors: list[float]) -> dict:
        """What the log says of this validation."""
        at = self.position
        row = {"step": at.step, "epoch": round(at.step / self.batches.steps_per_epoch, 3)}
        row["images"] = at.step * 2 * self.batches.pairs
        row["learning_rate"] = self.training.learning_rate * learning_rate_share(self.training, at.step - 1)
        row |= {"train_loss": at.train_loss / max(1, at.train_steps), "val_loss": loss}
        pairs = zip(self.task.columns, errors, strict=True)
        return row | {f"val_{column.name}": column.over_samples(mean) for column, mean in pairs}

    def save(self, is_best: bool) -> None:
        """Write all files of the run together, so that a full disk leaves those of the last validation."""
        with written_together(self.out, last=STATE) as folder:
            if is_best:
                self.task.save(folder, self.network)
            write_report(folder, self.out, self.recipe, self.task, self.network, self.position.rows)
            kept = {"average": self.average, "identity": self.identity()}
            save_state(folder / STATE, self.network, self.optimizer, asdict(self.position), **kept)
