"""Make one shard: samples, aim, exact metric, audit. The unit of work of a local run and of a cluster."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data_gen.aiming import aimed
from data_gen.photographs import Source
from data_gen.recipe import Recipe
from data_gen.sampling import Block, Sampler, codes_of
from vdp_distill.io import file_hash
from vdp_distill.metric import HDRVDP2
from vdp_distill.sets import read_manifest
from vdp_distill.shard_writer import Writer, new_shard
from vdp_distill.shards import shard_name
from vdp_distill.targets import as_numpy, complete, exact_metric, light_of, predict

__all__ = ["Job", "Made", "make_shard", "block_fields"]


@dataclass(frozen=True)
class Job:
    """What every worker of a run needs to know: plain data, so that it travels.

    Attributes
    ----------
    images
        Folder of the photographs on the worker's machine; None for scikit-image's.
    count
        Samples of the whole set.
    out
        Folder of the set; its manifest lists the photographs.
    set_hash, versions
        For the header of every shard.
    """

    recipe: Recipe
    images: Path | None
    out: Path
    count: int
    set_hash: str
    versions: dict
    hdrvdp_dir: Path | None = None


@dataclass(frozen=True)
class Made:
    """A finished shard: its number, samples, SHA-256 of the file, bytes, seconds, and seconds of the processor."""

    number: int
    samples: int
    sha256: str
    size_bytes: int
    seconds: float
    cpu_seconds: float


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: sums then have one order, and a sample the same last bit wherever it is made."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def tools_of(job: Job) -> tuple[Sampler, HDRVDP2]:
    """Sampler and metric of a job, made once a process."""
    key = (job.set_hash, job.out, job.images, job.hdrvdp_dir)
    if key not in _TOOLS:
        _TOOLS.clear()
        sources = [Source(**source) for source in read_manifest(job.out)["sources"]]
        sampler = Sampler(job.recipe, job.images, sources)
        _TOOLS[key] = sampler, exact_metric(job.recipe.engine, job.hdrvdp_dir)
    return _TOOLS[key]


_TOOLS: dict[tuple, tuple[Sampler, HDRVDP2]] = {}


def block_fields(number: int, sampler: Sampler, metric: HDRVDP2) -> dict[str, np.ndarray]:
    """Every field of one block, as a shard holds it; audit apart under ``audit/``.

    A block is always computed whole, so that no sample depends on how many were asked for.
    """
    recipe = sampler.recipe
    targets = recipe.targets
    block = sampler.block(number)
    if recipe.aim.share > 0:
        block = aimed(block, recipe.aim, metric)
    if targets.store == "inputs":
        return block.fields()
    fields = as_numpy(complete(metric, *block.lights(), block.conditions, targets.stages, targets.maps))
    return block.fields() | fields | audit(block, fields, metric, targets.audit_every)


def audit(block: Block, fields: dict[str, np.ndarray], metric: HDRVDP2, every: int) -> dict[str, np.ndarray]:
    """One sample in ``every`` in float64: P_det, C_max and Q of both precisions."""
    chosen = np.flatnonzero(block.rows["index"] % every == 0) if every else np.array([], int)
    table = {f"audit/{name}": np.empty((len(chosen), 2)) for name in ("P_det", "C_max", "Q")}
    if len(chosen):
        part = block.take(chosen)
        lights = (light_of(codes_of(codes, torch.float64), part.conditions) for codes in (part.test, part.reference))
        with torch.no_grad():
            result = predict(metric, *lights, part.conditions)
        for name in ("P_det", "C_max", "Q"):
            table[f"audit/{name}"] = np.stack([fields[name][chosen], getattr(result, name).numpy()], axis=1)
    return table | {"audit/index": block.rows["index"][chosen]}


def shard_blocks(number: int, job: Job) -> Iterator[dict[str, np.ndarray]]:
    """The blocks of a shard, the last one cut where the set ends."""
    recipe = job.recipe
    first = number * recipe.samples_per_shard
    end = min(first + recipe.samples_per_shard, job.count)
    for start in range(first, end, recipe.samples_per_block):
        fields = block_fields(start // recipe.samples_per_block, *tools_of(job))
        if start + recipe.samples_per_block <= end:
            yield fields
            continue
        audited = fields.get("audit/index", np.empty(0)) < end
        yield {
            name: values[audited] if name.startswith("audit/") else values[: end - start]
            for name, values in fields.items()
        }


def make_shard(number: int, job: Job) -> Made:
    """Make a shard and give it its name.

    Raises
    ------
    OSError
        If the disk is full, or a photograph is gone; nothing half-made stays.
    """
    begun, cpu_begun = time.perf_counter(), time.process_time()
    recipe, path = job.recipe, job.out / shard_name(number)
    count = min(recipe.samples_per_shard, job.count - number * recipe.samples_per_shard)
    used: set[bytes] = set()
    with one_thread(), new_shard(path) as file:
        writer = Writer(file, count, recipe.targets.dtype, recipe.targets.compression)
        for fields in shard_blocks(number, job):
            writer.add(fields)
            used |= set(fields["samples/source"].tolist())
        writer.finish(header(number, job, used))
    digest, took = file_hash(path), (time.perf_counter() - begun, time.process_time() - cpu_begun)
    return Made(number, count, digest, path.stat().st_size, *took)


def header(number: int, job: Job, used: set[bytes]) -> dict:
    """What a shard of the photographs ``used`` says about itself."""
    return {
        "recipe": job.recipe.identity(),
        "set": job.set_hash,
        "shard": number,
        "seed": job.recipe.seed,
        "engine": job.recipe.engine,
        "precision": "float32",
        "versions": job.versions,
        "dtype": job.recipe.targets.dtype,
        "sources": [source.record() for source in tools_of(job)[0].album.sources if source.sha256.encode() in used],
    }
