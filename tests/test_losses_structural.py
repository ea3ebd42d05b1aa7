"""Structural similarity: against scikit-image, and against the formulas written out with dense matrices."""

from math import ceil

import numpy as np
import pytest
import torch
from loss_weights import photograph
from skimage.metrics import structural_similarity

from vdp_distill.losses import create
from vdp_distill.losses.structural import LUMA_601, SIGMAS
from vdp_distill.losses.windows import similarity, window_mean

EXACT = {"rtol": 0, "atol": 1e-11}
"""float64 on both sides; sums of some hundred terms in another order."""


@pytest.fixture
def pair():
    """A photograph and itself with noise, (1, 3, 48, 40) float64."""
    reference = photograph(48)[:1, :, :, :40]
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return (reference + 0.08 * noise).clamp(0, 1), reference


def skimage_map(test, reference):
    """SSIM of every pixel of a grey pair, away from the border, with the windows of Wang et al."""
    arrays = (image[0, 0].numpy() for image in (test, reference))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return structural_similarity(*arrays, full=True, **options)[1][5:-5, 5:-5]


def blur_matrix(length, sigma, radius):
    """The window mean along an axis as a matrix, cut at the borders."""
    offsets = np.subtract.outer(np.arange(length), np.arange(length))
    weights = np.where(abs(offsets) <= radius, np.exp(-(offsets**2) / (2 * sigma**2)), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def terms(x, y, sigma, radius):
    """Luminance, and contrast with structure, of a grey pair of arrays."""

    def mean(image):
        rows, columns = (blur_matrix(length, sigma, radius) for length in image.shape)
        return rows @ image @ columns.T

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    return (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4), (2 * cov + 9e-4) / (vx + vy + 9e-4)


def test_ssim_is_scikit_images(pair):
    grey = [image[:, :1] for image in pair]
    # The library's window is made in float32: its values, of about 0.1, are off by 1e-8 each.
    assert 1 - float(create("ssim")(*grey)) == pytest.approx(skimage_map(*grey).mean(), abs=5e-6)


def test_our_windows_are_scikit_images_inside(pair):
    grey = [image[:, :1] for image in pair]
    luminance, structure = similarity(*grey, 1.5, 5)
    ours = (luminance * structure)[0, 0, 5:-5, 5:-5].numpy()
    np.testing.assert_allclose(ours, skimage_map(*grey), **EXACT)


def test_windows_at_the_border_and_wider_than_the_image(pair):
    x, y = (image[0, 0, :9, :12].numpy() for image in pair)
    ours = similarity(*(torch.from_numpy(image)[None, None] for image in (x, y)), 8.0, 24)
    for found, expected in zip(ours, terms(x, y, 8.0, 24), strict=True):
        np.testing.assert_allclose(found[0, 0].numpy(), expected, **EXACT)


def test_a_constant_stays():
    assert torch.allclose(window_mean(torch.full((1, 2, 5, 30), 0.3), 4.0, 12), torch.tensor(0.3))


@pytest.mark.parametrize("side", [33, 96])
def test_per_pixel_ms_ssim_takes_the_papers_patches(side):
    reference = photograph(side)
    loss = create("ms_ssim_per_pixel", reduction="none")
    assert (loss(0.9 * reference, reference) > 0).all() and (loss(reference, reference).abs() < 1e-9).all()
    with pytest.raises(ValueError, match="at least 161"):
        create("ms_ssim")(reference, reference)


def test_per_pixel_ms_ssim_written_out(pair):
    """Two scales of a grey pair whose sides halve evenly."""
    x, y = (np.tensordot(LUMA_601, image[0].numpy(), 1) for image in pair)
    halves = [image.reshape(24, 2, 20, 2).mean((1, 3)) for image in (x, y)]
    fine, coarse = terms(x, y, 1.5, 5)[1], terms(*halves, 1.5, 5)
    to_size = lambda a: torch.nn.functional.interpolate(  # noqa: E731
        torch.from_numpy(a)[None, None], size=(48, 40), mode="bilinear"
    )[0, 0].numpy()
    expected = fine * to_size(coarse[1]) * to_size(coarse[0])
    loss = create("ms_ssim_per_pixel", scales=2)
    np.testing.assert_allclose(loss.per_pixel(*pair)[0, 0].numpy(), expected, **EXACT)
    assert float(loss(*pair)) == pytest.approx(1 - expected.mean(), abs=1e-11)


def test_ms_ssim_and_l1_written_out(pair):
    x, y = (image[0, 1].numpy() for image in pair)
    index = np.ones_like(x)
    for sigma in SIGMAS:
        luminance, structure = terms(x, y, sigma, ceil(3 * sigma))
        index = index * structure
    rows, columns = (blur_matrix(length, 8.0, 24) for length in x.shape)
    expected = 0.84 * (1 - luminance * index) + 0.16 * (rows @ abs(x - y) @ columns.T)
    found = create("ms_ssim_l1")(*(image[:, 1:2] for image in pair))
    assert float(found) == pytest.approx(expected.mean(), abs=1e-11)


@pytest.mark.parametrize("name", ["ms_ssim_per_pixel", "ms_ssim_l1"])
def test_gradients(name):
    """Against differences, in float64."""
    reference = photograph(12)[:1, :1]
    test = (reference + 0.1 * torch.sin(7 * reference)).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: create(name)(image, reference), test, atol=1e-6)
