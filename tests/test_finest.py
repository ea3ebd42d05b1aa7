"""The finest level in blocks: the planes' values and derivatives, to the last pixel of the frame."""

import pytest
import torch

from vdp_distill import zoo
from vdp_distill.detection import row_energy
from vdp_distill.pipeline import Pair
from vdp_distill.polyphase import correlate
from vdp_distill.receptors import display_matrix
from vdp_distill.surrogates import finest
from vdp_distill.surrogates.finest import Blocks

SIZES = ((32, 32), (33, 47), (66, 101), (17, 40), (35, 34))


def planes(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, *size, generator=generator, dtype=torch.float64)


def taps(outputs, inputs=1):
    return planes(outputs * inputs, (9, 9), seed=1)[0].view(outputs, inputs, 9, 9)


@pytest.mark.parametrize("size", SIZES)
def test_the_network_sees_the_same_in_blocks_and_in_planes(size, monkeypatch):
    network = zoo.load_network("vdp-fast-v1").double().requires_grad_(False)
    matrix = torch.tensor(display_matrix("ccfl-lcd", 3))[None]
    light = 50 + 20 * planes(3, size).clamp(-2, 2)
    viewing = matrix, torch.full((1, 3, 1, 1), 10.0, dtype=torch.float64), torch.tensor([30.0], dtype=torch.float64)
    found = []
    for in_blocks in (True, False):
        if not in_blocks:
            monkeypatch.setattr(finest, "fits", lambda *_: False)
        test, reference = (part.requires_grad_() for part in ((1.02 * light).detach(), light.flip(0).detach()))
        seen = network(Pair(test, reference), *viewing)
        gradients = torch.autograd.grad(seen.contrast_map.log1p().sum() + seen.quality.sum(), (test, reference))
        found.append((seen.contrast_map.detach(), seen.quality.detach(), *gradients))
    for own, wanted in zip(*found, strict=True):
        # float64; the same sums in another order.
        assert float((own - wanted).abs().max()) < 1e-11 * float(wanted.abs().max())


@pytest.mark.parametrize("size", SIZES)
def test_there_and_back(size):
    image, bands, low = planes(1, size), taps(5), taps(1)
    (high, oriented), left = finest.filtered(image, [bands[:1], bands[1:]], low)
    assert torch.allclose(left, correlate(image, low, keep_every=2))
    wanted = correlate(image, bands)
    assert torch.allclose(finest.every_second(oriented), wanted[:, 1:, ::2, ::2])
    assert torch.allclose(finest.planes_of(high.cells, size), wanted[:, :1])
    # Without a masker and with a threshold of 1 a difference comes through as its power, mirrored at the frame.
    still, one = torch.zeros_like(wanted[:, 1:, ::2, ::2]), torch.ones_like(high.cells)
    ringed = finest.compared(oriented, still, one, one)
    passed = wanted[:, 1:] ** 3 * wanted[:, 1:].abs().sqrt()
    back = taps(4).view(1, 4, 9, 9)
    image_back = finest.image_of([ringed], [back])
    assert torch.allclose(image_back, correlate(passed, back), rtol=1e-6, atol=1e-6 * float(image_back.abs().max()))
    changed = (planes(1, size, seed=3) > 0).double()
    blocks = finest.row_energy(finest.inner(ringed), finest.as_blocks(changed)).square().sum(dim=2)
    assert torch.allclose(blocks, row_energy(passed, changed).square().sum(dim=2), rtol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (10, 9)])
def test_the_derivative(size):
    generator = torch.Generator().manual_seed(2)
    count = tuple(-(-length // 4) for length in size)
    inputs = [planes(32, count)[:1], planes(2, tuple(-(-length // 2) for length in size))[:1].abs()]
    inputs += [0.5 + torch.rand(1, 16, *count, generator=generator, dtype=torch.float64) for _ in range(2)]
    inputs = [part.requires_grad_() for part in inputs]

    def compare(cells, *others):
        # What lies beyond the image is overwritten by what the frame mirrors, so it has no derivative.
        return finest.compared(Blocks(cells, size), *others).cells

    assert torch.autograd.gradcheck(compare, inputs, eps=1e-6, atol=1e-5, nondet_tol=1e-12)
    assert torch.autograd.gradgradcheck(compare, inputs, eps=1e-6, atol=1e-4, nondet_tol=1e-12)


def test_what_is_learnt_takes_the_planes_way():
    short, long = taps(1).requires_grad_(), taps(1)
    assert not finest.fits(short, long) and not finest.fits(long, short)
    with torch.no_grad():
        assert finest.fits(short, long)
    assert finest.fits(long, long) and not finest.fits(long, torch.zeros(1, 1, 13, 13))
