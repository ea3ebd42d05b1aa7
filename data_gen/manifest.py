"""The small files beside the shards: what the set is, its checksums, and how the runs went."""

import hashlib
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from data_gen.licences import NOT_STATED, licence_named
from data_gen.making import Made
from data_gen.photographs import Source, find_photographs
from data_gen.recipe import Recipe
from vdp_distill.io import file_hash
from vdp_distill.sets import MANIFEST, read_checksums, read_manifest, write_checksums, write_text
from vdp_distill.shards import damage, open_shard, shard_name, shard_paths
from vdp_distill.version import METRIC_VERSION, __version__

__all__ = ["begin", "record_checksums", "record_run", "RUNS"]

RUNS = "runs.jsonl"
"""One line a run: samples, seconds, workers, machine. Not part of the set: every machine has its own pace."""

PACKAGES = ("numpy", "scipy", "pillow", "imageio", "h5py")


def set_hash(recipe: Recipe, sources: list[Source]) -> str:
    """Name of a set: what its recipe and pictures make of it."""
    identity = [recipe.identity(), sorted((source.sha256, source.split) for source in sources)]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def versions() -> dict:
    """Versions of everything that a sample's numbers pass through."""
    found = {"vdp_distill": __version__, "metric": METRIC_VERSION, "torch": torch.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def begin(recipe: Recipe, out: Path, images: Path | None, resume: bool, workers: int, licences: dict[str, str]) -> dict:
    """Start a set, or go on with one: its manifest.

    Raises
    ------
    ValueError
        If the folder holds shards and ``resume`` is off, or those of another recipe.
    """
    has_samples = bool(shard_paths(out))  # a run that was stopped before its first shard binds nobody to its recipe
    if resume and has_samples and (out / MANIFEST).is_file():
        return _go_on(recipe, out, licences)
    if has_samples and not (out / MANIFEST).is_file():
        raise ValueError(f"{out} holds shards, but its {MANIFEST} is missing; choose another folder")
    if has_samples:
        raise ValueError(f"{out} holds a data set already; go on with it by --resume, or choose another folder")
    needed = recipe.scenes.photographs > 0
    sources, skipped = find_photographs(images, recipe.size_pixels, workers, licences) if needed else ([], [])
    manifest = {
        "sets": [set_hash(recipe, sources)],
        "recipes": [{**recipe.identity(), "about": recipe.about, "count": recipe.count}],
        "sources": [source.record() for source in sources],
        "skipped": skipped,
        "images": "bundled with scikit-image" if images is None else images.name,
        "count": recipe.count,
        "shards": -(-recipe.count // recipe.samples_per_shard),
        "versions": versions(),
    }
    write_text(out / MANIFEST, json.dumps(manifest, indent=1))
    return manifest


def _go_on(recipe: Recipe, out: Path, licences: dict[str, str]) -> dict:
    manifest = read_manifest(out)
    sources = [Source(**source) for source in manifest["sources"]]
    if manifest["sets"] != [set_hash(recipe, sources)]:
        name = manifest["recipes"][0]["name"]
        raise ValueError(f"{out} holds a set of another recipe ({name!r}); choose another folder")
    if manifest["versions"] != versions():
        raise ValueError(
            f"{out} was begun with other versions ({_changes(manifest['versions'])}); its samples would not be alike: "
            "install those, or start a new set"
        )
    before = json.dumps(manifest)
    if manifest["count"] != recipe.count:
        manifest |= {"count": recipe.count, "shards": -(-recipe.count // recipe.samples_per_shard)}
        manifest["recipes"][0]["count"] = recipe.count
        _forget_ragged(out, recipe)
    for source in manifest["sources"]:
        named = licence_named(source["name"], licences)
        source["licence"] = source["licence"] if named == NOT_STATED else named
    if json.dumps(manifest) != before:
        write_text(out / MANIFEST, json.dumps(manifest, indent=1))
    return manifest


def _changes(before: dict) -> str:
    now = versions()
    return ", ".join(f"{name} {value}, now {now.get(name)}" for name, value in before.items() if now.get(name) != value)


def _forget_ragged(out: Path, recipe: Recipe) -> None:
    """Another count: shards behind the new end, and those that are not full, are made again."""
    for path in shard_paths(out):
        number = int(path.stem.rpartition("-")[2])
        with open_shard(path) as file:
            held = len(file["samples/index"])
        due = min(recipe.samples_per_shard, recipe.count - number * recipe.samples_per_shard)
        if held != due:
            path.unlink()


def record_checksums(out: Path, what: int | Made) -> list[int]:
    """Note a finished shard's checksum; or, for a number of shards, look which are there and whole.

    Returns
    -------
    list of int
        Shards that are missing, with half-written files and damaged shards removed.
    """
    known = read_checksums(out)
    if isinstance(what, Made):
        write_checksums(out, known | {shard_name(what.number): what.sha256})
        return []
    for partial in out.glob("*.part-*"):
        partial.unlink(missing_ok=True)
    found = {MANIFEST: file_hash(out / MANIFEST)}
    for path in shard_paths(out):
        digest = file_hash(path)
        if known.get(path.name) == digest or (path.name not in known and not damage(path)):
            found[path.name] = digest
        else:
            path.unlink()
    write_checksums(out, found)
    return [number for number in range(what) if shard_name(number) not in found]


def record_run(out: Path, made: list[Made], seconds: float, workers: int, dask: str | None) -> None:
    """Add a line about a run that ended well."""
    about = {
        "samples": sum(one.samples for one in made),
        "bytes": sum(one.size_bytes for one in made),
        "seconds": round(seconds, 2),
        "busy_seconds": round(sum(one.seconds for one in made), 2),
        "cpu_seconds": round(sum(one.cpu_seconds for one in made), 2),
        "workers": workers,
        "dask": dask is not None,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
    }
    with open(out / RUNS, "a", encoding="utf-8") as file:
        file.write(json.dumps(about) + "\n")
