"""The quality correlate: which pixels count, and who has to pay for it."""

import pytest
import torch

from vdp_distill import HDRVDP2, VDPLoss, detection, zoo
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.surrogates.energies import changed_in_blocks, of_filters

VIEWING = {"encoding": "sRGB-display", "pixels_per_degree": 90.0}


def light(height, width):
    return 50 + torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (5, 7), (6, 10), (15, 23)])
def test_a_changed_pixel_lies_beside_the_corner_that_looks_at_it(row, column):
    reference = light(16, 24)
    test = reference.clone()
    test[..., row, column] *= 1.01
    changed = changed_in_blocks(test, reference, (5, 7))
    places = changed.places.nonzero().tolist()
    # Corner k lies before pixel 4 k, with two pixels on either side.
    corner, place = ((row + 2) // 4, (column + 2) // 4), 4 * ((row + 2) % 4) + (column + 2) % 4
    assert places == [[0, place, *corner]]
    assert changed.blocks.nonzero().tolist() == [[0, 0, row // 4, column // 4]]
    assert float(changed.blocks.max()) == 1 / 16


def test_light_that_differs_by_less_than_the_metric_counts_is_unchanged():
    reference = light(16, 24)
    assert not bool(changed_in_blocks(reference * (1 + 2e-4), reference, (5, 7)).places.any())
    assert bool(changed_in_blocks(reference * (1 + 2e-3), reference, (5, 7)).places.any())


def test_small_images_are_grown_by_what_did_not_change():
    reference = light(20, 24)  # seven blocks are looked at
    changed = changed_in_blocks(1.1 * reference, reference, (8, 8))
    assert changed.places.shape == (1, 16, 8, 8) and changed.blocks.shape == (1, 1, 7, 7)
    assert float(changed.blocks.sum()) == 5 * 6 and float(changed.places.sum()) == 20 * 24


def test_a_filter_counts_by_the_pixels_about_its_place():
    places = torch.zeros(1, 16, 2, 2)
    places[0, :, 0, 0] = 1
    places[0, [0, 1, 4, 5], 0, 1] = 1  # the first quarter
    places[0, 15, 1, 0] = 1
    share = of_filters(places, 2)
    assert share.shape == (1, 16 + 2 * 4 + 2, 2, 2)
    assert bool((share[..., 0, 0] == 1).all()) and not bool(share[..., 1, 1].any())
    first, second = share[0, 16:24].view(2, 4, 2, 2), share[0, 24:]
    assert first[:, :, 0, 1].tolist() == [[1, 0, 0, 0]] * 2 and first[:, :, 1, 0].tolist() == [[0, 0, 0, 0.25]] * 2
    # A coarser band's mask is a mean, and the energy takes its square.
    assert second[:, 0, 1].tolist() == [0.25] * 2 and second[:, 1, 0].tolist() == [0.25**2 / 4] * 2


def test_a_few_pixels_spoil_no_more_than_themselves():
    """Where every place counts, Q of this pair is 21 too low."""
    reference = photograph_pairs(128, 128, count=1)[0][1]
    test = reference.clone()
    test[..., 20::40, 20::40] = 1 - test[..., 20::40, 20::40]
    exact, swift = HDRVDP2(**VIEWING), zoo.load("vdp-swift-v1", **VIEWING)
    assert abs(float(swift(test, reference).Q - exact(test, reference).Q)) < 8  # the released weights: 6


@pytest.mark.parametrize("model", ["exact", *zoo.names()])
def test_a_loss_does_not_compute_what_it_does_not_use(model, monkeypatch):
    test, reference = photograph_pairs(64, 64, count=1)[0]
    losses = [VDPLoss(model, **VIEWING, pool=pool) for pool in ("log_contrast", "quality")]
    asked = []
    plain = detection.quality
    monkeypatch.setattr(detection, "quality", lambda *given: asked.append(1) or plain(*given))
    losses[0](test, reference)
    assert not asked
    lost = losses[1](test, reference)
    assert asked and float(lost) > 0
