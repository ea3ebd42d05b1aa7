"""Light in blocks of 4 x 4 pixels, against the metric's own scatter on the same plane."""

import pytest
import torch

from vdp_distill.pipeline import Pair
from vdp_distill.surrogates import blocks, grey
from vdp_distill.surrogates.rows import whole_blocks
from vdp_distill.surrogates.viewing import Shares, Viewing


class Light:
    """In place of the response: the light itself."""

    row = torch.zeros(1, 1, 1, 1)

    def __call__(self, luminance, row):
        return luminance


def in_pixels(cells, height, width):
    """What :func:`vdp_distill.surrogates.blocks.in_cells` undoes."""
    batch, _, rows, columns = cells.shape
    planes = cells.view(batch, blocks.BLOCK, blocks.BLOCK, rows, columns).permute(0, 3, 1, 4, 2)
    return planes.reshape(batch, 1, blocks.BLOCK * rows, blocks.BLOCK * columns)[..., :height, :width]


def on_retina(planes, surround, ppd):
    one = surround.new_ones(1, 1)
    viewing = Viewing(Shares(plane=one, receptors=None, mean_cdm2=None, matrix=None), surround, ppd)
    return Pair(*(seen_by_pixels(plane, viewing) for plane in planes))


def seen_by_pixels(plane, viewing):
    size, whole = plane.shape[-2:], whole_blocks(plane)
    nothing = plane.new_zeros(1, 2, *(-(-length // (2 * blocks.BLOCK)) for length in size))
    light = blocks.on_retina(whole, size, viewing, nothing)
    return in_pixels(blocks.in_response(whole, light.rest, viewing, Light()), *size)


def textured(height, width):
    generator = torch.Generator().manual_seed(0)
    return 20 + 20 * torch.rand(1, 1, height, width, generator=generator, dtype=torch.float64)


# Two pixels beyond the last whole block of an image of odd size repeat its last: the short filter sees them.
@pytest.mark.parametrize(("size", "least"), [((64, 80), 0.04), ((67, 90), 0.21)])
@pytest.mark.parametrize("ppd", [20.0, 45.0, 90.0])
def test_light_that_ends_at_the_frame_has_no_bright_edge(size, least, ppd):
    reference = textured(*size)
    lights, degree = Pair(reference + 10, reference), torch.tensor([ppd], dtype=torch.float64)
    surround = torch.full((1, 1, 1, 1), 1e-5, dtype=torch.float64)
    full, found = grey.scatter(lights, surround, degree), on_retina(lights, surround, degree)
    wrong = (found.test - found.reference) - (full.test - full.reference)
    step = (full.test - full.reference).amax()
    # With blocks held at the frame it was 0.28 to 0.33 of the step: a line that was taken for the difference.
    assert wrong.abs().max() < least * step


def test_uniform_light_stays_what_it_is():
    plane = torch.full((1, 1, 45, 70), 30.0, dtype=torch.float64)
    surround = torch.full((1, 1, 1, 1), 30.0, dtype=torch.float64)
    found = on_retina(Pair(plane, plane), surround, torch.tensor([60.0], dtype=torch.float64))
    assert torch.allclose(found.test, plane, rtol=1e-12)
