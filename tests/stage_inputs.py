"""Random inputs in float64 and the check of a gradient, for the tests of single stages."""

import torch


def randn(generator, *shape):
    """Normal numbers."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def rand(generator, *shape):
    """Numbers in 0..1."""
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def gradcheck(function, *inputs):
    """Gradients of a function against finite differences."""
    return torch.autograd.gradcheck(function, [x.detach().requires_grad_() for x in inputs], fast_mode=True)
