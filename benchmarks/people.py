"""Where do people who look at photographs stop seeing JPEG, and which pooling of the metric's contrast says so?

    python -m benchmarks.people PHOTOGRAPHS --labels LABELS [--release]

Encodes photographs as JPEG, as MCL-JCI was shown (1920 x 1080 where they are that large, as they are otherwise; its
display at 90 pixels per degree), pools the contrast in several ways, and fits each to the marginals of MCL-JCI's
labels: the mean quality that half of the subjects tell from the original, and how far their quartiles lie apart. What
cannot be fitted is the test: the spread over photographs, that small pictures agree with large ones, and photographs
left out. Writes ``results/people-curves.csv`` (every measured V, none is measured twice) and ``results/people.csv``;
``--release`` writes the criterion too.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from benchmarks.machine import RESULTS
from vdp_distill import HDRVDP2
from vdp_distill.criterion import PEOPLE, STRICT, Criterion, contrast_of
from vdp_distill.criterion_fit import calibrate_to_marginals, threshold_quality
from vdp_distill.human_data import encoded, read_labels
from vdp_distill.io import READABLE
from vdp_distill.recipes import models_folder, write_toml

QUALITIES = (12, 20, 28, 38, 56)
LARGE = (1920, 1080)
LARGE_PIXELS = LARGE[0] * LARGE[1]
POOLINGS = {
    "whole image": STRICT,
    "1 degree, mean": Criterion(area_deg=1.0, exponent=1.0),
    "1 degree, power 2": Criterion(area_deg=1.0, exponent=2.0),
    "1 degree, power 4": Criterion(area_deg=1.0, exponent=4.0, growth=0.5),
    "1 degree, power 8": Criterion(area_deg=1.0, exponent=8.0),
    "0.5 degree, power 4": Criterion(area_deg=0.5, exponent=4.0),
    "2 degrees, power 4": Criterion(area_deg=2.0, exponent=4.0),
}
RELEASED = "1 degree, power 4"
CURVES = RESULTS / "people-curves.csv"
COLUMNS = ("photograph", "width", "height", "pixels_per_degree", "codec", "quality", *POOLINGS)
DISPLAY = "mcl-jci"
HALVES = 100


def photographs(folder: Path) -> dict[str, Image.Image]:
    """Photographs by name: of large ones the middle 1920 x 1080, once shrunk to fill it.

    JPEG files must shrink to half or less, or their own blocks would be in the originals.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in READABLE[:5]):
        image = Image.open(path).convert("RGB")
        scale = max(LARGE[0] / image.width, LARGE[1] / image.height)
        if scale <= 1:
            image = ImageOps.fit(image, LARGE, Image.Resampling.LANCZOS)
        if scale <= 0.5 or path.suffix.lower() == ".png":
            found[path.relative_to(folder).as_posix()] = image
    return found


def tensor(image: Image.Image) -> torch.Tensor:
    """Code values, (1, 3, H, W) in 0..1."""
    return torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1) / 255)[None]


def measured() -> list[dict]:
    """Rows of the curves that were measured before."""
    if not CURVES.is_file():
        return []
    with CURVES.open(newline="") as file:
        return list(csv.DictReader(file))


def measure(images: dict[str, Image.Image], ppd: float, codec: str = "jpeg", qualities=QUALITIES) -> None:
    """V of every photograph, quality and pooling, written row by row."""
    known = {(row["photograph"], row["pixels_per_degree"], row["codec"], row["quality"]) for row in measured()}
    metric = HDRVDP2(display=DISPLAY, pixels_per_degree=ppd)
    for name, image in images.items():
        for quality in qualities:
            if (name, f"{ppd:g}", codec, str(quality)) in known:
                continue
            contrast = contrast_of(metric(tensor(encoded(image, quality, codec)), tensor(image)))
            pooled = [f"{float(how.visibility(how.energy(contrast, ppd))):.5g}" for how in POOLINGS.values()]
            append((name, *image.size, f"{ppd:g}", codec, quality, *pooled))


def append(values: tuple) -> None:
    """One more row."""
    is_new = not CURVES.is_file()
    with CURVES.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow(values)


def curves(pooling: str, ppd: float = 90, codec: str = "jpeg") -> dict[tuple[str, int], tuple]:
    """Qualities and V by (photograph, pixels)."""
    found = {}
    for row in measured():
        if (float(row["pixels_per_degree"]), row["codec"]) == (ppd, codec):
            key = (row["photograph"], int(row["width"]) * int(row["height"]))
            found.setdefault(key, []).append((int(row["quality"]), float(row[pooling])))
    return {key: tuple(map(np.array, zip(*sorted(points), strict=True))) for key, points in found.items()}


def marginals(labels: Path) -> dict[str, float]:
    """Of MCL-JCI's labels: mean, spread and quartile range of the quality that half of the subjects tell."""
    shares = {}
    for (source, quality), share in read_labels(labels)[0].items():
        shares.setdefault(source, []).append((quality, share))
    at = {share: [] for share in (0.25, 0.5, 0.75)}
    for points in shares.values():
        qualities, seen = map(np.array, zip(*sorted(points), strict=True))
        for share, found in at.items():
            found.append(np.interp(-share, -seen, qualities))
    ranges = np.subtract(at[0.25], at[0.75])
    return {"mean": np.mean(at[0.5]), "spread": np.std(at[0.5]), "range": np.mean(ranges), "sources": len(shares)}


def row(pooling: str, people: dict) -> dict:
    """What a pooling predicts once it is fitted, and what photographs that it was not fitted to show."""
    found = curves(pooling)
    like, keys = POOLINGS[pooling], list(found)
    fitted = calibrate_to_marginals([*found.values()], people["mean"], people["range"], like=like)
    at = np.array([threshold_quality(*curve, fitted.threshold) for curve in found.values()])
    large = np.array([pixels == LARGE_PIXELS for _, pixels in keys])
    errors, spreads = zip(*(left_out([*found.values()], like, people, seed) for seed in range(HALVES)), strict=True)
    values = {
        "pooling": pooling,
        "photographs": len(keys),
        "threshold": f"{fitted.threshold:.4g}",
        "slope": f"{fitted.slope:.4g}",
        "mean": f"{at.mean():.1f}",
        "spread": f"{at.std():.1f}",
        "least": f"{at.min():.0f}",
        "largest": f"{at.max():.0f}",
        "mean_1080p": f"{at[large].mean():.1f}",
        "mean_smaller": f"{at[~large].mean():.1f}",
        "left_out_mean_error": f"{np.mean(np.abs(errors)):.1f}",
        "left_out_within_3": f"{np.mean(np.abs(errors) <= 3):.2f}",
        "left_out_spread": f"{np.mean(spreads):.1f}",
    }
    return values | other_views(pooling, fitted)


def left_out(found: list[tuple], like: Criterion, people: dict, seed: int) -> tuple[float, float]:
    """Fitted on a random half: how far the others' mean quality is from people's, and their spread."""
    order = np.random.default_rng(seed).permutation(len(found))
    kept, others = ([found[index] for index in half] for half in np.array_split(order, 2))
    threshold = calibrate_to_marginals(kept, people["mean"], people["range"], like=like).threshold
    at = [threshold_quality(*curve, threshold) for curve in others]
    return float(np.mean(at) - people["mean"]), float(np.std(at))


def other_views(pooling: str, fitted: Criterion) -> dict:
    """Mean quality at the threshold of the photographs that were also seen from nearer, or encoded by others."""
    found = {}
    for name, ppd, codec in (("mean_60ppd", 60, "jpeg"), ("mean_webp", 90, "webp"), ("mean_avif", 90, "avif")):
        at = [threshold_quality(*curve, fitted.threshold_at(ppd)) for curve in curves(pooling, ppd, codec).values()]
        found[name] = f"{np.mean(at):.1f} of {len(at)}" if at else "not measured"
    return found


def write(rows: list[dict]) -> None:
    """The table."""
    with (RESULTS / "people.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def release(people: dict) -> Path:
    """The criterion as a file that the package loads."""
    like = POOLINGS[RELEASED]
    fitted = calibrate_to_marginals(
        [*curves(RELEASED).values()], people["mean"], people["range"], like=like, name=PEOPLE
    )
    path = models_folder() / PEOPLE / "criterion.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(write_toml({"criterion": fitted}, "fitted by benchmarks/people.py; README.md says to what"))
    return path


def main() -> None:
    """Measure, fit, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--labels", type=Path, required=True, help="MCL-JCI's labels, in either public form")
    parser.add_argument("--every", type=int, default=1, help="take every n-th small photograph")
    parser.add_argument("--others", type=int, default=8, help="small photographs for other distances and codecs")
    parser.add_argument("--release", action="store_true", help="write models/people-v1/criterion.toml")
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    people = marginals(given.labels)
    images = photographs(given.photographs)
    large = {name: image for name, image in images.items() if image.size == LARGE}
    small = {name: image for name, image in images.items() if name not in large}
    small = {name: small[name] for name in list(small)[:: given.every]}
    measure(small, 90)
    some = {name: small[name] for name in list(small)[1::5][: given.others]}
    measure(some, 60, qualities=(*QUALITIES, 75))
    measure(large, 90)
    measure(some, 90, "webp", (10, 25, 45, 65))
    measure(some, 90, "avif", (10, 25, 40, 55))
    rows = [{"pooling": f"people ({people['sources']} sources)", **_of_people(people)}]
    rows = [row(pooling, people) for pooling in POOLINGS] + rows
    write(rows)
    for line in rows:
        print(", ".join(f"{key} {value}" for key, value in line.items()))
    if given.release:
        print(f"wrote {release(people)}")


def _of_people(people: dict) -> dict:
    return {"mean": f"{people['mean']:.1f}", "spread": f"{people['spread']:.1f}"}


if __name__ == "__main__":
    main()
