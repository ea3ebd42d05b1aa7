"""What a run of our own trunk shows: a log as CSV, its curve as PNG, and the model's card."""

import csv
from pathlib import Path

import torch
from torch import nn

from vdp_distill.checkpoints import write_whole
from vdp_distill.figures import plot_curve
from vdp_distill.io import file_hash
from vdp_distill.version import __version__

__all__ = ["write_report"]


def write_report(
    out: Path,
    recipe_text: str,
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
    write_whole(out / "log.csv", lambda partial: _write_log(partial, rows))
    plot_curve(out / "log.csv", out / "curve.png")
    table = "\n".join(f"| {kind} | {named:.3f} | {error:.3f} |" for kind, (named, error) in by_kind.items())
    card = CARD.format(
        name=out.name,
        parameters=sum(value.numel() for value in trunk.parameters()),
        table=table.replace("| 0.000 |\n| noise", "| |\n| noise"),
        steps=rows[-1]["step"],
        trained=", ".join(f"`{name}`" for name in photographs.names[: photographs.kept]),
        held_out=", ".join(f"`{name}`" for name in photographs.names[photographs.kept :]),
        digest=file_hash(out / "model.safetensors"),
        version=__version__,
        torch=torch.__version__,
        recipe=recipe_text,
    )
    write_whole(out / "README.md", lambda partial: partial.write_text(card, encoding="utf-8"))


def _write_log(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


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

Input: (N, 3, H, W) sRGB code values in 0..1. Output: features of its stages, at strides 1, 2, 4, ...

Trained on (file, first digits of its SHA-256): {trained}.

Held out: {held_out}.

SHA-256 of `model.safetensors`: `{digest}`

Made with vdp_distill {version} and torch {torch} by `vdp-distill train` and this recipe:

```toml
{recipe}```
"""
