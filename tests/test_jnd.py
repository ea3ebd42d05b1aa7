"""The smallest file that nobody sees: what is found, limits, codecs, folders, and bad input."""

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from vdp_distill import hdrvdp2
from vdp_distill.criterion import STRICT, Criterion
from vdp_distill.io import write_image
from vdp_distill.jnd import JND, find_jnd
from vdp_distill.jnd.codecs import CODECS, codec_named
from vdp_distill.jnd.files import read_picture
from vdp_distill.jnd.folders import COLUMNS, find_jnd_folder
from vdp_distill.jnd.judge import Judge, judging
from vdp_distill.jnd.limits import least_quality
from vdp_distill.jnd.output import default_out, describe, plot_curve, save
from vdp_distill.jnd.search import Point
from vdp_distill.jnd.smallest import FITTED_DISPLAY

EASY = Criterion(threshold=30.0, slope=1.4, area_deg=1.0, exponent=4.0, name="easy")
JPEG = CODECS["jpeg"]


@pytest.fixture(scope="module")
def photograph():
    return data.astronaut()[60:124, 180:260].copy()


@pytest.fixture(scope="module")
def found(photograph):
    return find_jnd(photograph, pixels_per_degree=60)


def test_the_file_is_judged_as_the_metric_judges_it(photograph):
    """Under the strict criterion P is P_det of the file that came out."""
    found = find_jnd(photograph, pixels_per_degree=60, model="exact")
    shown = np.asarray(Image.open(io.BytesIO(found.data)).convert("RGB"))
    pair = [(codes / np.float32(255)).astype(np.float32) for codes in (shown, photograph)]
    expected = hdrvdp2(*pair, display=FITTED_DISPLAY, pixels_per_degree=60)
    assert abs(found.P - float(expected.P_det)) < 1e-4 and found.P <= 0.5


def test_it_is_the_smallest_that_is_not_seen(found):
    """The quality below was tried and is seen; those above were tried and are not."""
    curve = {point.quality: point for point in found.curve}
    assert found.P <= 0.5 and curve[found.quality].bytes == len(found.data)
    assert found.quality == 1 or curve[found.quality - 1].P > 0.5
    assert all(point.P <= 0.5 for point in found.curve if point.quality > found.quality)
    assert found.settings["model"] == "people-v1" and found.settings["pixels_per_degree"] == 60


def test_a_stricter_share_costs_bytes(photograph, found):
    assert find_jnd(photograph, pixels_per_degree=60, p=0.1).quality > found.quality


@pytest.fixture(scope="module")
def sky():
    """Slow gradients, in which the criterion of people tolerates blocks that are plain to see."""
    rows, columns = np.mgrid[:64, :80] / 100
    light = 0.55 + 0.25 * np.sin(2.1 * rows + 0.7) * np.cos(1.3 * columns) + 0.05 * np.cos(9 * columns * rows)
    return np.rint(255 * light[..., None] * [1, 0.9, 0.95]).astype(np.uint8)


def test_nothing_goes_below_what_people_ever_needed(sky):
    """MCL-JCI's labels end at quality 16; at 60 pixels per degree steps of quantisation are (60/90)^1.75 as large."""
    found = find_jnd(sky, pixels_per_degree=60, model="vdp-cortex")
    assert found.quality == 33 and any("did people need less" in note for note in found.notes)
    below = find_jnd(sky, pixels_per_degree=60, p=0.6, model="vdp-cortex")  # half of the people is what was measured
    assert below.quality < 33 and not any("did people need less" in note for note in below.notes)


def test_no_codec_shows_more_than_that_jpeg_would(sky):
    metric, people = judging("vdp-fast", display=FITTED_DISPLAY, pixels_per_degree=60)
    for codec in ("webp", "avif"):
        found = find_jnd(sky, codec, pixels_per_degree=60, model="vdp-fast")
        picture = read_picture(sky, CODECS[codec])
        judge = Judge(metric, people, 60, picture.codes)
        jpeg, own = (
            judge.visibility(judge.contrast(picture.shown(data)))
            for data in (picture.encode(JPEG, least_quality(60)), found.data)
        )
        assert own <= max(jpeg, 1.0) < people.threshold_at(60)
        assert any("no more than a JPEG of quality 33" in note for note in found.notes)


@pytest.mark.parametrize(("ppd", "least"), [(90, 16), (60, 33), (30, 33), (120, 10)])
def test_least_quality_by_viewing_distance(ppd, least):
    assert least_quality(ppd) == least


@pytest.mark.parametrize("codec", ["webp", "avif"])
def test_other_codecs(codec, photograph):
    known = codec_named(codec)
    found = find_jnd(photograph, codec, pixels_per_degree=60, criterion=EASY)
    image = Image.open(io.BytesIO(found.data))
    assert image.format == known.name and image.size == (80, 64)
    assert found.P <= 0.5 and len(found.data) < photograph.size / 4


def test_8_bits_are_judged_as_the_floating_point_they_stand_for(photograph):
    metric, _ = judging("vdp-fast", display=FITTED_DISPLAY, pixels_per_degree=30)
    picture = read_picture(photograph, JPEG)
    shown = picture.shown(picture.encode(JPEG, 30))
    references = photograph, photograph.astype(np.float32) / np.float32(255)
    maps = [Judge(metric, EASY, 30, reference).contrast(shown) for reference in references]
    torch.testing.assert_close(*maps, rtol=0, atol=0)
    assert float(maps[0].max()) > 0
    assert not Judge(metric, EASY, 30, photograph).contrast(photograph).any()


def test_the_start_waits_for_nothing_that_a_search_does_not_use():
    """Each of these takes half a second or more to import; the compiler two, which a decorator had loaded."""
    heavy = "{'scipy.signal', 'scipy.stats', 'scipy.optimize', 'matplotlib', 'torch._dynamo'}"
    code = f"import sys, vdp_distill.jnd.output; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_output(found, tmp_path):
    original = tmp_path / "photo.png"
    original.write_bytes(b"the original")
    with pytest.raises(FileExistsError, match="writes over nothing"):
        save(found, original)
    assert original.read_bytes() == b"the original"
    out = save(found, default_out(original, "jpeg"))
    assert out.name == "photo-jnd.jpg" and out.read_bytes() == found.data
    text = describe(found, 10**6)
    assert f"quality {found.quality}" in text and "people-v1" in text and text.count("\n") > len(found.curve)
    with Image.open(plot_curve(found, tmp_path / "curve.png", "photo")) as picture:
        assert picture.size[0] > 500


def test_a_curve_that_rises_is_said():
    points = (Point(10, 100, 0.6), Point(11, 110, 0.7), Point(12, 120, 0.4))
    risen = JND(12, b"", 0.4, points, "jpeg", (), {"p": 0.5, "model": "exact", "pixels_per_degree": 60})
    assert not risen.falls and "does not fall with every step" in describe(risen)


BAD = {
    "share": ({"p": 1.0}, "between 0 and 1"),
    "codec": ({"codec": "gif"}, "codec must be one of jpeg, webp, avif"),
    "model": ({"model": "vdp-fats"}, "released model"),
    "criterion": ({"criterion": "none.toml"}, "criterion must be"),
    "display": ({"display": "standard_4"}, "did you mean"),
    "unreachable": ({"model": "exact", "p": 1e-9}, "raise p, choose another codec"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, photograph):
    options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        find_jnd(photograph, **options)


def test_bad_pictures(photograph, tmp_path):
    with pytest.raises(ValueError, match="at least 17 pixels"):
        find_jnd(photograph[:16])
    with pytest.raises(ValueError, match="must lie in 0..1"):
        find_jnd(photograph.astype(np.float32))
    with pytest.raises(FileNotFoundError, match="no picture"):
        find_jnd(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="cannot read"):
        find_jnd(tmp_path / "text.png")
    write_image(tmp_path / "light.hdr", photograph.astype(np.float32))
    with pytest.raises(ValueError, match="holds light"):
        find_jnd(tmp_path / "light.hdr")


def test_a_codec_that_pillow_lacks(monkeypatch):
    monkeypatch.setattr("vdp_distill.jnd.codecs.features.check", lambda name: name == "jpg")
    with pytest.raises(ValueError, match="built without AVIF.*choose among jpeg"):
        codec_named("avif")


@pytest.fixture
def folder(tmp_path, photograph):
    originals = tmp_path / "originals"
    (originals / "deeper").mkdir(parents=True)
    Image.fromarray(photograph).save(originals / "a.png")
    Image.fromarray(photograph[:40, :50]).save(originals / "a.bmp")
    Image.fromarray(photograph[::-1]).save(originals / "deeper" / "b.png")
    (originals / "broken.png").write_bytes((originals / "a.png").read_bytes()[:300])
    return originals


def test_a_folder(folder, tmp_path, photograph):
    options = {"criterion": "strict", "p": 0.9, "pixels_per_degree": 90}
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    report = find_jnd_folder(folder, tmp_path / "out", **options)
    files = {row["picture"]: row["file"] for row in report.rows}
    assert files == {"a.bmp": "a.bmp.jpg", "a.png": "a.png.jpg", "broken.png": "", "deeper/b.png": "deeper/b.jpg"}
    assert [row["picture"] for row in report.failed] == ["broken.png"] and "broken.png" in str(report)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with open(report.table, newline="") as file:
        assert tuple(csv.DictReader(file).fieldnames) == COLUMNS

    # A second run makes what is missing, and only that.
    kept = tmp_path / "out" / "a.png.jpg"
    (tmp_path / "out" / "deeper" / "b.jpg").unlink()
    stamp = kept.stat().st_mtime_ns
    Image.fromarray(photograph).save(folder / "broken.png")
    made = []
    again = find_jnd_folder(
        folder, tmp_path / "out", progress=lambda rows, total: made.append(total) or rows, **options
    )
    assert made == [2] and not again.failed and kept.stat().st_mtime_ns == stamp

    # So does an original that was changed: the file of the former one is replaced.
    Image.fromarray(photograph[::-1]).save(folder / "a.png")
    changed = find_jnd_folder(folder, tmp_path / "out", **options)
    assert not changed.failed and kept.stat().st_mtime_ns != stamp
    with pytest.raises(ValueError, match="files of another run"):
        find_jnd_folder(folder, tmp_path / "out", **{**options, "p": 0.5})


def test_a_picture_for_which_the_memory_is_too_small_is_a_row(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")  # torch's own kind

    monkeypatch.setattr("vdp_distill.jnd.folders.find_jnd", full)
    report = find_jnd_folder(folder, tmp_path / "out")
    assert len(report.failed) == 4 and "allocate memory" in report.failed[0]["notes"]


def test_folders_that_do_not_fit(folder, tmp_path):
    with pytest.raises(ValueError, match="another folder than the originals"):
        find_jnd_folder(folder, folder)
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_jnd_folder(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        find_jnd_folder(tmp_path / "empty", tmp_path / "out")


def test_names_of_models(photograph):
    metric, criterion = judging("exact", encoding="sRGB-display", pixels_per_degree=60)
    assert criterion is STRICT and type(metric).__name__ == "HDRVDP2"
    assert judging(encoding="sRGB-display", pixels_per_degree=60)[1].name == "people-v1"


def test_a_name_that_is_no_utf8_is_a_row_like_any_other(tmp_path, photograph, monkeypatch):
    originals = tmp_path / "originals"
    originals.mkdir()
    name = os.fsdecode(b"c\xe9.png")
    try:
        Image.fromarray(photograph).save(originals / name)
    except OSError:
        pytest.xfail("this file system takes no such names")
    for _ in range(2):  # the second reads the table of the first
        report = find_jnd_folder(originals, tmp_path / "out", criterion="strict", p=0.9, pixels_per_degree=90)
        assert [row["picture"] for row in report.rows] == [name] and not report.failed
