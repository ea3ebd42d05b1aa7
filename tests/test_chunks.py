"""A chunk comes back as it went in, for this package and for any HDF5 program; one that was damaged does not."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from vdp_distill.chunks import COMPRESSIONS, Rows, create_field, write_row

SHAPE = (4, 3, 40, 50)


def values_of(dtype) -> np.ndarray:
    """Something smooth, something random, something flat, and nothing."""
    rng = np.random.default_rng(7)
    ramp = np.linspace(0, 1, 40 * 50).reshape(40, 50)
    planes = np.stack(
        [
            np.broadcast_to(ramp, SHAPE[1:]),
            rng.random(SHAPE[1:]),
            np.full(SHAPE[1:], 0.3),
            ramp * 0 + 0 * rng.random(SHAPE[1:]),
        ]
    )
    return (planes * 60000).astype(dtype)


def written(path, values, compression):
    with h5py.File(path, "w") as file:
        field = create_field(file, "x", values.shape, values.dtype, compression)
        for row in (2, 0, 3, 1):
            write_row(field, row, values[row], compression)
    return path


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_there_and_back(tmp_path, compression, dtype):
    values = values_of(dtype)
    with h5py.File(written(tmp_path / "x.h5", values, compression)) as file:
        rows = Rows(file["x"])
        assert len(rows) == len(values)
        for row in range(len(rows)):
            np.testing.assert_array_equal(rows[row], values[row])
            assert rows[row].dtype == values.dtype


def test_without_positioned_reads(tmp_path, monkeypatch):
    """Where the system has none, HDF5 fetches the chunk."""
    path, values = written(tmp_path / "x.h5", values_of("uint16"), "lz4"), values_of("uint16")
    monkeypatch.delattr(os, "pread")
    with h5py.File(path) as file:
        for row, expected in enumerate(values):
            np.testing.assert_array_equal(Rows(file["x"])[row], expected)


@pytest.mark.parametrize("has_pread", [True, False])
def test_a_chunk_that_was_never_written_is_not_read(tmp_path, monkeypatch, has_pread):
    if not has_pread:
        monkeypatch.delattr(os, "pread")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_row(create_field(file, "x", (2, 3, 8, 8), "uint16", "lz4"), 0, np.ones((3, 8, 8), "uint16"), "lz4")
    with h5py.File(tmp_path / "x.h5") as file:
        assert (Rows(file["x"])[0] == 1).all()
        with pytest.raises(ValueError, match="sample 1 is damaged"):
            Rows(file["x"])[1]


THEIR_SIDE = """
import sys
import h5py, hdf5plugin, numpy as np
ours, theirs, values = sys.argv[1:]
values = np.load(values)
with h5py.File(ours) as file:
    np.testing.assert_array_equal(file["x"][:], values)
with h5py.File(theirs, "w") as file:
    blosc = hdf5plugin.Blosc("lz4", 5, hdf5plugin.Blosc.BITSHUFFLE)
    file.create_dataset("x", data=values, chunks=(1, *values.shape[1:]), fletcher32=True, **blosc)
"""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_any_hdf5_program_reads_what_was_written_past_it(tmp_path, compression):
    """Filters of the HDF5 library itself, and the Blosc plugin, decode it; ours decodes what the plugin wrote.

    In a process of its own: where the plugin is loaded, HDF5 writes the filter's name into every file's header.
    """
    values, stored, theirs = values_of("float16"), tmp_path / "values.npy", tmp_path / "theirs.h5"
    written(tmp_path / "x.h5", values, compression)
    np.save(stored, values)
    command = [sys.executable, "-c", THEIR_SIDE, str(tmp_path / "x.h5"), str(theirs), str(stored)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with h5py.File(theirs) as file:
        np.testing.assert_array_equal(Rows(file["x"])[1], values[1])


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_damaged_chunk_is_not_read(tmp_path, compression):
    path = written(tmp_path / "x.h5", values_of("uint16"), compression)
    with h5py.File(path) as file:
        info = file["x"].id.get_chunk_info(1)
    rng = np.random.default_rng(0)
    whole = path.read_bytes()
    for place in rng.integers(info.size, size=20):
        flipped = bytearray(whole)
        flipped[info.byte_offset + int(place)] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with h5py.File(path) as file, pytest.raises(ValueError, match="sample 1 is damaged"):
            Rows(file["x"])[1]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(Rows(file["x"])[0], values_of("uint16")[0])


def test_compressed_bytes_do_not_hang_on_threads(tmp_path):
    """Blosc's own threads write blocks as they finish; a set's checksums must not."""
    from numcodecs import blosc

    values = np.random.default_rng(1).integers(0, 999, (1, 3, 256, 256)).astype(np.uint16)
    files = []
    for number in range(6):
        blosc.use_threads = bool(number % 2)
        try:
            files.append(written_one(tmp_path / f"{number}.h5", values))
        finally:
            blosc.use_threads = None
    assert len(set(files)) == 1


def written_one(path, values) -> bytes:
    with h5py.File(path, "w") as file:
        field = create_field(file, "x", values.shape, values.dtype, "lz4")
        write_row(field, 0, values[0], "lz4")
        return bytes(field.id.read_direct_chunk((0, 0, 0, 0))[1])
