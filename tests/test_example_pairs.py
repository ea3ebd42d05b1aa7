"""Pairs to try a metric on: what is called blur is blur, at the frame too."""

import imageio.v3 as imageio
import numpy as np
import torch

from vdp_distill.example_pairs import photograph_pairs


def test_blur_leaves_an_even_picture_as_it_is(tmp_path):
    imageio.imwrite(tmp_path / "grey.png", np.full((40, 60, 3), 128, np.uint8))
    pairs = photograph_pairs(32, 48, tmp_path, count=4)
    for test, reference in pairs[1::2]:
        # A 5 x 5 mean in float32.
        torch.testing.assert_close(test, reference, rtol=0, atol=1e-6)


def test_every_pair_differs_and_ever_more():
    pairs = photograph_pairs(48, 64, count=6)
    changes = [float((test - reference).square().mean()) for test, reference in pairs]
    for kind in (changes[::2], changes[1::2]):
        assert 0 < kind[0] < kind[1] < kind[2]
