"""Means of squares against torch's pooling, whose slower way they take the place of."""

import pytest
import torch
from torch.nn import functional as F

from vdp_distill.surrogates.means import halved, means, shrunk


def plane(*size):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("step", [2, 4, 8])
def test_means_are_those_of_pooling_and_so_is_their_gradient(step):
    image = plane(5 * step, 7 * step).requires_grad_()
    weight = plane(5, 7)
    gradients = []
    for pooled in (means(image, step), F.avg_pool2d(image, step)):
        gradients += torch.autograd.grad((pooled * weight).sum(), image)
    assert torch.allclose(means(image, step), F.avg_pool2d(image, step), rtol=1e-14)  # float64, other order of sums
    assert torch.allclose(*gradients, rtol=1e-14)


def test_the_derivative_can_be_taken_again():
    image = plane(4, 6)[:1, :1].requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: means(x, 2) ** 3, image)


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (8, 11), (9, 11), (1, 3)])
def test_an_odd_edge_counts_what_it_holds(size):
    expected = F.avg_pool2d(plane(*size), 2, ceil_mode=True, count_include_pad=False)
    assert torch.allclose(halved(plane(*size)), expected, rtol=1e-14)


@pytest.mark.parametrize("size", [(16, 8), (17, 9), (19, 22)])
def test_squares_over_the_edge_count_what_they_hold(size):
    expected = F.avg_pool2d(plane(*size), 4, ceil_mode=True, count_include_pad=False)
    assert torch.allclose(shrunk(plane(*size), 4), expected, rtol=1e-14)
