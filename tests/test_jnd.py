"""The smallest file that nobody sees: the search, tiles, codecs, folders, and bad input."""

import csv
import io
import math
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
from vdp_distill.jnd.judge import Judge, judging, tiles_of
from vdp_distill.jnd.limits import least_quality
from vdp_distill.jnd.output import default_out, describe, plot_curve, save
from vdp_distill.jnd.search import NEAR, Point, lowest_invisible
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


@pytest.mark.parametrize(("wanted", "expected"), [(4.0, 25), (100.0, 1), (1.0, 100), (0.5, None)])
def test_search_on_a_falling_curve(wanted, expected):
    assert lowest_invisible(lambda quality: 100 / quality, 1, 100, wanted, start=36) == expected


def test_search_costs_few_looks():
    looks = set()

    def visibility(quality):
        looks.add(quality)
        return math.exp(5 - 0.06 * quality)

    assert lowest_invisible(visibility, 1, 100, 3.0, start=36) == math.ceil((5 - math.log(3)) / 0.06)
    assert len(looks) <= 7  # bisection of 100 takes 7, and the two neighbours come on top


def test_search_goes_above_a_quality_that_is_worse_than_the_one_below():
    """31 is seen, though 30 is not: nobody wants the file at 30."""
    visibility = {quality: 2.0 if quality < 30 or quality == 31 else 0.5 for quality in range(1, 101)}
    assert lowest_invisible(visibility.__getitem__, 1, 100, 1.0, start=60) in (32, 33)


@pytest.mark.parametrize("seed", range(5))
def test_search_on_a_rough_curve_ends_where_three_are_invisible(seed):
    noise = np.random.default_rng(seed).normal(0, 0.3, 101)
    rough = {quality: math.exp(4 - 0.08 * quality + noise[quality]) for quality in range(1, 101)}
    found = lowest_invisible(rough.__getitem__, 1, 100, 1.0, start=36)
    assert all(rough[quality] <= 1 for quality in range(found, min(found + 3, 101)))


@pytest.mark.parametrize("size", [(40, 50), (1080, 1920), (2000, 3001), (3000, 4000), (513, 9000)])
def test_tiles_cover_a_picture_once(size):
    covered = np.zeros(size, np.uint8)
    tiles = tiles_of(*size)
    for tile in tiles:
        covered[tile.box][tile.core] += 1
    assert (covered == 1).all() and sum(tile.pixels for tile in tiles) == covered.size
    assert len({covered[tile.box].shape for tile in tiles}) == 1  # one size, so that filters are made once


@pytest.fixture
def in_tiles(monkeypatch):
    """Pictures of more than 100 x 100 pixels count as large."""
    monkeypatch.setattr("vdp_distill.jnd.judge.WHOLE_PIXELS", 10**4)
    monkeypatch.setattr("vdp_distill.jnd.judge.TILE_PIXELS", 128)
    monkeypatch.setattr("vdp_distill.jnd.judge.CELL_PIXELS", 64)
    monkeypatch.setattr("vdp_distill.jnd.judge.WATCHED_SHARE", 0.4)


def judged(reference, quality):
    """A judge of a picture, and its copy at a quality."""
    picture = read_picture(reference, JPEG)
    metric, _ = judging("vdp-fast", display=FITTED_DISPLAY, pixels_per_degree=30)
    return Judge(metric, EASY, 30, picture.codes), picture.shown(picture.encode(JPEG, quality))


def test_tiles_judge_as_the_whole_picture_does(monkeypatch):
    reference, visibilities = data.astronaut()[40:240, 120:380], {}
    for pixels in (10**6, 10**4):
        monkeypatch.setattr("vdp_distill.jnd.judge.WHOLE_PIXELS", pixels)
        monkeypatch.setattr("vdp_distill.jnd.judge.TILE_PIXELS", 128)
        judge, shown = judged(reference, 30)
        visibilities[len(judge.tiles)] = judge.visibility(judge.contrast(shown))
    whole, tiled = visibilities.values()
    # The margins hide the picture beyond them from the low bands.
    assert len(visibilities) == 2 and tiled == pytest.approx(whole, rel=0.15)


def test_the_cells_watched_are_those_where_it_shows(in_tiles):
    """One corner is spoiled: its cell is among those watched, which show more than the others do."""
    reference = data.astronaut()[40:240, 120:380]
    judge, _ = judged(reference, 95)
    shown = reference.copy()
    shown[:50, :50] //= 2
    cells = judge.most_visible(judge.contrast(shown))
    others = [cell for cell in judge.cells if cell not in cells]
    assert judge.cells[0] in cells and others
    assert judge.visibility_in(shown, cells) > judge.visibility_in(shown, others)


def test_threads_change_nothing(in_tiles):
    judge, shown = judged(data.astronaut()[40:240, 120:380], 30)
    before, maps = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            maps.append(judge.contrast(shown))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    # Sums in another order, on a map whose largest values are far above 1.
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-4, atol=1e-5)


def test_a_large_picture_is_searched_in_parts_and_checked_whole(in_tiles):
    found = find_jnd(data.astronaut()[40:200, 120:280], pixels_per_degree=60, model="vdp-fast")
    chosen = next(point for point in found.curve if point.quality == found.quality)
    assert chosen.whole and found.P <= 0.5
    assert any("judged on all of them" in note for note in found.notes)


@pytest.mark.parametrize("corner", [0, 250])
def test_a_search_in_parts_ends_where_one_without_does(corner, in_tiles, monkeypatch):
    """At most :data:`NEAR` steps above, for it does not look at the whole of every quality."""
    picture = data.astronaut()[corner : corner + 130, 100:240]
    parts = find_jnd(picture, pixels_per_degree=60, model="vdp-fast")
    monkeypatch.setattr("vdp_distill.jnd.search.Trials.in_parts", False)
    whole = find_jnd(picture, pixels_per_degree=60, model="vdp-fast")
    assert whole.quality <= parts.quality <= whole.quality + NEAR
    assert sum(point.whole for point in parts.curve) < len(whole.curve)


@pytest.fixture(scope="module")
def sky():
    """Slow gradients, in which the criterion of people tolerates blocks that are plain to see."""
    rows, columns = np.mgrid[:64, :80] / 100
    light = 0.55 + 0.25 * np.sin(2.1 * rows + 0.7) * np.cos(1.3 * columns) + 0.05 * np.cos(9 * columns * rows)
    return np.rint(255 * light[..., None] * [1, 0.9, 0.95]).astype(np.uint8)


def test_nothing_goes_below_what_people_ever_needed(sky):
    """MCL-JCI's labels end at quality 16; at 60 pixels per degree steps of quantisation are (60/90)^1.75 as large."""
    found = find_jnd(sky, pixels_per_degree=60, model="vdp-fast")
    assert found.quality == 33 and any("did people need less" in note for note in found.notes)
    below = find_jnd(sky, pixels_per_degree=60, p=0.6, model="vdp-fast")  # half of the people is what was measured
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
    """Each of these takes half a second or more to import."""
    heavy = "{'scipy.signal', 'scipy.stats', 'scipy.optimize', 'matplotlib'}"
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
    with pytest.raises(ValueError, match="files of another run"):
        find_jnd_folder(folder, tmp_path / "out", **{**options, "p": 0.5})


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
