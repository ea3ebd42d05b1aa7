"""What each format of images can hold is read as it shows, or refused by name."""

import cv2
import numpy as np
import OpenEXR
import pytest
import tifffile
from deep_png import write_deep_grey_png, write_deep_png
from PIL import Image as PillowImage
from PIL import ImageCms, ImageOps

from vdp_distill.io import read_image, write_image

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


@pytest.mark.parametrize("largest", [65535, 1023])
@pytest.mark.parametrize(("kind", "channels"), [("5", 1), ("6", 3)])
def test_netpbm_keeps_more_than_eight_bits(tmp_path, kind, channels, largest):
    codes = np.random.default_rng(0).integers(0, largest + 1, (7, 9, channels))
    codes[0, 0] = largest
    header = f"P{kind}\n# by hand\n9 7 # pixels\n{largest}\n".encode()
    (tmp_path / "a.ppm").write_bytes(header + codes.astype(">u2").tobytes())
    image = read_image(tmp_path / "a.ppm")
    assert image.bits == 16
    np.testing.assert_allclose(image.array, codes / largest, atol=0.5 / 65535)
    (tmp_path / "a.ppm").write_bytes(header + codes.astype(">u2").tobytes()[:-1])
    with pytest.raises(ValueError, match="cannot read .*a.ppm as an image .cut short"):
        read_image(tmp_path / "a.ppm")
    (tmp_path / "a.ppm").write_bytes(header.replace(str(largest).encode(), b"999") + codes.astype(">u2").tobytes())
    with pytest.raises(ValueError, match="its header says 999"):
        read_image(tmp_path / "a.ppm")


def test_netpbm_of_eight_bits(tmp_path):
    codes = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    (tmp_path / "a.ppm").write_bytes(b"P6 9 7 255\n" + codes.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.ppm", scaled=False).array, codes)
