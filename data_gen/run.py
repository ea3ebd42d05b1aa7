"""A run: from a recipe to a folder of shards, with local processes or a cluster, resumed by counting."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import h5py

from data_gen.licences import read_licences
from data_gen.local import processes
from data_gen.locking import only_run
from data_gen.making import Job, Made, block_fields, make_shard, one_thread, tools_of
from data_gen.manifest import begin, record_checksums, record_run
from data_gen.progress import bar, say
from data_gen.reading import load_recipe
from data_gen.recipe import Recipe
from vdp_distill.shard_writer import Writer
from vdp_distill.shards import dataset_paths, shard_name

__all__ = ["Summary", "generate"]

SPARE_BYTES = 200_000_000
"""What a run leaves free on the disk."""


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes
    ----------
    out, set_hash
        Folder, and name of the set: the hash of recipe and pictures.
    samples, shards
        In the folder now.
    made
        Samples that this run made.
    skipped
        Unusable files among the images, each with ``name`` and ``why``.
    size_bytes
        Of all shards.
    seconds
        Wall-clock time of this run.
    """

    out: Path
    set_hash: str
    samples: int
    shards: int
    made: int
    skipped: list[dict]
    size_bytes: int
    seconds: float

    def __str__(self) -> str:
        rate = f", {self.made / self.seconds:.1f} pairs/s" if self.made else ""
        skipped = f"; {len(self.skipped)} file(s) skipped, listed in set.json" if self.skipped else ""
        return (
            f"{self.out}: {self.samples} samples in {self.shards} shards, {self.size_bytes / 1e6:.1f} MB; "
            f"made {self.made} in {self.seconds:.1f} s{rate}{skipped}"
        )


def generate(
    recipe: str | Path | Recipe,
    out: str | Path,
    *,
    images: str | Path | None = None,
    workers: int = 1,
    dask: str | None = None,
    engine: str | None = None,
    hdrvdp_dir: str | Path | None = None,
    licences: str | Path | None = None,
    resume: bool = False,
    count: int | None = None,
    gradient: bool = False,
    progress: bool = True,
) -> Summary:
    """Make a data set.

    Parameters
    ----------
    recipe
        Path of a TOML file, the bare name of a recipe that ships, or a :class:`Recipe`.
    out
        Folder for the shards.
    images
        Folder of photographs, searched with its sub-folders; None for those bundled with scikit-image.
    workers
        Processes on this machine. How many does not change the result.
    dask
        Address of a ``dask.distributed`` scheduler, in place of local processes.
    engine, count
        In place of the recipe's.
    gradient
        Keep the gradient of log contrast too, whatever maps the recipe names.
    hdrvdp_dir
        Folder of the user's HDR-VDP for ``engine="original"``.
    licences
        TOML file that names licences of photographs (:func:`data_gen.licences.read_licences`), for folders without
        licence files of their own.
    resume
        Go on with what is in ``out``.
    progress
        Print the size first, then a bar.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError, FileNotFoundError, OSError
        For a recipe that does not fit, a folder that is in use or holds another set, a disk too small, a photograph
        that is gone. Shards already made stay, and ``resume=True`` goes on.

    Examples
    --------
    >>> summary = generate("tiny", "data/tiny", workers=2)  # doctest: +SKIP
    """
    start = time.perf_counter()
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    recipe = recipe.with_changes(engine=engine, count=count)
    recipe = recipe.with_gradient() if gradient else recipe
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    out, images = _folder(out), None if images is None else Path(images)
    with only_run(out):
        manifest = begin(recipe, out, images, resume, workers, read_licences(licences))
        job = Job(
            recipe=recipe,
            images=images and images.resolve(),
            out=out.resolve(),
            count=recipe.count,
            set_hash=manifest["sets"][0],
            versions=manifest["versions"],
            hdrvdp_dir=hdrvdp_dir and Path(hdrvdp_dir).resolve(),
        )
        missing = record_checksums(out, manifest["shards"])
        _check_disk(job, missing, progress)
        made = _make(job, missing, workers, dask, progress)
        seconds = time.perf_counter() - start
        record_run(out, made, seconds, workers, dask)
    return _summary(out, manifest, made, seconds)


def _folder(out: str | Path) -> Path:
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"cannot write into {out}: {error}; choose another --out folder") from error
    return out


def sample_bytes(job: Job) -> float:
    """Bytes of a sample as stored, measured on the first block, written in memory."""
    with one_thread():
        fields = block_fields(0, *tools_of(job))
    targets = job.recipe.targets
    with h5py.File("measure", "w", driver="core", backing_store=False) as file:
        writer = Writer(file, len(fields["samples/index"]), targets.dtype, targets.compression)
        writer.add(fields)
        writer.finish({})
        stored = sum(file[name].id.get_storage_size() for name in dataset_paths(file))
    return stored / len(fields["samples/index"])


def _check_disk(job: Job, missing: list[int], progress: bool) -> None:
    if not missing:
        return
    shard = job.recipe.samples_per_shard
    left = sum(min(shard, job.count - number * shard) for number in missing)
    needed, free = left * sample_bytes(job), shutil.disk_usage(job.out).free
    if progress:
        say(f"{left} samples to make, about {needed / 1e6:,.0f} MB; {free / 1e9:,.1f} GB free in {job.out.name}")
    if needed + SPARE_BYTES > free:
        raise OSError(
            f"the disk is too small: {left} samples need about {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; "
            'lower count, store fewer stages, or set store = "inputs" in the recipe'
        )


def _make(job: Job, missing: list[int], workers: int, dask: str | None, progress: bool) -> list[Made]:
    if dask is not None:
        from data_gen.distributed import cluster

        results = cluster(job, missing, dask)
    elif workers == 1:
        results = (make_shard(number, job) for number in missing)
    else:
        results = processes(job, missing, workers)
    made = []
    per_shard = job.recipe.samples_per_shard
    with bar(sum(min(per_shard, job.count - number * per_shard) for number in missing), progress) as advance:
        for one in results:
            record_checksums(job.out, one)
            made.append(one)
            advance(one.samples)
    return made


def _summary(out: Path, manifest: dict, made: list[Made], seconds: float) -> Summary:
    sizes = [(out / shard_name(number)).stat().st_size for number in range(manifest["shards"])]
    return Summary(
        out=out,
        set_hash=manifest["sets"][0],
        samples=manifest["count"],
        shards=len(sizes),
        made=sum(one.samples for one in made),
        skipped=manifest["skipped"],
        size_bytes=sum(sizes),
        seconds=seconds,
    )
