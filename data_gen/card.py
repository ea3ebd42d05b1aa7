"""The data card: what a set holds, as text, histograms and a contact sheet that one can look at."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from data_gen.card_pictures import histogram_sheet, sample_sheet, words
from data_gen.licences import NOT_STATED, licence_named, read_licences
from data_gen.manifest import RUNS
from vdp_distill import shards
from vdp_distill.io import write_image
from vdp_distill.sets import describe, read_manifest, write_text
from vdp_distill.targets import NUMBERS

__all__ = ["show", "CARD"]

CARD = "card.md"
RANGED = ("pixels_per_degree", "max_luminance", "min_luminance", "E_ambient", "surround_cdm2", "strength", *NUMBERS)
REACHED = 0.02
"""How near P_det must lie to an aimed sample's goal to count as there."""

GOAL_BINS = 12
"""Equal parts of the range that is aimed at, whose samples the card counts."""

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


def show(folder: str | Path, out: str | Path | None = None, licences: str | Path | None = None) -> str:
    """The card of a set; writes ``card.md``, ``histograms.png`` and ``contact_sheet.png``.

    Parameters
    ----------
    folder
        The set.
    out
        Where the files go; the set's own folder if None.
    licences
        TOML file of licences (:func:`data_gen.licences.read_licences`); goes before what the set itself says.

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
    write_image(out / "histograms.png", histogram_sheet(columns))
    write_image(out / "contact_sheet.png", sample_sheet(folder))
    parts = (
        _head(manifest, columns),
        _sizes(folder, columns),
        _audit(folder),
        _sources(manifest, read_licences(licences)),
        ["", CLUSTER],
    )
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


def _head(manifest: dict, columns: dict[str, np.ndarray]) -> list[str]:
    recipe = manifest["recipes"][0]
    splits = Counter(words(columns["split"]).tolist())
    lines = [
        f"# Data set {recipe['name']}",
        "",
        recipe["about"],
        "",
        f"- set: `{', '.join(manifest['sets'])}` (hash of recipe and pictures)",
        f"- samples: {len(columns['index'])} of {manifest['count']}; "
        + ", ".join(f"{split} {splits[split]}" for split in ("train", "val", "test"))
        + "; photographs in use: "
        + ", ".join(f"{split} {count}" for split, count in _photographs(columns).items()),
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
    return [*lines, "", *_by_distortion(columns), *_aim(columns, recipe["aim"])]


def _photographs(columns: dict[str, np.ndarray]) -> dict[str, int]:
    """How many different photographs each split is cut from."""
    cut = columns["scene"] == b"photograph"
    return {
        split: len(set(columns["source"][cut & (columns["split"] == split.encode())].tolist()))
        for split in ("train", "val", "test")
    }


def _by_distortion(columns: dict[str, np.ndarray]) -> list[str]:
    if "P_det" not in columns:
        return []
    kinds, P_det = words(columns["distortion"]), columns["P_det"]
    lines = ["| distortion | samples | P_det < 0.02 | 0.02 to 0.98 | > 0.98 |", "|---|---|---|---|---|"]
    for name in sorted(set(kinds)):
        values = P_det[kinds == name]
        under, over = (values < 0.02).mean(), (values > 0.98).mean()
        lines.append(f"| {name} | {len(values)} | {under:.0%} | {1 - under - over:.0%} | {over:.0%} |")
    return [*lines, ""]


def _aim(columns: dict[str, np.ndarray], aim: dict) -> list[str]:
    """How evenly the aimed samples lie over their range, and how many could not reach their goal."""
    wanted = np.isfinite(columns["aim_P_det"])
    if not wanted.any() or "P_det" not in columns:
        return []
    P_det, goal, factor = (columns[name][wanted] for name in ("P_det", "aim_P_det", "rescaled"))
    reached = np.abs(P_det - goal) <= REACHED
    edges = np.linspace(*aim["P_det"], GOAL_BINS + 1)
    counts = np.histogram(P_det, edges)[0]
    missed = "" if reached.all() else _missed(P_det[~reached], goal[~reached], factor[~reached])
    return [
        f"Aimed: {wanted.sum()} samples, goals even over P_det {edges[0]:g} to {edges[-1]:g}; {reached.mean():.1%} lie "
        f"within {REACHED} of their goal.{missed}",
        "",
        "| P_det from | " + " | ".join(f"{edge:.2f}" for edge in edges[:-1]) + " |",
        "|---" * (GOAL_BINS + 1) + "|",
        "| aimed samples | " + " | ".join(map(str, counts)) + " |",
        "",
    ]


def _missed(P_det: np.ndarray, goal: np.ndarray, factor: np.ndarray) -> str:
    return (
        f" Of the others {np.mean(P_det < goal):.0%} stay under it: their difference, multiplied by "
        f"{np.median(factor):.3g} in the middle, has no room left on the display or is none that the metric sees."
    )


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


def _sources(manifest: dict, licences: dict[str, str]) -> list[str]:
    sources, skipped = manifest["sources"], manifest["skipped"]
    lines = ["## Sources", "", f"{len(sources)} photographs ({manifest['images']}), {len(skipped)} skipped.", ""]
    if sources:
        lines += ["| photograph | split | size | licence | SHA-256 |", "|---|---|---|---|---|"]
    for source in sources:
        size, named = f"{source['width']}x{source['height']}", licence_named(source["name"], licences)
        licence = source["licence"] if named == NOT_STATED else named
        lines.append(f"| {source['name']} | {source['split']} | {size} | {licence} | `{source['sha256'][:16]}` |")
    if skipped:
        lines += ["", "Skipped:", "", *(f"- {item['name']}: {item['why']}" for item in skipped)]
    return lines
