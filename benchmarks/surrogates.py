"""How far are the released models from the exact metric, on photographs they never saw?

    python -m benchmarks.surrogates [--data FOLDER [--whole]] [--viewing FOLDER] [--samples 512] [--models NAME ...]

Judges every model of the zoo on the test split of a set of the recipe ``zoo-v1`` (made on the spot from scikit-image's
photographs if no folder is given), or on the whole of a set whose photographs no model was trained on; on the gradient
of log contrast near threshold; and on the contrast at which Gabor patches are seen. Truth is what the set holds: the
exact metric in float32, whose distance to float64 the set's own card gives. ``--viewing`` takes a set of the recipe
``unseen-viewing``, whose displays and rooms no model was trained on either. Writes ``results/surrogates.csv``,
``surrogates.png`` with the calibration curves, and ``surrogates-distortions.csv``.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.gabors import threshold_errors
from benchmarks.machine import RESULTS
from benchmarks.surrogates_figure import plot
from vdp_distill import zoo
from vdp_distill.dataset import ShardDataset
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.losses import VDPLoss
from vdp_distill.metric import HDRVDP2

COLUMNS = ("model", "quantity", "value", "unit", "samples", "data")
FIELDS = ("light/test", "light/reference", "sum_S", "P_det", "P_map", "Q", "C_map")
CONDITIONS = {"pixels_per_degree": "pixels_per_degree", "surround_l": "surround_cdm2", "emission": "emission"}
LIGHT = {"encoding": "rgb-bt.709", "pixels_per_degree": 30.0}
NEAR = (0.02, 0.98)
JUDGED = (1e-2, 1e5)
PEAK_DEG = 0.25
"""The map's peak counts as found within this angle."""

UNSEEN_DISTORTIONS = ("demosaic", "motion_blur")
"""Those of zoo-v1 that zoo-v2, the training set, leaves out."""

UNSEEN = ("log10 C_max, RMSE", "log10 C_max, SROCC", "P_det near threshold, MAE", "P_map, MAE", "Q, RMSE")
"""What is stated of distortions and of viewing conditions that were never trained on."""


def load_samples(folder: Path, count: int, split: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """Evenly spread samples of a split, or of all, and their distortions."""
    fields = (*FIELDS, *(f"conditions/{name}" for name in CONDITIONS.values()))
    found = ShardDataset(folder, fields, split=split)
    chosen = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).astype(int))
    words = found.text("samples/distortion")
    samples = torch.utils.data.default_collate([found[int(k)] for k in chosen])
    return samples, [words[int(k)] for k in chosen]


def settings_of(samples: dict[str, Tensor], rows: slice) -> dict:
    """Viewing conditions of some samples, as the metric takes them."""
    return {setting: samples[f"conditions/{name}"][rows] for setting, name in CONDITIONS.items()}


@torch.no_grad()
def predictions(model: str | HDRVDP2, samples: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a model, by its name or loaded with :data:`LIGHT`, says of every sample."""
    metric = zoo.load(model, **LIGHT) if isinstance(model, str) else model
    found = defaultdict(list)
    for start in range(0, len(samples["Q"]), 16):
        rows = slice(start, start + 16)
        images = (samples["light/test"][rows], samples["light/reference"][rows])
        result = metric(*images, check_values=False, **settings_of(samples, rows))
        for name in ("P_map", "C_map", "P_det", "C_max", "Q"):
            found[name].append(getattr(result, name))
    return {name: torch.cat(parts) for name, parts in found.items()}


def number_rows(found: dict[str, Tensor], samples: dict[str, Tensor]) -> list[tuple[str, float, str, int]]:
    """Errors of the numbers and of the maps."""
    exact, seen = samples["sum_S"].double(), found["C_max"].double().clamp(min=1e-9)
    judged = (exact > JUDGED[0]) & (exact < JUDGED[1])
    near = (samples["P_det"] > NEAR[0]) & (samples["P_det"] < NEAR[1])
    error = (seen[judged] / exact[judged]).log10()
    missed = (found["P_det"] - samples["P_det"]).abs()
    offset = peak_offset(found["C_map"], samples)
    quality = (found["Q"] - samples["Q"]).double()
    return [
        ("log10 C_max, RMSE", float(error.square().mean().sqrt()), "log10", len(error)),
        ("log10 C_max, median error", float(error.abs().median()), "log10", len(error)),
        ("log10 C_max, p99 error", float(error.abs().quantile(0.99)), "log10", len(error)),
        ("log10 C_max, worst error", float(error.abs().max()), "log10", len(error)),
        ("log10 C_max, SROCC", float(spearmanr(seen[judged], exact[judged]).statistic), "", len(error)),
        ("P_det near threshold, MAE", float(missed[near].mean()), "probability", int(near.sum())),
        ("P_map, MAE", float((found["P_map"] - samples["P_map"]).abs().mean()), "probability", len(quality)),
        ("peak of the map within 0.25 degrees", float((offset < PEAK_DEG).double().mean()), "share", len(offset)),
        ("Q, RMSE", float(quality.square().mean().sqrt()), "Q", len(quality)),
    ]


def peak_offset(contrast: Tensor, samples: dict[str, Tensor]) -> Tensor:
    """Angle in degrees between the peaks of two maps, where P_det is over 0.02."""
    seen = samples["P_det"] > NEAR[0]
    width = contrast.shape[-1]
    places = [values[seen].flatten(1).argmax(dim=1) for values in (contrast, samples["C_map"])]
    rows, columns = (places[0] // width - places[1] // width), (places[0] % width - places[1] % width)
    return torch.hypot(rows.double(), columns.double()) / samples["conditions/pixels_per_degree"][seen]


def gradient_cosines(model: str, samples: dict[str, Tensor], count: int) -> Tensor:
    """Cosine of d log C / d test of model and exact metric, for pairs near threshold."""
    near = torch.nonzero((samples["P_det"] > NEAR[0]) & (samples["P_det"] < NEAR[1]))[:count, 0].tolist()
    losses = [
        VDPLoss(name, encoding="rgb-bt.709", pixels_per_degree=30.0, check_values=False) for name in (model, "exact")
    ]
    cosines = []
    for row in near:
        rows = slice(row, row + 1)
        gradients = []
        for loss in losses:
            test = samples["light/test"][rows].clone().requires_grad_()
            loss(test, samples["light/reference"][rows], **settings_of(samples, rows)).backward()
            # Per relative change of light, which is what equal steps of code values nearly are.
            gradients.append((test.grad * test.detach()).flatten())
        cosines.append(torch.cosine_similarity(*gradients, dim=0))
    return torch.stack(cosines)


class Large:
    """Whole images of 1920x1080, sRGB at 45 pixels per degree: noise and blur from unseen to plain, and the truth."""

    settings = {"encoding": "sRGB-display", "pixels_per_degree": 45.0}

    def __init__(self, folder: Path | None, count: int):
        self.pairs = photograph_pairs(1080, 1920, folder, count)
        self.truth = self.seen(HDRVDP2(**self.settings))

    @torch.no_grad()
    def seen(self, metric: HDRVDP2) -> list[tuple[float, Tensor]]:
        """C_max and P_map of every pair."""
        results = (metric(*pair) for pair in self.pairs)
        return [(float(result.C_max), result.P_map) for result in results]

    def rows(self, model: str) -> list[tuple[str, float, str, int]]:
        """Errors of a model."""
        found = self.seen(zoo.load(model, **self.settings))
        pairs = [(own, exact) for own, exact in zip(found, self.truth, strict=True) if JUDGED[0] < exact[0] < JUDGED[1]]
        errors = np.array([np.log10(max(own[0], 1e-9) / exact[0]) for own, exact in pairs])
        maps = [float((own[1] - exact[1]).abs().mean()) for own, exact in pairs]
        return [
            ("1920x1080: log10 C_max, RMSE", float(np.sqrt((errors**2).mean())), "log10", len(errors)),
            ("1920x1080: P_map, MAE", float(np.mean(maps)), "probability", len(maps)),
        ]


def unseen_rows(
    what: str, found: dict[str, Tensor], samples: dict[str, Tensor], chosen: list[int] | slice = slice(None)
) -> list[tuple[str, float, str, int]]:
    """Errors of some samples, of a kind that was never trained on."""
    if not len(samples["Q"][chosen]):
        return []
    rows = number_rows(*({name: values[chosen] for name, values in part.items()} for part in (found, samples)))
    return [(f"unseen {what}: {name}", *numbers) for name, *numbers in rows if name in UNSEEN]


def judge(
    model: str,
    samples: dict[str, Tensor],
    kinds: list[str],
    data: str,
    gradients: int,
    large: Large,
    viewed: dict[str, Tensor] | None,
) -> tuple[list[dict], dict[str, Tensor]]:
    """All rows of a model, and its predictions."""
    found = predictions(model, samples)
    distorted = [k for k, kind in enumerate(kinds) if kind in UNSEEN_DISTORTIONS]
    rows = number_rows(found, samples) + large.rows(model) + unseen_rows("distortions", found, samples, distorted)
    rows += unseen_rows("viewing", predictions(model, viewed), viewed) if viewed else []
    cosines = gradient_cosines(model, samples, gradients)
    rows.append(("gradient of log C near threshold, median cosine", float(cosines.median()), "", len(cosines)))
    errors = threshold_errors(model)
    rows.append(("Gabor thresholds, largest difference", float(np.abs(errors).max()), "log10", errors.size))
    identical = zoo.load(model, encoding="sRGB-display", pixels_per_degree=30)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rows.append(("C_max of identical images", float(identical(picture, picture).C_max), "threshold", 1))
    shown = [(model, name, f"{value:.4g}", unit, count, data) for name, value, unit, count in rows]
    return [dict(zip(COLUMNS, values, strict=True)) for values in shown], found


def distortion_rows(model: str, found: dict[str, Tensor], samples: dict[str, Tensor], kinds: list[str]) -> list[dict]:
    """Error of log10 C_max by distortion."""
    exact, seen = samples["sum_S"].double(), found["C_max"].double().clamp(min=1e-9)
    rows = []
    for kind in sorted(set(kinds)):
        own = torch.tensor([other == kind for other in kinds]) & (exact > JUDGED[0]) & (exact < JUDGED[1])
        if own.any():
            error = (seen[own] / exact[own]).log10()
            values = (
                model,
                kind,
                int(own.sum()),
                f"{float(error.mean()):.3f}",
                f"{float(error.square().mean().sqrt()):.3f}",
            )
            rows.append(dict(zip(("model", "distortion", "samples", "bias_log10", "rmse_log10"), values, strict=True)))
    return rows


def write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def made_data(folder: str, count: int) -> Path:
    """A set of the recipe from scikit-image's photographs."""
    out = Path(folder) / "set"
    command = [sys.executable, "-m", "vdp_distill.cli", "generate", "zoo-v1", "--out", str(out), "--count", str(count)]
    subprocess.run(command, check=True)
    return out


def main() -> None:
    """Judge, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder of shards; made on the spot otherwise")
    parser.add_argument("--whole", action="store_true", help="all of the set, not its test split alone")
    parser.add_argument("--viewing", type=Path, help="folder of shards under viewing conditions never trained on")
    parser.add_argument("--about", help="the set in words, for the results file")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--gradients", type=int, default=48, help="pairs whose gradients are compared")
    parser.add_argument("--large", type=Path, help="photographs for the whole images; scikit-image's otherwise")
    parser.add_argument("--models", nargs="*", default=None)
    options = parser.parse_args()
    models = options.models or zoo.names()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or made_data(folder, 8 * options.samples)
        samples, kinds = load_samples(data, options.samples, None if options.whole else "test")
        name = options.about or (f"{data.name}, " if options.data else "zoo-v1 from scikit-image, ") + (
            "all" if options.whole else "test split"
        )
        large = Large(options.large, 18)
        viewed = load_samples(options.viewing, options.samples, None)[0] if options.viewing else None
        judged = {model: judge(model, samples, kinds, name, options.gradients, large, viewed) for model in models}
    rows = [row for own, _ in judged.values() for row in own]
    write(RESULTS / "surrogates.csv", rows)
    by_kind = [row for model, (_, found) in judged.items() for row in distortion_rows(model, found, samples, kinds)]
    write(RESULTS / "surrogates-distortions.csv", by_kind)
    plot({Path(model).name: found for model, (_, found) in judged.items()}, samples, RESULTS / "surrogates.png")
    for row in rows:
        print(f"{Path(row['model']).name:16} {row['quantity']:50} {row['value']:>10} {row['unit']}")


if __name__ == "__main__":
    main()
