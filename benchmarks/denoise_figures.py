"""Figures of the denoising studies: the scores of every loss, and its pictures with the exact P_map of their errors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from vdp_distill.figures import contact_sheet, drawn, to_picture
from vdp_distill.visualize import heatmap

__all__ = ["NOISY", "SCORES", "gallery", "plot_scores"]

SCORES = {
    "log10_C": "log10 C, threshold units (lower is better)",
    "P_det": "P_det (lower is better)",
    "visible_area": "share of the image with P_map > 0.5",
    "PSNR_dB": "PSNR, dB (higher is better)",
    "JOD": "ColorVideoVDP, JOD (higher is better)",
}
"""Column of a results file and what it is."""

NOISY = "noisy"
"""In place of a loss: the images as the denoisers get them."""

SCORES_A_LINE = 4
"""Beside a row of pictures, where more would be cut off."""


def plot_scores(rows: Sequence[dict]) -> np.ndarray:
    """A panel for each score, a line for each loss through the mean of its seeds, a point for each seed; uint8."""
    scores = [score for score in SCORES if any(row[score] != "" for row in rows)]
    figure = Figure(figsize=(4.2 * len(scores), 4), dpi=90, facecolor="white", layout="constrained")
    models = list(dict.fromkeys(row["loss"] for row in rows))
    for place, score in enumerate(scores):
        axes = figure.add_subplot(1, len(scores), place + 1)
        for number, model in enumerate(models):
            _line(axes, [row for row in rows if row["loss"] == model], score, f"C{number}", model)
        axes.set_title(SCORES[score], fontsize=9)
        axes.set_xlabel("noise, standard deviation of code values in 0..1", fontsize=8)
        axes.grid(alpha=0.3)
        if score in ("P_det", "visible_area"):
            axes.set_ylim(-0.03, 1.03)
    figure.axes[0].legend(fontsize=8)
    return drawn(figure)


def _line(axes, rows: list[dict], score: str, colour: str, label: str) -> None:
    noises = sorted({float(row["noise"]) for row in rows})
    means = [np.mean([float(row[score]) for row in rows if float(row["noise"]) == noise]) for noise in noises]
    axes.plot(noises, means, color=colour, label=label, linestyle="--" if label == NOISY else "-")
    points = [(float(row["noise"]), float(row[score])) for row in rows]
    axes.scatter(*zip(*points, strict=True), color=colour, s=12)


def gallery(
    clean: Tensor, restored: dict[str, Tensor], maps: dict[str, Tensor], scores: dict[str, Tensor], cell_pixels: int
) -> np.ndarray:
    """Pictures and, under each, the exact ``P_map`` of its errors; a column for each loss; uint8.

    Parameters
    ----------
    clean
        (N, C, H, W), as the images are shown.
    restored, maps, scores
        For each loss: its images, their ``P_map`` (N, 1, H, W), and their log10 C (N,).
    """
    rows = []
    for number in range(len(clean)):
        pictures = {name: to_picture(images[number].clamp(0, 1)) for name, images in restored.items()}
        worst = [f"{values[number]:.1f}" for values in scores.values()]
        lines = [", ".join(worst[start : start + SCORES_A_LINE]) for start in range(0, len(worst), SCORES_A_LINE)]
        rows.append({"clean": to_picture(clean[number]), **pictures, "label": "\n".join(["log10 C", *lines])})
        colours = {name: heatmap(P_map[number, 0], pictures[name], legend=False) for name, P_map in maps.items()}
        nothing = heatmap(0 * next(iter(maps.values()))[number, 0], clean[number], legend=False)
        rows.append({"clean": nothing, **colours, "label": "P_map, exact"})
    return contact_sheet(rows, ["clean", *restored], cell_pixels)
