"""The way back of the block-wise visual system: what is painted, where, and with which sign."""

import pytest
import torch

from vdp_distill.pipeline import Pair
from vdp_distill.surrogates.blocks import from_cells, in_cells
from vdp_distill.surrogates.lapped import PIXELS
from vdp_distill.surrogates.sight import filtered, ringed
from vdp_distill.surrogates.swift import SwiftConfig, SwiftVision
from vdp_distill.surrogates.waves import AXIS
from vdp_distill.surrogates.way_back import WayBack

ROWS, COLUMNS = 6, 8


@pytest.fixture
def back():
    return WayBack(SwiftConfig()).double()


def nothing(back):
    """Waves, coarse picture and factor of images in which nothing is seen."""
    corners = (1, ROWS + 1, COLUMNS + 1)
    narrow, wide = (
        torch.zeros(1, len(taps), *corners[1:], dtype=torch.float64) for taps in (back.narrow_taps, back.wide_taps)
    )
    return narrow, wide, torch.zeros(1, 1, ROWS, COLUMNS, dtype=torch.float64), torch.ones(1, *corners).double()


@pytest.mark.parametrize(("is_wide", "number"), [(False, 0), (False, PIXELS + 5), (True, 3)])
def test_a_wave_is_painted_as_its_filters_taps_about_its_corner(back, is_wide, number):
    narrow, wide, coarse, factor = nothing(back)
    (wide if is_wide else narrow)[0, number, 3, 4] = -2.0
    plane = from_cells(back(narrow, wide, coarse, factor), 4 * ROWS, 4 * COLUMNS)[0, 0]
    taps = (back.wide_taps if is_wide else back.narrow_taps)[number]
    gain = back.gain.exp()[2 if is_wide else int(number >= PIXELS)]
    reach = taps.shape[-1] // 2
    expected = torch.zeros_like(plane)
    # Corner (3, 4) lies between pixels 11 and 12, 15 and 16.
    expected[12 - reach : 12 + reach, 16 - reach : 16 + reach] = -2 * gain * taps
    assert torch.allclose(plane, expected, rtol=1e-12)


def test_painting_is_the_adjoint_of_looking(back, generator):
    """With the taps of the way back as filters: <look(x), w> = <x, paint(w)>, off the repeated edge."""
    narrow, wide, coarse, factor = nothing(back)
    with torch.no_grad():
        back.gain.zero_()
    narrow[..., 2:-2, 2:-2] = torch.randn(narrow[..., 2:-2, 2:-2].shape, generator=generator, dtype=torch.float64)
    wide[..., 2:-2, 2:-2] = torch.randn(wide[..., 2:-2, 2:-2].shape, generator=generator, dtype=torch.float64)
    image = torch.randn(1, 1, 4 * ROWS, 4 * COLUMNS, generator=generator, dtype=torch.float64)
    cells = ringed(in_cells(image))
    looked = sum((filtered(cells, taps) * w).sum() for taps, w in ((back.narrow_taps, narrow), (back.wide_taps, wide)))
    painted = from_cells(back(narrow, wide, coarse, factor), 4 * ROWS, 4 * COLUMNS)
    assert torch.allclose(looked, (painted * image).sum(), rtol=1e-10)


def test_straight_lines_stay_straight(back):
    """The coarse picture between its places, and the factor between corners."""
    narrow, wide, coarse, factor = nothing(back)
    coarse += torch.arange(COLUMNS).double() * 4 + 1.5
    plane = from_cells(back(narrow, wide, coarse, factor), 4 * ROWS, 4 * COLUMNS)[0, 0]
    assert torch.allclose(plane[:, 2:-2], torch.arange(4.0 * COLUMNS).double()[2:-2].expand(4 * ROWS, -1))
    steep = factor * (torch.arange(ROWS + 1).double() * 4 - 0.5)[:, None]  # corner k, half a pixel before pixel 4 k
    plane = from_cells(back(narrow, wide, torch.ones_like(coarse), steep), 4 * ROWS, 4 * COLUMNS)[0, 0]
    assert torch.allclose(plane, torch.arange(4.0 * ROWS).double()[:, None].expand(-1, 4 * COLUMNS))


@pytest.mark.parametrize(("octave", "node"), [(1, 40), (2, 31)])
def test_a_grating_comes_back_in_its_place(octave, node):
    """Looked at and painted back untouched, crests lie where they lay, at any phase, and as high everywhere."""
    network = SwiftVision(SwiftConfig()).double()
    place = torch.arange(96, dtype=torch.float64)
    for phase in (0.0, 0.7, 1.9):
        grating = torch.cos(2 * torch.pi * AXIS[node] * place + phase).expand(1, 1, 96, 96)
        cells = ringed(in_cells(grating))
        with torch.no_grad():
            narrow, _, wide, _ = network.fine.responses(Pair(cells, cells))
        narrow[:, :PIXELS] = 0
        (wide if octave == 1 else narrow).zero_()
        rest = torch.zeros(1, 1, 24, 24).double(), torch.ones(1, 1, 25, 25).double()
        with torch.no_grad():
            back = from_cells(network.back(narrow, wide, *rest), 96, 96)[..., 24:-24, 24:-24]
        wanted = grating[..., 24:-24, 24:-24]
        scale = (back * wanted).sum() / wanted.square().sum()
        # Short windows let a few per cent of other frequencies through.
        assert float((back - scale * wanted).square().mean().sqrt()) < 0.15 * float(scale)
