"""Contrast of the released models against the exact metric's, and how often their P_det is right."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

__all__ = ["plot"]


def plot(results: dict[str, dict[str, Tensor]], samples: dict[str, Tensor], path: Path) -> None:
    """Predicted contrast against the exact one, and how often P_det is right."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    scatter, calibration = figure.subplots(1, 2)
    edges = torch.linspace(0, 1, 11)
    for name, found in results.items():
        scatter.loglog(samples["sum_S"], found["C_max"], ".", markersize=3, alpha=0.6, label=name)
        bins = torch.bucketize(found["P_det"].clamp(0, 1 - 1e-6), edges[1:-1])
        points = [
            (found["P_det"][bins == k].mean(), samples["P_det"][bins == k].mean()) for k in bins.unique().tolist()
        ]
        calibration.plot(*zip(*points, strict=True), marker="o", label=name)
    limits = (1e-3, 1e6)
    scatter.plot(limits, limits, "k", linewidth=0.8)
    scatter.set(xlim=limits, ylim=limits, xlabel="C_max, exact", ylabel="C_max, model")
    calibration.plot((0, 1), (0, 1), "k", linewidth=0.8)
    calibration.set(xlabel="P_det of the model, mean of a tenth", ylabel="P_det of the exact metric, mean")
    for axes in (scatter, calibration):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
