"""The criterion of people: its laws, its fit, and the released one."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vdp_distill import HDRVDP2
from vdp_distill.criterion import PEOPLE, STRICT, Criterion, areas, contrast_of, criterion_names, load_criterion
from vdp_distill.criterion_fit import calibrate, calibrate_to_marginals, threshold_quality

LIKE = Criterion(area_deg=1.0, exponent=4.0)


@pytest.fixture(scope="module")
def result():
    generator = torch.Generator().manual_seed(1)
    reference = 20 + 50 * torch.rand(2, 1, 64, 80, generator=generator)
    test = reference * (1 + 0.02 * torch.randn(reference.shape, generator=generator))
    return HDRVDP2(encoding="luminance", pixels_per_degree=30)(test, reference)


def test_strict_is_the_metric_itself(result):
    torch.testing.assert_close(STRICT.judge(result, 30), result.P_det)
    # The sum of S is C_max but for float32's rounding of a sum of 5,120 numbers.
    torch.testing.assert_close(contrast_of(result).sum(dim=(1, 2, 3)), result.C_max, rtol=1e-5, atol=0)


def test_identical_images_are_seen_by_nobody():
    grey = torch.full((1, 1, 40, 40), 30.0)
    result = HDRVDP2(encoding="luminance", pixels_per_degree=30)(grey, grey)
    assert float(load_criterion(PEOPLE).judge(result, 30)) == 0


def test_half_of_the_people_see_the_threshold():
    criterion = Criterion(threshold=12.0, slope=1.4, area_deg=1.0, exponent=4.0, growth=1.0)
    for ppd in (30, 90):
        at = torch.tensor(criterion.threshold_at(ppd), dtype=torch.float64)
        assert float(criterion.probability(at, ppd)) == pytest.approx(0.5, abs=1e-12)
        for p in (0.1, 0.5, 0.9):
            visibility = torch.tensor(criterion.visibility_at(p, ppd), dtype=torch.float64)
            assert float(criterion.probability(visibility, ppd)) == pytest.approx(p, abs=1e-12)


def test_the_threshold_grows_as_contrast_above_that_of_detection():
    criterion = Criterion(threshold=2.0**3.5, growth=1.0, fitted_ppd=90.0)
    assert criterion.threshold_at(90) == pytest.approx(2**3.5)
    assert criterion.threshold_at(45) == pytest.approx(3**3.5)  # one threshold above, seen from half as far: two
    assert Criterion(threshold=0.5, growth=1.0).threshold_at(30) == 0.5  # nothing is wanted above detection


def test_areas_are_sums_of_their_pixels():
    contrast = torch.rand(1, 1, 40, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = areas(contrast, pixels_per_degree=20, area_deg=1.0)
    assert found.shape == (1, 1, 5, 9)  # 20 pixels, every 5
    assert float(found[0, 0, 1, 2]) == pytest.approx(float(contrast[0, 0, 5:25, 10:30].sum()))


@pytest.mark.parametrize("size", [(41, 63), (20, 20), (19, 47), (12, 9)])
def test_areas_of_any_picture(size):
    """Each sums its own window, as long as the picture lets it be; the last reach beyond it."""
    contrast = torch.rand(2, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.pad(contrast, (0, -size[1] % 5, 0, -size[0] % 5))
    window = [min(20, length) for length in whole.shape[2:]]
    expected = whole.unfold(2, window[0], 5).unfold(3, window[1], 5).sum(dim=(4, 5))
    torch.testing.assert_close(areas(contrast, pixels_per_degree=20, area_deg=1.0), expected, rtol=1e-12, atol=0)


def test_pooling_does_not_grow_with_the_picture():
    """A picture of the same twice is as visible as once; the metric's own sum doubles."""
    tile = torch.rand(1, 1, 40, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    twice = torch.cat([tile, tile], dim=3)
    once, both = (float(LIKE.visibility(LIKE.energy(contrast, 10))) for contrast in (tile, twice))
    assert both == pytest.approx(once, rel=0.05)  # areas across the seam are new
    assert float(STRICT.energy(twice, 10)) == pytest.approx(2 * float(STRICT.energy(tile, 10)))


def test_energy_of_a_whole_is_the_mean_of_its_parts():
    contrast = torch.rand(1, 1, 40, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = [STRICT.energy(part, 30, contrast.numel()) for part in contrast.split(40, dim=3)]
    assert float(sum(parts) / 2) == pytest.approx(float(STRICT.energy(contrast, 30)))


def test_one_bad_area_counts_more_than_a_little_everywhere():
    spread = torch.full((1, 1, 80, 80), 1e-3)
    gathered = torch.zeros(1, 1, 80, 80)
    gathered[..., :20, :20] = float(spread.sum()) / 400
    assert float(LIKE.energy(gathered, 20)) > 10 * float(LIKE.energy(spread, 20))


def people(visibility, threshold=12.0, slope=1.4):
    return 1 - 0.5 ** ((np.asarray(visibility) / threshold) ** slope)


def test_calibration_finds_what_made_the_answers():
    generator = np.random.default_rng(0)
    visibility = np.exp(generator.uniform(-1, 6, 600))
    seen = generator.binomial(30, people(visibility)) / 30
    found = calibrate(visibility, seen, 30, like=LIKE, name="found")
    # 18,000 answers, of which about a third lie near the threshold: a hundredth in the logarithm, three times that.
    assert math.log(found.threshold) == pytest.approx(math.log(12), abs=0.04)
    assert found.slope == pytest.approx(1.4, rel=0.06)
    assert (found.area_deg, found.exponent, found.name) == (1.0, 4.0, "found")


def curve(shift):
    qualities = np.arange(5, 96, 5)
    return qualities, np.exp(6 - 0.08 * (qualities - shift))


def test_calibration_to_marginals():
    curves = [curve(shift) for shift in (-15.0, 0.0, 5.0, 20.0)]
    found = calibrate_to_marginals(curves, mean_quality=40, quality_range=14, like=LIKE)
    at = {p: [threshold_quality(*one, found.visibility_at(p, 90)) for one in curves] for p in (0.25, 0.5, 0.75)}
    assert np.mean(at[0.5]) == pytest.approx(40, abs=1e-3)
    assert np.mean(at[0.25]) - np.mean(at[0.75]) == pytest.approx(14, abs=1e-3)


def test_the_last_rise_counts():
    """Quality 30 is seen although 20 is not: half of the people tell 30."""
    qualities, visibility = [10, 20, 30, 40], [50.0, 2.0, 20.0, 1.0]
    assert 30 < threshold_quality(qualities, visibility, 10.0) < 40


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibrate([1.0, 2.0], [0.5, 1.5], like=LIKE), "share in 0..1"),
        (lambda: calibrate([1.0, 2.0], [1.0, 1.0], like=LIKE), "every pair has the share 1"),
        (lambda: calibrate_to_marginals([], 26, 13, like=LIKE), "at least one photograph"),
        (lambda: calibrate_to_marginals([curve(0.0)], 200, 13, like=LIKE), "mean quality 200"),
        (lambda: Criterion(threshold=0.0), "positive threshold"),
        (lambda: load_criterion("poeple-v1"), "did you mean 'people-v1'"),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_criterion_from_a_file(tmp_path):
    (tmp_path / "criterion.toml").write_text('[criterion]\nthreshold = 3.0\nslope = 2.0\nname = "mine"\n')
    assert load_criterion(tmp_path) == load_criterion(tmp_path / "criterion.toml") == Criterion(3.0, 2.0, name="mine")
    (tmp_path / "criterion.toml").write_text("[criterion]\nthreshhold = 3.0\n")
    with pytest.raises(ValueError, match="did you mean 'threshold'"):
        load_criterion(tmp_path)


def test_the_released_criterion_is_less_strict_than_the_metric(result):
    assert PEOPLE in criterion_names()
    released = load_criterion(PEOPLE)
    assert released.name == PEOPLE and released.area_deg > 0
    faint = HDRVDP2(encoding="luminance", pixels_per_degree=60)
    reference = torch.full((1, 1, 128, 128), 50.0)
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0))
    seen = faint(reference * (1 + 0.015 * noise), reference)
    assert 0 < float(released.judge(seen, 60)) < float(seen.P_det)


@pytest.mark.parametrize("size", [(149, 151), (40, 149), (37, 41)])
def test_every_pixel_lies_in_an_area(size):
    """As seen at the far edges as at the near ones: contrast of one pixel is in one area at least, and once."""
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1), (-1, size[1] // 2)):
        contrast = torch.zeros(1, 1, *size)
        contrast[..., row, column] = 3.0
        assert float(areas(contrast, 60.0, 1.0).amax()) == 3.0


def test_a_result_of_arrays_is_judged_too(result):
    as_numpy = replace(result, C_map=result.C_map[0, 0].numpy(), C_max=float(result.C_max[0]))
    torch.testing.assert_close(LIKE.judge(as_numpy, 60), LIKE.judge(result, 60)[:1])
