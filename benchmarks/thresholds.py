"""How far are the contrast thresholds of the exact metric, and of the released surrogates, from people's?

    python -m benchmarks.thresholds DATA_AGGREGATED_CSV [--model NAME ...]

Draws every achromatic, static, foveal stimulus of castleCSF's table, finds the contrast at which P_det is 0.5, and
compares sensitivities in log10: as they are, after each set's own shift, and after one shift for all sets. Writes
``results/thresholds.csv``, ``results/thresholds-stimuli.csv`` (every sensitivity) and ``results/thresholds.png``.
A model that is measured again replaces its own rows; the others stay.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.machine import RESULTS
from vdp_distill import zoo
from vdp_distill.contrast_thresholds import ContrastThresholds

SUMMARY = RESULTS / "thresholds.csv"
STIMULI = RESULTS / "thresholds-stimuli.csv"
STYLES = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dash-dotted", (0, (1, 5)): "sparsely dotted"}
"""Lines of the models by their names in the figure's title."""

NUMBERS = ("rmse", "shift", "rmse_own_shift", "rmse_common_shift")


def kept(path: Path, without: list[str]) -> list[dict]:
    """Rows of an earlier run, of other models."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["model"] not in without]


def write(path: Path, rows: list[dict]) -> None:
    """A table."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def stimulus_rows(table: ContrastThresholds, model: str, sensitivities: np.ndarray) -> list[dict]:
    """Every stimulus with a model's sensitivity; people's own stay in their table."""
    names = ("data_set", "luminance_cdm2", "frequency_cpd", "sigma_deg")
    rows = []
    for stimulus, found in zip(table.stimuli, sensitivities, strict=True):
        rows.append(
            {"model": model, **{name: getattr(stimulus, name) for name in names}, "sensitivity": f"{found:.4g}"}
        )
    return rows


def groups(table: ContrastThresholds, data_set: str) -> dict[tuple, list[int]]:
    """Stimuli of a set that make one curve over frequency: of one luminance and size."""
    found = {}
    for index, stimulus in enumerate(table.stimuli):
        if stimulus.data_set == data_set:
            size = round(stimulus.sigma_deg, 2)
            found.setdefault((stimulus.luminance_cdm2, size), []).append(index)
    return found


def draw(table: ContrastThresholds, measured: dict[str, np.ndarray], path: Path) -> None:
    """A panel a set: people as points with error bars, models as lines."""
    sets = list(dict.fromkeys(stimulus.data_set for stimulus in table.stimuli))
    rows = -(-len(sets) // 3)
    figure = Figure(figsize=(13, 3.9 * rows), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(sets, start=1):
        axes = figure.add_subplot(rows, 3, place)
        _panel(axes, table, measured, groups(table, name))
        axes.set(title=name, xscale="log", yscale="log", xlabel="cycles per degree", ylabel="sensitivity")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(True, which="both", alpha=0.2)
    lines = ", ".join(f"{model} {style}" for model, style in zip(measured, STYLES.values(), strict=False))
    figure.suptitle(
        f"Contrast sensitivity: people as points; {lines}.\nColour is luminance, dark to bright", fontsize=11
    )
    figure.savefig(path)


def _panel(axes, table: ContrastThresholds, measured: dict[str, np.ndarray], curves: dict[tuple, list[int]]) -> None:
    colours = _colours(sorted({luminance for luminance, _ in curves}))
    for (luminance, _), indices in curves.items():
        indices = sorted(indices, key=lambda index: table.stimuli[index].frequency_cpd)
        stimuli = [table.stimuli[index] for index in indices]
        frequency = [stimulus.frequency_cpd for stimulus in stimuli]
        people = np.array([stimulus.sensitivity for stimulus in stimuli])
        spread = 10 ** np.nan_to_num([stimulus.log10_error for stimulus in stimuli])
        bars = np.array([people - people / spread, people * spread - people])
        colour = colours[luminance]
        axes.errorbar(frequency, people, bars, fmt="o", markersize=3.5, linewidth=0.8, color=colour)
        for (_, sensitivities), style in zip(measured.items(), STYLES, strict=False):
            marker = "_" if len(indices) == 1 else None
            axes.plot(frequency, sensitivities[indices], linestyle=style, linewidth=1.3, color=colour, marker=marker)


def _colours(luminances: list[float]) -> dict[float, tuple]:
    from matplotlib import colormaps

    steps = np.linspace(0.05, 0.9, len(luminances)) if len(luminances) > 1 else [0.4]
    return dict(zip(luminances, map(tuple, colormaps["viridis"](steps)), strict=True))


def sensitivities_kept(table: ContrastThresholds, rows: list[dict]) -> dict[str, np.ndarray]:
    """Sensitivities by model, of rows that fit the table."""
    found = {}
    for row in rows:
        found.setdefault(row["model"], []).append(float(row["sensitivity"]))
    whole = {model: np.array(values) for model, values in found.items() if len(values) == len(table.stimuli)}
    return dict(sorted(whole.items(), key=lambda item: (item[0] != "exact", item[0])))


def main() -> None:
    """Measure, write, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--model", action="append", help="exact, or a surrogate; may be repeated; by default all")
    given = parser.parse_args()
    models = given.model or ["exact", *zoo.names()]
    table = ContrastThresholds(given.table)
    for (name, reason), count in sorted(table.left_out.items()):
        print(f"left out of {name}: {count} rows, {reason}")
    summary, stimuli = kept(SUMMARY, models), kept(STIMULI, models)
    for model in models:
        found = table.sensitivities(model)
        stimuli += stimulus_rows(table, model, found)
        for row in table.errors(found):
            summary.append({"model": model} | {k: f"{v:.3f}" if k in NUMBERS else v for k, v in row.items()})
            print(", ".join(f"{key} {value}" for key, value in summary[-1].items()))
        write(SUMMARY, summary)
        write(STIMULI, stimuli)
        draw(table, sensitivities_kept(table, stimuli), RESULTS / "thresholds.png")
    print(f"wrote {SUMMARY}, {STIMULI} and {RESULTS / 'thresholds.png'}")


if __name__ == "__main__":
    main()
