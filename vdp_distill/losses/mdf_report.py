"""What a run of MDF's discriminators shows: a log as CSV, curves as PNG, and the model's card."""

from pathlib import Path

from matplotlib.figure import Figure

from vdp_distill.checkpoints import write_whole
from vdp_distill.losses.mdf import Discriminators
from vdp_distill.losses.mdf_recipe import MDFRecipe
from vdp_distill.losses.runs import write_card, write_log

__all__ = ["describe", "write_curves"]

COLUMNS = (
    "scale",
    "round",
    "height",
    "width",
    "critic_loss",
    "generator_loss",
    "score_gap",
    "psnr_given_db",
    "psnr_restored_db",
)

TASK_WORDS = {
    "sr": "super-resolution: an image enlarged from the scale before",
    "denoise": "denoising: Gaussian noise of standard deviation {noise_sigma:g}, code values in 0..1, at every scale",
    "jpeg": "removal of JPEG artefacts: what qualities {jpeg_qualities[0]} to {jpeg_qualities[1]} do, at every scale",
}


def write_curves(out: Path, rows: list[dict]) -> None:
    """Log and curves of a run so far."""
    write_log(out, COLUMNS, rows)
    write_whole(out / "curve.png", lambda partial: _write_curve(partial, rows))


def _write_curve(path: Path, rows: list[dict]) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    gaps, errors = figure.subplots(1, 2)
    position = range(len(rows))
    gaps.plot(position, [row["score_gap"] for row in rows], marker=".")
    gaps.set(title="critic: score of the image above the restored one", ylabel="score")
    errors.plot(position, [row["psnr_given_db"] for row in rows], marker=".", label="given")
    errors.plot(position, [row["psnr_restored_db"] for row in rows], marker=".", label="restored")
    errors.set(title="what the generator was given and made of it", ylabel="PSNR, dB")
    errors.legend()
    starts = [number for number in position if number == 0 or rows[number]["scale"] != rows[number - 1]["scale"]]
    for axes in (gaps, errors):
        axes.set_xticks(starts, [str(rows[number]["scale"]) for number in starts])
        axes.set_xlabel("scale, coarse to fine")
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=100)


def describe(out: Path, recipe: MDFRecipe, stack: Discriminators, seeds: list, rows: list[dict]) -> None:
    """Write the card of a finished run."""
    last = {row["scale"]: row for row in rows}
    table = [
        f"| {scale} | {row['height']} x {row['width']} | {recipe.network.widths[scale]} | {row['psnr_given_db']:.2f} "
        f"| {row['psnr_restored_db']:.2f} | {row['score_gap']:.3g} |"
        for scale, row in last.items()
    ]
    write_card(
        out,
        recipe,
        CARD,
        task=TASK_WORDS[recipe.training.task].format(**vars(recipe.training)),
        table="\n".join(table),
        images="\n".join(f"- {seed.name}, SHA-256 `{seed.sha256}`" for seed in seeds),
        parameters=sum(value.numel() for value in stack.parameters()),
        reach=recipe.network.reach,
    )


CARD = """# {name}

{parameters} parameters of multi-scale discriminators for the MDF loss (Mustafa et al., WACV 2022), trained on the
mistakes of generators for {task}.
Each is given the image in -1..1 and sees {reach} x {reach} pixels; the loss is the squared difference of its features.

| scale | pixels | width | PSNR given, dB | PSNR restored, dB | critic's score gap |
|---|---|---|---|---|---|
{table}

Last rows of each scale in the log. Trained on:

{images}

    from vdp_distill.losses.mdf import MDFLoss
    loss = MDFLoss("path/to/{name}")
    loss(test, reference)
"""
