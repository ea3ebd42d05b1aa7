"""What a run of NIMA shows: a log as CSV, curves as PNG, and the model's card."""

from pathlib import Path

from matplotlib.figure import Figure

from vdp_distill.checkpoints import write_whole
from vdp_distill.losses.nima_rated import RatedSet
from vdp_distill.losses.nima_recipe import NIMARecipe
from vdp_distill.losses.runs import write_card, write_log

__all__ = ["write_report"]

COLUMNS = (
    "step",
    "train_emd",
    "val_emd",
    "val_emd_r1",
    "val_emd_of_a_constant",
    "val_pearson",
    "val_spearman",
    "val_rmse_of_mean",
)


def write_report(folder: Path, out: Path, recipe: NIMARecipe, data_set, rows: list[dict]) -> None:
    """Log, curves and card of the run in ``out``, from the rows of its validations, into a folder.

    New weights are there already, if there are any.
    """
    write_log(folder, COLUMNS, rows)
    write_whole(folder / "curve.png", lambda partial: _write_curve(partial, rows))
    _describe(folder, out, recipe, data_set, rows)


def _write_curve(path: Path, rows: list[dict]) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, correlations = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    labels = {"train_emd": "training", "val_emd": "validation", "val_emd_of_a_constant": "mean distribution, no look"}
    for name, label in labels.items():
        losses.plot(steps, [row[name] for row in rows], marker=".", label=label)
    losses.set(title="earth mover's distance", ylabel="normalised EMD")
    for name in ("val_pearson", "val_spearman"):
        correlations.plot(steps, [row[name] for row in rows], marker=".", label=name.removeprefix("val_"))
    correlations.set(title="mean rating against the truth, validation", ylabel="correlation")
    for axes in (losses, correlations):
        axes.set_xlabel("step")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=100)


def _describe(folder: Path, out: Path, recipe: NIMARecipe, data_set, rows: list[dict]) -> None:
    best = min(rows, key=lambda row: row["val_emd"])
    write_card(
        folder,
        recipe,
        CARD,
        out=out,
        width=recipe.network.width_multiplier,
        warning="" if recipe.network.calibrated else UNCALIBRATED,
        data=_description(data_set),
        r=f"{recipe.training.emd_exponent:g}",
        last=rows[-1]["step"],
        pictures=best["step"] * recipe.training.pictures_per_batch,
        **best,
    )


def _description(data_set) -> str:
    if isinstance(data_set, RatedSet):
        return (
            f"{len(data_set.photographs)} photographs, each at {len(data_set) // len(data_set.photographs)} steps of "
            "degradation (blur, noise, JPEG, contrast), rated by rule"
        )
    left_out = f"; {len(data_set.broken)} were missing or broken" if data_set.broken else ""
    return f"{len(data_set)} pictures with people's ratings in AVA's layout{left_out}"


UNCALIBRATED = """
**The score is uncalibrated.** No person rated these pictures, or nobody says so: it orders degrees of a degradation
that it was shown, and says nothing of beauty. Do not report it as NIMA's score.
"""

CARD = """# {name}

NIMA (Talebi and Milanfar 2018) on MnasNet of width {width:g}: the distribution of ratings from 1 to 10 of an image in
0..1.
{warning}
Trained on {data}. Validation takes other pictures.

| on validation pictures | |
|---|---|
| EMD, r = {r} | {val_emd:.4f} |
| the same of the mean training distribution, without a look | {val_emd_of_a_constant:.4f} |
| EMD, r = 1 | {val_emd_r1:.4f} |
| mean rating: Pearson, Spearman | {val_pearson:.3f}, {val_spearman:.3f} |
| mean rating: RMSE | {val_rmse_of_mean:.3f} |

Best of the run: step {step} of {last}, after {pictures} pictures. Its weights are kept in float16 and computed with in
float32; the figures are those before the rounding.

    from vdp_distill.losses.nima import HybridLoss
    loss = HybridLoss("path/to/{name}", gamma=0.4)
"""
