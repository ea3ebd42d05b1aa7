"""A folder of pictures through ``find_jnd``: in parallel, resumed where it stopped, a broken file listed."""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from vdp_distill.io import READABLE, file_hash
from vdp_distill.jnd.codecs import CODECS, codec_named
from vdp_distill.jnd.output import save
from vdp_distill.jnd.smallest import find_jnd
from vdp_distill.memory import keep_freed_memory

__all__ = ["COLUMNS", "FolderReport", "find_jnd_folder"]

COLUMNS = ("picture", "file", "status", "quality", "P", "bytes", "original_bytes", "notes", "job", "sha256")
TABLE = "jnd.csv"
NAMES_AS_THEY_ARE = "surrogateescape"
"""How names of files that are not UTF-8 go into the table, byte for byte."""

LISTED = 5


@dataclass(frozen=True)
class FolderReport:
    """What became of a folder: a row of :data:`COLUMNS` a picture, and where the table is."""

    rows: list[dict]
    table: Path

    @property
    def failed(self) -> list[dict]:
        """Rows of the pictures that could not be encoded."""
        return [row for row in self.rows if row["status"] != "done"]

    def __str__(self) -> str:
        done = [row for row in self.rows if row["status"] == "done"]
        before, after = (sum(int(row[name]) for row in done) for name in ("original_bytes", "bytes"))
        lines = [f"{len(done)} of {len(self.rows)} pictures: {before} bytes before, {after} after; {self.table}"]
        lines += [f"  {row['picture']}: {row['notes']}" for row in self.failed[:LISTED]]
        if len(self.failed) > LISTED:
            lines.append(f"  and {len(self.failed) - LISTED} more that failed; the table lists them")
        return "\n".join(lines)


def find_jnd_folder(
    folder: str | Path,
    out: str | Path,
    codec: str = "jpeg",
    *,
    workers: int = 1,
    progress: Callable[[Iterator, int], Iterator] | None = None,
    **options,
) -> FolderReport:
    """Encode every picture of a folder, and of the folders in it, each as small as nobody sees.

    Parameters
    ----------
    folder
        The originals; they are only read.
    out
        Another folder. What is done is listed in its ``jnd.csv``; a second run with the same options goes on with the
        rest, and tries again what failed.
    codec
        As for :func:`vdp_distill.jnd.find_jnd`.
    workers
        Processes, which share the processor's cores.
    progress
        Wraps an iterator of a known length, such as ``rich.progress.track``.
    **options
        As for :func:`vdp_distill.jnd.find_jnd`, as plain values.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder holds no pictures, ``out`` is the same folder, or an option does not fit.
    """
    folder, out = Path(folder), Path(out)
    codec_named(codec)
    pictures = _pictures(folder, out)
    job = ", ".join(
        f"{name} {value}" for name, value in sorted({"codec": codec, **options}.items()) if value is not None
    )
    done = _done(out, job)
    names = _names(folder, pictures, CODECS[codec].suffix)
    left = [path for path in pictures if not _is_done(path, folder, out, done)]
    out.mkdir(parents=True, exist_ok=True)
    present = {_relative(path, folder) for path in pictures}
    rows = {name: row for name, row in done.items() if name in present}
    ours = {out / row["file"] for row in done.values()}  # of pictures that have changed since: written anew
    tasks = [(path, folder, out / names[path], codec, job, options, out / names[path] in ours) for path in left]
    results = _run(tasks, max(1, min(workers, len(tasks))))
    for row in progress(results, len(tasks)) if progress else results:
        row["file"] = Path(row["file"]).relative_to(out).as_posix() if row["file"] else ""
        rows[row["picture"]] = row
        _write(out / TABLE, rows)
    return FolderReport([rows[name] for name in sorted(rows)], out / TABLE)


def _pictures(folder: Path, out: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    if out.resolve() == folder.resolve():
        raise ValueError(f"--out must be another folder than the originals' {folder}")
    inside = out.resolve()
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in READABLE and path.is_file())
    found = [path for path in found if inside not in path.resolve().parents]
    if not found:
        raise ValueError(f"{folder} holds no pictures ({', '.join(READABLE)})")
    return found


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _names(folder: Path, pictures: list[Path], suffix: str) -> dict[Path, Path]:
    """File of every picture in the other folder; two of one stem keep their whole names."""
    plain = [path.relative_to(folder).with_suffix(suffix) for path in pictures]
    full = [path.relative_to(folder).with_name(path.name + suffix) for path in pictures]
    count = Counter(plain)
    return {path: a if count[a] == 1 else b for path, a, b in zip(pictures, plain, full, strict=True)}


def _done(out: Path, job: str) -> dict[str, dict]:
    """Rows of an earlier run with the same options."""
    if not (out / TABLE).is_file():
        return {}
    with open(out / TABLE, newline="", encoding="utf-8", errors=NAMES_AS_THEY_ARE) as file:
        rows = list(csv.DictReader(file))
    if rows and set(COLUMNS) - set(rows[0]):
        raise ValueError(f"{out / TABLE} is not a table of jnd; choose another folder with --out")
    other = {row["job"] for row in rows} - {job}
    if other:
        raise ValueError(f"{out} holds the files of another run ({other.pop()}); choose another folder with --out")
    return {row["picture"]: row for row in rows if row["status"] == "done"}


def _is_done(path: Path, folder: Path, out: Path, done: dict[str, dict]) -> bool:
    row = done.get(_relative(path, folder))
    return row is not None and (out / row["file"]).is_file() and row["sha256"] == file_hash(path)


def _run(tasks: list[tuple], workers: int) -> Iterator[dict]:
    if workers == 1:
        yield from map(_one, tasks)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (threads,)) as pool:
        futures = {pool.submit(_one, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield _result(future, futures[future])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start(threads: int) -> None:
    """Make ready a process that does nothing else."""
    keep_freed_memory()
    torch.set_num_threads(threads)


def _result(future, task: tuple) -> dict:
    try:
        return future.result()
    except BrokenProcessPool:
        return _row(task, "failed", notes="its process ended (out of memory?); run again, with fewer workers")


def _one(task: tuple) -> dict:
    """Encode one picture; what goes wrong with it is its row's note."""
    path, _, file, codec, _, options, is_ours = task
    try:
        found = find_jnd(path, codec, **options)
        if not (file.is_file() and file.read_bytes() == found.data):  # a run that was killed may have written it
            save(found, file, replace=is_ours)
    except (
        ValueError,
        TypeError,
        OSError,
        ImportError,
        MemoryError,
        RuntimeError,
    ) as error:  # torch's full memory is the last
        return _row(task, "failed", notes=str(error) or type(error).__name__)
    values = {
        "quality": found.quality,
        "P": f"{found.P:.4f}",
        "bytes": len(found.data),
        "notes": "; ".join(found.notes),
    }
    return _row(task, "done", file=str(file), sha256=file_hash(path), **values)


def _row(task: tuple, status: str, **values) -> dict:
    path, folder, *_ = task
    about = {"picture": _relative(path, folder), "status": status, "job": task[4]}
    about["original_bytes"] = path.stat().st_size if path.is_file() else 0
    return {**dict.fromkeys(COLUMNS, ""), **about, **values}


def _write(table: Path, rows: dict[str, dict]) -> None:
    partial = table.with_suffix(f".{os.getpid()}.partial")
    with open(partial, "w", newline="", encoding="utf-8", errors=NAMES_AS_THEY_ARE) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))
    os.replace(partial, table)
