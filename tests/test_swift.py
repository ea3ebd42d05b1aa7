"""The block-wise visual system: what blocks, corners and polynomials must keep."""

import pytest
import torch
from torch.nn import functional as F

from vdp_distill import HDRVDP2, tiles
from vdp_distill.display import Display
from vdp_distill.pipeline import Pair
from vdp_distill.receptors import display_matrix
from vdp_distill.settings import Settings
from vdp_distill.small_metric import GlanceVDP, SwiftVDP
from vdp_distill.surrogates.blocks import from_cells, in_cells
from vdp_distill.surrogates.curves import StraightCurve, continued_light, light_polynomial, polynomial_light
from vdp_distill.surrogates.glance import GlanceConfig, GlanceVision
from vdp_distill.surrogates.response import Curve
from vdp_distill.surrogates.sight import RING, look_at
from vdp_distill.surrogates.swift import SwiftConfig, SwiftVision
from vdp_distill.surrogates.viewing import Viewing, receptor_shares

OFFICE = Display("office", "sRGB", max_luminance=250, min_luminance=0.25)


def images(height=64, width=80, noise=0.02, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=generator, dtype=torch.float64)
    reference = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0.1, 0.9)
    noise = noise * torch.randn(reference.shape, generator=generator, dtype=torch.float64)
    return (reference + noise).clamp(0, 1), reference


def swift(**settings):
    return SwiftVDP(SwiftVision(SwiftConfig()).double(), pixels_per_degree=45.0, **settings)


def glance(**settings):
    return GlanceVDP(GlanceVision(GlanceConfig()).double(), pixels_per_degree=45.0, **settings)


EITHER = pytest.mark.parametrize("make", [swift, glance])
"""Both of the visual systems in blocks."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cells_become_the_pixels_that_they_were(dtype):
    plane = torch.rand(2, 1, 18, 27, generator=torch.Generator().manual_seed(0), dtype=dtype)
    assert torch.equal(from_cells(in_cells(plane), 18, 27), plane)


def test_a_shift_by_a_whole_block_of_the_coarsest_level_shifts_the_map():
    test, reference = images(192, 192)
    network = swift(encoding="sRGB-display", surround_l=10.0)
    shifted = [torch.roll(x, 64, dims=3) for x in (test, reference)]
    whole, moved = (network(*pair).C_map for pair in ((test, reference), shifted))
    # Away from edges; shares and the pooling factor are of the whole image, glare wraps in neither.
    ratio = moved[..., 96, 150:160] / whole[..., 96, 86:96]
    assert torch.allclose(ratio, ratio.mean(), rtol=0.1)


@pytest.mark.filterwarnings("ignore:small was trained on side_pixels 32")
@pytest.mark.parametrize("size", [(17, 17), (17, 33), (27, 28), (32, 19)])
def test_the_smallest_images_are_looked_at_too(size):
    """The coarse octaves' filters reach farther than these have blocks; what is added for them is no difference."""
    test, reference = images(*size)
    test.requires_grad_()
    seen = swift(encoding="sRGB-display")(test, reference)
    assert seen.C_map.shape == (1, 1, *size) and float(seen.C_max.detach()) > 0
    (gradient,) = torch.autograd.grad(seen.C_max.log1p().sum(), test)
    assert bool(gradient.isfinite().all()) and float(gradient.abs().max()) > 0
    assert float(swift(encoding="sRGB-display")(reference, reference).C_max) == 0


def test_large_images_are_looked_at_to_the_pyramids_end():
    test, reference = images(300, 320)
    seen = swift(encoding="sRGB-display")(test, reference)
    assert seen.P_map.shape == (1, 1, 300, 320) and bool(seen.C_map.isfinite().all())
    blurred = F.avg_pool2d(F.pad(test - reference, (20,) * 4, mode="replicate"), 41, stride=1)
    coarse = swift(encoding="sRGB-display")(reference + 10 * blurred.clamp(-0.01, 0.01), reference)
    assert float(coarse.C_max) > 0


@pytest.mark.parametrize("curve", ["sRGB", "gamma-2.2", "gamma-2.4"])
@pytest.mark.parametrize("contrast", [100, 1000, 1_000_000])
def test_the_polynomial_is_the_display(curve, contrast):
    display = Display("a display", curve, max_luminance=300, min_luminance=300 / contrast)
    code = torch.linspace(0, 1, 999, dtype=torch.float64).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    light, fitted = display.light(code), polynomial_light(code, light_polynomial(display))
    error = (fitted - light).abs() / (light + 0.002 * 300)
    # As the module says: 1.7 % of light and a little black at worst, 0.4 % on the whole.
    assert float(error.max()) < 0.017 and float(error.square().mean().sqrt()) < 0.004


@pytest.mark.parametrize("curve", ["BT.2020-PQ", "BT.2020-HLG", "BT.709-linear", "luminance"])
def test_other_curves_are_not_fitted(curve):
    assert light_polynomial(Display("a display", curve, max_luminance=1000, min_luminance=0.01)) is None


def test_the_polynomial_has_its_own_derivative():
    code = torch.rand(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: polynomial_light(x, light_polynomial(OFFICE)), code)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_straight_pieces_are_the_receptors_curve(dtype):
    matrix = torch.tensor(display_matrix("ccfl-lcd", 3))[None]
    light = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    curve = Curve(receptor_shares(light * torch.tensor([1.0, 300.0]).view(2, 1, 1, 1), matrix), light)
    straight = StraightCurve(curve, dtype)
    luminance = torch.logspace(-5.2, 5.2, 5000, dtype=torch.float64).expand(2, 1, 1, -1)
    expected = curve(luminance, curve.row)
    error = (straight(luminance.to(dtype), straight.row).double() - expected).abs()
    within = (luminance < 0.99 * 10**curve.high) & (luminance > 1.02 * 10**curve.low)
    assert float(error[within].max()) < 0.002 and float(error.max()) < 0.2  # JND, as the class says
    assert float((expected[0] - expected[1]).abs().max()) > 1  # each image its own curve


def test_straight_pieces_have_their_slope_as_derivative():
    matrix = torch.tensor(display_matrix("ccfl-lcd", 3))[None]
    curve = Curve(receptor_shares(images()[1] * 100, matrix), matrix)
    straight = StraightCurve(curve, torch.float64)
    # Off the ends of the pieces, where the slope jumps.
    luminance = torch.tensor([1e-7, 0.0101, 0.3007, 7.003, 80.3, 2e6], dtype=torch.float64).view(1, 1, 1, -1)
    assert torch.autograd.gradcheck(lambda x: straight(x, straight.row), luminance.requires_grad_(), atol=1e-6)


def test_cells_of_float32_move_four_pixels_at_a_time_and_their_gradient_too():
    plane = images(30, 45)[1][:, :1]
    weight = torch.rand(1, 16, 8, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cells, gradients = [], []
    for dtype in (torch.float32, torch.float64):
        x = plane.to(dtype).requires_grad_()
        cells.append(in_cells(x))
        gradients += torch.autograd.grad((cells[-1] * weight.to(dtype)).sum(), x)
    assert torch.equal(cells[0], cells[1].float())
    assert torch.allclose(gradients[0].double(), gradients[1], rtol=1e-6)  # sums at the repeated edge, float32


@EITHER
def test_codes_outside_continue_as_the_display_does(make):
    test, reference = images()
    test = test + 0.3  # a part over 1
    by_code = make(display=OFFICE, out_of_range="extend")(test, reference)
    light = [OFFICE.light(image, extend=True) for image in (test, reference)]
    by_light = make(encoding="rgb-bt.709")(*light)
    # The polynomial's error in slope, a few percent, to the power of 3.5; stopped at 1 it would be off by far more.
    assert abs(float((by_code.C_max / by_light.C_max).log10())) < 0.1
    clipped = make(display=OFFICE)(test.clamp(0, 1), reference)
    assert abs(float((clipped.C_max / by_light.C_max).log10())) > 0.1


@pytest.mark.parametrize("curve", ["sRGB", "gamma-2.2"])
def test_tails_are_the_displays(curve):
    display = Display("a display", curve, max_luminance=300, min_luminance=0.3)
    code = torch.tensor([-0.2, 0.0, 1.0, 1.3], dtype=torch.float64, requires_grad=True)
    light = continued_light(code, light_polynomial(display), display)
    (slope,) = torch.autograd.grad(light.sum(), code)
    outside = code.detach().view(1, 1, 1, -1).expand(1, 3, 1, -1)
    expected = display.relative_light(outside)[0, 0, 0] * (300 - 0.3) + 0.3
    # What the polynomial is off at its own ends, of light and a little black.
    assert torch.allclose(light.detach(), expected, rtol=0.02, atol=0.002 * 300)
    below, above = display.tail_slopes_cdm2
    assert torch.allclose(slope, torch.tensor([below, below, above, above], dtype=torch.float64))


@EITHER
def test_tiles_change_nothing(make, monkeypatch):
    test, reference = images(520, 400)
    network = make(encoding="sRGB-display")
    with torch.no_grad():
        tiled = network(test, reference)
        monkeypatch.setattr(tiles, "TILE_ELEMENTS", 1 << 40)
        whole = network(test, reference)
    assert torch.allclose(tiled.C_map, whole.C_map, rtol=1e-9)  # float64, other order of sums
    assert torch.allclose(tiled.Q, whole.Q, rtol=1e-9)


def test_every_parameter_gets_its_gradient_however_large_the_batch():
    matrix, around = torch.tensor(display_matrix("ccfl-lcd", 3))[None], torch.full((1, 3, 1, 1), 1.0)
    network = SwiftVision(SwiftConfig()).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        network.refine_last_taps += 0.01
        for name, taps in network.coarse.named_parameters():
            if name.endswith(
                "taps"
            ):  # antisymmetric ones find nothing at mirrored borders, where |x| has no derivative
                taps += 1e-3 * torch.randn(taps.shape, generator=generator).double()
    gradients = []
    for copies in (1, 20):  # the second is past the size of a tile
        light = Pair(*(100 * x.expand(copies, -1, -1, -1) + 1 for x in images(144, 136)))
        seen = network(light, matrix, around.double(), torch.tensor([45.0], dtype=torch.float64))
        total = (seen.contrast_map.sum(dim=(1, 2, 3)) + seen.quality).mean()
        gradients.append(torch.autograd.grad(total, list(network.parameters())))
    for one, many in zip(*gradients, strict=True):
        # Rounding decides which of two equal magnitudes is the smaller, and so whose gradient it is.
        assert torch.allclose(one, many, rtol=1e-6, atol=1e-6 * float(one.abs().max()))


def test_gains_however_large_leave_a_finite_gradient():
    network = SwiftVision(SwiftConfig())
    light = Pair(*(100 * x.float() + 1 for x in images()))
    with torch.no_grad():
        network.fine.sensitivity_gain[1] -= 20
    matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32)[None]
    seen = network(light, matrix, torch.full((1, 3, 1, 1), 1e-5), torch.tensor([120.0]))
    seen.contrast_map.sum().backward()
    assert all(bool(value.grad.isfinite().all()) for value in network.parameters() if value.grad is not None)


@EITHER
def test_codes_and_light_give_one_answer(make):
    test, reference = images()
    light = Pair(*(OFFICE.light(image) for image in (test, reference)))
    by_code = make(display=OFFICE)(test, reference)
    by_light = make(encoding="rgb-bt.709")(*light)
    # The polynomial's error in slope, a few percent, to the power of 3.5.
    assert abs(float((by_code.C_max / by_light.C_max).log10())) < 0.1


@EITHER
def test_wrong_codes_are_refused(make):
    test, reference = images()
    with pytest.raises(ValueError, match=r"0\.\.1"):
        make(encoding="sRGB-display")(test + 1, reference)


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="orientations"):
        SwiftConfig(orientations=1)


@EITHER
def test_a_remembered_reference_gives_the_same(make):
    model = make(encoding="sRGB-display")
    test, reference = images()
    kept = model.remember(reference)
    for noisy in (test, images(noise=0.05, seed=1)[0]):
        plain, found = model(noisy, reference), model(noisy, kept)
        assert torch.equal(found.C_map, plain.C_map) and torch.equal(found.Q, plain.Q)
        assert found.settings == plain.settings


@EITHER
def test_what_a_remembered_reference_cannot_is_said(make):
    model = make(encoding="sRGB-display")
    test, reference = images()
    kept = model.remember(reference)
    with pytest.raises(ValueError, match=r"remembered reference's shape \(1, 3, 64, 80\), got \(1, 3, 32, 80\)"):
        model(test[:, :, :32], kept)
    with pytest.raises(ValueError, match=r"give pixels_per_degree to remember\(\)"):
        model(test, kept, pixels_per_degree=30.0)
    with pytest.raises(ValueError, match="code values"):
        model.remember(255 * reference)


def test_a_reference_remembered_in_inference_mode_serves_a_training():
    model = SwiftVDP(SwiftVision(SwiftConfig()), encoding="sRGB-display", pixels_per_degree=45.0)
    reference = torch.rand(1, 3, 40, 44, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        kept = model.remember(reference.clone())
    test = (reference + 0.05).clamp(0, 1).requires_grad_()
    model(test, kept).C_max.sum().backward()
    assert float(test.grad.abs().max()) > 0


def test_a_reference_too_small_is_not_remembered():
    model = SwiftVDP(SwiftVision(SwiftConfig()), encoding="sRGB-display", pixels_per_degree=45.0)
    with pytest.raises(ValueError, match="at least 17 x 17"):
        model.remember(torch.rand(1, 3, 9, 30))


@pytest.mark.parametrize(("side", "cycles_pixel", "width"), [(128, 0.085, 20), (256, 0.0425, 15), (256, 0.0425, 30)])
def test_texture_masks_what_lies_in_the_octave_of_another_level(side, cycles_pixel, width):
    """A smooth spot of light is lost in a grating an octave above it, to the metric and to the blocks alike."""
    place = torch.arange(side) - side / 2
    spot = 0.1 * torch.exp(-(place[:, None] ** 2 + place**2) / (2 * width**2))
    seen = {}
    for contrast in (0.0, 0.5):
        ground = 50 * (1 + contrast * torch.cos(2 * torch.pi * cycles_pixel * place)).expand(1, 1, side, side)
        for model in (HDRVDP2(encoding="luminance", pixels_per_degree=45.0), swift(encoding="luminance")):
            seen[type(model), contrast] = float(model(ground * (1 + spot), ground.clone()).C_max)
    for model in (HDRVDP2, SwiftVDP):
        assert seen[model, 0.5] < 0.01 * seen[model, 0.0]


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_colours_are_as_bright_as_to_the_metric_and_the_eye_adapts_to_luminance(scale):
    fields = torch.tensor([[60.0, 8.0, 4.0], [4.0, 40.0, 50.0]], dtype=torch.float64)
    image = scale * fields.repeat_interleave(40, 0).T[None, :, None].expand(-1, -1, 64, -1)
    matrix, around = torch.tensor(display_matrix("ccfl-lcd", 3))[None], torch.full((1, 3, 1, 1), 1e-5).double()
    viewing = Viewing(receptor_shares(image, matrix), around, torch.tensor([45.0]).double())
    sight = look_at(image, None, viewing)
    settings = Settings.create(encoding="rgb-bt.709", pixels_per_degree=45.0)
    exact = HDRVDP2(encoding="rgb-bt.709", pixels_per_degree=45.0).retina(Pair(image, image), settings).test
    response = from_cells(sight.cells[..., RING:-RING, RING:-RING], *image.shape[-2:])
    wrong = (response - response.mean() - exact.achromatic).square().mean().sqrt()
    # Of the plane alone, the response is 0.16 off at the brighter scale and luminance 0.06 to 0.47.
    assert wrong < 0.06 * exact.achromatic.square().mean().sqrt()
    assert (sight.coarse / F.avg_pool2d(exact.adapting_luminance, 8) - 1).abs().mean() < 0.03
