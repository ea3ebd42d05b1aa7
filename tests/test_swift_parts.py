"""Parts of the block-wise visual system: what its filters find, and what is left to the coarse octaves."""

import pytest
import torch
from torch.nn import functional as F

from vdp_distill import HDRVDP2
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.pyramid import build_pyramid, pyramid_height, reconstruct_pyramid
from vdp_distill.small_metric import SwiftVDP
from vdp_distill.surrogates.blocks import in_cells
from vdp_distill.surrogates.channels import amplitude, squares
from vdp_distill.surrogates.coarse import CoarseOctaves, octaves_of
from vdp_distill.surrogates.lapped import PIXELS, starting
from vdp_distill.surrogates.sight import filtered, lowered, ringed
from vdp_distill.surrogates.swift import SwiftConfig, SwiftVision
from vdp_distill.surrogates.waves import AXIS, magnitudes


def plane_of(noise=0.0):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 6, 6, generator=generator, dtype=torch.float64)
    plane = F.interpolate(coarse, size=(64, 80), mode="bicubic")
    return plane + noise * torch.randn(plane.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("side", "first"), [(8, 1), (16, 2), (12, 1)])
def test_filters_are_correlations_at_every_fourth_pixel(side, first):
    plane = plane_of()
    taps = torch.randn(3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = F.conv2d(plane, taps[:, None], stride=4)
    # Corner (1, 1) lies between pixels 3 and 4, (2, 2) between 7 and 8, block (1, 1) about pixel 5.5.
    rows, columns = (slice(first, first + length) for length in expected.shape[-2:])
    found = filtered(ringed(in_cells(plane)), taps)[..., rows, columns]
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)  # float64, other order of sums


def wave(frequency, size=64, phase=0.0):
    return torch.cos(2 * torch.pi * frequency * torch.arange(size, dtype=torch.float64) + phase).expand(
        1, 1, size, size
    )


@pytest.mark.parametrize(("octave", "node"), [(1, 33), (1, 38), (1, 41), (2, 28), (2, 30)])
def test_a_wave_is_worth_to_the_blocks_what_the_pyramid_makes_of_it(octave, node):
    """There through one band, and back through it alone, by the metric's own pyramid."""
    grating = wave(AXIS[node], 192)
    bands = build_pyramid(grating)
    middle = slice(72, 120) if octave == 1 else slice(36, 60)
    there = float(bands[octave][0, 0, middle, middle].square().mean().mul(2).sqrt()) / 2**octave
    alone = [torch.zeros_like(band) for band in bands]
    alone[octave][:, :1] = bands[octave][:, :1]
    back = float(reconstruct_pyramid(alone)[0, 0, 72:120, 72:120].square().mean().mul(2).sqrt()) / there
    found = magnitudes(4)[octave][0, 24, node]
    # Half a node off the axis of the wave; what folds at the second octave's coarser samples.
    assert float(found) == pytest.approx(there * back ** (1 / 3.4997), rel=0.05, abs=0.01)


def test_a_pair_finds_a_gratings_amplitude_in_every_phase():
    """What the metric's band makes of it, near its peak; windows that end early leave some per cent."""
    network, goals = SwiftVision(SwiftConfig()).double().fine, magnitudes(4)
    pixels, first, _ = network.sizes
    for octave, node in ((1, 40), (1, 36), (2, 29)):
        channel = PIXELS if octave == 1 else PIXELS + first
        for phase in torch.linspace(0, 6.2, 9).tolist():
            cells = ringed(in_cells(5 * wave(AXIS[node], phase=phase)))
            narrow, _, wide, _ = network.responses(Pair(cells, cells))
            found = amplitude(squares(narrow, wide))[0, channel, 3:-3, 3:-3]
            expected = torch.tensor(5 * goals[octave][0, 24, node])
            assert torch.allclose(found, expected, rtol=0.15), (octave, node, phase)


def test_the_residual_is_found_in_every_pixel():
    plane = plane_of(noise=0.1)
    cells = ringed(in_cells(plane))
    network = SwiftVision(SwiftConfig()).double().fine
    with torch.no_grad():
        narrow, _, wide, _ = network.responses(Pair(cells, cells))
    found = squares(narrow, wide)[:, :PIXELS, 1:-1, 1:-1]
    # Channel k is pixel (k // 4, k % 4) of the sixteen about a corner, the first of which is two before it.
    expected = build_pyramid(plane)[0].square()[..., 2:-2, 2:-2].unflatten(2, (-1, 4)).unflatten(4, (-1, 4))
    expected = expected.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    assert found.shape == expected.shape
    error = (found.sqrt() - expected.sqrt()).square().mean().sqrt() / expected.mean().sqrt()
    # 8 x 8 taps for 15 x 15, which weigh the way back to the map too.
    assert float(error) < 0.2


def test_the_smaller_picture_hands_down_what_is_coarse_and_no_alias_of_what_is_fine():
    column = torch.arange(128, dtype=torch.float64).expand(1, 1, 128, 128)
    constant = lowered(ringed(in_cells(torch.full_like(column, 3.0))))
    assert constant.shape == (1, 1, 32, 32) and torch.allclose(constant, torch.tensor(3.0).double())
    # A ramp keeps its place: cell k spans pixels 4 k to 4 k + 3, whose middle is 4 k + 1.5.
    middle = lowered(ringed(in_cells(column)))[0, 0, 4, 2:-2]
    assert torch.allclose(middle, 4 * torch.arange(2, 30).double() + 1.5)
    for frequency, left in ((1 / 4, 1e-9), (1 / 2, 1e-9), (1 / 4.4, 0.02), (1 / 3.3, 0.02), (1 / 64, 1.0)):
        found = float(lowered(ringed(in_cells(wave(frequency, 128))))[..., 2:-2].abs().max())
        # A mean over four pixels alone would leave 0.1 of the third.
        assert found < left and (frequency > 1 / 64 or found > 0.97)


@pytest.mark.parametrize("cycles_pixel", [1 / 64, 1 / 40, 0.25, 0.35])
def test_the_untrained_start_is_near_the_metric_on_a_uniform_field(cycles_pixel):
    place = torch.arange(128.0, dtype=torch.float64) - 64
    window = torch.exp(-(place[:, None] ** 2 + place**2) / 800)
    ground = torch.full((1, 1, 128, 128), 50.0, dtype=torch.float64)
    test = ground * (1 + 0.03 * window * torch.sin(2 * torch.pi * cycles_pixel * place))
    metrics = HDRVDP2(encoding="luminance", pixels_per_degree=30.0), SwiftVDP(SwiftVision(SwiftConfig()).double())
    exact, found = (metric(test, ground, encoding="luminance", pixels_per_degree=30.0).C_max for metric in metrics)
    # The sum of S goes with the power of 3.5 of contrast: a factor of 2 is one of 1.22 in the threshold. The metric
    # takes the power at every pixel, and at three or four of them a period what folds is not in a wave's amplitude.
    assert abs(float((found.detach() / exact).log10())) < 0.3


@pytest.mark.parametrize(("size", "octaves"), [((40, 60), 3), ((128, 128), 3), ((512, 300), 5), ((1080, 1920), 6)])
def test_coarse_octaves_are_the_metrics_in_number(size, octaves):
    assert octaves_of(size) == octaves and max(3, pyramid_height(*size)) == octaves


@pytest.mark.parametrize("octaves", [3, 4])
def test_coarse_bands_are_the_pyramids(octaves):
    """On a picture of smooth light, at the same places: bands of the whole image, from the third octave on."""
    side = 256
    generator = torch.Generator().manual_seed(0)
    image = F.interpolate(torch.randn(1, 1, 40, 40, generator=generator).double(), size=(side, side), mode="bicubic")
    picture = lowered(ringed(in_cells(image)))
    coarse = CoarseOctaves().double()
    light, degree = Pair(*[torch.full((1, 1, 32, 32), 50.0).double()] * 2), torch.tensor([30.0]).double()
    with torch.no_grad():
        found = coarse.analyse(Pair(picture, torch.zeros_like(picture)), light, octaves, degree)
    expected = build_pyramid(image - image.mean())[3 : octaves + 1]
    for own, exact in zip(found[:-1], expected, strict=True):
        ratio = own.difference.square().sum() / exact.square().sum()
        # Sampled a pixel and a half aside of the metric's places, so only in sum.
        assert float(ratio) == pytest.approx(1, abs=0.1)


def test_filters_of_one_band_and_orientation_share_the_metrics_masking_weight():
    weights = torch.tensor(starting(4).masking).exp()
    own, others = (
        (10**value) ** (1 / DEFAULT_PARAMETERS.mask_q)
        for value in (DEFAULT_PARAMETERS.log10_mask_self, DEFAULT_PARAMETERS.log10_mask_cross_orientation)
    )
    residual, first, second = weights.split(SwiftConfig().groups, dim=1)
    assert torch.allclose(residual[:PIXELS].sum(dim=1), torch.tensor(own).double())
    for orientation, row in enumerate(first[PIXELS : PIXELS + 16 : 4]):
        expected = torch.full((4,), others).double()
        expected[orientation] = own
        assert torch.allclose(row.view(4, 4).sum(dim=1), expected)
    assert torch.allclose(second[-1], torch.tensor([others, others, others, own]).double())
