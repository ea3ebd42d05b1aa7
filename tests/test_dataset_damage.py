"""Nothing damaged, foreign or half written passes for a shard."""

import shutil

import h5py
import numpy as np
import pytest
from small_sets import EVERY_STAGE, make, make_whole, small_recipe, targets

from vdp_distill import dataset, shards
from vdp_distill.dataset import ShardDataset
from vdp_distill.shard_writer import Writer, new_shard


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_whole(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_verify_finds_every_flipped_byte(copy):
    assert dataset.verify(copy).ok
    path = shards.shard_paths(copy)[1]
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    for place in (0, len(whole) - 1, *rng.integers(0, len(whole), 12)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        report = dataset.verify(copy)
        assert not report.ok and path.name in str(report), place


@pytest.mark.parametrize("name", ["set.json", "checksums.txt"])
def test_verify_finds_flipped_bytes_of_the_small_files(copy, name):
    whole = (copy / name).read_bytes()
    rng = np.random.default_rng(4)
    for place in (0, len(whole) - 1, *rng.integers(0, len(whole), 25)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        (copy / name).write_bytes(flipped)
        try:
            report = str(dataset.verify(copy))
        except ValueError as error:  # no longer JSON
            report = str(error)
        assert "problem" in report or f"{name} is damaged" in report, (place, report)


def test_verify_finds_missing_foreign_and_unlisted_shards(copy):
    paths = shards.shard_paths(copy)
    paths[0].unlink()
    shutil.copy(paths[1], copy / "shard-000007.h5")
    problems = str(dataset.verify(copy))
    assert "shard-000000.h5: missing" in problems and "shard-000007.h5: does not belong" in problems


def test_verify_finds_a_shard_of_another_recipe(copy, tmp_path):
    make(small_recipe(seed=2, targets=targets(stages=EVERY_STAGE)), tmp_path / "other")
    name = shards.shard_name(1)
    shutil.copy(tmp_path / "other" / name, copy / name)
    listed = (copy / "checksums.txt").read_text().splitlines()
    listed[2] = (tmp_path / "other" / "checksums.txt").read_text().splitlines()[2]
    (copy / "checksums.txt").write_text("\n".join(listed) + "\n")
    assert "another recipe" in str(dataset.verify(copy))


def test_truncated_and_foreign_files_are_named(copy):
    first, second, third = shards.shard_paths(copy)
    first.write_bytes(first.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"shard-000000.h5 is no HDF5 file or is cut short"):
        ShardDataset(copy)
    with h5py.File(first, "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match="no shard that this version reads"):
        ShardDataset(copy)
    assert "shard-000000.h5" in str(dataset.verify(copy))


def test_a_damaged_sample_is_named_when_it_is_read(copy):
    path = shards.shard_paths(copy)[0]
    with h5py.File(path) as file:
        info = file["inputs/test"].id.get_chunk_info(2)
    with open(path, "r+b") as file:
        file.seek(info.byte_offset)
        file.write(b"\xff" * 64)
    with pytest.raises(ValueError, match="sample 2 is damaged"):
        ShardDataset(copy)[2]


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="cannot write"), new_shard(tmp_path / "no" / "shard-000000.h5"):
        pass
    with pytest.raises(ValueError, match="2 samples was given 1"), new_shard(tmp_path / "shard-000000.h5") as file:
        writer = Writer(file, 2, "float16", "gzip")
        writer.add({"samples/index": np.arange(1)})
        writer.finish({})
    assert not list(tmp_path.rglob("*"))
