"""Is an exported program the module that it was made from? Values and gradients, for inputs that it has not seen."""

import itertools
import math

import torch
from torch import Tensor, nn

from vdp_distill.exported import sides_of
from vdp_distill.loss_program import LossProgram
from vdp_distill.settings import takes_codes

__all__ = ["compare", "sample", "unseen_sizes"]

LARGE_SIDE = 544
"""From here on two small batches are compared: large images take their time."""


def compare(loaded: nn.Module, program: LossProgram, record: dict) -> dict[str, float]:
    """Largest relative difference of values and of gradients, for batches and sizes that the export has not seen."""
    worst = {"value": 0.0, "gradient": 0.0}
    for seed, (size, (batch, conditions)) in enumerate(_cases(record), 1):
        test, reference, *viewing = sample(program, batch, record["channels"], *size, seed=seed)
        inputs = (test.requires_grad_(), reference, *(part[:conditions] for part in viewing))
        ours, theirs = (module(*inputs).sum() for module in (program, loaded))
        gradients = [torch.autograd.grad(value, test)[0] for value in (ours, theirs)]
        # By magnitude, not in norm: a kink that float32's rounding crosses bends the gradient in one place.
        apart = float((gradients[0] - gradients[1]).abs().sum() / gradients[0].abs().sum().clamp(min=1e-12))
        off = ((ours - theirs).abs() / ours.abs().clamp(min=1e-12)).detach()
        worst["value"] = max(worst["value"], float(off))
        worst["gradient"] = max(worst["gradient"], apart)
    return {name: value if math.isfinite(value) else math.inf for name, value in worst.items()}


def _cases(record: dict) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Sizes, and how many pairs and viewing conditions."""
    heights, widths = (sides_of(record, side) for side in ("height", "width"))
    if "shorter_side" not in record:
        sizes = [(heights[seed % len(heights)], widths[(2 - seed) % len(widths)]) for seed in (1, 2, 3)]
        return list(zip(sizes, ((1, 1), (3, 3), (3, 1)), strict=True))
    return list(zip(unseen_sizes(sides_of(record, "shorter_side")), ((1, 1), (3, 3), (3, 1)), strict=False))


def unseen_sizes(shorter: range) -> list[tuple[int, int]]:
    """Heights and widths to compare a program of many sizes at: the ends of its octave, either way round, and a square.

    Examples
    --------
    >>> unseen_sizes(range(68, 136))
    [(68, 138), (135, 135), (141, 68)]
    """
    low, high = shorter[0], shorter[-1]
    if low >= LARGE_SIDE:
        return [(low, low + 1), (low + 7, low + 2)]
    return [(low, high + 3), (high, high), (high + 6, low)]


def sample(program: LossProgram, batch: int, channels: int, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
    """Images in the encoding's range whose difference is seen, pixels per degree, and a display where one is taken."""
    generator, loss = torch.Generator().manual_seed(seed), program.loss
    low, high = (0.2, 0.8) if takes_codes(loss.metric.settings) else (20.0, 80.0)
    reference = low + (high - low) * torch.rand(batch, channels, height, width, generator=generator)
    test = reference + (high - low) * 0.1 * torch.randn(reference.shape, generator=generator)
    display = torch.stack([torch.linspace(80, 400, batch), torch.linspace(0.1, 1, batch)], dim=1)
    inputs = (test, reference, torch.linspace(25, 60, batch + 1)[1:], display)[: len(program.inputs)]
    device = next(itertools.chain(loss.parameters(), loss.buffers()), reference).device
    return tuple(part.to(device) for part in inputs)
