"""How much faster is the exact metric than the reference, and how does it stand beside what people use instead?

    python -m benchmarks.speed                      every size up to 4K; half an hour on two cores
    python -m benchmarks.speed --sizes 128x128 1080x1920 --rounds 3
    VDP_DISTILL_HDRVDP=~/hdrvdp-2.2.2 python -m benchmarks.speed      with the user's own HDR-VDP

All sides run in one process that keeps its freed memory, in turn, round after round; what is written are ratios of
medians in that run, with the spread over its rounds, and each side's peak memory from a process of its own. Writes
``results/speed-<machine>.csv``, where a size that is measured again replaces its own rows, and a plot of the same name.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import RESULTS, describe, machine_name, photograph_pair, versions
from benchmarks.sides import SIDES, Side, available
from vdp_distill import keep_freed_memory

SIZES = ("128x128", "256x256", "512x512", "720x1280", "1080x1920", "2160x3840")
REFERENCE = "exact-float32"
COLUMNS = (
    "height", "width", "direction", "side", "times_exact_float32", "low", "high", "rounds", "peak_memory_gb",
    "computes", "processor", "threads", "versions",
)  # fmt: skip


def time_of(function) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def rounds_of(functions: dict[str, object], rounds: int) -> dict[str, list[float]]:
    """Times of every side, interleaved, after one warm-up round."""
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(time_of(function))
    return times


def prepared(sides: list[Side], height: int, width: int) -> dict[str, dict[str, object]]:
    """What each side runs, by direction."""
    pair = photograph_pair(height, width)
    directions = {"forward": {}, "forward+backward": {}}
    for side in sides:
        too_small = side.name == "ms-ssim" and min(height, width) <= 160  # five scales need more than 160 pixels
        if too_small or height * width > side.largest:
            continue
        forward, backward = side.prepare(*pair)
        directions["forward"][side.name] = forward
        if backward is not None and height * width <= side.largest_backward:
            directions["forward+backward"][side.name] = backward
    return {direction: functions for direction, functions in directions.items() if functions}


def peak_memory_gb(side: str, direction: str, size: str) -> float:
    """Largest resident memory of a process that runs one side once."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed", "--peak", side, direction, size]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def print_peak(name: str, direction: str, size: str) -> None:
    """Run one side once and print the peak memory of this process and of those it started (Octave is one)."""
    side = next(side for side in SIDES if side.name == name)
    height, width = map(int, size.split("x"))
    prepared([side], height, width)[direction][name]()
    print(max(peaks_kb(os.getpid())) / 1e6)


def peaks_kb(root: int) -> list[int]:
    """Peak resident memory of a process and its descendants, from Linux's /proc; it starts afresh with a program."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
        except OSError:  # ended meanwhile
            continue
        found[int(fields["Pid"])] = int(fields["PPid"]), int(fields.get("VmHWM", "0 kB").split()[0])
    family = {root}
    while grown := {pid for pid, (parent, _) in found.items() if parent in family} - family:
        family |= grown
    return [found[pid][1] for pid in family if pid in found]


def measure(sides: list[Side], size: str, rounds: int) -> Iterator[dict]:
    """Rows of one size."""
    height, width = map(int, size.split("x"))
    for direction, functions in prepared(sides, height, width).items():
        times = rounds_of(functions, rounds)
        base = statistics.median(times[REFERENCE])
        for side in sides:
            if side.name not in times:
                continue
            ratios = [seconds / base for seconds in times[side.name]]
            peak = peak_memory_gb(side.name, direction, size)
            row = (
                height,
                width,
                direction,
                side.name,
                *map(rounded, (statistics.median(ratios), min(ratios), max(ratios))),
            )
            about = describe()
            packages = versions("vdp-distill", "torch", *side.packages)
            text = " ".join(f"{name}={value}" for name, value in packages.items())
            values = (*row, rounds, f"{peak:.2f}", side.computes, about["processor"], about["threads"], text)
            print(f"{size:>10} {direction:17} {side.name:14} {row[4]:>8} x exact-float32, {peak:.2f} GB", flush=True)
            yield dict(zip(COLUMNS, values, strict=True))


def of_other_sizes(path: Path, sizes: Sequence[str]) -> list[dict]:
    """What the file holds of sizes that are not measured now."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if f"{row['height']}x{row['width']}" not in sizes]


def rounded(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def plot(rows: list[dict], path: Path) -> None:
    """Ratio against size, forward and with backward, both axes logarithmic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, direction in zip(figure.subplots(1, 2, sharey=True), ("forward", "forward+backward"), strict=True):
        for name in dict.fromkeys(row["side"] for row in rows):
            chosen = [row for row in rows if row["side"] == name and row["direction"] == direction]
            chosen.sort(key=lambda row: int(row["height"]) * int(row["width"]))
            pixels = [int(row["height"]) * int(row["width"]) for row in chosen]
            axes.loglog(pixels, [float(row["times_exact_float32"]) for row in chosen], "o-", label=name)
        axes.set(title=direction, xlabel="pixels")
        axes.grid(alpha=0.3, which="both")
    figure.axes[0].set_ylabel("time / time of exact float32")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, write, plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="HEIGHTxWIDTH")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", default=[side.name for side in SIDES], help="which of them")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(*options.peak)
        return
    keep_freed_memory()
    sides = [side for side in SIDES if side.name in (*options.sides, REFERENCE)]
    for side in sides:
        if available(side):
            print(f"without {side.name}: {available(side)}")
    sides = [side for side in sides if not available(side)]
    path = RESULTS / f"speed-{machine_name()}.csv"
    rows = of_other_sizes(path, options.sizes)
    for size in options.sizes:
        for row in measure(sides, size, options.rounds):  # written as it comes: an interrupted run keeps what it has
            rows.append(row)
            write(rows, path)
    plot(rows, path.with_suffix(".png"))
    print(f"wrote {path} and its plot")


def write(rows: list[dict], path: Path) -> None:
    """Rows of all sizes so far."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
