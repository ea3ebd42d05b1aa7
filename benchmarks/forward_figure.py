"""Figure of the forward-model study: scores against the metric's own, ways downhill, and a map beside the true one."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vdp_distill.losses.forward import ForwardLoss

__all__ = ["draw"]

DOWNHILL = ", downhill on "
AT_STEP = "FLIP at step "


def draw(
    scores: Mapping[str, np.ndarray],
    rows: list[dict],
    pair: tuple[Tensor, Tensor],
    loss: ForwardLoss,
    true_map: Callable[[Tensor, Tensor], np.ndarray],
    path: Path,
) -> None:
    """Write the figure."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    scatter, ways = upper.subplots(1, 2)
    for marker, (name, found) in zip("o^", scores.items(), strict=True):
        scatter.plot(*found.T, marker, markersize=4, alpha=0.6, label=name)
    ends = [0.8 * min(found.min() for found in scores.values()), 1.2 * max(found.max() for found in scores.values())]
    scatter.plot(ends, ends, "k", linewidth=0.8)
    scatter.set(xlabel="FLIP, mean of its map", ylabel="forward model", xscale="log", yscale="log")
    _draw_ways(ways, rows)
    for axes in (scatter, ways):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    _draw_maps(lower, pair, loss, true_map)
    figure.savefig(path, dpi=90)


def _draw_ways(axes, rows: list[dict]) -> None:
    """FLIP along every way downhill: a colour a start, a line style a loss."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        if DOWNHILL in row["set"] and row["quantity"].startswith(AT_STEP):
            start, _, loss = row["set"].partition(DOWNHILL)
            step = int(row["quantity"].removeprefix(AT_STEP))
            found.setdefault((start, loss), []).append((step, float(row["value"])))
    starts = list(dict.fromkeys(start for start, _ in found))
    for (start, loss), way in found.items():
        style = "--" if loss == "L1" else "-"
        axes.plot(*zip(*way, strict=True), style, color=f"C{starts.index(start)}", marker=".", label=f"{start}, {loss}")
    axes.set(xlabel="steps downhill", ylabel="FLIP, mean of its map")


def _draw_maps(figure, pair: tuple[Tensor, Tensor], loss: ForwardLoss, true_map: Callable) -> None:
    test, reference = pair
    with torch.no_grad():
        maps = {"FLIP": true_map(*pair), "forward model": loss.judge(*pair).map[0, 0].numpy()}
    axes = figure.subplots(1, 4)
    for ax, image, title in zip(axes, (reference, test), ("reference, not trained on", "test"), strict=False):
        ax.imshow(image[0].permute(1, 2, 0).numpy())
        ax.set_title(title, fontsize=9)
    largest = max(found.max() for found in maps.values())
    for ax, (title, found) in zip(axes[2:], maps.items(), strict=True):
        shown = ax.imshow(found, cmap="magma", vmin=0, vmax=largest)
        ax.set_title(title, fontsize=9)
    for ax in axes:
        ax.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.7)
