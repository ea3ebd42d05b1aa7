"""What a folder of shards is as a whole: its manifest, its checksums, checks, a description, sets put together."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py

from vdp_distill import shards
from vdp_distill.io import file_hash

__all__ = [
    "MANIFEST",
    "CHECKSUMS",
    "Report",
    "read_manifest",
    "read_checksums",
    "write_checksums",
    "write_text",
    "verify",
    "describe",
    "merge",
]

MANIFEST = "set.json"
"""Recipe, sources, versions and number of shards of a set."""

CHECKSUMS = "checksums.txt"
"""SHA-256 of the manifest and of every shard, as ``sha256sum --check`` reads it."""


@dataclass(frozen=True)
class Report:
    """What :func:`verify` found.

    Attributes
    ----------
    shards, samples
        How many were looked at.
    problems
        A sentence each; empty if all is well.
    """

    folder: Path
    shards: int
    samples: int
    problems: list[str]

    @property
    def ok(self) -> bool:
        """No problem was found."""
        return not self.problems

    def __str__(self) -> str:
        verdict = "all well" if self.ok else f"{len(self.problems)} problem(s)"
        head = f"{self.folder}: {self.shards} shards, {self.samples} samples: {verdict}"
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])


def read_manifest(folder: str | Path) -> dict:
    """What a set says about itself.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder holds none, or it is not whole.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no data set: there is no {MANIFEST}; vdp-distill generate writes one")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def read_checksums(folder: Path) -> dict[str, str]:
    """SHA-256 by file name."""
    path = folder / CHECKSUMS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines if "  " in line)}


def write_checksums(folder: Path, checksums: dict[str, str]) -> None:
    """Write :data:`CHECKSUMS`, in the order of the names."""
    write_text(folder / CHECKSUMS, _listed(checksums))


def _listed(checksums: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(checksums.items()))


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    partial = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def verify(folder: str | Path) -> Report:
    """Check every byte of a set: checksums, missing and foreign shards, order of the samples.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder holds no set.
    """
    folder = Path(folder)
    manifest, checksums = read_manifest(folder), read_checksums(folder)
    found = shards.shard_paths(folder)
    expected = [shards.shard_name(number) for number in range(manifest["shards"])]
    names = [path.name for path in found]
    problems = [f"{name}: missing; make it with --resume" for name in expected if name not in names]
    problems += [f"{name}: does not belong to this set" for name in names if name not in expected]
    problems += _list_problems(folder, checksums, expected)
    samples = 0
    for path in found:
        problems += _shard_problems(path, manifest, checksums)
        samples += _count(path)
    return Report(folder, len(found), samples, problems)


def _list_problems(folder: Path, checksums: dict[str, str], expected: list[str]) -> list[str]:
    """What is wrong with the manifest and with the list of checksums themselves."""
    path, problems = folder / CHECKSUMS, []
    if path.is_file() and path.read_bytes() != _listed(checksums).encode():
        problems.append(f"{CHECKSUMS}: damaged; vdp-distill generate --resume writes it anew")
    strange = sorted(checksums.keys() - {MANIFEST, *expected})
    problems += [f"{CHECKSUMS}: lists {name!r}, which is no part of this set" for name in strange]
    if MANIFEST in checksums and file_hash(folder / MANIFEST) != checksums[MANIFEST]:
        problems.append(f"{MANIFEST}: changed since it was written")
    return problems


def _shard_problems(path: Path, manifest: dict, checksums: dict[str, str]) -> list[str]:
    if path.name not in checksums:
        return [f"{path.name}: {CHECKSUMS} does not list it; vdp-distill generate --resume adds it"]
    if file_hash(path) != checksums[path.name]:  # only then is it worth decoding every sample
        changed = f"{path.name}: bytes of the file changed since it was written (outside the samples' values)"
        return shards.damage(path) or [changed]
    with shards.open_shard(path) as file:
        if shards.read_header(file)["set"] not in manifest["sets"]:
            return [f"{path.name}: made from another recipe or other images than {MANIFEST} names"]
    return []


def _count(path: Path) -> int:
    try:
        with shards.open_shard(path) as file:
            return len(file["samples/index"])
    except (ValueError, OSError, KeyError):
        return 0


def describe(folder: str | Path) -> dict:
    """Shapes, types, units and size of a set's fields, from its first shard.

    Returns
    -------
    dict
        ``path -> {"shape", "dtype", "unit", "bytes"}``, bytes a sample as stored.
    """
    path = next(iter(shards.shard_paths(folder)), None)
    if path is None:
        raise FileNotFoundError(f"no shards in {folder}")
    with shards.open_shard(path) as file:
        names = [name for name in shards.dataset_paths(file) if not name.startswith(("header/", "audit/"))]
        return {name: _about(file[name]) for name in names}


def _about(dataset: h5py.Dataset) -> dict:
    return {
        "shape": dataset.shape[1:],
        "dtype": str(dataset.dtype),
        "unit": dataset.attrs.get("unit", ""),
        "bytes": dataset.id.get_storage_size() / max(len(dataset), 1),
    }


def merge(sources: list[str | Path], out: str | Path) -> Path:
    """Put sets together into a new folder; files are linked where the disk can, else copied.

    Raises
    ------
    ValueError
        If their fields or sizes differ, an image is in different splits of two of them, or one set comes twice.
    FileExistsError
        If ``out`` holds shards already.
    """
    folders, out = [Path(source) for source in sources], Path(out)
    manifests = [read_manifest(folder) for folder in folders]
    if not folders:
        raise ValueError("name at least one set to merge")
    for report in map(verify, folders):
        if not report.ok:
            raise ValueError(f"cannot merge a damaged set\n{report}")
    _check_alike(folders, manifests)
    if shards.shard_paths(out):
        raise FileExistsError(f"{out} holds shards already; merge into a new folder")
    out.mkdir(parents=True, exist_ok=True)
    checksums: dict[str, str] = {}
    for folder in folders:
        listed = read_checksums(folder)
        for path in shards.shard_paths(folder):
            target = out / shards.shard_name(len(checksums))
            _link(path, target)
            checksums[target.name] = listed[path.name]
    write_text(out / MANIFEST, json.dumps(_merged(manifests, len(checksums)), indent=1))
    write_checksums(out, checksums | {MANIFEST: file_hash(out / MANIFEST)})
    return out


def _layout(folder: Path) -> dict:
    return {name: (about["shape"], about["dtype"]) for name, about in describe(folder).items()}


def _check_alike(folders: list[Path], manifests: list[dict]) -> None:
    names = [name for manifest in manifests for name in manifest["sets"]]
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(map(str, folders))} hold one set more than once; name every set once")
    layouts = [_layout(folder) for folder in folders]
    splits: dict[str, tuple[str, Path]] = {}
    for folder, layout, manifest in zip(folders, layouts, manifests, strict=True):
        different = {name for name in layout.keys() | layouts[0].keys() if layout.get(name) != layouts[0].get(name)}
        if different:
            listed = ", ".join(sorted(different))
            raise ValueError(f"{folders[0]} and {folder} differ in {listed}; only sets alike can be merged")
        for source in manifest["sources"]:
            split, first = splits.setdefault(source["sha256"], (source["split"], folder))
            if split != source["split"]:
                raise ValueError(
                    f"photograph {source['name']} is in {split} of {first} and in {source['split']} of {folder}; a "
                    "network would be tested with what it was trained on; make one of them again with both sets' images"
                )


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _merged(manifests: list[dict], number: int) -> dict:
    sources = {source["sha256"]: source for manifest in manifests for source in manifest["sources"]}
    return {
        **manifests[0],
        "sets": [name for manifest in manifests for name in manifest["sets"]],  # each beside its recipe
        "recipes": [recipe for manifest in manifests for recipe in manifest["recipes"]],
        "sources": list(sources.values()),
        "skipped": [item for manifest in manifests for item in manifest["skipped"]],
        "shards": number,
        "count": sum(manifest["count"] for manifest in manifests),
    }
