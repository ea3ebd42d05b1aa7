"""Sample k depends on (recipe, k) alone, and nothing that happens to a run loses or bends a sample."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_sets import aim, hashes, make, small_recipe, targets, with_photographs, write_photographs

from data_gen import card, making, run
from data_gen.locking import only_run
from data_gen.online import OnlineDataset
from vdp_distill import dataset
from vdp_distill.dataset import ShardDataset
from vdp_distill.io import write_image
from vdp_distill.shards import shard_paths

LONG = small_recipe(count=96)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A set of twelve shards, made by one process without a break."""
    out = tmp_path_factory.mktemp("data") / "set"
    make(LONG, out)
    return out


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp("photographs"))


def test_two_workers_make_what_one_makes(undisturbed, tmp_path):
    make(LONG, tmp_path / "two", workers=2)
    assert hashes(tmp_path / "two") == hashes(undisturbed)
    assert dataset.verify(tmp_path / "two").ok


def test_a_shorter_set_is_the_start_of_a_longer_one(undisturbed, tmp_path):
    make(LONG, tmp_path / "short", count=11)
    short, long = ShardDataset(tmp_path / "short"), ShardDataset(undisturbed)
    assert len(short) == 11
    for name, value in short[10].items():
        assert torch.equal(value, long[10][name]), name
    make(LONG, tmp_path / "short", resume=True)
    assert hashes(tmp_path / "short") == hashes(undisturbed)
    manifests = [(folder / "set.json").read_text() for folder in (tmp_path / "short", undisturbed)]
    assert manifests[0] == manifests[1]  # the recipe's own count too


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from small_sets import make, small_recipe
if __name__ == "__main__":
    make(small_recipe(count=96), {out!r}, workers={workers}, resume=True)
"""


def start_run(out: Path, workers: int, script: Path) -> subprocess.Popen:
    tests = Path(__file__).parent
    script.write_text(SCRIPT.format(tests=str(tests), root=str(tests.parent), out=str(out), workers=workers))
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


@pytest.mark.parametrize("workers, kills", [(1, 2), (2, 1)])
def test_killed_at_random_moments_and_resumed(undisturbed, tmp_path, workers, kills):
    out, chance = tmp_path / "killed", random.Random(workers)
    for kill in range(kills):
        process = start_run(out, workers, tmp_path / "run.py")
        done = len(shard_paths(out))
        wait_for(lambda done=done, process=process: len(shard_paths(out)) > done or process.poll() is not None)
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.5 * (workers > 1))
        left = len(shard_paths(out))
        time.sleep(0.5 * (workers > 1))
        assert len(shard_paths(out)) == left, "workers go on behind a dead run's back"
        for path in shard_paths(out):
            assert path.read_bytes() == (undisturbed / path.name).read_bytes(), f"half a shard after kill {kill}"
    make(LONG, out, resume=True)
    assert hashes(out) == hashes(undisturbed)
    assert dataset.verify(out).ok and not list(out.glob("*.part-*"))


def test_a_run_into_a_folder_in_use_is_refused(tmp_path):
    with only_run(tmp_path), pytest.raises(ValueError, match=f"process {os.getpid()}"):
        make(small_recipe(), tmp_path)
    make(small_recipe(count=1), tmp_path)


def test_a_folder_with_a_set_is_not_overwritten(undisturbed, tmp_path):
    with pytest.raises(ValueError, match="--resume"):
        make(LONG, undisturbed)
    with pytest.raises(ValueError, match="another recipe"):
        make(small_recipe(seed=3, count=96), undisturbed, resume=True)


def test_resume_makes_damaged_and_missing_shards_again(undisturbed, tmp_path):
    copy = shutil.copytree(undisturbed, tmp_path / "copy")
    paths = shard_paths(copy)
    paths[3].unlink()
    paths[5].write_bytes(paths[5].read_bytes()[:-1] + b"!")
    (copy / "shard-000001.h5.part-99").write_bytes(b"half")
    (copy / "checksums.txt").unlink()
    make(LONG, copy, resume=True)
    assert hashes(copy) == hashes(undisturbed) and not list(copy.glob("*.part-*"))


def test_other_versions_do_not_mix(undisturbed, tmp_path, monkeypatch):
    from data_gen import manifest

    monkeypatch.setattr(manifest, "versions", lambda: {"vdp_distill": "99"})
    copy = shutil.copytree(undisturbed, tmp_path / "copy")
    with pytest.raises(ValueError, match="other versions"):
        make(LONG, copy, resume=True)


def test_unreadable_photographs_are_skipped_and_listed(photographs, tmp_path):
    folder = shutil.copytree(photographs, tmp_path / "photographs")
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "words.jpg").write_text("no image")
    write_image(folder / "small.png", np.eye(20))
    summary = make(with_photographs(), tmp_path / "out", images=folder)
    assert {item["name"] for item in summary.skipped} == {"broken.png", "words.jpg", "small.png"}
    assert summary.samples == 20 and dataset.verify(tmp_path / "out").ok
    text = card.show(tmp_path / "out", tmp_path / "card")
    assert "broken.png" in text and "Free to all" in text
    assert {path.name for path in (tmp_path / "card").iterdir()} == {"card.md", "histograms.png", "contact_sheet.png"}


def test_licences_by_name_where_none_lies_beside(photographs, tmp_path):
    folder = shutil.copytree(photographs, tmp_path / "photographs")
    (folder / "LICENSE.txt").unlink()
    (tmp_path / "licences.toml").write_text('"a.png" = "CC0"\n"sub/" = "MIT"\n')
    make(with_photographs(count=4), tmp_path / "out", images=folder, licences=tmp_path / "licences.toml")
    found = {source["name"]: source["licence"] for source in dataset.read_manifest(tmp_path / "out")["sources"]}
    assert (found["a.png"], found["sub/d.png"], found["b.jpg"]) == ("CC0", "MIT", "not stated")
    (tmp_path / "more.toml").write_text('"b.jpg" = "BSD-3-Clause"\n')
    text = card.show(tmp_path / "out", licences=tmp_path / "more.toml")
    assert text.count("BSD-3-Clause") == 1 and "| CC0 |" in text
    # A run that goes on may know more; what it does not name stays.
    make(with_photographs(count=4), tmp_path / "out", images=folder, resume=True, licences=tmp_path / "more.toml")
    found = {source["name"]: source["licence"] for source in dataset.read_manifest(tmp_path / "out")["sources"]}
    assert (found["a.png"], found["sub/d.png"], found["b.jpg"]) == ("CC0", "MIT", "BSD-3-Clause")
    assert dataset.verify(tmp_path / "out").ok
    (tmp_path / "more.toml").write_text("x = 3\n")
    with pytest.raises(ValueError, match="expected lines like"):
        card.show(tmp_path / "out", licences=tmp_path / "more.toml")


def test_a_vanished_photograph_loses_nothing(photographs, tmp_path):
    folder = shutil.copytree(photographs, tmp_path / "photographs")
    recipe = with_photographs(count=40)
    make(recipe, tmp_path / "whole", images=folder)
    make(recipe, tmp_path / "out", images=folder, count=8)
    folder.rename(tmp_path / "away")
    making._TOOLS.clear()
    with pytest.raises(OSError, match="is gone"):
        make(recipe, tmp_path / "out", images=folder, resume=True)
    (tmp_path / "away").rename(folder)
    make(recipe, tmp_path / "out", images=folder, resume=True)
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")
    for path in folder.rglob("*.*"):
        path.write_bytes(path.read_bytes() + b"!")
    making._TOOLS.clear()
    shard_paths(tmp_path / "out")[0].unlink()
    with pytest.raises(OSError, match="not the file that the set began with"):
        make(recipe, tmp_path / "out", images=folder, resume=True)


def test_no_photographs_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder of images"):
        make(with_photographs(), tmp_path / "out", images=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no usable photograph"):
        make(with_photographs(), tmp_path / "out", images=tmp_path / "empty")


def test_a_disk_too_small_is_refused_before_the_start(tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(run.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match="disk is too small"):
        make(small_recipe(), tmp_path / "out")
    assert not shard_paths(tmp_path / "out")
    monkeypatch.undo()
    for resume in (False, True):  # what the message advises: another recipe, in the same folder
        shutil.rmtree(tmp_path / "out")
        monkeypatch.setattr(run.shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(OSError, match="disk is too small"):
            make(small_recipe(), tmp_path / "out")
        monkeypatch.undo()
        assert make(small_recipe(targets=targets(store="inputs")), tmp_path / "out", resume=resume).made


def test_a_disk_that_fills_up_loses_nothing(undisturbed, tmp_path):
    """The system refuses bytes in the middle of a shard, as a full disk does."""
    resource = pytest.importorskip("resource")
    make(LONG, tmp_path / "out", count=16)
    before = hashes(tmp_path / "out")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(OSError, match="disk full"):
            make(LONG, tmp_path / "out", resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert hashes(tmp_path / "out") == before and not list((tmp_path / "out").glob("*.part-*"))
    make(LONG, tmp_path / "out", resume=True)
    assert hashes(tmp_path / "out") == hashes(undisturbed)


def test_a_shorter_set_knows_its_shards_by_their_names(tmp_path):
    """The first shard is missing, as after a kill of two workers."""
    make(LONG, tmp_path / "out")
    first, *others = shard_paths(tmp_path / "out")
    held = len(ShardDataset(tmp_path / "out")) // (1 + len(others))
    first.unlink()
    made = make(LONG, tmp_path / "out", count=held + held // 2, resume=True)
    assert made.samples == held + held // 2 == len(ShardDataset(tmp_path / "out"))
    (tmp_path / "out" / "set.json").unlink()
    with pytest.raises(ValueError, match="holds shards, but its set.json is missing"):
        make(LONG, tmp_path / "out", resume=True)


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write into"):
        make(small_recipe(), tmp_path / "file" / "out")


def test_online_samples_are_those_of_the_file_number_for_number(photographs, tmp_path):
    """Photographs, aim and gradient included; float32, so that nothing is rounded on the way to the file."""
    stored = targets(dtype="float32", maps=("P_map", "C_map", "gradient"))
    recipe = with_photographs(count=12, aim=aim(0.5), targets=stored)
    make(recipe, tmp_path / "set", images=photographs)
    data = ShardDataset(tmp_path / "set")
    blocks = OnlineDataset(recipe, photographs, first_block=1, blocks=2)
    for number, block in enumerate(blocks):
        for place in range(4):
            for name, value in data[4 + 4 * number + place].items():
                assert torch.equal(block[name][place], value), (name, number, place)
    factors = ShardDataset(tmp_path / "set", ["samples/rescaled"])
    assert any(float(factors[index]["samples/rescaled"]) != 1 for index in range(4, 12))


def test_the_audit_holds_single_against_double(undisturbed):
    text = card.show(undisturbed)
    assert "float32 against float64" in text and "| P_det | 20 |" in text


def test_a_cluster_makes_the_same_set_though_a_worker_is_killed(undisturbed, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    out = tmp_path / "cluster"
    quiet = {"silence_logs": 50, "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster:
        victim = next(iter(cluster.workers.values())).process.process.pid
        killer = subprocess.Popen(
            [sys.executable, "-c", WATCH_AND_KILL, str(out), str(victim)], stderr=subprocess.DEVNULL
        )
        make(LONG, out, dask=cluster.scheduler_address)
        assert killer.wait(timeout=600) == 0, "the worker was killed in flight"
    assert hashes(out) == hashes(undisturbed) and dataset.verify(out).ok


WATCH_AND_KILL = """
import os, signal, sys, time
from pathlib import Path
end = time.monotonic() + 600
while not list(Path(sys.argv[1]).glob("shard-??????.h5")):
    if time.monotonic() > end:
        sys.exit(1)
    time.sleep(0.005)
os.kill(int(sys.argv[2]), signal.SIGKILL)
"""


def test_no_scheduler_no_run(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra dask")
    from data_gen import distributed as cluster_runs

    monkeypatch.setattr(cluster_runs, "CONNECT_SECONDS", 0.5)
    with pytest.raises(OSError, match="no Dask scheduler answers"):
        make(small_recipe(), tmp_path / "out", dask="tcp://127.0.0.1:9")
