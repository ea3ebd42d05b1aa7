"""Displays: code values to light, geometry, presets, and the straight tails for training."""

import math

import pytest
import torch

from vdp_distill import Display, display_pixels_per_degree, hdrvdp2, load_display
from vdp_distill.display import ENCODING_DISPLAYS, LUMA
from vdp_distill.display_files import preset_names
from vdp_distill.transfer_curves import hlg_scene, is_inside, pq_cdm2, srgb

CODES = torch.linspace(0, 1, 33, dtype=torch.float64).view(1, 1, 1, 33)
COLOUR = CODES.expand(1, 3, 1, 33)


def test_the_metrics_own_encodings():
    grey = ENCODING_DISPLAYS["luma-display"].light(CODES)
    assert torch.allclose(grey, 99 * CODES**2.2 + 1, rtol=1e-14)
    linear = torch.where(COLOUR <= 0.04045, COLOUR / 12.92, ((COLOUR + 0.055) / 1.055) ** 2.4)
    assert torch.allclose(ENCODING_DISPLAYS["sRGB-display"].light(COLOUR), 99 * linear + 1, rtol=1e-14)


def test_the_papers_grey_display():
    """L = (peak - black) Luma^gamma + black, luma of the code values (Ak and Le Callet 2019)."""
    display = Display(colorspace="luma-2.4", max_luminance=300, min_luminance=0.1)
    code = torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64).view(1, 3, 1, 1)
    luma = 0.2126 * 0.2 + 0.7152 * 0.6 + 0.0722 * 0.9
    assert float(display.light(code)) == pytest.approx(299.9 * luma**2.4 + 0.1, rel=1e-12)


def test_curves_meet_outside_truths():
    colour = pytest.importorskip("colour")
    code = CODES.flatten().numpy()
    assert pq_cdm2(CODES).flatten().numpy() == pytest.approx(colour.models.eotf_ST2084(code), rel=1e-9, abs=1e-9)
    assert srgb(CODES).flatten().numpy() == pytest.approx(colour.models.eotf_sRGB(code), rel=1e-12)
    scene = colour.models.oetf_inverse_BT2100_HLG(code)
    assert hlg_scene(CODES).flatten().numpy() == pytest.approx(scene, abs=1e-7)


def test_hlg_white_is_the_peak_and_pq_stops_there():
    white = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    hlg = Display(colorspace="BT.2020-HLG", max_luminance=1000)
    assert torch.allclose(hlg.light(white), 1000 * white, rtol=1e-4)
    pq = Display(colorspace="BT.2020-PQ", max_luminance=1500)
    assert torch.allclose(pq.light(white), 1500 * white, rtol=1e-4)
    half = pq.light(0.5 * white)
    assert torch.allclose(half, torch.full_like(half, 92.2457), rtol=1e-4)


def test_ambient_light_adds_its_reflection():
    room = load_display("standard_4k")
    black = room.light(torch.zeros(1, 3, 1, 1, dtype=torch.float64))
    assert torch.allclose(black, torch.full_like(black, 0.2 + 250 / math.pi * 0.005), rtol=1e-12)


def test_geometry_by_hand():
    pixel_m = 30 * 0.0254 / math.hypot(3840, 2160)
    by_hand = 1 / (2 * math.degrees(math.atan(pixel_m / 2 / 0.7472)))
    assert display_pixels_per_degree((3840, 2160), 30, 0.7472) == pytest.approx(by_hand, rel=1e-12)
    assert load_display("standard_4k").geometry_pixels_per_degree() == pytest.approx(by_hand)
    assert load_display("mcl-jci").geometry_pixels_per_degree() == 90
    assert 10 < load_display("standard_hmd").geometry_pixels_per_degree() < 20
    with pytest.raises(ValueError, match="must be positive"):
        display_pixels_per_degree((1920, 1080), 24, 0)


def test_presets_meet_colorvideovdp():
    """Same names, same geometry, same light for the same code values, where both know the display."""
    pycvvdp = pytest.importorskip("pycvvdp")
    for name in ("standard_4k", "standard_fhd", "standard_phone", "standard_hdr_linear"):
        theirs = pycvvdp.vvdp_display_geometry.load(name)
        assert load_display(name).geometry_pixels_per_degree() == pytest.approx(theirs.get_ppd(), rel=2e-3)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_runs(name):
    display = load_display(name)
    code = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    code = 5 + 100 * code if display.curve == "linear" else code
    result = hdrvdp2(code * 0.97, code, display=name)
    assert 0 < float(result.C_max) < math.inf
    assert result.settings["display"]["max_luminance"] == display.max_luminance


@pytest.mark.parametrize("colorspace", ["sRGB", "gamma-2.4", "BT.2020-PQ", "BT.2020-HLG", "luma-2.2"])
def test_tails_continue_the_curve_with_a_gradient_that_leads_back(colorspace):
    display = Display(colorspace=colorspace, max_luminance=200, min_luminance=0.5)
    code = (
        torch.linspace(-0.5, 1.5, 81, dtype=torch.float64)
        .view(1, 1, 1, 81)
        .expand(1, 3, 1, 81)
        .clone()
        .requires_grad_()
    )
    light = display.light(code, extend=True)
    inside = (code >= 0) & (code <= 1)
    plain = display.light(code.detach().clamp(0, 1))
    same = torch.isclose(light, plain) | ~inside[:, : light.shape[1]]
    assert same.all() and (light > 0).all()
    light.sum().backward()
    assert torch.isfinite(code.grad).all()
    assert (code.grad[..., :10] > 0).all() and (code.grad[..., -10:] > 0).all()


CURVES = pytest.mark.parametrize("colorspace", ["sRGB", "gamma-2.4", "luma-2.2", "BT.2020-PQ", "BT.2020-HLG"])


@CURVES
def test_inside_the_tails_are_left_out_and_nothing_changes(colorspace):
    """Values and gradients are those of an image whose one pixel beyond the ends needs them."""
    display = Display(colorspace=colorspace, max_luminance=200, min_luminance=0.5)
    inside = COLOUR[..., 0 if colorspace == "sRGB" else 1 :].clone()  # a power curve's tail begins at black
    beyond = torch.cat([inside, torch.full((1, 3, 1, 1), 1.5, dtype=torch.float64)], dim=3)
    assert is_inside(inside, display.curve) == ("BT.2020" not in colorspace) and not is_inside(beyond, display.curve)
    found = []
    for code in (inside.requires_grad_(), beyond.requires_grad_()):
        light = display.light(code, extend=True)[..., : inside.shape[-1]]
        found.append((light, torch.autograd.grad(light.square().sum(), code)[0][..., : inside.shape[-1]]))
    # The slope at white is a difference quotient over 1e-6.
    assert all(torch.allclose(*pair, rtol=2e-6) for pair in zip(*found, strict=True))


@CURVES
def test_black_and_white_keep_a_gradient(colorspace):
    """torch's clamp gives none at its ends: saturated pixels could not come back."""
    display = Display(colorspace=colorspace, max_luminance=200, min_luminance=0.5)
    for code in (0.0, 1.0):
        pixel = torch.full((1, 3, 1, 1), code, dtype=torch.float64, requires_grad=True)
        display.light(pixel, extend=True).sum().backward()
        assert (pixel.grad > 0).all()


def test_srgb_tails_are_straight():
    display = ENCODING_DISPLAYS["sRGB-display"]
    code = torch.tensor([-0.02, -0.01, 0.0, 1.0, 1.1, 1.2], dtype=torch.float64).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    light = display.light(code, extend=True)[0, 0, 0]
    assert light[:3].diff().tolist() == pytest.approx([99 * 0.01 / 12.92] * 2, rel=1e-9)
    assert light[3:].diff().tolist() == pytest.approx([99 * 0.1 * 2.4 / 1.055] * 2, rel=1e-4)


@pytest.mark.parametrize("field", ["max_luminance", "E_ambient", "contrast", "pixels_per_degree"])
@pytest.mark.parametrize("value", [math.nan, math.inf, "200"])
def test_what_is_no_number_is_named(field, value):
    with pytest.raises(ValueError, match=f"{field} must be a finite number, got {value!r}"):
        Display(**{field: value})


def test_an_angle_needs_no_distance():
    alone = Display(resolution=(1000, 1000), fov_diagonal=100.0)
    placed = Display(resolution=(1000, 1000), fov_diagonal=100.0, viewing_distance_meters=3)
    assert alone.geometry_pixels_per_degree() == pytest.approx(placed.geometry_pixels_per_degree())


def test_a_file_may_begin_with_a_mark_of_order(tmp_path):
    (tmp_path / "own.json").write_text('{"max_luminance": 250}', encoding="utf-8-sig")
    assert load_display(tmp_path / "own.json").max_luminance == 250
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match="holds no display 'x'; it holds 1, 2"):
        load_display(f"{tmp_path / 'list.json'}#x")


@pytest.mark.parametrize("extend", [False, True])
def test_colours_beyond_the_gamut_keep_their_luminance(extend):
    """Of BT.2020's own weights, from BT.2020's standard; their colours are the nearest that BT.709 has."""
    display = Display(colorspace="BT.2020-PQ", max_luminance=1500)
    code = torch.tensor([[0.6, 0, 0], [0, 0.6, 0], [0, 0, 0.6], [0.6, 0.5, 0.1], [0.5, 0.5, 0.5]], dtype=torch.float64)
    light = display.light(code.T[None, :, None], extend)[0, :, 0]
    weights = torch.tensor([0.2627, 0.6780, 0.0593], dtype=torch.float64)
    expected = torch.stack([pq_cdm2(one) for one in code]) @ weights
    # The standards' weights and primaries have four digits.
    torch.testing.assert_close(torch.tensor(LUMA, dtype=torch.float64) @ light, expected, rtol=2e-3, atol=1e-6)
    assert float(light.min()) >= 0
