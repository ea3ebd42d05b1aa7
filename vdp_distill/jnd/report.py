"""What a run of JND training shows: a log as CSV, a curve as PNG, and the model's card."""

import csv
from pathlib import Path

import torch
from matplotlib.figure import Figure

from vdp_distill.checkpoints import write_whole
from vdp_distill.io import file_hash
from vdp_distill.jnd.recipe import Recipe
from vdp_distill.jnd.responses import ResponseStore
from vdp_distill.version import METRIC_VERSION, __version__

__all__ = ["write_report"]

COLUMNS = ("step", "train_loss", "held_out_rmse", "held_out_mae")

KINDS = {
    "jnd-paper": "The narrow Siamese network of Ak and Le Callet 2019",
    "jnd": "Masked multi-scale differences, pooled by learned norms, with a psychometric function at the end",
}


def write_report(
    folder: Path, name: str, recipe: Recipe, network: torch.nn.Module, rows: list[dict], store: ResponseStore
) -> None:
    """Log, curve and card of the run of this name, from the rows of its validations, beside its weights in a folder."""
    write_whole(folder / "log.csv", lambda partial: _write_log(partial, rows))
    write_whole(folder / "curve.png", lambda partial: _write_curve(partial, rows, recipe.training.loss))
    card = _card(folder, name, recipe, network, rows, store)
    write_whole(folder / "README.md", lambda partial: partial.write_text(card, encoding="utf-8"))


def _write_log(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [name for name in COLUMNS if name in rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def _write_curve(path: Path, rows: list[dict], loss: str) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["train_loss"] for row in rows], marker=".", label=f"training loss ({loss})")
    if "held_out_rmse" in rows[0]:
        axes.plot(steps, [row["held_out_rmse"] for row in rows], marker=".", label="RMSE on held-out sources")
    axes.set(xlabel="step", title="JND network", ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=100)


def _card(
    folder: Path, name: str, recipe: Recipe, network: torch.nn.Module, rows: list[dict], store: ResponseStore
) -> str:
    data, last = store.data, rows[-1]
    if "held_out_rmse" in last:
        result = (
            f"RMSE {last['held_out_rmse']:.4f} of the share on the sources of fold {recipe.training.fold}, held out."
        )
    else:
        result = "Trained on all sources: nothing was held out, so no error of this very network is known."
    if not data.measured:
        result += " No person judged these pictures: nothing here says how well the network agrees with people."
    responses = recipe.data.responses
    eye = "the exact stages" if responses == "exact" else f"the trained chain {responses}"
    return CARD.format(
        name=name,
        kind=KINDS[recipe.network.kind],
        about=data.about,
        result=result,
        eye=f"{eye} of {METRIC_VERSION}" if responses == "exact" else eye,
        cortex=", and the exact cortex's contrast map," if network.uses_contrast else "",
        ppd=recipe.data.trained_pixels_per_degree(),
        display=data.viewing.display.name or data.viewing.display.colorspace,
        parameters=sum(value.numel() for value in network.parameters()),
        step=last["step"],
        digest=file_hash(folder / "model.safetensors"),
        version=__version__,
        torch=torch.__version__,
        recipe=recipe.text(),
    )


CARD = """# {name}

{kind}: from the achromatic responses of {eye} to both images{cortex} to the share of people who see a difference.

Trained on: {about}.

{result}

It works at {ppd:.4g} pixels per degree; images with more are reduced to that, so it sees no finer detail. Display:
{display}. {parameters} parameters, {step} steps.

    from vdp_distill.jnd.model import load
    model = load("path/to/{name}", display="mcl-jci", pixels_per_degree=90)
    share = model(test, reference)

SHA-256 of `model.safetensors`: `{digest}`

Made with vdp_distill {version} and torch {torch} by `vdp-distill train` and this recipe:

```toml
{recipe}```
"""
