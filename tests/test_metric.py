"""The whole metric against the original's golden values, and the laws it must keep."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import goldens
import numpy as np
import pytest
import torch
from conftest import make_pair

from vdp_distill import HDRVDP2, Display, hdrvdp2
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Geometry
from vdp_distill.settings import Settings
from vdp_distill.stages import STAGES


@pytest.fixture(scope="module", params=goldens.NAMES)
def golden_case(request):
    images, keywords, golden = goldens.load(request.param)
    return images, keywords, golden


def test_float64_meets_the_original_stage_by_stage(golden_case):
    images, keywords, golden = golden_case
    result = hdrvdp2(**images, **keywords, keep_stages=True)
    # 1e-10: sums of a few million float64 products in another order; measured 1e-12 at worst.
    errors = goldens.stage_errors(result, golden)
    assert max(errors.values()) < 1e-10, errors
    assert len(errors) == 17
    assert result.C_max == pytest.approx(float(golden["C_max"]), rel=1e-9, abs=1e-300)
    assert result.P_det == pytest.approx(float(golden["P_det"]), rel=1e-9, abs=1e-300)
    assert pytest.approx(float(golden["Q"]), abs=1e-7) == result.Q


def test_float32_stays_close(golden_case):
    images, keywords, golden = golden_case
    single = {side: image.astype(np.float32) for side, image in images.items()}
    result = hdrvdp2(**single, **keywords)
    assert result.P_map.dtype == np.float32
    # Differences of responses near 300 JND lose three digits of float32's seven before their 3.5th power is taken.
    assert result.C_max == pytest.approx(float(golden["C_max"]), rel=2e-4, abs=1e-30)
    sampled = result.P_map.ravel()[golden["P_map@index"]]
    allowed = 2e-3 + 2e-8 * float(golden["C_max"])
    assert np.abs(sampled - golden["P_map@value"]).max() < allowed


def test_float32_follows_float64_on_odd_sizes_and_hdr(generator):
    test, reference = make_pair(generator, 2, 3, 77, 121)
    test, reference = test**2 / 10, reference**2 / 10
    options = {"encoding": "rgb-bt.709", "pixels_per_degree": 37.5}
    exact = hdrvdp2(test, reference, **options)
    single = hdrvdp2(test.float(), reference.float(), **options)
    assert torch.allclose(single.C_max.double(), exact.C_max, rtol=2e-4)
    assert (single.P_map.double() - exact.P_map).abs().max() < 2e-3
    assert torch.allclose(single.Q.double(), exact.Q, atol=1e-2)


@pytest.mark.parametrize("contrast", [1e2, 1e4])
def test_float32_holds_in_the_dark_beside_the_sun(generator, contrast):
    """A float32 transform of the whole light once drowned dark parts in the noise of bright ones."""
    test, reference = make_pair(generator, 1, 3, 90, 100)
    sun = torch.ones_like(reference)
    sun[..., 20:30, 70:80] = contrast
    options = {"encoding": "rgb-bt.709", "pixels_per_degree": 30}
    single = hdrvdp2((test * sun / 10).float(), (reference * sun / 10).float(), **options)
    exact = hdrvdp2((test * sun / 10).float().double(), (reference * sun / 10).float().double(), **options)
    assert torch.allclose(single.C_max.double(), exact.C_max, rtol=2e-4)
    assert (single.P_map.double() - exact.P_map).abs().max() < 2e-3 + 2e-8 * float(exact.C_max)


def test_identical_images_give_exactly_nothing(generator):
    _, reference = make_pair(generator, 1, 3, 33, 47, torch.float32)
    result = hdrvdp2(reference, reference.clone(), encoding="rgb-bt.709", pixels_per_degree=30)
    assert float(result.P_det) == 0 and float(result.C_max) == 0 and float(result.Q) == 100
    assert not result.P_map.any()


def test_probability_and_contrast_agree(pair):
    result = hdrvdp2(*pair, encoding="luminance", pixels_per_degree=30, keep_stages=True)
    assert torch.allclose(result.P_map, 1 - 0.5**result.C_map, atol=1e-15)
    total = result.stages["contrast_map"].sum()
    # Pooling scales the peak to the sum, but for the epsilon that guards an empty map.
    assert float(result.C_max) == pytest.approx(float(total), rel=1e-9)


def test_more_contrast_is_seen_better(pair):
    test, reference = pair
    metric = HDRVDP2(encoding="luminance", pixels_per_degree=30)
    seen = [float(metric(reference + k * (test - reference), reference).C_max) for k in (0.1, 0.3, 1.0, 2.0)]
    assert seen == sorted(seen) and seen[0] > 0


def test_batch_equals_loop(generator):
    """Also where each image has its own pixels per degree and surround."""
    test, reference = make_pair(generator, 3, 3, 40, 36)
    degrees, surround = torch.tensor([20.0, 45.0, 70.0], dtype=torch.float64), torch.tensor([0.1, 5.0, 90.0])
    metric = HDRVDP2(encoding="rgb-bt.709", pixels_per_degree=30)
    together = metric(test, reference, pixels_per_degree=degrees, surround_l=surround)
    for i in range(3):
        alone = metric(
            test[i : i + 1], reference[i : i + 1], pixels_per_degree=float(degrees[i]), surround_l=float(surround[i])
        )
        for name in ("P_map", "C_map", "P_det", "C_max", "Q"):
            # The same sums; only the blocking of matrix products differs between batch sizes.
            assert torch.allclose(getattr(together, name)[i], getattr(alone, name)[0], rtol=1e-11, atol=1e-14), name


def test_surround_per_channel_and_from_the_reference(generator):
    test, reference = make_pair(generator, 1, 3, 32, 32)
    options = {"encoding": "rgb-bt.709", "pixels_per_degree": 30}
    geometric = reference.log().mean(dim=(2, 3)).exp()
    automatic = hdrvdp2(test, reference, surround_l=-1, **options)
    listed = hdrvdp2(test, reference, surround_l=geometric[0].tolist(), **options)
    dark = hdrvdp2(test, reference, **options)
    assert torch.allclose(automatic.C_map, listed.C_map, rtol=1e-12)
    assert not torch.allclose(automatic.C_map, dark.C_map, rtol=1e-3)


def test_arrays_give_arrays_back(pair):
    test, reference = (image[0, 0].numpy() for image in pair)
    result = hdrvdp2(test, reference, encoding="luminance", pixels_per_degree=30, keep_stages=True)
    assert isinstance(result.P_map, np.ndarray) and result.P_map.shape == test.shape
    assert isinstance(result.P_det, np.floating)
    assert result.stages["photoreceptors"].test.shape == (*test.shape, 4)
    tensors = hdrvdp2(*pair, encoding="luminance", pixels_per_degree=30)
    assert np.array_equal(result.C_map, tensors.C_map[0, 0].numpy())


def test_stages_are_kept_in_their_vocabulary_or_not_at_all(pair):
    options = {"encoding": "luminance", "pixels_per_degree": 30}
    kept, plain = hdrvdp2(*pair, keep_stages=True, **options), hdrvdp2(*pair, **options)
    assert list(kept.stages) == [stage.name for stage in STAGES]
    assert plain.stages == {}
    assert torch.allclose(kept.C_map, plain.C_map, rtol=1e-12)


def test_settings_repeat_the_prediction(pair):
    first = hdrvdp2(*pair, encoding="LUMINANCE", pixels_per_degree=33, surround_l=4, peak_sensitivity=2.5, mtf=False)
    names = ("encoding", "pixels_per_degree", "surround_l", "peak_sensitivity", "masking", "mtf")
    again = hdrvdp2(*pair, **{name: first.settings[name] for name in names})
    assert torch.equal(first.C_map, again.C_map)
    assert first.settings["encoding"] == "luminance" and first.settings["vdp_distill"]


@pytest.mark.parametrize("kind", ["matrix", "spectra"])
def test_generic_channels_with_the_users_own_emission(kind, generator):
    """The function once remembered a generic metric without its emission, and refused its own call."""
    if kind == "spectra":
        pytest.importorskip("colour")
    test, reference = make_pair(generator, 2, 2, 24, 24)
    wavelengths_nm = np.arange(400, 701, 10.0)
    spectra = np.stack([np.exp(-(((wavelengths_nm - peak) / 40) ** 2)) for peak in (480, 600)])
    emission = (wavelengths_nm, spectra) if kind == "spectra" else np.array([[0.1, 0.2, 0, 0.3], [0.4, 0.2, 0, 0.1]])
    options = {"encoding": "generic", "pixels_per_degree": 30, "emission": emission}
    by_function, by_module = hdrvdp2(test, reference, **options), HDRVDP2(**options)(test, reference)
    assert torch.equal(by_function.C_map, by_module.C_map) and (by_function.C_max > 0).all()


def test_a_display_file_is_read_anew(tmp_path, pair):
    path = tmp_path / "mine.json"
    seen = []
    for peak in (50, 500):
        path.write_text(f'{{"colorspace": "luma-2.2", "max_luminance": {peak}, "pixels_per_degree": 30}}')
        seen.append(float(hdrvdp2(*(image / 255 for image in pair), display=str(path)).C_max))
    assert seen[0] != seen[1]


def test_settings_may_be_overridden_at_a_call(pair):
    metric = HDRVDP2(encoding="luminance", pixels_per_degree=30)
    overridden = metric(*pair, pixels_per_degree=50, masking=False)
    direct = hdrvdp2(*pair, encoding="luminance", pixels_per_degree=50, masking=False)
    assert torch.equal(overridden.C_map, direct.C_map)
    assert torch.equal(metric(*pair).C_map, hdrvdp2(*pair, encoding="luminance", pixels_per_degree=30).C_map)


def test_filters_do_not_lose_precision_when_the_module_moves(pair):
    """A float32 call must not leave float32 filters behind for a float64 one."""
    metric = HDRVDP2(encoding="luminance", pixels_per_degree=30)
    metric(*(image.float() for image in pair))
    moved = metric.double()(*pair)
    fresh = HDRVDP2(encoding="luminance", pixels_per_degree=30)(*pair)
    assert torch.equal(moved.C_map, fresh.C_map)


def test_half_precision_outside_is_float32_inside(pair):
    test, reference = (image.float() for image in pair)
    options = {"encoding": "luminance", "pixels_per_degree": 30}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = hdrvdp2(test, reference, **options)
    assert torch.equal(mixed.C_map, hdrvdp2(test, reference, **options).C_map)
    half = hdrvdp2(test.bfloat16(), reference.bfloat16(), **options)
    assert half.P_map.dtype == torch.float32


def test_gradcheck_of_the_whole(generator):
    """Float64, away from nodes, ties and zeros, on one small pair."""
    test, reference = make_pair(generator, 1, 1, 18, 18)
    metric = HDRVDP2(encoding="luminance", pixels_per_degree=30)

    def outputs(image):
        result = metric(image, reference)
        return result.C_map.log1p().sum(), result.Q

    # The table's slope is constant between nodes; a step of 1e-6 relative to 100 cd/m2 rarely meets one.
    assert torch.autograd.gradcheck(outputs, test.requires_grad_(), eps=1e-6, atol=1e-5, rtol=1e-4, fast_mode=True)


CODES = {"black": 0.0, "white": 1.0, "grey": 0.5}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", CODES)
@pytest.mark.parametrize("change", [0.0, 0.02])
def test_gradient_is_finite_everywhere(level, change, dtype):
    reference = torch.full((1, 3, 32, 32), CODES[level], dtype=dtype)
    test = (reference - change if level == "white" else reference + change).requires_grad_()
    result = hdrvdp2(test, reference, encoding="sRGB-display", pixels_per_degree=30)
    (result.C_map.sum() + result.Q.sum() + result.P_map.sum()).backward()
    assert torch.isfinite(test.grad).all()


def test_large_images_give_the_same_in_tiles_with_and_without_gradient(generator, monkeypatch):
    test, reference = make_pair(generator, 2, 3, 70, 90)
    options = {"encoding": "rgb-bt.709", "pixels_per_degree": 30}
    whole_input, tiled_input = test.clone().requires_grad_(), test.clone().requires_grad_()
    whole = hdrvdp2(whole_input, reference, **options)
    whole.C_map.log1p().sum().backward()
    monkeypatch.setattr("vdp_distill.tiles.TILE_ELEMENTS", 2000)
    tiled = hdrvdp2(tiled_input, reference, **options)
    tiled.C_map.log1p().sum().backward()
    assert torch.allclose(tiled.C_map, whole.C_map, rtol=1e-11)
    assert torch.allclose(tiled_input.grad, whole_input.grad, rtol=1e-8, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(hdrvdp2(test, reference, **options).Q, whole.Q, rtol=1e-11)


def test_what_was_validated_in_inference_mode_can_train():
    reference = torch.rand(1, 3, 45, 51, generator=torch.Generator().manual_seed(0))
    test = (reference + 0.02).clamp(0, 1)
    metric = HDRVDP2(encoding="sRGB-display", pixels_per_degree=33.0)
    with torch.inference_mode():
        metric(test, reference)
    test.requires_grad_()
    metric(test, reference).C_max.sum().backward()
    assert bool(test.grad.isfinite().all())


def test_threads_share_a_metric():
    """Pixels per degree that change from call to call: every thread gets its own filter."""
    metric = HDRVDP2(encoding="luminance", pixels_per_degree=30)
    light = 1 + 99 * torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    degrees = [20.0, 60.0] * 40

    def contrast(degree):
        return float(metric(light * 1.2, light, pixels_per_degree=degree).C_max)

    expected = {degree: contrast(degree) for degree in set(degrees)}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(contrast, degrees)) == [expected[degree] for degree in degrees]


def test_a_thread_in_between_does_not_change_the_filter():
    """In slow motion: another one asks for 60 pixels per degree while this one looks whether 20 are remembered."""
    geometry = Geometry(32, 32, torch.ones(1))

    def asked(scalar):
        return geometry.eye_transfer(torch.tensor([float(scalar)]), scalar, DEFAULT_PARAMETERS)

    class Interrupted(float):
        __hash__ = float.__hash__

        def __eq__(self, other):
            asked(60.0)
            return float(self) == other

    own = asked(20.0).clone()
    assert torch.equal(asked(Interrupted(20.0)), own) and not torch.equal(asked(60.0), own)


@pytest.mark.parametrize("given", [torch.tensor([30.0, 45.0]), torch.tensor(30.0), np.array([30.0, 45.0])])
@pytest.mark.parametrize("resolution", [None, [3840, 2160]])
def test_a_display_beside_pixels_per_degree_of_every_kind(given, resolution):
    images = [torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
    display = Display(max_luminance=200, min_luminance=0.2, resolution=resolution)
    found = hdrvdp2(*images, display=display, pixels_per_degree=given)
    torch.testing.assert_close(found.C_max, HDRVDP2(display=display, pixels_per_degree=given)(*images).C_max)


def test_more_pixels_per_degree_than_pairs_are_refused():
    light = torch.full((1, 1, 32, 32), 50.0)
    with pytest.raises(ValueError, match="for each of 1 images, got 3"):
        hdrvdp2(light, light, encoding="luminance", pixels_per_degree=torch.tensor([30.0, 40.0, 50.0]))


@pytest.mark.parametrize("dtype", [">f8", np.longdouble])
def test_long_floats_in_any_order_are_computed_in_double(dtype):
    light = 1 + 99 * np.random.default_rng(0).random((32, 32))
    expected = hdrvdp2(1.1 * light, light, encoding="luminance", pixels_per_degree=30)
    found = hdrvdp2(1.1 * light.astype(dtype), light.astype(dtype), encoding="luminance", pixels_per_degree=30)
    assert found.C_map.dtype == np.float64
    np.testing.assert_allclose(found.C_map, expected.C_map, rtol=1e-9)


def test_threads_share_the_filters_of_more_sizes_than_are_remembered():
    """A size that another thread forgets while this one asks for it."""
    pairs = [torch.rand(2, 1, 1, 32, 32 + 4 * k, generator=torch.Generator().manual_seed(k)) for k in range(9)]
    settings, interval = {"encoding": "luma-display", "pixels_per_degree": 30}, sys.getswitchinterval()

    def C_max(pair):
        return float(hdrvdp2(*pair, **settings).C_max)

    expected = [C_max(pair) for pair in pairs]
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(C_max, pairs * 4))
    finally:
        sys.setswitchinterval(interval)
    assert found == expected * 4


def test_settings_of_numpy_are_plain_data():
    image = torch.full((1, 1, 32, 32), 0.5)
    numbers = {"pixels_per_degree": np.float32(45), "surround_l": np.float32(3), "masking": np.bool_(True)}
    found = json.loads(json.dumps(hdrvdp2(image, image, encoding="luma-display", **numbers).settings))
    assert (found["pixels_per_degree"], found["surround_l"], found["masking"]) == (45.0, 3.0, True)


@pytest.mark.parametrize("kind", [list, tuple, np.asarray])
def test_pixels_per_degree_of_a_batch_come_in_any_kind(kind):
    images = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    settings = {"encoding": "sRGB-display"}
    expected = hdrvdp2(*images, pixels_per_degree=torch.tensor([20.0, 60.0]), **settings)
    found = hdrvdp2(*images, pixels_per_degree=kind([20.0, 60.0]), **settings)
    assert torch.equal(found.C_map, expected.C_map) and found.settings["pixels_per_degree"] == [20.0, 60.0]
    one = Settings.create(pixels_per_degree=kind([20.0, 60.0]), **settings).of_pair(1, 2)
    assert float(one.pixels_per_degree) == 60.0
