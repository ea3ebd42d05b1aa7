"""Planes grown by straight lines: torch's own values and derivative, and a second derivative."""

import pytest
import torch
from torch.nn import functional as F

from vdp_distill.surrogates.bilinear import bilinear


@pytest.mark.parametrize("step", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (9, 5)], ids=str)
def test_as_torch_grows_planes(size, step, generator):
    plane = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    grown, expected = bilinear(plane, step), F.interpolate(plane, scale_factor=float(step), mode="bilinear")
    assert torch.equal(grown, expected)
    weights = torch.rand(grown.shape, generator=generator, dtype=torch.float64)
    found, true = (torch.autograd.grad(y, plane, weights)[0] for y in (grown, expected))
    assert torch.allclose(found, true, rtol=1e-13, atol=0)  # float64, other order of sums


@pytest.mark.parametrize("step", [2, 4])
def test_second_derivative(step, generator):
    plane = torch.rand(1, 2, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: bilinear(x, step) ** 3, plane)
