"""What a training run shows: a progress bar, a log as CSV, a curve as PNG, and the model's card."""

import csv
import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from torch import nn

from vdp_distill.chain_losses import ERROR_NAMES
from vdp_distill.checkpoints import write_whole
from vdp_distill.io import file_hash
from vdp_distill.version import METRIC_VERSION, __version__

__all__ = ["Progress", "write_report"]

UNITS = {"log10": "log10 cd/m2", "jnd": "JND"}


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


def write_report(out: Path, recipe_text: str, network: nn.Module, rows: list[dict]) -> None:
    """Log, curve and card of a run, from the rows of its validations."""
    write_whole(out / "log.csv", lambda partial: _write_log(partial, rows))
    write_whole(out / "curve.png", lambda partial: _write_curve(partial, rows))
    card = _card(out, recipe_text, network, rows)
    write_whole(out / "README.md", lambda partial: partial.write_text(card, encoding="utf-8"))


def _write_log(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _write_curve(path: Path, rows: list[dict]) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    for name, label in (("train_loss", "training"), ("val_loss", "validation")):
        losses.plot(steps, [row[name] for row in rows], marker=".", label=label)
    losses.set(title="loss: mean of the three stages", ylabel="mean squared error, networks' units")
    for name in ERROR_NAMES:
        stage, _, unit = name.rpartition("_")
        errors.plot(steps, [row[f"val_{name}"] for row in rows], marker=".", label=f"{stage}, {UNITS[unit]}")
    errors.set(title="RMSE on validation sources")
    for axes in (losses, errors):
        axes.set(xlabel="step", yscale="log")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=100)


def _card(out: Path, recipe_text: str, network: nn.Module, rows: list[dict]) -> str:
    best = min(rows, key=lambda row: row["val_loss"] if math.isfinite(row["val_loss"]) else math.inf)
    parameters = sum(value.numel() for value in network.parameters())
    table = []
    for name in ERROR_NAMES:
        stage, _, unit = name.rpartition("_")
        table.append(f"| {stage} | {best[f'val_{name}']:.4g} | {UNITS[unit]} |")
    return CARD.format(
        name=out.name,
        metric=METRIC_VERSION,
        table="\n".join(table),
        parameters=parameters,
        images=best["images"],
        step=best["step"],
        last=rows[-1]["step"],
        digest=file_hash(out / "model.safetensors"),
        version=__version__,
        torch=torch.__version__,
        recipe=recipe_text,
    )


CARD = """# {name}

Three chained networks that imitate the optics and the retina of {metric}: light in cd/m2 in, light scatter,
photoreceptor responses, luminance masking and achromatic response out. The exact later stages follow them.

| stage | RMSE on validation sources | unit |
|---|---|---|
{table}

Best of the run: step {step} of {last}, after {images} training images. {parameters} parameters.
The networks know neither the pixels per degree nor the display: they answer for the mixture that they were trained on.
Validation sources are photographs that no training sample was cut from; viewing conditions are of the same kind.

    from vdp_distill.zoo import load
    model = load("path/to/{name}", encoding="sRGB-display", pixels_per_degree=30)
    result = model(test, reference)

SHA-256 of `model.safetensors`: `{digest}`

Made with vdp_distill {version} and torch {torch} by `vdp-distill train` and this recipe:

```toml
{recipe}```
"""
