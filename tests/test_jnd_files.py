"""Pictures for the search: encoded as they are stored, judged as a display shows them, with nothing lost."""

import io

import numpy as np
import pytest
from deep_png import write_deep_png
from PIL import Image, ImageCms
from skimage import data

from vdp_distill.io import write_image
from vdp_distill.jnd import find_jnd
from vdp_distill.jnd.codecs import CODECS
from vdp_distill.jnd.files import read_picture
from vdp_distill.jnd.shown import Shown

JPEG = CODECS["jpeg"]


@pytest.fixture(scope="module")
def photograph():
    return data.astronaut()[60:124, 180:260].copy()


def test_colour_that_is_not_judged_is_kept(photograph):
    """Luminance is quantised as at the quality asked for, colour never more coarsely than at 75."""
    picture = read_picture(photograph, JPEG)
    for quality, colour in ((10, 75), (90, 90)):
        tables = Image.open(io.BytesIO(picture.encode(JPEG, quality))).quantization
        for table, at in ((0, quality), (1, colour)):
            plain = io.BytesIO()
            Image.fromarray(photograph).save(plain, "JPEG", quality=at)
            assert list(tables[table]) == list(Image.open(plain).quantization[table])


def with_metadata(folder, suffix, image, **more):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = folder / f"picture{suffix}"
    image.save(path, exif=exif.tobytes(), icc_profile=profile, **more)
    return path, profile


@pytest.mark.parametrize("codec", list(CODECS))
def test_metadata_is_kept(codec, photograph, tmp_path):
    path, profile = with_metadata(tmp_path, ".png", Image.fromarray(photograph))
    picture = read_picture(path, CODECS[codec])
    image = Image.open(io.BytesIO(picture.encode(CODECS[codec], 60)))
    assert image.getexif()[0x010E] == "a description" and image.getexif()[0x0112] == 6
    assert image.info["icc_profile"] == profile and image.size == (80, 64)
    assert any("orientation is kept" in note for note in picture.notes)


@pytest.mark.parametrize(("codec", "mode", "note"), [("jpeg", "RGB", "over white"), ("webp", "RGBA", "kept")])
def test_transparency(codec, mode, note, photograph, tmp_path):
    cover = np.full((64, 80, 1), 255, np.uint8)
    cover[:, :40] = 0
    Image.fromarray(np.concatenate([photograph, cover], axis=2)).save(tmp_path / "p.png")
    picture = read_picture(tmp_path / "p.png", CODECS[codec])
    assert picture.image.mode == mode and any(note in text for text in picture.notes)
    assert (picture.codes[:, :40] == 255).all() and not (picture.codes[:, 40:] == 255).all()
    assert picture.shown(picture.encode(CODECS[codec], 90)).shape == (64, 80, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_judged_with_all_of_them(suffix, photograph, tmp_path):
    deep = photograph.astype(np.uint16) * 257 + 100
    deep = np.minimum(deep, 65535).astype(np.uint16)
    write_image(tmp_path / f"p{suffix}", deep)
    picture = read_picture(tmp_path / f"p{suffix}", JPEG)
    np.testing.assert_array_equal(picture.codes, deep.astype(np.float32) / np.float32(65535))
    assert picture.image.mode == "RGB" and any("more than 8 bits" in note for note in picture.notes)


def test_a_profile_that_cannot_be_read_is_kept_and_said(photograph, tmp_path):
    Image.fromarray(photograph).save(tmp_path / "p.png", icc_profile=b"no profile")
    picture = read_picture(tmp_path / "p.png", JPEG)
    assert any("cannot be read" in note for note in picture.notes)
    np.testing.assert_array_equal(picture.codes, photograph)


def turned_profile():
    """sRGB's with the primaries of red and green exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for before, after in ((b"rXYZ", b"...."), (b"gXYZ", b"rXYZ"), (b"....", b"gXYZ")):
        profile = profile.replace(before, after)
    return profile.replace("sRGB".encode("utf-16-be"), "turn".encode("utf-16-be"))


def test_a_profile_is_shown_in_srgb(photograph, tmp_path):
    """The screen's red is this profile's green; all of it is shown as any part of it is."""
    Image.fromarray(photograph).save(tmp_path / "p.png", icc_profile=turned_profile())
    picture = read_picture(tmp_path / "p.png", CODECS["webp"])
    assert any("'turn built-in' kept" in note for note in picture.notes)
    # Profiles hold their numbers in 16 bits: two steps of 255 at the dark end of the curve.
    np.testing.assert_allclose(picture.codes.astype(int), photograph[..., [1, 0, 2]], atol=2)
    np.testing.assert_array_equal(picture.image, photograph)
    shown = picture.shown(picture.encode(CODECS["webp"], 100))
    np.testing.assert_array_equal(shown[10:40, 20:30], shown[:, :][10:40, 20:30])
    assert np.abs(shown[:, :].astype(int) - picture.codes).mean() < 5  # of the codec, in colour above all


def test_transparency_is_shown_in_parts_as_in_whole(photograph):
    cover = np.linspace(0, 255, 64 * 80).astype(np.uint8).reshape(64, 80, 1)
    shown = Shown(Image.fromarray(np.concatenate([photograph, cover], axis=2)))
    blended = photograph * (cover / 255) + 255 * (1 - cover / 255)
    np.testing.assert_allclose(shown[:, :], blended, atol=1)  # rounding of Pillow's blend
    np.testing.assert_array_equal(shown[5:50, 60:], shown[:, :][5:50, 60:])


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_other_modes(mode, photograph, tmp_path):
    suffix = ".jpg" if mode == "CMYK" else ".png"
    Image.fromarray(photograph).convert(mode).save(tmp_path / f"p{suffix}")
    picture = read_picture(tmp_path / f"p{suffix}", JPEG)
    assert picture.codes.shape == (64, 80, 3) and picture.image.mode in ("L", "RGB")
    assert picture.shown(picture.encode(JPEG, 90)).shape == (64, 80, 3)


def test_a_deep_picture_that_is_turned_is_stored_upright(tmp_path):
    """Its pixels are turned as they are read, so the tag that says so must not go along."""
    codes = np.random.default_rng(0).integers(0, 65535, (24, 40, 3)).astype(np.uint16)
    path, tags = tmp_path / "deep.png", Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "maker"
    write_deep_png(path, codes, tags)
    picture = read_picture(path, JPEG)
    assert picture.image.size == (24, 40)
    np.testing.assert_array_equal(np.asarray(picture.image), np.rint(np.rot90(codes, -1) / 257.0).astype(np.uint8))
    kept = Image.Exif()
    kept.load(picture.metadata["exif"])
    assert kept.get(0x0112, 1) == 1 and kept[0x010F] == "maker"


@pytest.mark.parametrize("codec", list(CODECS))
def test_exif_that_is_damaged_is_left_out_and_said(codec, photograph, tmp_path):
    path = tmp_path / "damaged.jpg"
    Image.fromarray(photograph).save(path, exif=b"Exif\0\0XX*\0garbagegarbage")
    picture = read_picture(path, CODECS[codec])
    assert "its EXIF data are damaged: left out" in picture.notes
    assert "exif" not in Image.open(io.BytesIO(picture.encode(CODECS[codec], 60))).info


@pytest.mark.parametrize("codec", list(CODECS))
def test_metadata_longer_than_a_jpeg_holds(codec, photograph, tmp_path):
    """Left out of a JPEG and said; of another codec they are no concern, though a JPEG is what it is held against."""
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    Image.fromarray(photograph).save(tmp_path / "p.png", exif=exif.tobytes())
    found = find_jnd(tmp_path / "p.png", codec, pixels_per_degree=60)
    is_said = any("longer than a JPEG can hold" in note for note in found.notes)
    assert is_said == (codec == "jpeg")
    assert (len(found.data) > 70_000) == (codec != "jpeg")
