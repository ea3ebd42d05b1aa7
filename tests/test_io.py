"""Images come in and go out with every bit, and every bad file is named."""

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from vdp_distill.io import read_image, write_image


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    "name, bits, tolerance",
    [("a.png", 8, 0.5 / 255), ("a.png", 16, 0.5 / 65535), ("a.tif", 8, 0.5 / 255), ("a.tif", 16, 0.5 / 65535)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_files_keep_every_bit(tmp_path, rng, name, bits, tolerance, channels):
    array = rng.random((19, 23, channels)).astype(np.float32)
    write_image(tmp_path / name, array, bits=bits)
    image = read_image(tmp_path / name)
    assert (image.kind, image.bits, image.array.shape) == ("code", bits, array.shape)
    assert np.abs(image.array - array).max() <= tolerance * 1.001
    write_image(tmp_path / f"again-{name}", image.array, bits=bits)
    np.testing.assert_array_equal(read_image(tmp_path / f"again-{name}").array, image.array)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_lossy_files_come_close(tmp_path, name):
    ramp = np.linspace(0.1, 0.9, 64, dtype=np.float32)[:, None, None] * np.ones((64, 64, 3), np.float32)
    write_image(tmp_path / name, ramp)
    assert np.abs(read_image(tmp_path / name).array - ramp).max() < 0.03


@pytest.mark.parametrize("name, tolerance", [("a.hdr", 0.01), ("a.exr", 1e-7)])
def test_light_keeps_its_decades(tmp_path, rng, name, tolerance):
    pytest.importorskip("OpenEXR")
    light = 10 ** rng.uniform(-3, 4, (20, 24, 1)).astype(np.float32) * np.ones((1, 1, 3), np.float32)
    write_image(tmp_path / name, light)
    image = read_image(tmp_path / name)
    assert image.kind == "light"
    np.testing.assert_allclose(image.array, light, rtol=tolerance)


def test_grey_is_kept_or_expanded_on_request(tmp_path):
    write_image(tmp_path / "grey.png", np.eye(20))
    assert read_image(tmp_path / "grey.png").array.shape == (20, 20, 1)
    expanded = read_image(tmp_path / "grey.png", grey="expand")
    assert expanded.array.shape == (20, 20, 3) and "grey expanded" in expanded.notes[0]


def test_alpha_is_handled_and_said(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 200, 128
    PillowImage.fromarray(pixels).save(tmp_path / "cover.png")
    dropped = read_image(tmp_path / "cover.png")
    assert dropped.array.shape == (4, 4, 3) and dropped.notes == ("alpha dropped",)
    assert read_image(tmp_path / "cover.png", alpha="white").array[0, 0, 1] == pytest.approx(127 / 255)
    with pytest.raises(ValueError, match="cover.png has an alpha channel"):
        read_image(tmp_path / "cover.png", alpha="refuse")


def test_exif_orientation_is_applied(tmp_path):
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.fromarray(np.zeros((10, 30, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    image = read_image(tmp_path / "turned.jpg")
    assert image.array.shape == (30, 10, 3) and "EXIF" in image.notes[0]


def test_palettes_bits_and_print_colours(tmp_path):
    PillowImage.fromarray(np.full((8, 8, 3), (10, 200, 30), np.uint8)).quantize(4).save(tmp_path / "palette.png")
    np.testing.assert_allclose(
        read_image(tmp_path / "palette.png").array[0, 0], np.array([10, 200, 30]) / 255, atol=1e-6
    )
    PillowImage.fromarray(np.eye(8, dtype=bool)).save(tmp_path / "bits.png")
    assert set(np.unique(read_image(tmp_path / "bits.png").array)) == {0.0, 1.0}
    PillowImage.new("CMYK", (8, 8)).save(tmp_path / "print.jpg")
    assert "CMYK converted to RGB" in read_image(tmp_path / "print.jpg").notes


def test_the_content_counts_not_the_name(tmp_path):
    write_image(tmp_path / "a.png", np.eye(20), bits=16)
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").bits == 16


def test_same_bytes_same_hash_and_raw_codes(tmp_path):
    write_image(tmp_path / "a.png", np.eye(20))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    assert read_image(tmp_path / "a.png").sha256 == read_image(tmp_path / "b.png").sha256
    assert read_image(tmp_path / "a.png", scaled=False).array.dtype == np.uint8


@pytest.mark.parametrize("name", ["a.png", "a16.png", "a.jpg", "a.webp", "a.tif", "a.hdr", "a.exr"])
def test_a_cut_file_is_named(tmp_path, rng, name, capfd):
    pytest.importorskip("OpenEXR")
    write_image(tmp_path / name, rng.random((64, 64, 3)).astype(np.float32), bits=16 if "16" in name else 8)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=name):
        read_image(tmp_path / name)


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "words.png").write_text("no image")
    with pytest.raises(ValueError, match="words.png"):
        read_image(tmp_path / "words.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match="empty.png is empty"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(FileNotFoundError, match="missing.png"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path)


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0..1"):
        write_image(tmp_path / "a.png", np.full((20, 20), 3.0))
    with pytest.raises(ValueError, match="suffix"):
        write_image(tmp_path / "a.xyz", np.eye(20))
    with pytest.raises(ValueError, match="8 bits"):
        write_image(tmp_path / "a.jpg", np.eye(20), bits=16)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_image(tmp_path / "nowhere" / "a.png", np.eye(20))


def test_short_floats_and_foreign_bytes_are_written_whole(tmp_path):
    ramp = np.linspace(0, 1, 24 * 40 * 3).reshape(24, 40, 3)
    write_image(tmp_path / "a.png", ramp.astype(np.float16), bits=16)
    assert np.abs(read_image(tmp_path / "a.png").array - ramp).max() < 2**-11  # half of float16's own step under 1
    codes = np.rint(ramp * 65535).astype(">u2")
    write_image(tmp_path / "b.png", codes)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png", scaled=False).array, codes)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, np.zeros((20, 20, 3), np.uint8))
    before = path.read_bytes()

    def full(partial, *_, **__):
        Path(partial).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vdp_distill.io.iio.imwrite", full)
    with pytest.raises(OSError, match="cannot write .*a.png: No space left on device; what was there before"):
        write_image(path, np.ones((20, 20, 3), np.uint8))
    assert path.read_bytes() == before and [found.name for found in tmp_path.iterdir()] == ["a.png"]
