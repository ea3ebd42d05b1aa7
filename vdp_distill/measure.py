"""Time and fidelity of models, side by side in one run.

The sides take turns on every pair, so that a machine that grows slower meanwhile is slow for all of them; times are
told as ratios to one side. Errors are against the exact metric in float64.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from vdp_distill import checks, zoo
from vdp_distill.checkpoints import write_whole
from vdp_distill.display_files import load_display
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.metric import HDRVDP2
from vdp_distill.result import Result
from vdp_distill.version import METRIC_VERSION, __version__

__all__ = ["Benchmark", "benchmark", "fidelity"]

EXACT = "exact float64"
BASELINE = "exact float32"
COLUMNS = {
    "time": "time, forward",
    "gradient_time": "time, with gradient",
    "light_scatter": "light scatter, log10 RMSE",
    "photoreceptors": "photoreceptors, log10 RMSE",
    "luminance_masking": "masking, JND RMSE",
    "achromatic": "achromatic, JND RMSE",
    "achromatic_difference": "its difference test - reference, relative RMSE",
    "log10_C_max": "log10 C_max, RMSE",
    "P_det": "P_det, mean error",
    "Q": "Q, RMSE",
}


@dataclass(frozen=True)
class Benchmark:
    """What :func:`benchmark` measured.

    Attributes
    ----------
    rows
        A dict a side: ``side``, and the keys of :data:`COLUMNS`; times are ratios, ``seconds`` holds every raw one.
    about
        Machine, threads, versions, sizes, settings.
    """

    rows: list[dict]
    about: dict

    def table(self) -> Table:
        """For the terminal: a column a side."""
        about = self.about
        size = f"{about['pairs']} pairs of {about['width']} x {about['height']}"
        title = f"{size}, {about['threads']} threads, {about['device']}"
        table = Table(
            title=title, caption=f"times relative to {BASELINE}, +- half of the middle half; errors against {EXACT}"
        )
        table.add_column("")
        for row in self.rows:
            table.add_column(row["side"], justify="right")
        for key, label in COLUMNS.items():
            table.add_row(label, *(_cell(row, key) for row in self.rows))
        return table

    def write(self, path: str | Path) -> None:
        """As JSON."""
        text = json.dumps({"about": self.about, "rows": self.rows}, indent=1)
        write_whole(Path(path), lambda partial: partial.write_text(text, encoding="utf-8"))


def benchmark(
    models: Sequence[str | Path] = (),
    *,
    pairs: Sequence[tuple[Tensor, Tensor]] | None = None,
    height: int = 256,
    width: int = 256,
    repeats: int = 5,
    device: str = "cpu",
    engine: str = "torch",
    hdrvdp_dir: str | Path | None = None,
    **settings,
) -> Benchmark:
    """Measure the exact metric in float64 and float32, and models, on the same pairs.

    Parameters
    ----------
    models
        Names of released models, or folders of trained ones.
    pairs
        (test, reference), each (1, 3, H, W) code values in float32; by default :func:`photograph_pairs`.
    height, width
        Size of the default pairs.
    repeats
        Timed rounds over all sides, after one that is not counted.
    device
        Where it is computed.
    engine, hdrvdp_dir
        Another engine that runs the reference beside them: ``"octave"``, or ``"original"`` with the user's folder. It
        gives no gradient, and the original no stages.
    **settings
        As for :func:`vdp_distill.hdrvdp2`; by default sRGB code values, at the display's pixels per degree or 45.

    Returns
    -------
    Benchmark

    Raises
    ------
    ValueError
        For fewer than one round, two models of one name, or a folder of the original with another engine.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    if settings.get("encoding") is None and settings.get("display") is None:
        settings["encoding"] = "sRGB-display"
    if settings.get("pixels_per_degree") is None:
        display = settings.get("display")
        settings["pixels_per_degree"] = (display and load_display(display).geometry_pixels_per_degree()) or 45.0
    if hdrvdp_dir is not None and engine != "original":
        raise ValueError(f"hdrvdp_dir is of engine='original', got engine={engine!r}")
    pairs = photograph_pairs(height, width) if pairs is None else pairs
    checks.as_device(device)
    sides = _sides(models, device, settings)
    if engine != "torch":
        sides[engine] = _elsewhere(HDRVDP2(engine=engine, hdrvdp_dir=hdrvdp_dir, **settings))
    seconds = _time_sides(sides, pairs, repeats, device)
    errors = fidelity(sides, pairs, device)
    rows = []
    for side in sides:
        row = {"side": side, "seconds": seconds[side]}
        for kind, column in (("forward", "time"), ("gradient", "gradient_time")):
            if not seconds[side][kind]:
                continue
            ratios = [a / b for a, b in zip(seconds[side][kind], seconds[BASELINE][kind], strict=True)]
            row |= {column: statistics.median(ratios), f"{column}_spread": _spread(ratios)}
        rows.append(row | errors[side])
    return Benchmark(rows, _about(pairs, repeats, device, settings))


def _sides(models: Sequence[str | Path], device: str, settings: dict) -> dict[str, Callable]:
    exact = HDRVDP2(**settings)
    sides = {
        EXACT: lambda test, reference, **options: exact(test.double(), reference.double(), **options),
        BASELINE: lambda test, reference, **options: exact(test, reference, **options),
    }
    named = {Path(model).name: model for model in models}
    if len(named) < len(models):
        raise ValueError(f"a column is named by its model's folder, and {', '.join(map(str, models))} share a name")
    return sides | {name: zoo.load(model, device, **settings) for name, model in named.items()}


def _elsewhere(metric: HDRVDP2) -> Callable:
    def predict(test: Tensor, reference: Tensor, **options) -> Result:
        return metric(test.double(), reference.double(), **options)

    predict.gradient = False
    return predict


def _time_sides(sides: dict, pairs: Sequence, repeats: int, device: str) -> dict[str, dict[str, list[float]]]:
    """Seconds of every round, side and kind; a pair a round, the sides in turn."""
    seconds = {side: {"forward": [], "gradient": []} for side in sides}
    for number, (test, reference) in enumerate(islice(cycle(pairs), repeats + 1)):
        test, reference = test.to(device), reference.to(device)
        for side, predict in sides.items():
            for kind, run in (("forward", _forward), ("gradient", _gradient)):
                if kind == "gradient" and not getattr(predict, "gradient", True):
                    continue
                taken = _timed(lambda run=run, predict=predict: run(predict, test, reference), device)  # noqa: B023
                if number:
                    seconds[side][kind].append(taken)
    return seconds


def _timed(run: Callable[[], object], device: str) -> float:
    synchronise = torch.cuda.synchronize if torch.device(device).type == "cuda" else (lambda: None)
    synchronise()
    start = time.perf_counter()
    run()
    synchronise()
    return time.perf_counter() - start


def _forward(predict: Callable, test: Tensor, reference: Tensor) -> None:
    with torch.no_grad():
        predict(test, reference)


def _gradient(predict: Callable, test: Tensor, reference: Tensor) -> None:
    test = test.detach().requires_grad_()
    torch.autograd.grad(predict(test, reference).C_map.sum().log1p(), test)


def fidelity(
    sides: dict[str, Callable], pairs: Sequence[tuple[Tensor, Tensor]], device: str = "cpu"
) -> dict[str, dict[str, float]]:
    """Errors of every side against :data:`EXACT`, by side and key of :data:`COLUMNS`."""
    collected: dict[str, list[dict]] = {side: [] for side in sides}
    for test, reference in pairs:
        test, reference = test.to(device), reference.to(device)
        with torch.no_grad():
            truth = sides[EXACT](test, reference, keep_stages=True)
            for side, predict in sides.items():
                keeps = getattr(predict, "fixed", {}).get("keep_stages", True)
                result = truth if side == EXACT else predict(test, reference, keep_stages=keeps)
                collected[side].append(_pair_errors(result, truth))
    return {side: _over_pairs(errors) for side, errors in collected.items()}


def _pair_errors(result: Result, truth: Result) -> dict[str, float]:
    """Mean squared errors of a pair, and the absolute error of P_det."""
    stages = {name: (_both(result, name), _both(truth, name)) for name in COLUMNS if name in result.stages}
    errors = {}
    for name, (ours, exact) in stages.items():
        if name in ("light_scatter", "photoreceptors"):
            ours, exact = ours.clamp(min=1e-8).log10(), exact.clamp(min=1e-8).log10()
        errors[name] = float((ours - exact).square().mean())
    if "achromatic" in stages:
        ours, exact = (test - reference for test, reference in (pair.chunk(2) for pair in stages["achromatic"]))
        errors["achromatic_difference"] = float((ours - exact).square().mean() / exact.square().mean().clamp(min=1e-30))
    ratio = result.C_max.double().clamp(min=1e-12) / truth.C_max.clamp(min=1e-12)
    errors["log10_C_max"] = float(ratio.log10().square())
    errors["P_det"] = float((result.P_det - truth.P_det).abs())
    return errors | {"Q": float((result.Q - truth.Q).square())}


def _both(result: Result, name: str) -> Tensor:
    stage = result.stages[name]
    return torch.cat([stage.test, stage.reference]).double()


def _over_pairs(errors: list[dict]) -> dict[str, float]:
    means = {key: float(np.mean([error[key] for error in errors])) for key in errors[0]}
    return {key: value if key == "P_det" else value**0.5 for key, value in means.items()}


def _spread(ratios: list[float]) -> float:
    """Half of the distance between the quartiles."""
    if len(ratios) < 2:
        return 0.0
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return (high - low) / 2


def _cell(row: dict, key: str) -> str:
    if key not in row:
        return "-"
    value = row[key]
    return f"{value:.2f} +- {row[f'{key}_spread']:.2f}" if "time" in key else f"{value:.3g}"


def _about(pairs: Sequence, repeats: int, device: str, settings: dict) -> dict:
    return {
        "metric": METRIC_VERSION,
        "vdp_distill": __version__,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "pairs": len(pairs),
        "height": pairs[0][0].shape[2],
        "width": pairs[0][0].shape[3],
        "repeats": repeats,
        "baseline": BASELINE,
        "settings": {key: str(value) for key, value in settings.items() if value is not None},
    }
