"""What a training run shows: a progress bar, a log as CSV, a curve as PNG, and the model's card."""

import csv
import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from torch import nn

from vdp_distill.checkpoints import write_whole
from vdp_distill.io import file_hash
from vdp_distill.training.recipe import Recipe
from vdp_distill.training.schedule import why_stop
from vdp_distill.training.tasks import Task
from vdp_distill.version import METRIC_VERSION, __version__

__all__ = ["Progress", "write_report"]

WEIGHTS = "model.safetensors"
LOGGED = ("step", "epoch", "images", "learning_rate", "train_loss", "val_loss")
"""Columns of every log; the task's errors follow."""


class Progress:
    """A progress bar with the running loss."""

    def __init__(self, steps: int, done: int, shown: bool):
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = RichProgress(*columns, disable=not shown)
        self.task = self.bar.add_task("training", total=steps, completed=done)

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(self, *_) -> None:
        self.bar.stop()

    def advance(self, loss: float) -> None:
        """One step more."""
        self.bar.update(self.task, advance=1, description=f"training, loss {loss:.4g}")


def write_report(folder: Path, out: Path, recipe: Recipe, task: Task, network: nn.Module, rows: list[dict]) -> None:
    """Log, curve and card of a run, from the rows of its validations.

    Parameters
    ----------
    folder
        Where to; new weights are there already, if there are any.
    out
        Folder of the run.
    recipe, task, network, rows
    """
    write_whole(folder / "log.csv", lambda partial: _write_log(partial, task, rows))
    write_whole(folder / "curve.png", lambda partial: _write_curve(partial, task, rows))
    weights = folder / WEIGHTS if (folder / WEIGHTS).is_file() else out / WEIGHTS
    card = _card(out.name, file_hash(weights), recipe, task, network, rows)
    write_whole(folder / "README.md", lambda partial: partial.write_text(card, encoding="utf-8"))


def _write_log(path: Path, task: Task, rows: list[dict]) -> None:
    columns = [*LOGGED, *(f"val_{column.name}" for column in task.columns)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_curve(path: Path, task: Task, rows: list[dict]) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    for name, label in (("train_loss", "training"), ("val_loss", "validation")):
        losses.plot(steps, [row[name] for row in rows], marker=".", label=label)
    losses.set(title=task.loss_label, ylabel=task.loss_unit)
    for column in task.columns:
        values = [row[f"val_{column.name}"] for row in rows]
        errors.plot(steps, values, marker=".", label=f"{column.label}, {column.unit}")
    errors.set(title=f"{_errors_of(task)} on validation sources")
    for axes in (losses, errors):
        axes.set(xlabel="step", yscale="log")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=100)


def _errors_of(task: Task) -> str:
    return "RMSE" if all(column.is_square for column in task.columns) else "mean errors"


def _card(name: str, digest: str, recipe: Recipe, task: Task, network: nn.Module, rows: list[dict]) -> str:
    best = min(rows, key=lambda row: row["val_loss"] if math.isfinite(row["val_loss"]) else math.inf)
    table = [f"| {column.label} | {best[f'val_{column.name}']:.4g} | {column.unit} |" for column in task.columns]
    ended = why_stop(recipe.training, rows)
    return CARD.format(
        name=name,
        about=task.about.format(metric=METRIC_VERSION),
        limits=task.limits,
        usage=task.usage.format(name=name),
        maker=task.maker,
        error=f"{_errors_of(task)} on validation sources",
        table="\n".join(table),
        parameters=sum(value.numel() for value in network.parameters()),
        images=best["images"],
        step=best["step"],
        last=rows[-1]["step"],
        ended=f" It ended early: {ended}." if ended else "",
        digest=digest,
        version=__version__,
        torch=torch.__version__,
        recipe=recipe.text(),
    )


CARD = """# {name}

{about}

| | {error} | unit |
|---|---|---|
{table}

Best of the run: step {step} of {last}, after {images} training images.{ended} {parameters} parameters.
{limits}
{usage}

SHA-256 of `model.safetensors`: `{digest}`

Made with vdp_distill {version} and torch {torch} by `{maker}` and this recipe:

```toml
{recipe}```
"""
