"""How far are the released models from the exact metric, on photographs they never saw?

    python -m benchmarks.surrogates [--data FOLDER [--whole] [--about TEXT]] [--viewing FOLDER] [--large FOLDER]
                                    [--samples 512] [--models NAME ...]

Judges every model of the zoo on the test split of a set of the recipe ``zoo-v1`` (made on the spot from scikit-image's
photographs if no folder is given), or on the whole of a set whose photographs no model was trained on; on the gradient
of log contrast near threshold; and on the contrast at which Gabor patches are seen. Truth is what the set holds: the
exact metric in float32, whose distance to float64 the set's own card gives. ``--viewing`` takes a set of the recipe
``unseen-viewing``, whose displays and rooms no model was trained on either. Writes ``results/surrogates.csv``,
``surrogates.png`` with the calibration curves, ``surrogates-distortions.csv`` and ``surrogates-worst.csv``. A model
that is judged again replaces its own rows; the others' stay, but the picture shows only what was judged together.
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
from torch import Tensor

from benchmarks.gabors import threshold_errors
from benchmarks.machine import RESULTS
from benchmarks.surrogates_errors import (
    distortion_rows,
    gradient_rows,
    number_rows,
    settings_of,
    unseen_rows,
    worst_rows,
)
from benchmarks.surrogates_figure import plot
from benchmarks.surrogates_large import HEIGHT, WIDTH, Large
from benchmarks.thresholds import kept
from vdp_distill import zoo
from vdp_distill.dataset import ShardDataset
from vdp_distill.metric import HDRVDP2

COLUMNS = ("model", "quantity", "value", "unit", "samples", "data")
FIELDS = ("light/test", "light/reference", "sum_S", "P_det", "P_map", "Q", "C_map")
CONDITIONS = (
    "pixels_per_degree",
    "surround_cdm2",
    "emission",
    "max_luminance",
    "min_luminance",
    "E_ambient",
    "k_refl",
)
LIGHT = {"encoding": "rgb-bt.709", "pixels_per_degree": 30.0}
UNSEEN_DISTORTIONS = ("demosaic", "motion_blur")
"""Those of zoo-v1 that zoo-v2, the training set, leaves out."""
APART = {
    f"{WIDTH}x{HEIGHT}": "larger photographs, each with every distortion at every strength",
    "unseen viewing": "the set of --viewing",
    "Gabor": "Gabor patches",
    "C_max of identical": "a picture of random pixels",
}
"""What else a model is judged on, by how the quantity's name begins."""


def load_samples(folder: Path, count: int, split: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """Evenly spread samples of a split, or of all, and their distortions."""
    fields = (*FIELDS, *(f"conditions/{name}" for name in CONDITIONS))
    found = ShardDataset(folder, fields, split=split)
    chosen = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).astype(int))
    words = found.text("samples/distortion")
    samples = torch.utils.data.default_collate([found[int(k)] for k in chosen])
    return samples, [words[int(k)] for k in chosen]


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
    rows += gradient_rows(model, samples, gradients)
    errors = threshold_errors(model)
    rows.append(("Gabor thresholds, largest difference", float(np.abs(errors).max()), "log10", errors.size))
    identical = zoo.load(model, encoding="sRGB-display", pixels_per_degree=30)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rows.append(("C_max of identical images", float(identical(picture, picture).C_max), "threshold", 1))
    shown = [(model, name, f"{value:.4g}", unit, count, judged_on(name, data)) for name, value, unit, count in rows]
    return [dict(zip(COLUMNS, values, strict=True)) for values in shown], found


def judged_on(quantity: str, data: str) -> str:
    """What a row's samples are, where they are not the set."""
    return next((about for start, about in APART.items() if quantity.startswith(start)), data)


def write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def replace(path: Path, rows: list[dict], models: list[str]) -> None:
    """Rows of these models in place of those that the file had."""
    write(path, [*kept(path, models), *rows])


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
        large = Large(options.large)
        viewed = load_samples(options.viewing, options.samples, None)[0] if options.viewing else None
        judged = {model: judge(model, samples, kinds, name, options.gradients, large, viewed) for model in models}
    rows = [row for own, _ in judged.values() for row in own]
    replace(RESULTS / "surrogates.csv", rows, models)
    for part, of_pairs in {"distortions": distortion_rows, "worst": worst_rows}.items():
        own = [row for model, (_, found) in judged.items() for row in of_pairs(model, found, samples, kinds)]
        replace(RESULTS / f"surrogates-{part}.csv", own, models)
    plot({Path(model).name: found for model, (_, found) in judged.items()}, samples, RESULTS / "surrogates.png")
    for row in rows:
        print(f"{Path(row['model']).name:16} {row['quantity']:50} {row['value']:>10} {row['unit']}")


if __name__ == "__main__":
    main()
