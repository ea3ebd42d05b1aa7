"""How fast is training data made and read back, and how does making grow with the number of processes?

    python -m benchmarks.data                            a few minutes
    python -m benchmarks.data --images ~/photographs --set data/zoo     other pictures; read a large set of your own
    python -m benchmarks.data --set data/zoo --reading                  reading alone; other rows stay as they are

Two paces stand in every row, both without the start of the processes. ``per_second`` is by the clock: what a user gets
if nothing else runs. ``per_cpu_second`` counts only the time that a processor spent on it; other work on the machine
changes it too, through shared caches and cores, but less. ``load_average`` says how much of that there was. Writes
``results/data-<machine>.csv``.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from benchmarks.machine import RESULTS, describe, machine_name, versions
from vdp_distill.dataset import ShardDataset

COLUMNS = (
    "what", "workers", "samples", "per_second", "per_cpu_second", "mb_per_second", "hours_for_300000", "load_average",
    "cores", "processor", "versions",
)  # fmt: skip
PAPER = Path(__file__).parents[1] / "data_gen" / "recipes" / "paper-300k.toml"
SET_OF_PAPER = 300_000
INPUTS = ("inputs/test", "inputs/reference", "P_map")
PER_SHARD = 128
BATCH = 64


def recipes() -> dict[str, str]:
    """What is made: the paper's targets, the same from AVIF alone, and with all that costs time; TOML."""
    paper = changed(PAPER.read_text(encoding="utf-8"), r"samples_per_shard = \d+", f"samples_per_shard = {PER_SHARD}")
    avif = changed(paper, r"(?s)(?<=\[distortions\.kinds\]\n).*?\n\n", "avif = 1\n\n")
    costly = changed(paper, r'maps = \["P_map"\]', 'maps = ["P_map", "gradient"]') + "\n[aim]\nshare = 0.5\n"
    return {
        "make the paper's targets": paper,
        "make the paper's targets, AVIF alone": avif,
        "make, half aimed, with gradients": costly,
    }


def changed(text: str, pattern: str, replacement: str) -> str:
    """A recipe with one thing changed, which must be there."""
    text, count = re.subn(pattern, replacement, text)
    if count != 1:
        raise ValueError(f"{PAPER} was expected to hold {pattern} once, found it {count} times")
    return text


def make(recipe: str, shards: int, workers: int, out: Path, images: Path | None) -> dict:
    """Make some shards; pace of the shards themselves."""
    path = out.with_suffix(".toml")
    path.write_text(recipe, encoding="utf-8")
    command = [sys.executable, "-m", "vdp_distill.cli", "generate", path, "--out", out, "--quiet"]
    command += ["--workers", workers, "--count", shards * PER_SHARD, *(["--images", images] if images else [])]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    run = json.loads((out / "runs.jsonl").read_text().splitlines()[-1])
    pace = workers * run["samples"] / run["busy_seconds"]
    return {
        "workers": workers,
        "samples": run["samples"],
        "per_second": pace,
        "per_cpu_second": run["samples"] / run["cpu_seconds"],
        "mb_per_second": run["bytes"] / 1e6 * pace / run["samples"],
        "hours_for_300000": SET_OF_PAPER / pace / 3600,
    }


def read(folder: Path, fields: tuple[str, ...] | None, samples: int) -> dict:
    """Read samples in random order, one by one, in this process; megabytes are those of the tensors."""
    data = ShardDataset(folder, fields)
    order = np.random.default_rng(0).permutation(len(data))[:samples].tolist()
    for index in order:
        data[index]
    clock, cpu, size = time.perf_counter(), time.process_time(), 0
    for index in order:
        size += sum(value.nbytes for value in data[index].values())
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    paces = {"per_second": len(order) / clock, "per_cpu_second": len(order) / cpu}
    return {"workers": 1, "samples": len(order), **paces, "mb_per_second": size / 1e6 / clock}


def load(folder: Path, workers: int, passes: int = 4) -> dict:
    """Batches of 64 of inputs and P_map from a shuffling ``DataLoader``; its first batches are not counted.

    Workers 0: read in this process. So many batches are left out that every worker has opened most shards.
    """
    data = ShardDataset(folder, INPUTS)
    order = RandomSampler(data, replacement=True, num_samples=passes * len(data))
    batches = BatchSampler(order, BATCH, drop_last=True)
    loader = iter(DataLoader(data, sampler=batches, batch_size=None, num_workers=workers))
    for _ in range(3 * max(1, workers)):
        next(loader)
    start, samples, size = time.perf_counter(), 0, 0
    for batch in loader:
        samples += len(batch["P_map"])
        size += sum(value.nbytes for value in batch.values())
    seconds = time.perf_counter() - start
    return {
        "workers": workers,
        "samples": samples,
        "per_second": samples / seconds,
        "mb_per_second": size / 1e6 / seconds,
    }


def making(images: Path | None, shards: int, scratch: Path) -> Iterator[dict]:
    """Rows of making, one after another."""
    paper, *others = recipes().items()
    for workers in (1, 2, 4):
        out = scratch / f"workers-{workers}"
        yield {"what": paper[0], **make(paper[1], shards * workers, workers, out, images)}
    for number, (what, recipe) in enumerate(others):
        yield {"what": what, **make(recipe, 2, 2, scratch / f"other-{number}", images)}


def reading(folder: Path, passes: int) -> Iterator[dict]:
    """Rows of reading; a first pass, not counted, brings the set from the disk into memory, as far as it fits."""
    load(folder, 0, 1)
    yield {"what": "read inputs and P_map, shuffled", **read(folder, INPUTS, 2000)}
    yield {"what": "read everything, shuffled", **read(folder, None, 1000)}
    for workers in (0, 1, 2):
        yield {"what": "load batches of inputs and P_map, shuffled", **load(folder, workers, passes)}


def shown(value) -> str:
    """Three digits of a number."""
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 1000
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def main() -> None:
    """Measure, write after every row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of photographs; those of scikit-image otherwise")
    parser.add_argument("--set", type=Path, help="read this set instead of the one that is made")
    parser.add_argument("--shards", type=int, default=3, help=f"shards of {PER_SHARD} samples a process")
    parser.add_argument("--reading", action="store_true", help="reading alone, of --set")
    options = parser.parse_args()
    if options.reading and options.set is None:
        parser.error("--reading needs --set FOLDER, a set to read")
    torch.set_num_threads(1)
    packages = versions("vdp-distill", "torch", "h5py", "numcodecs", "pillow")
    about = {"cores": os.cpu_count(), "processor": describe()["processor"]}
    about["versions"] = " ".join(f"{name}={value}" for name, value in packages.items())
    path = RESULTS / f"data-{machine_name()}.csv"
    rows = made_before(path) if options.reading else []
    with tempfile.TemporaryDirectory() as scratch:
        for row in measure(options, Path(scratch)):
            rows.append({**row, **about, "load_average": os.getloadavg()[0]})
            print(", ".join(f"{name} {shown(value)}" for name, value in row.items()), flush=True)
            write(rows, path)
    print(f"wrote {path}")


def measure(options: argparse.Namespace, scratch: Path) -> Iterator[dict]:
    """All rows asked for, one after another."""
    if not options.reading:
        yield from making(options.images, options.shards, scratch)
    yield from reading(options.set or scratch / "workers-4", 1 if options.set else 4)


def made_before(path: Path) -> list[dict]:
    """The file's rows of making."""
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["what"].startswith("make")]


def write(rows: list[dict], path: Path) -> None:
    """Rows so far."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({name: shown(value) for name, value in row.items()} for row in rows)


if __name__ == "__main__":
    main()
