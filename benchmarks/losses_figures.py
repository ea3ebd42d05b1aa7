"""Figures of the page ``results/losses.md``: ends of ways, curves along them, lengths of gradients."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from benchmarks.machine import RESULTS

__all__ = ["STARTS", "draw_curves", "draw_gradients", "strip"]

STARTS = {"noise": "noise alone", "blur": "a blur of 3 pixels", "jpeg": "a JPEG of quality 10"}
CURVES = {"psnr_db": "PSNR, dB", "P_det": "P_det, exact", "C_max": "C_max, exact", "cvvdp_jod": "ColorVideoVDP, JOD"}
SHOWN = 128
"""Side in pixels of what a picture shows of each image: its middle."""


def strip(path: Path, images: Sequence[Tensor]) -> None:
    """Write the middles of images, (1, 3, H, W) each, side by side."""
    tiles = []
    for image in images:
        top, left = ((side - SHOWN) // 2 for side in image.shape[-2:])
        tile = image[0, :, max(top, 0) : max(top, 0) + SHOWN, max(left, 0) : max(left, 0) + SHOWN]
        tiles.append((tile.permute(1, 2, 0).numpy(force=True) * 255).round().astype(np.uint8))
        tiles.append(np.full((tiles[-1].shape[0], 4, 3), 255, np.uint8))
    Image.fromarray(np.concatenate(tiles[:-1], axis=1)).save(path, optimize=True)


def draw_curves(found: list[dict]) -> None:
    """PSNR, exact metric and JOD along every loss's way."""
    figure = Figure(figsize=(13, 11), layout="constrained")
    axes = figure.subplots(len(CURVES), len(STARTS), squeeze=False)
    titles = dict.fromkeys(row["title"] for row in found)
    for row_axes, (measure, label) in zip(axes, CURVES.items(), strict=True):
        for ax, start in zip(row_axes, STARTS, strict=True):
            for number, title in enumerate(titles):
                own = [row for row in found if row["title"] == title and row["start"] == start]
                style = {"color": f"C{number % 10}", "linestyle": ("-", "--", ":")[number // 10]}
                ax.plot([int(row["step"]) for row in own], [float(row[measure]) for row in own], label=title, **style)
            if measure == "C_max":
                ax.set_yscale("symlog", linthresh=1)
            ax.grid(alpha=0.3)
            ax.set(title=f"from {STARTS[start]}" if measure == "psnr_db" else "", xlabel="step", ylabel=label)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(RESULTS / "losses-recovery.png", dpi=80)


def draw_gradients(found: list[dict]) -> None:
    """Length of every loss's gradient by distortion, in lengths of that for noise."""
    names = list(dict.fromkeys(row["loss"] for row in found))
    distortions = list(dict.fromkeys(row["distortion"] for row in found))
    by = {(row["loss"], row["distortion"]): row for row in found}
    shown = [name for name in names if np.isfinite(float(by[name, "noise"]["gradient"]))]
    lengths = np.array([[float(by[name, d]["gradient"]) for d in distortions] for name in shown])
    decades = np.log10(np.maximum(lengths / lengths[:, :1], 1e-4))
    figure = Figure(figsize=(8, 0.34 * len(shown) + 1.3), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(decades, cmap="RdBu_r", vmin=-2, vmax=2, aspect="auto")
    axes.set_xticks(range(len(distortions)), distortions)
    axes.set_yticks(range(len(shown)), [by[name, "noise"]["title"] for name in shown])
    figure.colorbar(picture, label="log10 of the gradient's length, noise = 0")
    figure.savefig(RESULTS / "losses-gradients.png", dpi=80)
