"""Filters between blocks of pixels against plain convolutions."""

import pytest
import torch
from torch.nn import functional as F

from vdp_distill.polyphase import correlate, correlate_zero_stuffed

SIZES = [(17, 17), (24, 31), (40, 16), (33, 50)]
ROUNDING = 1e-12
"""float64: the sums are the same, their order is not."""


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keep_every", [1, 2])
@pytest.mark.parametrize("padding", ["reflect", "constant"])
def test_correlate_is_a_convolution(size, keep_every, padding):
    image, taps = drawn(2, 3, *size), drawn(4, 3, 9, 9, seed=1)
    plain = F.conv2d(F.pad(image, (4,) * 4, mode=padding), taps, stride=keep_every)
    assert (correlate(image, taps, keep_every, padding) - plain).abs().max() < ROUNDING * plain.abs().max()


def test_each_image_may_have_filters_of_its_own():
    image, taps = drawn(3, 1, 20, 22), drawn(3, 2, 1, 5, 5, seed=1)
    each = torch.cat([correlate(image[k : k + 1], taps[k]) for k in range(3)])
    assert (correlate(image, taps) - each).abs().max() < ROUNDING * each.abs().max()


@pytest.mark.parametrize("size", SIZES)
def test_zero_stuffing(size):
    low, taps = drawn(2, 3, -(-size[0] // 2), -(-size[1] // 2)), drawn(1, 3, 9, 9, seed=1)
    stuffed = torch.zeros(2, 3, *size, dtype=torch.float64)
    stuffed[..., ::2, ::2] = low
    plain = F.conv2d(F.pad(stuffed, (4,) * 4, mode="reflect"), taps)
    assert (correlate_zero_stuffed(low, taps, *size) - plain).abs().max() < ROUNDING * plain.abs().max()


def test_the_gradient_reaches_image_and_filters():
    image, taps = drawn(1, 1, 12, 14).requires_grad_(), drawn(2, 1, 5, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda image, taps: correlate(image, taps, 2), (image, taps))
    low = drawn(1, 1, 6, 7).requires_grad_()
    assert torch.autograd.gradcheck(lambda low, taps: correlate_zero_stuffed(low, taps, 12, 14), (low, taps[:1]))


def test_an_odd_reach_cannot_be_stuffed():
    with pytest.raises(ValueError, match="even reach"):
        correlate_zero_stuffed(drawn(1, 1, 8, 8), drawn(1, 1, 7, 7), 16, 16)
