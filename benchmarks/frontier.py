"""What does an error of so much cost in time? Released models, other sizes of them, and bfloat16: error against time.

    python -m benchmarks.frontier --data FOLDER [--samples 1536] [--sizes NAME=RUN ...] [--rounds 5] [--about TEXT]
    python -m benchmarks.frontier                     draws again what was measured

``FOLDER`` is a set of photographs that no model was trained on (:mod:`benchmarks.surrogates`), ``RUN`` what
``vdp-distill train`` made. All sides run in one process, in turn, round after round: times are ratios to the exact
metric in float32, of a 1080p pair. In bfloat16 run the filters alone, which is most of the arithmetic; the powers that
follow them would lose what they are about. Writes ``results/frontier.csv`` and ``results/frontier.png``.
"""

import argparse
import csv
import statistics
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from benchmarks.machine import RESULTS, describe, photograph_pair
from benchmarks.sides import both_ways
from benchmarks.speed import rounded, rounds_of
from benchmarks.surrogates import LIGHT, load_samples, predictions
from benchmarks.surrogates_errors import number_rows
from vdp_distill import HDRVDP2, VDPLoss, keep_freed_memory, zoo

ERROR, TYPICAL = "log10 C_max, RMSE", "log10 C_max, median error"
SIZE = (1080, 1920)
SCREEN = {"encoding": "sRGB-display", "pixels_per_degree": 45.0}
IN_BFLOAT16 = ("vdp-cortex-v1", "vdp-fast-v1", "vdp-swift-v1")
CROWDED = 0.4
"""Multiples of the exact metric's time from which on a name stands to the left of its point."""

LAST = 0.75
"""Multiples from which on a leaning name leans to the left."""

NEAR = 1.07
"""Ratio of times up to which names would lie on one another."""

KINDS = {"released": "o", "another size": "^", "filters in bfloat16": "x"}
"""And how they are drawn."""

TICKS = (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1)

ASKED = "asked: "
"""Before the rows of ``results/limits.csv`` that hold times which were asked for."""


class Bfloat16Filters(TorchFunctionMode):
    """Convolutions in bfloat16, all else as it is."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not F.conv2d:
            return function(*args, **(kwargs or {}))
        args = [x.bfloat16() if isinstance(x, Tensor) else x for x in args]
        return function(*args, **(kwargs or {})).float()


@dataclass(frozen=True)
class Point:
    """A model that has a place on the frontier."""

    name: str
    kind: str
    model: str
    """As :func:`vdp_distill.zoo.load` takes it."""

    def mode(self):
        """What it runs in."""
        return Bfloat16Filters() if self.kind == "filters in bfloat16" else nullcontext()

    def errors(self, samples: dict[str, Tensor]) -> dict[str, str]:
        """Errors on a set."""
        metric = zoo.load(self.model, **LIGHT)
        with self.mode():
            found = predictions(metric, samples)
        return {quantity: f"{value:.4g}" for quantity, value, _, _ in number_rows(found, samples)}

    def timed(self, test: Tensor, reference: Tensor):
        """What runs the metric forward, and the loss with its gradient."""

        def in_mode(call):
            def run(test, reference):
                with self.mode():
                    return call(test, reference)

            return run

        metric, loss = in_mode(zoo.load(self.model, **SCREEN)), in_mode(VDPLoss(self.model, **SCREEN))
        return both_ways(metric, test, reference)[0], both_ways(loss, test, reference)[1]


def points_of(sizes: list[str]) -> list[Point]:
    """Released models, the sizes asked for, and what runs in bfloat16 too."""
    released = [Point(name, "released", name) for name in zoo.names()]
    pairs = [size.split("=", 1) for size in sizes]
    if wrong := [size for size, pair in zip(sizes, pairs, strict=True) if len(pair) < 2]:
        raise SystemExit(f"--sizes takes NAME=RUN, a name and a trained folder; got {', '.join(wrong)}")
    own = [Point(name, "another size", run) for name, run in pairs]
    return [*released, *own, *(Point(f"{name}, bfloat16", "filters in bfloat16", name) for name in IN_BFLOAT16)]


def times(points: list[Point], rounds: int) -> dict[str, dict[str, str]]:
    """Forward and forward with backward, in multiples of the exact metric's: medians over the rounds."""
    test, reference = (image.float() for image in photograph_pair(*SIZE))
    exact = both_ways(HDRVDP2(**SCREEN), test, reference)[0], both_ways(VDPLoss(**SCREEN), test, reference)[1]
    calls = {"exact": exact}
    calls |= {point.name: point.timed(test, reference) for point in points}
    found: dict[str, dict[str, str]] = {point.name: {} for point in points}
    for number, direction in enumerate(("forward", "forward+backward")):
        taken = rounds_of({name: both[number] for name, both in calls.items()}, rounds)
        base = statistics.median(taken.pop("exact"))
        for name, seconds in taken.items():
            found[name][direction] = rounded(statistics.median(seconds) / base)
    return found


def measured(points: list[Point], samples: dict[str, Tensor], rounds: int, about: str) -> list[dict]:
    """A row a point."""
    taken, machine = times(points, rounds), describe()
    on = {"machine": f"{machine['processor']}, {machine['threads']} threads", "pairs": len(samples["Q"]), "data": about}
    return [
        {"model": point.name, "kind": point.kind} | taken[point.name] | point.errors(samples) | on for point in points
    ]


def plot(rows: list[dict], path: Path) -> None:
    """Models as points that a line from RMSE to median error hangs from."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (kind, marker) in enumerate(KINDS.items()):
        own = [row for row in rows if row["kind"] == kind]
        for row in own:
            time, square, median = (float(row[name]) for name in ("forward", ERROR, TYPICAL))
            axes.plot(time, square, marker, color=f"C{number}")
            axes.plot((time, time), (median, square), ":", color=f"C{number}", linewidth=1)
            axes.plot(time, median, "_", color=f"C{number}", markersize=12)
            if kind == "filters in bfloat16":
                continue
            below = sum(float(other[ERROR]) < square and float(other["forward"]) > CROWDED for other in own)
            follows = any(1 < float(other["forward"]) / time < NEAR for other in own)
            place = {"textcoords": "offset points", "fontsize": 8} | _beside(kind, time, below, follows)
            axes.annotate(row["model"], (time, square), **place)
        if own:
            axes.plot([], [], marker, color=f"C{number}", label=kind)
    axes.set(xscale="log", yscale="log", xlabel="forward time of a 1080p pair, multiples of the exact metric's")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.xaxis.set_minor_formatter(NullFormatter())
    for name, time in {"exact, float32": 1.0, **asked(path.with_name("limits.csv"))}.items():
        axes.axvline(time, color="k", linewidth=0.8, linestyle="-" if time == 1 else "--")
        place = {"xycoords": axes.get_xaxis_transform(), "xytext": (-10, 8), "textcoords": "offset points"}
        axes.annotate(name, (time, 0), rotation=90, fontsize=8, **place)
    axes.set_ylabel("error of log10 C_max: RMSE, and the median below it")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=100)


def asked(path: Path) -> dict[str, float]:
    """Times of a forward pass that were asked for, where :mod:`benchmarks.limits` has measured whose parts they are."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["step"].startswith(ASKED) and row["direction"] == "forward"]
    return {row["step"].removeprefix(ASKED): float(row["time_over_exact"]) for row in rows}


def _beside(kind: str, time: float, below: int, follows: bool) -> dict:
    """Where a name stands by its point: sizes of one network lie close, so theirs lean; slow models' names queue up.

    Parameters
    ----------
    below
        How many of the slow models of this kind are nearer to the metric.
    follows
        Whether one of this kind is a little slower: then this one's name keeps clear of the other's.
    """
    if kind == "another size":
        side, turn, start = ("left", 60, 2) if time < LAST else ("right", -60, -2)
        # The faster of two whose names would lie on one another keeps clear of the other's.
        return {"ha": side, "xytext": (start - 5 * follows, 6), "rotation": turn, "rotation_mode": "anchor"}
    if time < CROWDED:
        return {"ha": "center", "xytext": (0, -14)}
    line = {"arrowstyle": "-", "linewidth": 0.5, "color": "0.5", "shrinkB": 3}
    return {"ha": "right", "xytext": (-60, -46 + 15 * below), "arrowprops": line}


def main() -> None:
    """Measure if a set is given; write, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="a set that no model was trained on")
    parser.add_argument("--samples", type=int, default=1536)
    parser.add_argument("--sizes", nargs="+", default=[], metavar="NAME=RUN", help="trained folders to put beside")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--about", default="", help="the set in words, for the results file")
    options = parser.parse_args()
    path = RESULTS / "frontier.csv"
    if options.data:
        keep_freed_memory()
        samples, _ = load_samples(options.data, options.samples, None)
        rows = measured(points_of(options.sizes), samples, options.rounds, options.about)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    if not path.is_file():
        raise SystemExit(f"{path} is not there yet: measure with --data FOLDER first")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    plot(rows, path.with_suffix(".png"))
    for row in sorted(rows, key=lambda row: float(row["forward"])):
        print(f"{row['model']:28} {row['forward']} / {row['forward+backward']} of exact, RMSE {row[ERROR]} log10")


if __name__ == "__main__":
    main()
