"""Every stage alone: values against an outside truth, laws, and gradients."""

import math

import numpy as np
import oracles
import pytest
import torch

from vdp_distill import adaptation, csf, detection, fourier, masking, optics, power, pyramid, receptors, resize, tiles
from vdp_distill import sp3_filters as taps
from vdp_distill.parameters import DEFAULT_PARAMETERS, EMISSION_MATRICES


def randn(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def rand(generator, *shape):
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def gradcheck(function, *inputs):
    return torch.autograd.gradcheck(function, [x.detach().requires_grad_() for x in inputs], fast_mode=True)


# --- optics ---------------------------------------------------------------------------------------------------------


def test_the_eyes_mtf_starts_at_one_and_falls():
    frequency = torch.linspace(0, 60, 200, dtype=torch.float64)
    transfer = optics.eye_mtf(frequency)
    assert float(transfer[0]) == pytest.approx(1, abs=1e-15)
    assert (transfer.diff() < 0).all()
    # Two values worked out by hand from the four exponentials.
    assert float(optics.eye_mtf(torch.tensor(4.0))) == pytest.approx(0.510, abs=1e-3)
    assert float(optics.eye_mtf(torch.tensor(30.0))) == pytest.approx(0.183, abs=1e-3)


@pytest.mark.parametrize("size", [(24, 33), (31, 20)])
def test_canvas_filter_equals_the_plain_one(generator, size):
    image = randn(generator, 3, 2, *size)
    transfer = optics.eye_mtf(20 * torch.from_numpy(fourier.unit_frequency(*size)))
    assert torch.allclose(
        fourier.filter_on_canvas(image, transfer[None, None]), oracles.filter_on_canvas(image, transfer)
    )
    per_image = torch.stack([transfer, transfer**2, transfer**3])[:, None]
    plain = oracles.filter_on_canvas(image, per_image)
    assert torch.allclose(fourier.filter_on_canvas(image, per_image), plain, atol=1e-13)
    assert torch.allclose(fourier.filter_on_canvas(image, per_image.requires_grad_()), plain, atol=1e-13)


def test_canvas_filter_in_parts_of_planes_equals_the_plain_one(generator, monkeypatch):
    monkeypatch.setattr(fourier, "GROUP_ELEMENTS", 500)
    image = randn(generator, 1, 3, 40, 37)
    transfer = optics.eye_mtf(20 * torch.from_numpy(fourier.unit_frequency(40, 37)))
    filtered = fourier.filter_on_canvas(image, transfer[None, None])
    assert torch.allclose(filtered, oracles.filter_on_canvas(image, transfer), atol=1e-13)


def test_scatter_keeps_a_constant_and_draws_the_surround_in(generator):
    transfer = optics.eye_mtf(30 * torch.from_numpy(fourier.unit_frequency(20, 20)))[None, None]
    constant = torch.full((1, 1, 20, 20), 7.0, dtype=torch.float64)
    seven = torch.full((1, 1, 1, 1), 7.0, dtype=torch.float64)
    assert torch.allclose(optics.light_scatter(constant, seven, transfer), constant, rtol=1e-14)
    darker = optics.light_scatter(constant, seven / 100, transfer)
    assert (darker < constant).all() and darker[0, 0, 0, 0] < darker[0, 0, 10, 10]


def test_scatter_of_a_pair_is_that_of_each_image(generator):
    light, surround = 1 + rand(generator, 4, 2, 14, 19), 0.5 + rand(generator, 2, 2, 1, 1)
    transfer = optics.eye_mtf(30 * torch.from_numpy(fourier.unit_frequency(14, 19)))[None, None]
    for around in (surround, surround[:1]):
        pair = optics.light_scatter_pair(light[:2], light[2:], around, transfer)
        alone = optics.light_scatter(light, around.repeat(2, 1, 1, 1) if len(around) == 2 else around, transfer)
        assert torch.allclose(torch.cat(pair), alone, rtol=1e-13)


def test_scatter_gradient(generator):
    transfer = optics.eye_mtf(30 * torch.from_numpy(fourier.unit_frequency(9, 8)))[None, None]
    surround = torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
    assert gradcheck(lambda light: optics.light_scatter(light, surround, transfer), 5 + rand(generator, 1, 2, 9, 8))


# --- receptors ------------------------------------------------------------------------------------------------------


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


# --- adaptation -----------------------------------------------------------------------------------------------------


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


# --- pyramid --------------------------------------------------------------------------------------------------------


def test_taps_are_those_of_the_pyramid_tools():
    pyrtools = pytest.importorskip("pyrtools")
    filters = pyrtools.pyramids.filters.steerable_filters("sp3_filters")
    assert np.array_equal(taps.HIGH_PASS, filters["hi0filt"])
    assert np.array_equal(taps.LOW_PASS, filters["lo0filt"])
    assert np.array_equal(taps.LOW_PASS_DECIMATING, filters["lofilt"])
    bands = np.reshape(filters["bfilts"], (9, 9, 4), order="F")
    assert np.array_equal(taps.ORIENTED, bands.transpose(2, 0, 1))


def test_pyramid_equals_pyrtools(generator):
    pyrtools = pytest.importorskip("pyrtools")
    image = randn(generator, 1, 1, 68, 84)
    theirs = pyrtools.pyramids.SteerablePyramidSpace(image[0, 0].numpy(), height=2, order=3, edge_type="reflect1")
    ours = pyramid.build_pyramid(image)
    for level in range(2):
        for orientation in range(4):
            assert np.allclose(ours[level + 1][0, orientation], theirs.pyr_coeffs[level, orientation], atol=1e-12)
    assert np.allclose(ours[0][0, 0], theirs.pyr_coeffs["residual_highpass"], atol=1e-12)


SIZES = [(17, 17), (18, 35), (33, 19), (45, 50), (64, 71), (51, 68)]


@pytest.mark.parametrize("size", SIZES)
def test_polyphase_pyramid_equals_the_direct_one(generator, size):
    image = randn(generator, 2, 1, *size)
    bands = pyramid.build_pyramid(image)
    plain = oracles.build_pyramid(image, pyramid.pyramid_height(*size))
    assert [tuple(band.shape[2:]) for band in bands] == pyramid.pyramid_sizes(*size)
    for band, expected in zip(bands, plain, strict=True):
        assert torch.allclose(band, expected, atol=1e-13)
    spoiled = [randn(generator, *band.shape) for band in bands]
    ours, theirs = pyramid.reconstruct_pyramid(spoiled), oracles.reconstruct_pyramid(spoiled)
    assert torch.allclose(ours, theirs, atol=1e-13)


def test_pyramid_returns_what_went_in(generator):
    image = randn(generator, 1, 1, 96, 80)
    back = pyramid.reconstruct_pyramid(pyramid.build_pyramid(image))
    # The 9 x 9 taps are a truncated tight frame: some percent of white noise, more at the borders.
    assert (back - image).norm() / image.norm() < 0.1
    assert float((back * image).sum() / image.square().sum()) == pytest.approx(1, abs=0.05)


def test_pyramid_gradient(generator):
    assert gradcheck(lambda image: tuple(pyramid.build_pyramid(image)), randn(generator, 1, 1, 19, 22))
    bands = pyramid.build_pyramid(randn(generator, 1, 1, 19, 22))
    assert gradcheck(lambda *bands: pyramid.reconstruct_pyramid(list(bands)), *bands)


def test_band_frequencies_halve():
    assert pyramid.band_frequencies(torch.tensor([60.0]), 4).tolist() == [[30.0, 15.0, 7.5, 3.75]]


# --- resize, tiles, power -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(17, 9), (9, 17), (33, 8), (40, 20), (20, 40), (300, 150), (301, 151), (150, 301)])
def test_resize_equals_sample_by_sample(sizes, generator):
    length_in, length_out = sizes
    line = randn(generator, length_in).numpy()
    expected = oracles.resize_line(line, length_out)
    assert np.allclose(resize.resize_matrix(length_in, length_out) @ line, expected, atol=1e-13)
    square = torch.from_numpy(np.outer(line, line))[None, None]
    ours = resize.resize(square, length_out, length_out)[0, 0]
    assert np.allclose(ours, np.outer(expected, expected), atol=1e-12)


def test_banded_resize_equals_the_dense_one(generator, monkeypatch):
    image = randn(generator, 2, 3, 75, 130)
    sizes = [(38, 65), (19, 33), (10, 17), (150, 259), (75, 259)]
    dense = [resize.resize(image, *size) for size in sizes]
    monkeypatch.setattr(resize, "LARGE_SIDE", 8)
    for size, expected in zip(sizes, dense, strict=True):
        assert torch.allclose(resize.resize(image, *size), expected, atol=1e-12)
    assert gradcheck(lambda image: resize.resize(image, 9, 21), randn(generator, 1, 1, 18, 11))


def test_power_follows_pow_and_its_gradient(generator):
    base = (0.1 + torch.rand(1000, generator=generator)) * 10 ** torch.linspace(-4, 4, 1000)
    for exponent in (1.5, 3.13155, 3.5, -7.0):
        fast, exact = power.power(base, exponent), base.double() ** exponent
        # 2^(p log2 x) in float32: half an ulp of log2 x, times p |log2 x| ln 2.
        assert ((fast - exact).abs() / exact).max() < 1e-5
    near = base.clone().requires_grad_()
    power.power(near, 3.5).sum().backward()
    assert torch.allclose(near.grad.double(), 3.5 * base.double() ** 2.5, rtol=2e-5)
    zero = torch.zeros(3, requires_grad=True)
    power.power(zero, 3.5).sum().backward()
    assert not zero.grad.any()


def test_tiles_lend_singles_and_see_over_their_border(generator, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_ELEMENTS", 300)
    image, offset = randn(generator, 3, 2, 40, 11), randn(generator, 3, 2, 1, 1)

    def blurred(image, offset, single):
        rows = torch.nn.functional.pad(image, (0, 0, 1, 1))
        return rows[:, :, :-2] + rows[:, :, 2:] + offset, image * single

    single = torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
    whole, tiled = blurred(image, offset, single), tiles.in_tiles(blurred, image, offset, single, halo=1)
    assert all(map(torch.equal, whole, tiled))
    with_gradient = tiles.in_tiles(blurred, image.clone().requires_grad_(), offset, single, halo=1)
    assert all(map(torch.equal, whole, with_gradient))


def test_gradient_of_tiles_is_that_of_the_whole(generator, monkeypatch):
    """With a halo, a lent batch, an input made from another, an unused result, a second pass, a second derivative."""
    monkeypatch.setattr(tiles, "TILE_ELEMENTS", 300)
    image, lent = randn(generator, 3, 2, 40, 11).requires_grad_(), randn(generator, 1, 2, 1, 1).requires_grad_()

    def blurred(image, squared, lent):
        rows = torch.nn.functional.pad(squared, (0, 0, 1, 1))
        return (rows[:, :, :-2] + rows[:, :, 2:]) * image * lent, image + 1

    def total(apply):
        return apply(blurred, image, image**2, lent)[0].sin().sum()

    whole, tiled = total(lambda function, *inputs: function(*inputs)), total(lambda *a: tiles.in_tiles(*a, halo=1))
    expected = torch.autograd.grad(whole, (image, lent), retain_graph=True)
    for _ in range(2):
        found = torch.autograd.grad(tiled, (image, lent), retain_graph=True)
        assert all(torch.allclose(*pair, rtol=1e-12) for pair in zip(found, expected, strict=True))
    second = [
        torch.autograd.grad(torch.autograd.grad(y, image, create_graph=True)[0].square().sum(), (image, lent))
        for y in (tiled, whole)
    ]
    assert all(torch.allclose(*pair, rtol=1e-10) for pair in zip(*second, strict=True))


# --- csf ------------------------------------------------------------------------------------------------------------


def sensitivity(frequency_cpd: float, luminance_cdm2: float) -> float:
    shape = csf.csf_shape(torch.tensor(math.log10(luminance_cdm2), dtype=torch.float64))
    return float(csf.neural_csf(torch.tensor(frequency_cpd, dtype=torch.float64), shape))


def test_csf_by_hand_and_held_outside_its_rows():
    p1, p2, p3, p4 = 0.405782, 4.40602, 0.935314, 5.61425
    by_hand = p4 / math.sqrt((1 + (p1 * 4) ** p2) / (1 - math.exp(-((4 / 7) ** 2))) ** p3)
    assert sensitivity(4, 2) == pytest.approx(by_hand, rel=1e-12)
    assert sensitivity(4, 1e4) == sensitivity(4, 150) and sensitivity(4, 1e-4) == pytest.approx(sensitivity(4, 0.002))
    assert sensitivity(0, 10) == 0
    assert sensitivity(8, 100) > sensitivity(8, 1) > sensitivity(8, 0.01)


def test_band_sensitivity_is_the_csf_at_its_nodes():
    tables = csf.csf_tables(torch.tensor([[4.0], [9.0]], dtype=torch.float64))[0]
    nodes = torch.linspace(-5, 5, DEFAULT_PARAMETERS.csf_nodes, dtype=torch.float64)[[3, 120, 200]].view(1, 1, 1, 3)
    looked_up = csf.band_sensitivity(nodes.expand(2, 1, 1, 3), tables)
    for image, frequency in enumerate((4.0, 9.0)):
        direct = [sensitivity(frequency, 10**level) for level in nodes.flatten().tolist()]
        assert torch.allclose(looked_up[image, 0, 0], torch.tensor(direct, dtype=torch.float64), rtol=1e-10)
    between = nodes + 0.02
    assert gradcheck(lambda level: csf.band_sensitivity(level, tables[:1]), between)


def test_baseband_gradient_flows_to_luminance_too(generator):
    canvas = torch.from_numpy(fourier.unit_frequency(7, 6))

    def filtered(band, luminance):
        return csf.baseband(band, band.mean(), luminance, torch.tensor([0.5], dtype=torch.float64), canvas)

    assert gradcheck(filtered, randn(generator, 2, 1, 7, 6), torch.tensor([3.0, 40.0], dtype=torch.float64))


# --- masking --------------------------------------------------------------------------------------------------------


def test_mutual_contrast_is_a_mean_of_the_smaller(generator):
    test, reference = randn(generator, 1, 2, 9, 8), randn(generator, 1, 2, 9, 8)
    expected = oracles.box_mean(np.minimum(np.abs(test[0, 1].numpy()), np.abs(reference[0, 1].numpy())))
    assert np.allclose(masking.mutual_contrast(test - reference, reference)[0, 1], expected)


def test_gradient_of_mutual_contrast_goes_to_the_smaller(generator):
    inputs = [randn(generator, 1, 2, 9, 8).requires_grad_() for _ in range(2)]
    with torch.no_grad():
        inputs[0][..., :2] = 0  # equal images share it
    flow = randn(generator, 1, 2, 9, 8)
    for asked in (inputs, inputs[:1]):
        written_out, plain = (
            torch.autograd.grad(form(*inputs), asked, flow)
            for form in (masking.mutual_contrast, masking.plain_mutual_contrast)
        )
        assert all(torch.allclose(*pair, rtol=1e-12) for pair in zip(written_out, plain, strict=True))


def test_masking_hides_and_its_absence_is_the_plain_threshold(generator):
    test, reference = randn(generator, 1, 4, 8, 8), randn(generator, 1, 4, 8, 8)
    difference = test - reference
    mutual = masking.mutual_contrast(difference, reference)
    nothing = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    masked = masking.masked_difference(difference, 3.0, (mutual, nothing, nothing), 1)
    more = masking.masked_difference(difference, 3.0, (mutual, mutual, nothing), 1)
    bare = masking.masked_difference(difference, 3.0, (), 1)
    assert (masked.abs() <= bare.abs()).all() and (more.abs() <= masked.abs()).all()
    unmasked = masking.masked_difference(difference, 3.0, (nothing.expand(1, 4, 8, 8), nothing, nothing), 1)
    assert torch.allclose(unmasked, bare, rtol=1e-12)
    assert torch.equal(masked.sign(), difference.sign())


def test_base_band_masks_nothing_and_the_first_has_no_finer(generator):
    mutual = [rand(generator, 1, o, s, s) for o, s in ((1, 20), (4, 20), (4, 10), (1, 5))]
    finer, coarser = masking.neighbours(mutual, 0)
    assert finer.numel() == 1 and torch.equal(coarser, mutual[1][:, :1])
    finer, coarser = masking.neighbours(mutual, 2)
    assert finer.shape == (1, 4, 10, 10) and coarser.numel() == 1
    assert masking.neighbours(mutual, 1)[0].shape == (1, 1, 20, 20)
    assert masking.neighbours(mutual, 3)[0].shape == (1, 1, 5, 5)


def test_masking_gradient(generator):
    test, reference = randn(generator, 1, 4, 6, 6), randn(generator, 1, 4, 6, 6)
    finer = rand(generator, 1, 4, 6, 6) + 0.1

    def masked(test, reference, finer, sensitivity):
        mutual = masking.mutual_contrast(test - reference, reference)
        return masking.masked_difference(test - reference, sensitivity, (mutual, finer, finer / 2), 2)

    assert gradcheck(masked, test, reference, finer, rand(generator, 1, 1, 6, 6) + 1)


@pytest.mark.parametrize(("orientations", "lent"), [(1, 1), (4, 1), (4, 4), (4, 0)])
def test_written_out_masking_gradient_is_that_of_the_formula(generator, orientations, lent):
    shape = (2, orientations, 6, 5)
    difference, mutual = randn(generator, *shape), rand(generator, *shape)
    difference[0, 0, 0], mutual[1, 0] = 0, 0
    # Bicubic neighbours may be negative, and are cut off there; a neighbour that is missing is a single 0.
    finer = randn(generator, 2, lent, 6, 5) if lent else torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    inputs = [difference, rand(generator, 2, 1, 6, 5) + 0.5, mutual, finer, randn(generator, *shape)]
    inputs = [x.requires_grad_() for x in inputs]
    fast = masking.masked_difference(*inputs[:2], tuple(inputs[2:]), 2)
    plain = masking.plain_masked_difference(*inputs, band=2, parameters=DEFAULT_PARAMETERS)
    assert torch.allclose(fast, plain, rtol=1e-12)
    flow = randn(generator, *shape)
    found = [torch.autograd.grad(form, inputs, flow) for form in (fast, plain)]
    assert all(torch.allclose(*pair, rtol=1e-11, atol=1e-14) for pair in zip(*found, strict=True))


def test_masking_may_be_differentiated_twice(generator):
    inputs = [rand(generator, 1, o, 3, 3).add(0.1).requires_grad_() for o in (4, 1, 4, 4, 4)]

    def form(difference, sensitivity, *maskers):
        return masking.masked_difference(difference, sensitivity, maskers, 1)

    assert torch.autograd.gradgradcheck(form, inputs, fast_mode=True)


# --- detection ------------------------------------------------------------------------------------------------------


def test_threshold_is_half_and_pooling_is_a_sum(generator):
    assert float(detection.probability(torch.tensor(1.0, dtype=torch.float64))) == pytest.approx(0.5, abs=1e-15)
    contrast = rand(generator, 3, 1, 7, 5)
    pooled = detection.pool_contrast(contrast)
    assert torch.allclose(pooled.amax(dim=(1, 2, 3)), contrast.sum(dim=(1, 2, 3)), rtol=1e-11)
    assert torch.allclose(detection.log_contrast(contrast), contrast.sum(dim=(1, 2, 3)).log1p())
    assert gradcheck(detection.pool_contrast, contrast)
    assert gradcheck(detection.probability, contrast)
    assert gradcheck(lambda difference: detection.psychometric(difference, 2), randn(generator, 1, 4, 5, 5))


def test_changed_light_counts_nothing_over_nothing_as_unchanged():
    reference = torch.tensor([0.0, 0.0, 10.0, 10.0, -1.0]).view(1, 1, 1, 5)
    test = torch.tensor([0.0, 1.0, 10.005, 10.02, 5.0]).view(1, 1, 1, 5)
    assert detection.changed_light(test, reference).flatten().tolist() == [0, 1, 0, 1, 0]


def test_quality_weights_are_the_tables_rows_and_lines_between():
    frequency = torch.tensor([[90.0, 60.0, 30.0, 7.5, 5.625, 0.01]], dtype=torch.float64)
    expected = [0, 0, 0.2832, 0.2142, (0.2142 + 0.2690) / 2, 0]
    assert detection.quality_weights(frequency)[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_quality_of_nothing_is_100_with_a_finite_gradient():
    difference = torch.zeros(1, 4, 5, 5, requires_grad=True)
    rows = detection.row_energy(difference, torch.ones(1, 1, 5, 5))
    quality = detection.quality([detection.band_energy(rows, 25)], torch.ones(1, 1))
    quality.sum().backward()
    assert quality.item() == 100 and not difference.grad.any()
