"""Convolution in float64 by matrix products, against the library's own."""

import pytest
import torch
from torch.nn import functional

from vdp_distill import convolution
from vdp_distill.convolution import convolve

SHAPES = [(1, 16, 11, 13, 4, 3), (3, 16, 7, 9, 32, 5), (2, 64, 8, 6, 16, 3), (1, 4, 5, 5, 2, 5)]


def pair(batch, channels, height, width, outputs, reach, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64)
    kernel = torch.randn(outputs, channels, reach, reach, generator=generator, dtype=torch.float64)
    return image.contiguous(memory_format=torch.channels_last), kernel


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("elements", [1, 1 << 19])
def test_equals_the_library_s_convolution(shape, elements, monkeypatch):
    monkeypatch.setattr(convolution, "GATHERED_ELEMENTS", elements)
    image, kernel = pair(*shape)
    # Sums of some hundred products of order 1 in another order: 1e-16 of each.
    torch.testing.assert_close(convolve(image, kernel), functional.conv2d(image, kernel), rtol=1e-12, atol=1e-12)


def test_takes_any_memory_layout():
    image, kernel = pair(*SHAPES[1])
    wide = torch.cat([image, image], dim=3)[..., ::2]
    torch.testing.assert_close(convolve(wide, kernel), functional.conv2d(wide, kernel), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_equals_the_library_s(shape):
    image, kernel = pair(*shape)
    given = functional.conv2d(image, kernel).cos()
    gradients = []
    for function in (convolve, functional.conv2d):
        leaf = image.clone().requires_grad_()
        function(leaf, kernel).backward(given)
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_can_be_differentiated_twice():
    image, kernel = pair(1, 2, 5, 5, 3, 3)
    assert torch.autograd.gradgradcheck(lambda x: convolve(x, kernel), image.requires_grad_())


def test_a_learnt_kernel_gets_its_gradient():
    image, kernel = pair(*SHAPES[0])
    convolve(image, kernel.requires_grad_()).sum().backward()
    assert kernel.grad.abs().min() > 0


def test_float32_goes_to_the_library_and_keeps_its_dtype():
    image, kernel = (x.float() for x in pair(*SHAPES[0]))
    assert torch.equal(convolve(image, kernel), functional.conv2d(image, kernel))
