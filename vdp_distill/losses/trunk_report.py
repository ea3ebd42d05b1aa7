"""What a run of our own trunk shows: a log as CSV, its curve as PNG, and the model's card."""

from pathlib import Path

from torch import nn

from vdp_distill.figures import plot_curve
from vdp_distill.losses.runs import write_card, write_log
from vdp_distill.losses.trunk_recipe import TrunkRecipe

__all__ = ["write_report"]

COLUMNS = ("step", "train_loss", "val_named", "val_strength_error")


def write_report(
    out: Path,
    recipe: TrunkRecipe,
    trunk: nn.Module,
    photographs,
    rows: list[dict],
    by_kind: dict[str, tuple[float, float]],
) -> None:
    """Log, curve and card of a run.

    Parameters
    ----------
    photographs
        What it was trained on, with ``names`` and how many were ``kept`` for training.
    rows
        Of the validations.
    by_kind
        Share of held-out crops that were named rightly and mean error of the strength, by kind.
    """
    write_log(out, COLUMNS, rows)
    plot_curve(out / "log.csv", out / "curve.png")
    table = "\n".join(f"| {kind} | {named:.3f} | {error:.3f} |" for kind, (named, error) in by_kind.items())
    write_card(
        out,
        recipe,
        CARD,
        parameters=sum(value.numel() for value in trunk.parameters()),
        table=table.replace("| 0.000 |\n| noise", "| |\n| noise"),
        steps=rows[-1]["step"],
        trained=", ".join(f"`{name}`" for name in photographs.names[: photographs.kept]),
        held_out=", ".join(f"`{name}`" for name in photographs.names[photographs.kept :]),
    )


CARD = """# {name}

A small convolutional trunk ({parameters} parameters) for feature losses where the weights of VGG16 cannot be had:
`features`, `pdl` and `contextual` look through it by default. It was taught without labels, to name what was done to a
crop of a photograph and how strongly. It knows degradations, not objects: what papers found with VGG16 does not carry
over, and every table that uses it says "in-house trunk".

Held-out photographs, {steps} training steps; chance is 0.143:

| degradation | share named rightly | mean error of its strength (0..1) |
|---|---|---|
{table}

    from vdp_distill.losses import create
    loss = create("features", trunk="{name}")

Input: (N, 3, H, W) sRGB code values in 0..1. Output: features of its stages, at strides 1, 2, 4, ...,
each stage with a mean near 1.

Trained on (file, first digits of its SHA-256): {trained}.

Held out: {held_out}.
"""
