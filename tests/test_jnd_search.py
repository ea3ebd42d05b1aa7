"""The search for the lowest quality that nobody sees, and the tiles of a large picture."""

import math

import numpy as np
import pytest
import torch
from skimage import data

from vdp_distill.criterion import Criterion
from vdp_distill.jnd import find_jnd
from vdp_distill.jnd.codecs import CODECS
from vdp_distill.jnd.files import read_picture
from vdp_distill.jnd.judge import Judge, judging, tiles_of
from vdp_distill.jnd.search import NEAR, SAFETY, lowest_invisible
from vdp_distill.jnd.smallest import FITTED_DISPLAY

EASY = Criterion(threshold=30.0, slope=1.4, area_deg=1.0, exponent=4.0, name="easy")
JPEG = CODECS["jpeg"]


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


@pytest.mark.parametrize(("safety", "further"), [(1.0, 0), (SAFETY, 1)])
@pytest.mark.parametrize("corner", [0, 250])
def test_a_search_in_parts_ends_where_one_without_does(corner, safety, further, in_tiles, monkeypatch):
    """At most :data:`NEAR` steps above what its estimates promise; made three per cent higher, one more."""
    monkeypatch.setattr("vdp_distill.jnd.search.SAFETY", safety)
    picture = data.astronaut()[corner : corner + 130, 100:240]
    parts = find_jnd(picture, pixels_per_degree=60, model="vdp-fast")
    monkeypatch.setattr("vdp_distill.jnd.search.Trials.in_parts", False)
    whole = find_jnd(picture, pixels_per_degree=60, model="vdp-fast")
    assert whole.quality <= parts.quality <= whole.quality + NEAR + further
    assert sum(point.whole for point in parts.curve) < len(whole.curve)


def test_a_remembered_original_is_judged_the_same(in_tiles, monkeypatch):
    reference, found = data.astronaut()[40:240, 120:380], []
    picture = read_picture(reference, JPEG)
    for pixels in (0, 10**6):
        monkeypatch.setattr("vdp_distill.jnd.judge.REMEMBERED_PIXELS", pixels)
        metric, _ = judging("vdp-swift", display=FITTED_DISPLAY, pixels_per_degree=30)
        judge = Judge(metric, EASY, 30, picture.codes)
        found += [judge.contrast(picture.shown(picture.encode(JPEG, quality))) for quality in (60, 30)]
        assert bool(judge.remembered) == (pixels > 0)
    assert torch.equal(found[1], found[3]) and torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])
