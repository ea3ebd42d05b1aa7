"""What the design of Ak and Le Callet 2019 can and cannot do, beside the conditioned chain and the exact metric.

    python -m benchmarks.paper --model RUN --data FOLDER [--usual-alpha RUN] [--samples 192] [--about TEXT]

``RUN`` is what ``vdp-distill train paper-narrow`` made. The same pairs are shown at several pixels per degree, of which
the paper's networks know nothing; gratings tell what passes their bottleneck; a small light in the dark tells what
glare they make; and whole 1080p pairs what they cost, at these widths and at those that the paper describes, beside the
metric in Octave. A second run, with SELU's usual alpha in place of a fitted one, is compared by the two logs. Writes
``results/paper.csv`` and ``results/paper.png``.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.machine import RESULTS
from benchmarks.surrogates import load_samples, write
from benchmarks.surrogates_errors import JUDGED
from vdp_distill import keep_freed_memory, octave, zoo
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.metric import HDRVDP2
from vdp_distill.pipeline import Pair
from vdp_distill.recipes import models_folder, read_toml
from vdp_distill.result import Result
from vdp_distill.settings import to_light
from vdp_distill.surrogate_metric import ChainVDP
from vdp_distill.surrogates.paper import Chain

PIXELS_PER_DEGREE = (15.0, 30.0, 60.0, 120.0)
PERIODS_PIXELS = (64.0, 32.0, 16.0, 8.0, 6.0, 4.4, 3.0, 2.2)
GRATING_PPD = (30.0, 60.0)
DISTANCES_PIXELS = (6, 8, 12, 16, 24, 32, 48, 60)
SIDE, MIDDLE = 128, 64
BRIGHTEST_CDM2 = 500.0
"""Of the displays that the networks were trained on."""

ROUNDS = 3
LIGHT = {"encoding": "rgb-bt.709", "pixels_per_degree": 30.0, "keep_stages": True}
SCREEN = {"encoding": "sRGB-display", "pixels_per_degree": 45.0, "keep_stages": False}
STAGES = ("light_scatter", "photoreceptors")
STYLES = {"exact": "k-", "vdp-chain-v1": "C0o--", "paper": "C1o-"}
LOGGED = {"val_loss": "validation loss", "val_achromatic_jnd": "validation, achromatic, JND"}
"""Columns of a run's log by what the table calls them."""


@dataclass(frozen=True)
class Side:
    """A metric by its name in the table."""

    name: str
    metric: HDRVDP2

    def row(self, quantity: str, value: float, at: str) -> dict:
        """A row of the results file."""
        return {"side": self.name, "quantity": quantity, "value": f"{value:.4g}", "at": at}


@torch.no_grad()
def judged_pairs(side: Side, exact: HDRVDP2, samples: dict[str, Tensor]) -> list[dict]:
    """Errors of stages and of contrast, at every pixels per degree."""
    rows = []
    for ppd in PIXELS_PER_DEGREE:
        errors, contrasts = {}, []
        for k in range(len(samples["Q"])):
            pair = samples["light/test"][k : k + 1], samples["light/reference"][k : k + 1]
            shown = {"pixels_per_degree": ppd, "surround_l": samples["conditions/surround_cdm2"][k : k + 1]}
            found, true = (metric(*pair, **shown) for metric in (side.metric, exact))
            for quantity, error in stage_errors(found, true).items():
                errors.setdefault(quantity, []).append(error)
            contrasts.append((float(found.C_max.clamp(min=1e-9)), float(true.C_max)))
        at = f"{ppd:g} pixels per degree"
        rows += [side.row(quantity, float(np.sqrt(np.mean(np.square(e)))), at) for quantity, e in errors.items()]
        own, true = np.array([pair for pair in contrasts if JUDGED[0] < pair[1] < JUDGED[1]]).T
        rows.append(side.row("log10 C_max, RMSE", float(np.sqrt(np.mean(np.log10(own / true) ** 2))), at))
        rows.append(side.row("log10 C_max, SROCC", float(spearmanr(own, true).statistic), at))
    return rows


def stage_errors(found: Result, true: Result) -> dict[str, float]:
    """Error of each stage of a pair, as a share of the stage's root mean square."""
    errors = {}
    for stage in STAGES:
        own, exact = found.stages[stage].test, true.stages[stage].test
        errors[f"{stage}, of its rms"] = _share(own - exact, exact)
    own, exact = (r.stages["achromatic"].test - r.stages["achromatic"].reference for r in (found, true))
    if exact.abs().max() > 0:
        errors["difference of achromatic, of its rms"] = _share(own - exact, exact)
    return errors


def _share(wrong: Tensor, true: Tensor) -> float:
    return float((wrong.double().square().mean() / true.double().square().mean()).sqrt())


@torch.no_grad()
def transfer(side: Side) -> list[dict]:
    """What is left of a grating's contrast on the retina, and what is there that the grating is not."""
    rows, column = [], torch.arange(SIDE, dtype=torch.float32)
    for ppd in GRATING_PPD:
        for period in PERIODS_PIXELS:
            wave = torch.cos(2 * torch.pi * column / period)
            light = (100 * (1 + 0.2 * wave)).expand(1, 3, SIDE, SIDE)
            seen = side.metric(light, light, pixels_per_degree=ppd, surround_l=100.0).stages["light_scatter"].test
            (left, _), (own, other) = (_own_and_other(image, period) for image in (light, seen))
            at = f"{1 / period:.4g} cycles/pixel, {ppd:g} ppd"
            rows.append(side.row("transfer of a grating", own / left, at))
            rows.append(side.row("what else a grating becomes, of it", other / left, at))
    return rows


def _own_and_other(light: Tensor, period: float) -> tuple[float, float]:
    """Of log light in the middle of an image: amplitude of a grating, and root mean square of the rest."""
    inside = light[..., SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4].double().log10()
    angle = 2 * torch.pi * torch.arange(inside.shape[-1]).double() / period
    waves = torch.stack([torch.ones_like(angle), angle.cos(), angle.sin()], dim=1)
    rows = inside.flatten(0, 2).mT
    found = torch.linalg.lstsq(waves, rows).solution
    rest = rows - waves @ found
    return float(torch.hypot(found[1], found[2]).mean()), float(2**0.5 * rest.square().mean().sqrt())


@torch.no_grad()
def glare(side: Side) -> list[dict]:
    """Luminance on the retina around a small light, over that of the dark ground."""
    light = torch.full((1, 3, SIDE, SIDE), 0.1)
    light[..., MIDDLE - 4 : MIDDLE + 4, MIDDLE - 4 : MIDDLE + 4] = BRIGHTEST_CDM2
    seen = side.metric(light, light, surround_l=0.1).stages["light_scatter"].test[0].mean(dim=0) - 0.1
    places = ((d, float(seen[MIDDLE, MIDDLE + d])) for d in DISTANCES_PIXELS)
    return [side.row("glare of a small light, cd/m2", value, f"{distance} pixels away") for distance, value in places]


def times(exact: Side, networks: list[Side], conditioned: Side) -> list[dict]:
    """Time of a 1080p pair over the exact metric's, medians of interleaved rounds.

    Of the paper's networks also what they take alone, without the later stages, for that is what its authors compare.
    """
    pair = photograph_pairs(1080, 1920, count=1)[0]
    whole = {side: lambda side=side: side.metric(*pair, **SCREEN) for side in (exact, *networks, conditioned)}
    alone = {Side(f"{side.name}, networks alone", side.metric): retinas_of(side, pair) for side in networks}
    if octave.octave_available():
        program = HDRVDP2(engine="octave", **SCREEN)
        whole[Side("this project's Octave program", program)] = lambda: program(*pair)
    taken = {side: [] for side in (*whole, *alone)}
    for _ in range(ROUNDS):
        for side, look in (whole | alone).items():
            start = time.perf_counter()
            with torch.no_grad():
                look()
            taken[side].append(time.perf_counter() - start)
    medians = {side: statistics.median(found) for side, found in taken.items()}
    at = f"1920x1080, {torch.get_num_threads()} threads"
    return [side.row("time of the exact metric's", medians[side] / medians[exact], at) for side in taken]


def retinas_of(side: Side, pair: tuple[Tensor, Tensor]) -> Callable[[], object]:
    """What a surrogate of the retina does of the metric's work, from light on."""
    settings = side.metric.settings_for(**SCREEN)
    lights = Pair(*(to_light(image, settings, "test") for image in pair))
    return lambda: side.metric.retina(lights, settings)


def progress(name: str, run: Path) -> list[dict]:
    """What a run's log says of its errors, at every validation."""
    with (run / "log.csv").open(newline="") as file:
        log = list(csv.DictReader(file))
    return [
        {"side": name, "quantity": quantity, "value": f"{float(row[column]):.4g}", "at": f"{row['images']} images"}
        for row in log
        for column, quantity in LOGGED.items()
    ]


def draw(rows: list[dict], path: Path) -> None:
    """Errors against pixels per degree, transfer against frequency, glare against distance."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    _panel(axes[0], rows, "difference of achromatic, of its rms", "", "pixels per degree", PIXELS_PER_DEGREE)
    axes[0].set_ylabel("error of the achromatic difference, of its rms")
    _panel(axes[1], rows, "transfer of a grating", ", 60 ppd", "cycles/pixel, 60 pixels per degree", (0.02, 0.1, 0.5))
    axes[1].set_ylabel("contrast left on the retina")
    _panel(axes[2], rows, "glare of a small light, cd/m2", "", "pixels from a small light", DISTANCES_PIXELS[::2])
    axes[2].set(ylabel="luminance that it adds, cd/m2", yscale="log")
    figure.savefig(path, dpi=110)


def _panel(axes, rows: list[dict], quantity: str, end: str, across: str, ticks: tuple[float, ...]) -> None:
    own = [row for row in rows if row["quantity"] == quantity and row["at"].endswith(end)]
    for name, style in STYLES.items():
        points = [(float(row["at"].split()[0]), float(row["value"])) for row in own if row["side"] == name]
        if points:
            axes.plot(*zip(*points, strict=True), style, markersize=4, label=name)
    axes.set(xlabel=across, xscale="log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(fontsize=8)


def dim(samples: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """Samples of displays like those that the networks were trained on."""
    bright = samples["light/reference"].flatten(1).amax(dim=1) <= BRIGHTEST_CDM2
    chosen = torch.nonzero(bright)[:, 0]
    chosen = chosen[torch.linspace(0, len(chosen) - 1, min(count, len(chosen))).round().long()]
    return {name: values[chosen] for name, values in samples.items()}


def main() -> None:
    """Measure, write, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--usual-alpha", type=Path)
    parser.add_argument("--samples", type=int, default=192)
    parser.add_argument("--about", default="", help="the set in words, for the results file")
    options = parser.parse_args()
    keep_freed_memory()
    exact = Side("exact", HDRVDP2(**LIGHT))
    others = [Side("paper", zoo.load(options.model, **LIGHT)), Side("vdp-chain-v1", zoo.load("vdp-chain-v1", **LIGHT))]
    samples = dim(load_samples(options.data, 4 * options.samples, None)[0], options.samples)
    rows = [row for side in others for row in judged_pairs(side, exact.metric, samples)]
    rows += [row for side in (exact, *others) for row in (*transfer(side), *glare(side))]
    table = read_toml(models_folder() / "recipes" / "paper-chain.toml")["network"]
    wide = ChainVDP(Chain(zoo.network_config(table, "paper-chain")), "paper", **LIGHT)
    rows += times(exact, [others[0], Side("paper, its full widths", wide)], others[1])
    rows += progress("paper, alpha fitted", options.model)
    rows += progress("paper, alpha 1.6733", options.usual_alpha) if options.usual_alpha else []
    write(RESULTS / "paper.csv", [row | {"pairs": len(samples["Q"]), "data": options.about} for row in rows])
    draw(rows, RESULTS / "paper.png")
    for row in rows:
        print(" | ".join(row.values()))


if __name__ == "__main__":
    main()
