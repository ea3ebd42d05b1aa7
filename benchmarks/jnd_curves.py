"""Figures of the study of JND: for every source, the share of people against quality, and what is predicted."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

__all__ = ["draw_curves"]

COLUMNS = 5


def draw_curves(
    path: Path,
    title: str,
    table: dict[str, np.ndarray],
    names: dict[str, str],
    judged: str,
) -> None:
    """One panel a source, all on one page.

    Parameters
    ----------
    table
        ``source``, ``level``, ``share`` and a column a row of the study, each (N,).
    names
        Columns to draw, with their labels.
    judged
        What the points are.
    """
    sources = list(dict.fromkeys(table["source"]))
    rows = -(-len(sources) // COLUMNS)
    figure = Figure(figsize=(2.6 * COLUMNS, 2.1 * rows + 1.2), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, source in zip(panels, sources, strict=False):
        own = table["source"] == source
        levels = table["level"][own]
        panel.plot(levels, table["share"][own], "k.", markersize=5, label=judged)
        for column, label in names.items():
            panel.plot(levels, table[column][own], linewidth=1.3, label=label)
        panel.set_title(source[-18:], fontsize=8)
        panel.grid(alpha=0.3)
    for panel in panels[len(sources) :]:
        panel.set_axis_off()
    figure.supxlabel("JPEG quality")
    figure.supylabel("share who see a difference")
    figure.suptitle(title, fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, format="png", dpi=110)
