"""Contrast sensitivity, masking and detection, each alone: values against an outside truth, laws, and gradients."""

import math

import numpy as np
import oracles
import pytest
import torch
from stage_inputs import gradcheck, rand, randn

from vdp_distill import csf, detection, fourier, masking
from vdp_distill.parameters import DEFAULT_PARAMETERS

# --- csf --------------------------------------------------------------------------------------------------------------


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
    canvas = fourier.unit_frequency(7, 6)

    def filtered(band, luminance):
        return csf.baseband(band, band.mean(), luminance, torch.tensor([0.5], dtype=torch.float64), canvas)

    assert gradcheck(filtered, randn(generator, 2, 1, 7, 6), torch.tensor([3.0, 40.0], dtype=torch.float64))


# --- masking ----------------------------------------------------------------------------------------------------------


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


def test_masking_weights_may_be_others_and_learnt(generator):
    """Numbers through the written-out form, tensors through the plain one: the same values, and something to learn."""
    inputs = [rand(generator, 1, o, 6, 5).add(0.1).requires_grad_() for o in (4, 1, 4, 4, 4)]
    numbers = (0.5, 20.0, 7.0)
    learnt = [torch.tensor(weight, dtype=torch.float64, requires_grad=True) for weight in numbers]
    fixed, taught, usual = (
        masking.masked_difference(*inputs[:2], tuple(inputs[2:]), 1, weights=weights)
        for weights in (numbers, tuple(learnt), None)
    )
    assert torch.allclose(fixed, taught, rtol=1e-12) and not torch.allclose(fixed, usual, rtol=1e-3)
    found = [torch.autograd.grad(form.sum(), inputs, retain_graph=True) for form in (fixed, taught)]
    assert all(torch.allclose(*pair, rtol=1e-11) for pair in zip(*found, strict=True))
    assert all(float(slope) < 0 for slope in torch.autograd.grad(taught.sum(), learnt))  # what masks more hides more


def test_masking_may_be_differentiated_twice(generator):
    inputs = [rand(generator, 1, o, 3, 3).add(0.1).requires_grad_() for o in (4, 1, 4, 4, 4)]

    def form(difference, sensitivity, *maskers):
        return masking.masked_difference(difference, sensitivity, maskers, 1)

    assert torch.autograd.gradgradcheck(form, inputs, fast_mode=True)


# --- detection --------------------------------------------------------------------------------------------------------


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
