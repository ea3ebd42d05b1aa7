"""The pyramid, and what stages share (resizing, tiles, powers): values against an outside truth, laws, gradients."""

import numpy as np
import oracles
import pytest
import torch
from stage_inputs import gradcheck, randn
from torch.utils.checkpoint import checkpoint

from vdp_distill import power, pyramid, resize, tiles
from vdp_distill import sp3_filters as taps

# --- pyramid ----------------------------------------------------------------------------------------------------------


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


# --- resize, tiles, power ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(17, 9), (9, 17), (33, 8), (40, 20), (20, 40), (300, 150), (301, 151), (150, 301)])
def test_resize_equals_sample_by_sample(sizes, generator):
    length_in, length_out = sizes
    line = randn(generator, length_in).numpy()
    expected = oracles.resize_line(line, length_out)
    assert np.allclose(resize.resize_matrix(length_in, length_out).numpy() @ line, expected, atol=1e-13)
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


def test_a_checkpoint_runs_tiles_once_more_and_no_oftener(generator, monkeypatch):
    """Were the tiles' own graphs kept, each of the four would run the checkpoint's part anew."""
    monkeypatch.setattr(tiles, "TILE_ELEMENTS", 300)
    image, runs = randn(generator, 1, 2, 64, 11).requires_grad_(), []

    def part(image):
        runs.append(1)
        return tiles.in_tiles(lambda x: x.sin() * x, image).square()

    found = torch.autograd.grad(checkpoint(part, image, use_reentrant=False).sum(), image)
    assert len(runs) == 2
    (expected,) = torch.autograd.grad((image.sin() * image).square().sum(), image)
    torch.testing.assert_close(found[0], expected)
    assert not tiles._is_watched()  # asking changes nothing
    with torch.autograd.graph.save_on_cpu():
        assert tiles._is_watched() and tiles._is_watched()


def test_gradient_of_tiles_without_a_halo_is_written_whole(generator, monkeypatch):
    """Every place once, what all tiles share added up, and zeros where some tile uses nothing of an input."""
    monkeypatch.setattr(tiles, "TILE_ELEMENTS", 300)
    shapes = ((3, 2, 40, 11), (3, 2, 40, 11), (1, 2, 40, 11), (3, 2, 1, 1))
    inputs = [randn(generator, *shape).requires_grad_() for shape in shapes]

    def some(image, other, lent, offset):
        used = other if float(image.detach().mean()) > 0 else other.detach()  # of some tiles alone
        return image * lent + offset + used**2

    parts = []
    monkeypatch.setattr(tiles, "_put", lambda *put, real=tiles._put: (parts.append(put[1] is None), real(*put)))
    found = torch.autograd.grad(tiles.in_tiles(some, *inputs).sin().sum(), inputs)
    assert any(parts) and not all(parts)
    flow = tiles.in_tiles(some, *inputs).detach().cos()  # value by value: which tile used what is the tiles' affair
    image, other, lent, offset = (x.detach() for x in inputs)
    expected = flow * lent, (flow * image).sum(dim=0, keepdim=True), flow.sum(dim=(2, 3), keepdim=True)
    assert all(torch.allclose(*pair, rtol=1e-12) for pair in zip((found[0], *found[2:]), expected, strict=True))
    assert torch.allclose(found[1], torch.where(found[1] == 0, 0, 2 * flow * other), rtol=1e-12)
