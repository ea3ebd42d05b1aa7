"""The data card: what a set holds, as text, histograms and a contact sheet that one can look at."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from data_gen.manifest import RUNS
from vdp_distill import shards
from vdp_distill.dataset import ShardDataset
from vdp_distill.io import write_image
from vdp_distill.sets import describe, read_manifest, write_text
from vdp_distill.targets import IMAGES, NUMBERS
from vdp_distill.visualize import contact_sheet, heatmap, histograms

__all__ = ["show", "CARD"]

CARD = "card.md"
SHEET_SAMPLES = 12
RANGED = ("pixels_per_degree", "max_luminance", "min_luminance", "E_ambient", "surround_cdm2", "strength", *NUMBERS)
LOGARITHMIC = ("pixels_per_degree", "max_luminance", "min_luminance", "mean surround", "strength", "sum_S", "rescaled")

CLUSTER = """\
## On a cluster

Every shard is one task of `dask.distributed`; workers write into the same folder, so `--out` and `--images` must lie on
a drive that all of them see under the same path. `vdp-distill generate RECIPE --out DIR --dask ADDRESS --resume`, where
ADDRESS is the scheduler's (`tcp://host:8786`).

- SLURM: `srun dask scheduler --scheduler-file s.json` in one step, `srun --ntasks=64 --cpus-per-task=1 dask worker
  --nthreads 1 --scheduler-file s.json` in another (or dask-jobqueue's `SLURMCluster`).
- Kubernetes: the Dask operator's `DaskCluster` with this package in the image and a shared volume;
  `--dask tcp://NAME-scheduler:8786`.

One thread a worker: a worker computes on one thread so that every sample is the same to the last bit.
"""


def show(folder: str | Path, out: str | Path | None = None) -> str:
    """The card of a set; writes ``card.md``, ``histograms.png`` and ``contact_sheet.png``.

    Parameters
    ----------
    folder
        The set.
    out
        Where the files go; the set's own folder if None.

    Returns
    -------
    str
        The card, Markdown.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder holds no set.
    """
    folder = Path(folder)
    out = folder if out is None else Path(out)
    manifest = read_manifest(folder)
    columns = read_columns(folder)
    out.mkdir(parents=True, exist_ok=True)
    write_image(out / "histograms.png", histograms(_pictured(columns), LOGARITHMIC))
    write_image(out / "contact_sheet.png", sheet(folder))
    parts = (_head(manifest, columns), _sizes(folder, columns), _audit(folder), _sources(manifest), ["", CLUSTER])
    text = "\n".join(line for part in parts for line in part)
    write_text(out / CARD, text)
    return text


def read_columns(folder: Path) -> dict[str, np.ndarray]:
    """Every number and word that a sample has, over the whole set, by its path in a shard."""
    parts: dict[str, list[np.ndarray]] = {}
    for path in shards.shard_paths(folder):
        with shards.open_shard(path) as file:
            for group in ("conditions", "samples"):
                for name, dataset in file[group].items():
                    parts.setdefault(name, []).append(dataset[()])
            for name in NUMBERS:
                if name in file:
                    parts.setdefault(name, []).append(file[name][()])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _words(column: np.ndarray) -> np.ndarray:
    return np.array([value.decode() for value in column])


def _pictured(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    words = {name: _words(columns[name]) for name in ("distortion", "scene", "split", "rgb_display")}
    spaces = _words(columns["colorspace"])
    words["curve"] = np.array([name.split("-")[0] if name.startswith("gamma") else name for name in spaces])
    names = ("P_det", "Q", "log_C", "pixels_per_degree", "max_luminance", "min_luminance", "strength", "rescaled")
    numbers = {name: columns[name] for name in names if name in columns}
    return numbers | {"mean surround": columns["surround_cdm2"].mean(axis=1)} | words


def _head(manifest: dict, columns: dict[str, np.ndarray]) -> list[str]:
    recipe = manifest["recipes"][0]
    splits = Counter(_words(columns["split"]).tolist())
    lines = [
        f"# Data set {recipe['name']}",
        "",
        recipe["about"],
        "",
        f"- set: `{', '.join(manifest['sets'])}` (hash of recipe and pictures)",
        f"- samples: {len(columns['index'])} of {manifest['count']}; "
        + ", ".join(f"{split} {splits[split]}" for split in ("train", "val", "test")),
        f"- engine: {recipe['engine']}, float32; versions: "
        + ", ".join(f"{k} {v}" for k, v in manifest["versions"].items()),
        f"- seed {recipe['seed']}, {recipe['size_pixels']} x {recipe['size_pixels']} pixels",
        "",
        "## Ranges",
        "",
        "| column | least | median | largest |",
        "|---|---|---|---|",
    ]
    for name in RANGED:
        if name in columns:
            low, middle, high = np.percentile(columns[name], [0, 50, 100])
            lines.append(f"| {name} | {low:.4g} | {middle:.4g} | {high:.4g} |")
    return [*lines, "", *_by_distortion(columns)]


def _by_distortion(columns: dict[str, np.ndarray]) -> list[str]:
    if "P_det" not in columns:
        return []
    words, P_det = _words(columns["distortion"]), columns["P_det"]
    lines = ["| distortion | samples | P_det < 0.02 | 0.02 to 0.98 | > 0.98 |", "|---|---|---|---|---|"]
    for name in sorted(set(words)):
        values = P_det[words == name]
        under, over = (values < 0.02).mean(), (values > 0.98).mean()
        lines.append(f"| {name} | {len(values)} | {under:.0%} | {1 - under - over:.0%} | {over:.0%} |")
    return [*lines, ""]


def _sizes(folder: Path, columns: dict[str, np.ndarray]) -> list[str]:
    about = describe(folder)
    stored = sum(path.stat().st_size for path in shards.shard_paths(folder))
    per_thousand = stored / len(columns["index"]) * 1000 / 1e6
    lines = ["## Size and time", "", f"- {stored / 1e6:.1f} MB; {per_thousand:.0f} MB per 1,000 samples"]
    path = folder / RUNS
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        run = json.loads(line)
        if run["samples"]:
            lines.append(
                f"- a run of {run['samples']} samples: {run['seconds'] / run['samples'] * 1000:.1f} s per 1,000 with "
                f"{run['workers']} worker(s) on {run['processors']} processors ({run['machine']})"
            )
    lines += ["", "| field | shape | stored as | unit | kB a sample |", "|---|---|---|---|---|"]
    for name, field in about.items():
        if not name.startswith(("conditions/", "samples/", "scaling/")):
            shape = "x".join(map(str, field["shape"])) or "number"
            lines.append(f"| {name} | {shape} | {field['dtype']} | {field['unit']} | {field['bytes'] / 1000:.1f} |")
    return [*lines, ""]


def _audit(folder: Path) -> list[str]:
    parts: dict[str, list[np.ndarray]] = {}
    for path in shards.shard_paths(folder):
        with shards.open_shard(path) as file:
            for name in ("P_det", "C_max", "Q") if "audit" in file else ():
                parts.setdefault(name, []).append(file[f"audit/{name}"][()])
    if not parts:
        return []
    lines = [
        "## float32 against float64",
        "",
        "| number | samples | median difference | largest |",
        "|---|---|---|---|",
    ]
    for name, tables in parts.items():
        single, double = np.concatenate(tables).T
        # C_max runs over many decades, so its difference is relative; those of P_det and Q are plain.
        scale = np.maximum(np.abs(double), 1e-6) if name == "C_max" else 1
        difference = np.abs(single - double) / scale
        kind = f"{name} (relative)" if name == "C_max" else name
        lines.append(f"| {kind} | {len(single)} | {np.median(difference):.2e} | {difference.max():.2e} |")
    return [*lines, ""]


def _sources(manifest: dict) -> list[str]:
    sources, skipped = manifest["sources"], manifest["skipped"]
    lines = ["## Sources", "", f"{len(sources)} photographs ({manifest['images']}), {len(skipped)} skipped.", ""]
    if sources:
        lines += ["| photograph | split | size | licence | SHA-256 |", "|---|---|---|---|---|"]
    for source in sources:
        size = f"{source['width']}x{source['height']}"
        lines.append(
            f"| {source['name']} | {source['split']} | {size} | {source['licence']} | `{source['sha256'][:16]}` |"
        )
    if skipped:
        lines += ["", "Skipped:", "", *(f"- {item['name']}: {item['why']}" for item in skipped)]
    return lines


def sheet(folder: str | Path, samples: int = SHEET_SAMPLES) -> np.ndarray:
    """A contact sheet of samples spread over the set: both images as code values, stage maps, heat map."""
    data = ShardDataset(folder)
    data = ShardDataset(folder, (*data.fields, *(f"inputs/{image}" for image in IMAGES)))
    words = {name: data.text(f"samples/{name}") for name in ("distortion", "scene", "split")}
    chosen = np.unique(np.linspace(0, len(data) - 1, samples).round().astype(int))
    rows = [_sheet_row(data[int(index)], {name: column[index] for name, column in words.items()}) for index in chosen]
    return contact_sheet(rows, [title for title in rows[0] if title != "label"])


def _sheet_row(sample: dict, words: dict[str, str]) -> dict:
    row = {"label": _label(sample, words)} | {image: sample[f"inputs/{image}"] for image in IMAGES}
    for name, field in sample.items():
        if name.startswith("stages/") and field.ndim == 3 and "reference" not in name and not name[-1].isdigit():
            row[name.removeprefix("stages/").replace("/test", "")] = field[:3].mean(dim=0).numpy()
    if "P_map" in sample:
        row["P_map"] = heatmap(sample["P_map"], sample["inputs/reference"], legend=False)
    return row


def _label(sample: dict, words: dict[str, str]) -> str:
    ppd, peak = float(sample["conditions/pixels_per_degree"]), float(sample["conditions/max_luminance"])
    lines = [f"#{int(sample['samples/index'])} {words['distortion']}", f"{words['scene']}, {words['split']}"]
    lines.append(f"{ppd:.0f} ppd, {peak:.0f} cd/m2")
    if "P_det" in sample:
        lines.append(f"P_det {float(sample['P_det']):.2f}, Q {float(sample['Q']):.0f}")
    return "\n".join(lines)
