"""Images come in and go out with every bit, and every bad file is named."""

import errno
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
import tifffile
from deep_png import write_deep_grey_png, write_deep_png
from PIL import Image as PillowImage
from PIL import ImageCms, ImageOps

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


PIXEL = (200, 100, 10)


@pytest.fixture
def photograph():
    planes = np.full((24, 40, 3), PIXEL, np.uint8)
    planes[:6, :10] = (10, 220, 30)
    return planes


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "L"])
def test_tiff_of_every_kind_is_what_it_shows(tmp_path, photograph, mode, compression):
    picture = PillowImage.fromarray(photograph)
    picture = picture.quantize(16) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "a.tif", **({"compression": compression} if compression else {}))
    expected = np.asarray(picture.convert("L" if mode == "L" else "RGB")).reshape(24, 40, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", scaled=False).array, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_0_is_white(tmp_path, dtype):
    ramp = np.arange(24 * 40).reshape(24, 40).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", ramp, photometric="miniswhite")
    found = read_image(tmp_path / "a.tif", scaled=False).array[..., 0]
    np.testing.assert_array_equal(found, np.iinfo(dtype).max - ramp)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bit_tiffs(tmp_path, photograph, planar):
    codes = photograph.astype(np.uint16) * 257
    stored = codes if planar == "contig" else codes.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", scaled=False).array, codes)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_compressed_tiffs_of_many_bits(tmp_path, photograph, dtype):
    planes = photograph.astype(dtype) * dtype(257)
    assert cv2.imwrite(str(tmp_path / "a.tif"), planes[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", scaled=False).array, planes)


def test_inks_of_sixteen_bits_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((24, 40, 4), np.uint16), photometric="separated")
    with pytest.raises(ValueError, match="SEPARATED.*RGB or grey is needed"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["8.png", "16.png", "8.tif", "16.tif", "big.tif"])
def test_every_format_is_turned_as_its_orientation_says(tmp_path, photograph, name, orientation):
    """Pillow's own turning is the truth."""
    path, tags = tmp_path / name, PillowImage.Exif()
    tags[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(_tagged(photograph, tags, tmp_path)))
    if name in ("16.tif", "big.tif"):
        tag = (274, "H", 1, orientation, True)
        options = {"photometric": "rgb", "extratags": [tag], "bigtiff": name == "big.tif"}
        tifffile.imwrite(path, photograph.astype(np.uint16) * 257, **options)
    elif name == "16.png":
        write_deep_png(path, photograph.astype(np.uint16) * 257, tags)
    else:
        PillowImage.fromarray(photograph).save(path, exif=tags)
    image = read_image(path, scaled=False)
    np.testing.assert_array_equal(image.array // (257 if image.bits == 16 else 1), expected)
    assert ("turned by its EXIF orientation" in image.notes) == (orientation > 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_compressed_tiff_is_turned_once(tmp_path, photograph, orientation):
    """OpenCV, which reads it, follows the orientation itself."""
    grey = PillowImage.fromarray(photograph[..., 0].astype(np.uint16) * 257)
    grey.save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={274: orientation})
    tags = PillowImage.Exif()
    tags[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(_tagged(photograph[..., 0], tags, tmp_path)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", scaled=False).array[..., 0] // 257, expected)


def _tagged(photograph, tags, folder):
    PillowImage.fromarray(photograph).save(folder / "truth.png", exif=tags)
    return PillowImage.open(folder / "truth.png")


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


def test_a_window_of_an_exr_lies_where_it_is_shown(tmp_path):
    pixels, corners = (
        np.full((3, 4, 3), 2.0, np.float32),
        [np.array(c, np.int32) for c in ((2, 1), (5, 3), (0, 0), (7, 5))],
    )
    header = {"dataWindow": tuple(corners[:2]), "displayWindow": tuple(corners[2:])}
    with OpenEXR.File(header, {"RGB": pixels}) as file:
        file.write(str(tmp_path / "a.exr"))
    image = read_image(tmp_path / "a.exr")
    expected = np.zeros((6, 8, 3), np.float32)
    expected[1:4, 2:6] = 2
    np.testing.assert_array_equal(image.array, expected)
    assert image.notes == ("its data window put into its display window",)


def test_an_exrs_colours_are_multiplied_by_their_cover_already(tmp_path):
    pixels = np.full((3, 4, 4), 0.5, np.float32)
    with OpenEXR.File({}, {"RGBA": pixels}) as file:
        file.write(str(tmp_path / "a.exr"))
    for alpha, light in (("drop", 0.5), ("black", 0.5), ("white", 1.0)):
        assert (read_image(tmp_path / "a.exr", alpha=alpha).array == light).all()


def test_an_exr_of_luminance_and_chroma_is_refused(tmp_path):
    plane = np.ones((4, 4), np.float32)
    with OpenEXR.File({}, {"Y": plane, "RY": plane, "BY": plane}) as file:
        file.write(str(tmp_path / "a.exr"))
    with pytest.raises(ValueError, match="R, G and B, or Y alone, are needed"):
        read_image(tmp_path / "a.exr")


def test_radiance_light_is_divided_by_its_exposure(tmp_path):
    write_image(tmp_path / "a.hdr", np.full((9, 10, 3), 3.0, np.float32))
    data = (tmp_path / "a.hdr").read_bytes()
    (tmp_path / "b.hdr").write_bytes(data.replace(b"FORMAT=", b"EXPOSURE=2.0\nEXPOSURE=1.5\nFORMAT=", 1))
    plain, exposed = (read_image(tmp_path / name) for name in ("a.hdr", "b.hdr"))
    assert np.allclose(exposed.array, plain.array / 3) and exposed.notes == ("divided by its exposure 3",)
    for wrong, message in ((b"-Y 9 +X 10", "needed"), (b"32-bit_rle_rgbe", "XYZE")):
        other = {b"-Y 9 +X 10": b"+Y 9 +X 10", b"32-bit_rle_rgbe": b"32-bit_rle_xyze"}[wrong]
        (tmp_path / "c.hdr").write_bytes(data.replace(wrong, other, 1))
        with pytest.raises(ValueError, match=message):
            read_image(tmp_path / "c.hdr")


@pytest.mark.parametrize(
    "cut", [b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe", b"#?RADIANCE\n\n", b"#?RADIANCE\nEXPOSURE=0\n\n"]
)
def test_a_radiance_header_that_ends_too_soon_is_named(tmp_path, cut):
    """A reader that waits for an empty line would wait for ever."""
    (tmp_path / "a.hdr").write_bytes(cut)
    with pytest.raises(ValueError, match="cannot read .*a.hdr"):
        read_image(tmp_path / "a.hdr")


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_radiance_holds_light_alone(tmp_path, value):
    with pytest.raises(ValueError, match="holds light of at least 0"):
        write_image(tmp_path / "a.hdr", np.full((9, 10, 3), value, np.float32))


def test_bits_that_no_reader_scales_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint16), photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags[258].overwrite(12)
    with pytest.raises(ValueError, match="12 bits a channel"):
        read_image(tmp_path / "a.tif")


def test_a_profile_that_is_not_applied_is_said(tmp_path):
    codes = PillowImage.new("RGB", (9, 8))
    for name, words in (("sRGB", ()), ("LAB", ("not applied",))):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
        codes.save(tmp_path / "a.png", icc_profile=profile)
        notes = read_image(tmp_path / "a.png").notes
        assert len(notes) == len(words) and all(word in note for word, note in zip(words, notes, strict=True))


def test_deep_grey_with_alpha_is_grey(tmp_path):
    planes = np.random.default_rng(0).integers(0, 65535, (8, 9, 2)).astype(np.uint16)
    write_deep_grey_png(tmp_path / "a.png", planes)
    image = read_image(tmp_path / "a.png", scaled=False)
    np.testing.assert_array_equal(image.array, planes[..., :1])
    assert image.notes == ("alpha dropped",)
