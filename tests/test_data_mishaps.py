"""Runs that are cut short on purpose, at the worst places, and what they leave behind."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small_sets import hashes, make, small_recipe

from data_gen import locking
from data_gen.locking import LOCK, only_run
from vdp_distill import dataset, shards
from vdp_distill.shards import shard_paths

RECIPE = small_recipe(count=48)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A set of six shards."""
    out = tmp_path_factory.mktemp("data") / "set"
    make(RECIPE, out)
    return out


PLANTED = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {root!r}]
from small_sets import make, small_recipe
from data_gen import making
from vdp_distill import sets, shard_writer

def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    {owner}.{name} = die
    make(small_recipe(count=48), {out!r}, resume=True)
"""

PLACES = {
    "before the manifest has its name": ("sets.os", "replace", True),
    "samples written, no header": ("making", "header", True),
    "whole, but without its name": ("shard_writer.os", "fsync", True),
    "named, but its checksum not noted": ("making", "file_hash", False),
}
"""What dies there, and whether half a file is left then."""


def test_killed_at_every_step_of_a_write_and_resumed(undisturbed, tmp_path):
    """SIGKILL from inside, so that the place is certain; four runs, each killed, then one that ends."""
    out, script, tests = tmp_path / "killed", tmp_path / "run.py", Path(__file__).parent
    whole = {path.name: path.read_bytes() for path in shard_paths(undisturbed)}
    for place, (owner, name, leaves_half) in PLACES.items():
        script.write_text(
            PLANTED.format(tests=str(tests), root=str(tests.parent), out=str(out), owner=owner, name=name)
        )
        ended = subprocess.run([sys.executable, str(script)], capture_output=True, timeout=900)
        assert ended.returncode == -signal.SIGKILL, (place, ended.stderr[-500:])
        assert all(path.read_bytes() == whole[path.name] for path in shard_paths(out)), place
        assert bool(list(out.glob("*.part-*"))) == leaves_half, place
    make(RECIPE, out, resume=True)
    assert hashes(out) == hashes(undisturbed)
    assert dataset.verify(out).ok and not list(out.glob("*.part-*"))


def test_a_local_worker_that_dies_is_replaced(undisturbed, tmp_path):
    killed = []

    def kill_one():
        end = time.monotonic() + 900
        while time.monotonic() < end and not shard_paths(tmp_path / "out"):
            time.sleep(0.002)
        for worker in multiprocessing.active_children()[:1]:
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    make(RECIPE, tmp_path / "out", workers=2)
    killer.join()
    assert killed and hashes(tmp_path / "out") == hashes(undisturbed)


def test_the_size_is_printed_before_the_run(tmp_path, capsys, monkeypatch):
    """As it will be: measured on the first block, so right to a fifth for a set of one kind of scene."""
    from data_gen import run

    def printed(job, missing, *others):
        assert "48 samples to make, about" in capsys.readouterr().err and not shard_paths(tmp_path)
        raise KeyboardInterrupt

    told = []
    monkeypatch.setattr(run, "say", told.append)
    summary = run.generate(RECIPE, tmp_path / "whole")
    about = float(told[0].split("about ")[1].split(" MB")[0].replace(",", ""))
    assert about == pytest.approx(summary.size_bytes / 1e6, abs=0.5 + 0.2 * summary.size_bytes / 1e6)
    monkeypatch.undo()
    monkeypatch.setattr(run, "_make", printed)
    with pytest.raises(KeyboardInterrupt):
        run.generate(RECIPE, tmp_path / "again")


def test_shards_are_read_where_hdf5_cannot_lock(undisturbed):
    """Somebody holds the lock that HDF5 would ask for; a drive without locks refuses it just so."""
    fcntl = pytest.importorskip("fcntl")
    path = shard_paths(undisturbed)[0]
    with open(path, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with shards.open_shard(path) as file:
            assert len(file["samples/index"]) == 8


@pytest.mark.parametrize(
    "owner, is_free",
    [("", True), ("DEAD", True), ("PARENT", False), ("process 1 on another-machine", False)],
)
def test_a_drive_without_locks(tmp_path, monkeypatch, owner, is_free):
    """Then the process that the lock file names decides: a dead one of this machine does not count."""
    monkeypatch.setattr(locking, "fcntl", None)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()
    owner = owner.replace("DEAD", f"process {ended.pid} on {here}").replace(
        "PARENT", f"process {os.getppid()} on {here}"
    )
    (tmp_path / LOCK).write_text(owner)
    if is_free:
        with only_run(tmp_path):
            assert str(os.getpid()) in (tmp_path / LOCK).read_text()
        assert not (tmp_path / LOCK).read_text()
    else:
        with pytest.raises(ValueError, match="another run"), only_run(tmp_path):
            pass
