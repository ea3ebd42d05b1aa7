"""What does an error of so much cost in time? Every released model, error against time.

    python -m benchmarks.frontier

Reads ``results/surrogates.csv`` (error of log10 C_max) and the rows of 1080p of every ``results/speed-*.csv`` whose
machine timed all of the models; measures nothing. Writes ``results/frontier.png``.
"""

import csv
from pathlib import Path

from benchmarks.machine import RESULTS

ERROR = "log10 C_max, RMSE"
TYPICAL = "log10 C_max, median error"
SIZE = ("1080", "1920")
CROWDED = 0.4
"""Multiples of the exact metric's time from which on a name stands to the left of its point."""


def errors(path: Path) -> dict[str, tuple[float, float]]:
    """Root mean square and median error of log10 C_max by model."""
    with path.open(newline="") as file:
        values = {(row["model"], row["quantity"]): float(row["value"]) for row in csv.DictReader(file)}
    return {model: (value, values[model, TYPICAL]) for (model, what), value in values.items() if what == ERROR}


def times(path: Path) -> dict[str, tuple[float, float, float]]:
    """Forward time of a 1080p pair in multiples of the exact metric's: median, lowest, highest."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["direction"] == "forward"]
    rows = [row for row in rows if (row["height"], row["width"]) == SIZE]
    return {row["side"]: tuple(float(row[name]) for name in ("times_exact_float32", "low", "high")) for row in rows}


def plot(found: dict[str, tuple[float, float]], machines: dict[str, dict], path: Path) -> None:
    """Models as points that a line from RMSE to median error hangs from; one colour a machine."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (machine, own) in enumerate(machines.items()):
        for model, (square, median) in found.items():
            time, low, high = own[model]
            axes.errorbar(time, square, xerr=[[time - low], [high - time]], fmt="o", color=f"C{number}")
            axes.plot((time, time), (median, square), ":", color=f"C{number}", linewidth=1)
            axes.plot(time, median, "_", color=f"C{number}", markersize=12)
            side = {"ha": "right", "xytext": (-6, 4)} if time > CROWDED else {"xytext": (6, 4)}
            axes.annotate(model, (time, square), textcoords="offset points", fontsize=8, **side)
        axes.plot([], [], "o", color=f"C{number}", label=f"{machine}: RMSE, and the median error below it")
    axes.set(xscale="log", yscale="log", xlabel="forward time of a 1080p pair, multiples of the exact metric's")
    axes.axvline(1, color="k", linewidth=0.8)
    place = {"xycoords": axes.get_xaxis_transform(), "xytext": (-10, 8), "textcoords": "offset points"}
    axes.annotate("exact, float32", (1, 0), rotation=90, **place)
    axes.set_ylabel("error of log10 C_max on unseen photographs")
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", fontsize=8)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Read, check, plot."""
    found = errors(RESULTS / "surrogates.csv")
    timed = {path.stem.removeprefix("speed-"): times(path) for path in sorted(RESULTS.glob("speed-*.csv"))}
    machines = {machine: own for machine, own in timed.items() if found.keys() <= own.keys()}
    if not machines:
        missing = {machine: sorted(found.keys() - own.keys()) for machine, own in timed.items()}
        raise SystemExit(f"no speed file times all models; missing: {missing}. Run python -m benchmarks.speed")
    plot(found, machines, RESULTS / "frontier.png")
    for machine, own in machines.items():
        for model in sorted(found, key=lambda name: own[name][0]):
            print(f"{machine}: {model:16} {own[model][0]:.3f} of exact, RMSE {found[model][0]:.2f} log10")


if __name__ == "__main__":
    main()
