"""The visual system in a hurry: what blocks, logarithms and windows must keep."""

import pytest
import torch
from torch.nn import functional as F

from vdp_distill import HDRVDP2
from vdp_distill.display import Display
from vdp_distill.pipeline import Pair
from vdp_distill.receptors import display_matrix
from vdp_distill.settings import Settings
from vdp_distill.small_metric import GlanceVDP
from vdp_distill.surrogate_metric import OutOfDomainWarning
from vdp_distill.surrogates.blocks import at_corners, from_cells, in_cells, of_four
from vdp_distill.surrogates.glance import EIGHTH_TAPS, GlanceConfig, GlanceVision
from vdp_distill.surrogates.glimpse import glimpse_of
from vdp_distill.surrogates.lapped import UNRELATED, masking_between
from vdp_distill.surrogates.means import halved, means
from vdp_distill.surrogates.third import PICTURE_TAPS, ThirdOctave
from vdp_distill.surrogates.viewing import Viewing, receptor_shares
from vdp_distill.surrogates.waves import AXIS, magnitudes
from vdp_distill.surrogates.windows import WindowOctaves

OFFICE = Display("office", "sRGB", max_luminance=250, min_luminance=0.25)
MATRIX = torch.tensor(display_matrix("ccfl-lcd", 3))[None]


def images(height=64, width=80, noise=0.02, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=generator, dtype=torch.float64)
    reference = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0.1, 0.9)
    noise = noise * torch.randn(reference.shape, generator=generator, dtype=torch.float64)
    return (reference + noise).clamp(0, 1), reference


def glance(**settings):
    return GlanceVDP(GlanceVision(GlanceConfig()).double(), pixels_per_degree=45.0, **settings)


def viewing_of(light, surround=1e-5):
    around = torch.full((1, light.shape[1], 1, 1), surround, dtype=torch.float64)
    return Viewing(receptor_shares(light, MATRIX), around, torch.tensor([45.0]).double())


def exact_retina(light):
    settings = Settings.create(encoding="rgb-bt.709", pixels_per_degree=45.0)
    return HDRVDP2(encoding="rgb-bt.709", pixels_per_degree=45.0).retina(Pair(light, light), settings).test


def wave(frequency, size=96, phase=0.0):
    place = torch.arange(size, dtype=torch.float64)
    return torch.cos(2 * torch.pi * frequency * place + phase).expand(1, 1, size, size)


def test_cells_are_the_logarithm_of_light_on_the_retina():
    grey = images(96, 96, noise=0.1)[1][:, :1] + 0.1 * torch.randn(
        1, 1, 96, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    ).clamp(-0.9, 2)
    light = 100 * grey.clamp(min=0.02).expand(-1, 3, -1, -1)
    seen = glimpse_of(light, None, viewing_of(light))
    luminance = from_cells(seen.cells.exp(), 96, 96)
    expected = exact_retina(light).adapting_luminance
    inside = (..., slice(8, -8), slice(8, -8))  # beyond the edge the short filter repeats what the surround is
    apart = (luminance / luminance.mean() / (expected / expected.mean()) - 1)[inside].abs()
    # The filter of five pixels is fitted to the optics; without it the noise alone is off by 0.2.
    assert float(apart.median()) < 0.02 and float(apart.max()) < 0.25


@pytest.mark.parametrize("degrees", [[45.0], [30.0, 90.0]])
def test_what_is_traced_is_what_runs(monkeypatch, degrees):
    light = torch.cat([100 * image for image in images(41, 46)])
    viewing = viewing_of(light)._replace(pixels_per_degree=torch.tensor(degrees).double())
    expected = glimpse_of(light, None, viewing).cells
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.allclose(glimpse_of(light, None, viewing).cells, expected, rtol=1e-12)


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_blocks_of_colours_respond_as_the_metrics_receptors(scale):
    fields = torch.tensor([[60.0, 8.0, 4.0], [4.0, 40.0, 50.0]], dtype=torch.float64)
    image = scale * fields.repeat_interleave(40, 0).T[None, :, None].expand(-1, -1, 64, -1)
    seen, exact = glimpse_of(image, None, viewing_of(image)), exact_retina(image)
    response = of_four(at_corners(means(exact.achromatic, 4)))
    wrong = (seen.response - seen.response.mean()) - (response - response.mean())
    # At the border of the fields a block's mean colour is no colour of the image.
    assert wrong.abs().median() < 0.05 * response.std() and wrong.square().mean().sqrt() < 0.2 * response.std()
    assert (seen.plane / means(exact.adapting_luminance, 4) - 1).abs().median() < 0.03


def test_the_slope_is_that_of_the_response():
    light = torch.full((1, 3, 40, 40), 30.0, dtype=torch.float64) * torch.tensor([1.0, 0.5, 2.0]).view(1, 3, 1, 1)
    viewing, step = viewing_of(light), 1e-3
    brighter, darker = (glimpse_of(light * factor, None, viewing) for factor in (1 + step, 1 - step))
    rise = (brighter.response - darker.response) / (brighter.cells.mean(1, keepdim=True) - darker.cells.mean(1))
    middle = (..., slice(3, -3), slice(3, -3))  # at the frame the dark surround scatters in
    assert torch.allclose(rise[middle], glimpse_of(light, None, viewing).slope[middle], rtol=0.02)


def test_windows_answer_no_constant_and_a_gratings_amplitude_in_every_phase():
    network, goals = WindowOctaves(GlanceConfig(orientations=(2, 2, 2))).double(), magnitudes(2)
    residual, first, _ = network.sizes
    flat = glimpses(torch.full((1, 1, 64, 64), 3.0).double())
    with torch.no_grad():
        assert all(float(found.abs().max()) < 1e-9 for found in network.responses(flat))
    for octave, node in ((1, 40), (1, 36), (2, 30)):
        channel = residual if octave == 1 else residual + first
        for phase in torch.linspace(0, 6.2, 7).tolist():
            with torch.no_grad():
                found = network.responses(glimpses(5 * wave(AXIS[node], phase=phase)))[0]
            square = (found.square().movedim(1, -1) @ network.whose.double())[..., 3:-3, 3:-3, channel]
            expected = torch.tensor(5 * goals[octave][0, 24, node])
            assert torch.allclose(square.sqrt(), expected, rtol=0.2), (octave, phase)


def glimpses(plane):
    """Both images of a pair, of which only cells are looked at."""
    one = torch.ones(1, 1, 1, 1).double()
    sight = type("Cells", (), {"cells": in_cells(plane), "slope": one})()
    return Pair(sight, sight)


def test_painting_is_the_adjoint_of_looking(generator):
    network = WindowOctaves(GlanceConfig()).double()
    with torch.no_grad():
        network.back_gain.zero_()
        network.taps.copy_(network.back_taps - network.back_taps.mean(dim=(1, 2), keepdim=True))
        network.back_taps.copy_(network.taps)
    waves = torch.randn(1, len(network.taps), 8, 9, generator=generator, dtype=torch.float64)
    waves[..., [0, -1], :] = waves[..., [0, -1]] = 0  # the edge is repeated
    image = torch.randn(1, 1, 32, 36, generator=generator, dtype=torch.float64)
    looked = (network.responses(glimpses(image))[0] * waves).sum()
    assert torch.allclose(looked, (from_cells(network.painted(waves), 32, 36) * image).sum(), rtol=1e-10)


def test_the_third_octave_finds_a_gratings_amplitude_in_every_phase():
    network, found = ThirdOctave(2).double(), []
    for phase in torch.linspace(0, 6.2, 7).tolist():
        picture = wave(0.36, 64, phase)
        with torch.no_grad():
            seen = network.look(Pair(picture, torch.zeros_like(picture)))
        amplitude = seen.difference.unflatten(1, (2, 2)).square().sum(dim=1).sqrt()[..., 4:-4, 4:-4]
        found.append(amplitude[:, 0])
        assert float(amplitude[:, 1].max()) < 0.2 * float(amplitude[:, 0].min())  # the other orientation
    assert float(torch.stack(found).std() / torch.stack(found).mean()) < 0.05


@pytest.mark.parametrize(("taps", "step"), [(PICTURE_TAPS, 4), (EIGHTH_TAPS, 8)])
def test_pictures_are_made_by_the_taps_that_filters_make_up_for(taps, step):
    line = torch.tensor(taps).double()
    for frequency in (1 / 64, 1 / 20, 1 / 12):
        plane = wave(frequency, 256)
        picture = of_four(at_corners(means(plane, 4)))
        picture = halved(picture) if step == 8 else picture
        place = torch.arange(len(line)) - (len(line) - 1) / 2
        expected = float((line * torch.cos(2 * torch.pi * frequency * place)).sum() / line.sum())
        middle = (torch.arange(256 // step) + 0.5) * step - 0.5
        exact = expected * torch.cos(2 * torch.pi * frequency * middle.double())
        assert torch.allclose(picture[0, 0, 8, 4:-4], exact[4:-4], atol=1e-9)


@pytest.mark.parametrize("cycles_pixel", [1 / 64, 1 / 14, 0.2, 0.35])
def test_the_untrained_start_is_near_the_metric_on_a_uniform_field(cycles_pixel):
    place = torch.arange(128.0, dtype=torch.float64) - 64
    window = torch.exp(-(place[:, None] ** 2 + place**2) / 800)
    ground = torch.full((1, 1, 128, 128), 50.0, dtype=torch.float64)
    test = ground * (1 + 0.03 * window * torch.sin(2 * torch.pi * cycles_pixel * place))
    metrics = HDRVDP2(encoding="luminance", pixels_per_degree=30.0), glance(encoding="luminance")
    exact, found = (metric(test, ground, pixels_per_degree=30.0).C_max for metric in metrics)
    # The sum of S goes with the power of 3.5 of contrast: a factor of 4 is one of 1.5 in the threshold.
    assert abs(float((found.detach() / exact).log10())) < 0.6


@pytest.mark.filterwarnings("ignore:small was trained on side_pixels 32")
@pytest.mark.parametrize("size", [(17, 17), (17, 33), (27, 28), (140, 150), (300, 320)])
def test_images_of_any_size_are_looked_at(size):
    test, reference = images(*size)
    test.requires_grad_()
    seen = glance(encoding="sRGB-display")(test, reference)
    assert seen.C_map.shape == (1, 1, *size) and float(seen.C_max.detach()) > 0
    (gradient,) = torch.autograd.grad(seen.C_max.log1p().sum(), test)
    assert bool(gradient.isfinite().all()) and float(gradient.abs().max()) > 0


def test_every_parameter_gets_its_gradient_however_large_the_batch():
    network, generator = GlanceVision(GlanceConfig()).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        network.refine_last_taps += 0.01
        for taps in (value for name, value in network.coarse.named_parameters() if name.endswith("taps")):
            taps += 1e-3 * torch.randn(taps.shape, generator=generator).double()  # mirrored borders: |x| at 0
    gradients = []
    for copies in (1, 12):
        light = Pair(*(100 * x.expand(copies, -1, -1, -1) + 1 for x in images(272, 280)))
        seen = network(light, MATRIX, torch.full((1, 3, 1, 1), 1.0).double(), torch.tensor([45.0]).double())
        total = (seen.contrast_map.sum(dim=(1, 2, 3)) + seen.quality).mean()
        gradients.append(torch.autograd.grad(total, list(network.parameters())))
    for one, many in zip(*gradients, strict=True):
        # Rounding decides which of two equal magnitudes is the smaller, and so whose gradient it is.
        assert torch.allclose(one, many, rtol=1e-6, atol=1e-6 * float(one.abs().max()))


@pytest.mark.parametrize("encoding", ["BT.2020-PQ", "BT.2020-HLG"])
def test_curves_without_a_polynomial_are_looked_at_as_light(encoding):
    test, reference = (0.3 + 0.2 * image for image in images())
    display = Display("a display", encoding, max_luminance=1000, min_luminance=0.01)
    by_code = glance(display=display)(test, reference)
    light = [display.light(image) for image in (test, reference)]
    by_light = glance(encoding="rgb-bt.709", rgb_display=by_code.settings["rgb_display"])(*light)
    assert torch.allclose(by_code.C_map, by_light.C_map, rtol=1e-6)


def test_codes_far_below_black_are_dark_and_said_to_be():
    test, reference = images()
    with pytest.warns(OutOfDomainWarning, match="luminance"):
        dark = glance(display=OFFICE, out_of_range="extend")(test - 0.9, reference)
    assert bool(dark.C_map.isfinite().all())


def test_a_wrong_shape_is_refused():
    for wrong in ((3, 1, 3), (2, 2)):
        with pytest.raises(ValueError, match="orientations must be three of at least 2, got"):
            GlanceConfig(orientations=wrong)
    with pytest.raises(ValueError, match="residuals must be one of"):
        GlanceConfig(residuals=7)


def test_octaves_of_other_orientations_mask_their_nearest():
    logs = masking_between(GlanceConfig().places, (3, 2))
    first, second = slice(16, 22), slice(22, 24)  # 0, 60 and 120 degrees, two places each; 0 and 90
    related = logs[first, second] > UNRELATED
    assert related.tolist() == [[True, False]] * 2 + [[False, True]] * 4
    assert ((logs[second, first] > UNRELATED) == related.T).all()
