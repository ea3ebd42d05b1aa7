"""Optics, receptors and adaptation, each alone: values against an outside truth, laws, and gradients."""

import numpy as np
import oracles
import pytest
import torch
from stage_inputs import gradcheck, rand, randn

from vdp_distill import adaptation, fourier, optics, receptors
from vdp_distill.parameters import DEFAULT_PARAMETERS, EMISSION_MATRICES

# --- optics -----------------------------------------------------------------------------------------------------------


def test_the_eyes_mtf_starts_at_one_and_falls():
    frequency = torch.linspace(0, 60, 200, dtype=torch.float64)
    transfer = optics.eye_mtf(frequency)
    assert float(transfer[0]) == pytest.approx(1, abs=1e-15)
    assert (transfer.diff() < 0).all()
    # Two values worked out by hand from the four exponentials.
    assert float(optics.eye_mtf(torch.tensor(4.0))) == pytest.approx(0.510, abs=1e-3)
    assert float(optics.eye_mtf(torch.tensor(30.0))) == pytest.approx(0.183, abs=1e-3)


def test_the_eyes_mtf_loses_nothing_to_its_least_exponent():
    """Bit for bit in float32, over all frequencies of an image and far past them."""
    frequency = torch.cat([torch.linspace(0, 90, 5000), torch.linspace(90, 600, 500)])
    terms = zip(DEFAULT_PARAMETERS.mtf_weight, DEFAULT_PARAMETERS.mtf_decay_deg, strict=True)
    plain = sum(weight * torch.exp(-decay * frequency) for weight, decay in terms)
    assert torch.equal(optics.eye_mtf(frequency), plain)


@pytest.fixture(params=["torch's transforms", "SciPy's"])
def transforms(request, monkeypatch):
    """Small planes and large ones take other ways."""
    if request.param == "SciPy's":
        monkeypatch.setattr(fourier, "SMALL_ELEMENTS", 0)


@pytest.mark.usefixtures("transforms")
@pytest.mark.parametrize("size", [(24, 33), (31, 20)])
def test_canvas_filter_equals_the_plain_one(generator, size):
    image = randn(generator, 3, 2, *size)
    transfer = optics.eye_mtf(20 * fourier.unit_frequency(*size))
    assert torch.allclose(
        fourier.filter_on_canvas(image, transfer[None, None]), oracles.filter_on_canvas(image, transfer)
    )
    per_image = torch.stack([transfer, transfer**2, transfer**3])[:, None]
    plain = oracles.filter_on_canvas(image, per_image)
    assert torch.allclose(fourier.filter_on_canvas(image, per_image), plain, atol=1e-13)
    assert torch.allclose(fourier.filter_on_canvas(image, per_image.requires_grad_()), plain, atol=1e-13)


@pytest.mark.usefixtures("transforms")
def test_a_filtered_image_is_its_own_memory_and_its_gradient_is_filtered(generator):
    image = randn(generator, 2, 1, 12, 9).requires_grad_()
    transfer = optics.eye_mtf(20 * fourier.unit_frequency(12, 9))[None, None]
    filtered = fourier.filter_on_canvas(image, transfer).mul_(2)  # a view of the canvas would refuse it
    weight = randn(generator, 2, 1, 12, 9)
    (gradient,) = torch.autograd.grad((filtered * weight).sum(), image)
    assert torch.allclose(gradient, 2 * oracles.filter_on_canvas(weight, transfer), atol=1e-13)


@pytest.mark.usefixtures("transforms")
def test_an_image_need_not_be_half_its_canvas(generator):
    image = randn(generator, 2, 1, 24, 33)
    transfer = optics.eye_mtf(20 * fourier.unit_frequency(20, 31))[None, None]
    on_canvas = torch.zeros(2, 1, 40, 62, dtype=image.dtype)
    on_canvas[..., :24, :33] = image
    plain = torch.fft.irfft2(torch.fft.rfft2(on_canvas) * transfer, s=(40, 62))[..., :24, :33]
    assert torch.allclose(fourier.filter_on_canvas(image, transfer), plain, atol=1e-13)
    assert torch.allclose(fourier.filter_on_canvas(image, transfer.requires_grad_()), plain, atol=1e-13)


def test_canvas_filter_in_parts_of_planes_equals_the_plain_one(generator, monkeypatch):
    monkeypatch.setattr(fourier, "GROUP_ELEMENTS", 500)
    monkeypatch.setattr(fourier, "SMALL_ELEMENTS", 0)
    image = randn(generator, 1, 3, 40, 37)
    transfer = optics.eye_mtf(20 * fourier.unit_frequency(40, 37))
    filtered = fourier.filter_on_canvas(image, transfer[None, None])
    assert torch.allclose(filtered, oracles.filter_on_canvas(image, transfer), atol=1e-13)


def test_scatter_keeps_a_constant_and_draws_the_surround_in(generator):
    transfer = optics.eye_mtf(30 * fourier.unit_frequency(20, 20))[None, None]
    constant = torch.full((1, 1, 20, 20), 7.0, dtype=torch.float64)
    seven = torch.full((1, 1, 1, 1), 7.0, dtype=torch.float64)
    assert torch.allclose(optics.light_scatter(constant, seven, transfer), constant, rtol=1e-14)
    darker = optics.light_scatter(constant, seven / 100, transfer)
    assert (darker < constant).all() and darker[0, 0, 0, 0] < darker[0, 0, 10, 10]


def test_scatter_of_a_pair_is_that_of_each_image(generator):
    light, surround = 1 + rand(generator, 4, 2, 14, 19), 0.5 + rand(generator, 2, 2, 1, 1)
    transfer = optics.eye_mtf(30 * fourier.unit_frequency(14, 19))[None, None]
    for around in (surround, surround[:1]):
        pair = optics.light_scatter_pair(light[:2], light[2:], around, transfer)
        alone = optics.light_scatter(light, around.repeat(2, 1, 1, 1) if len(around) == 2 else around, transfer)
        assert torch.allclose(torch.cat(pair), alone, rtol=1e-13)


def test_scatter_gradient(generator):
    transfer = optics.eye_mtf(30 * fourier.unit_frequency(9, 8))[None, None]
    surround = torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
    assert gradcheck(lambda light: optics.light_scatter(light, surround, transfer), 5 + rand(generator, 1, 2, 9, 8))


# --- receptors --------------------------------------------------------------------------------------------------------


def test_display_matrices():
    assert receptors.display_matrix("CRT", 3).shape == (3, 4)
    assert np.allclose(receptors.display_matrix("crt", 1), np.sum(EMISSION_MATRICES["crt"], axis=0))
    assert np.array_equal(receptors.display_matrix(None, 3), np.array(EMISSION_MATRICES["ccfl-lcd"]))
    # A three-channel display's white of 1 cd/m2 adapts the eye to about 1 cd/m2.
    assert receptors.display_matrix("led-lcd", 1)[0, :2].sum() == pytest.approx(1, abs=0.01)


def test_own_spectra_come_close_to_the_metrics_own_matrix():
    """D65 integrated here against the release's own D65 row; that row is 8 % low in all receptors."""
    colour = pytest.importorskip("colour")
    daylight = colour.SDS_ILLUMINANTS["D65"]
    ours = receptors.spectral_matrix(daylight.wavelengths, daylight.values)[0]
    theirs = np.array(EMISSION_MATRICES["D65"][0])
    assert np.allclose(ours / ours[:2].sum(), theirs / theirs[:2].sum(), rtol=5e-3)
    assert ours[:2].sum() == pytest.approx(1, abs=0.01)
    wavelengths_nm = np.arange(380, 781, 5)
    with pytest.raises(ValueError, match="must increase"):
        receptors.spectral_matrix(wavelengths_nm[::-1], np.ones_like(wavelengths_nm))
    with pytest.raises(ValueError, match="no visible light"):
        receptors.spectral_matrix(np.arange(1000, 1100, 10), np.ones(10))


def test_photoreceptors_are_linear(generator):
    matrix = torch.from_numpy(receptors.display_matrix(None, 3))
    one, two = rand(generator, 2, 3, 4, 5), rand(generator, 2, 3, 4, 5)
    mixed = receptors.photoreceptors(2 * one + two, matrix)
    assert torch.allclose(mixed, 2 * receptors.photoreceptors(one, matrix) + receptors.photoreceptors(two, matrix))
    assert torch.allclose(mixed[1, 3, 2, 1], ((2 * one + two)[1, :, 2, 1] * matrix[:, 3]).sum())
    assert gradcheck(lambda light: receptors.photoreceptors(light, matrix), one)


# --- adaptation -------------------------------------------------------------------------------------------------------


def response(receptor, anchor=10.0, tables=None):
    tables = torch.from_numpy(adaptation.response_tables()) if tables is None else tables
    relative, zero = adaptation.luminance_masking(receptor, torch.full((1, 3, 1, 1), anchor).to(receptor), tables)
    return relative + zero


def test_cones_gain_sixty_jnd_a_decade_in_the_light():
    light = torch.tensor([1.0, 10.0, 100.0, 1e4], dtype=torch.float64)
    cones = response(light.view(1, 1, 1, 4).expand(1, 3, 1, 4))[0, 0, 0]
    # Read off the original's own look-up table.
    assert torch.allclose(cones, torch.tensor([5.97, 44.74, 104.49, 224.76], dtype=torch.float64), atol=0.01)
    rods = response(torch.tensor([30.0, 1e4], dtype=torch.float64).view(1, 1, 1, 2).expand(1, 3, 1, 2))[0, 2, 0]
    assert torch.allclose(rods, torch.tensor([98.4, 98.4], dtype=torch.float64), atol=0.2)


def test_response_does_not_depend_on_the_anchor_and_stops_at_the_tables_ends(generator):
    light = 10 ** (12 * rand(generator, 1, 3, 8, 8) - 6)
    near, far = response(light, 10.0), response(light, 1e-4)
    assert torch.allclose(near, far, rtol=1e-12, atol=1e-11)
    ends = torch.tensor([1e-9, 1e-5, 1e5, 1e9], dtype=torch.float64).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert torch.equal(response(ends)[..., 0], response(ends)[..., 1])
    assert torch.equal(response(ends)[..., 2], response(ends)[..., 3])
    assert (response(light.flatten().sort().values.view(1, 1, 1, -1).expand(1, 3, 1, -1)).diff(dim=3) >= -1e-12).all()


def test_luminance_masking_gradient(generator):
    # Midway between nodes, where the table is a straight line.
    steps = torch.randint(900, 1500, (1, 3, 3, 3), generator=generator) + 0.5
    light = 10 ** (steps.double() * 10 / 2047 - 5)
    assert gradcheck(response, light)


def test_response_and_its_written_out_gradient_are_those_of_the_interpolation(generator):
    light = 10 ** (14 * rand(generator, 2, 3, 8, 8) - 7)  # from under to over the table
    light[0, 0, 0, 0] = 0
    zero = torch.randint(0, 2047, (2, 3, 1, 1), generator=generator).double()
    curve = rand(generator, 2, 3, 2048).cumsum(dim=2)
    inputs = zero, curve, DEFAULT_PARAMETERS
    flow, found = randn(generator, *light.shape), []
    for form in (adaptation._Response.apply, adaptation.interpolated_response):
        given = light.clone().requires_grad_()
        value = form(given, *inputs)
        found.append((value, *torch.autograd.grad(value, given, flow)))
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-12)


def test_achromatic_has_no_mean_and_ignores_constants(generator):
    masked = randn(generator, 2, 3, 5, 6)
    result = adaptation.achromatic(masked)
    assert result.mean(dim=(1, 2, 3)).abs().max() < 1e-15
    assert torch.allclose(result, adaptation.achromatic(masked + 40), atol=1e-13)
    assert gradcheck(adaptation.achromatic, masked)
