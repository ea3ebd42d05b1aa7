"""Which distortion does a loss push against hardest, and which does it take for the worst, at equal PSNR?

Each distortion is scaled until its PSNR is the same. ``gradient`` is the length of the gradient to the image; its unit
is the loss's own, so compare within a loss. ``rank`` is 1 for the distortion that the loss holds for the least; what
agrees in three digits shares a rank.
"""

import math
from collections.abc import Callable, Iterator

import torch
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from benchmarks.contenders import OPTIONS, PIXELS_PER_DEGREE, Contender
from benchmarks.following import jpeg, photograph
from vdp_distill import HDRVDP2
from vdp_distill.losses.windows import window_mean

__all__ = ["DISTORTIONS", "LEVELS_DB", "gradient_rows", "ranking_rows"]

LEVELS_DB = (24.0, 28.0, 32.0, 36.0)
PHOTOGRAPHS = ("astronaut", "chelsea")
CORRECTIONS = 8
"""Of the amount: each brings the PSNR nearer to what was asked."""
QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)


def _grating(reference: Tensor) -> Tensor:
    columns = torch.arange(reference.shape[-1])
    return torch.sin(2 * math.pi * columns / 8).expand_as(reference)


DISTORTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": lambda r: torch.randn(r.shape, generator=torch.Generator().manual_seed(3)),
    "blur": lambda r: window_mean(r, 2.5, 8) - r,
    "JPEG": lambda r: jpeg(r, 10) - r,
    "grating": _grating,
    "contrast": lambda r: r.mean((2, 3), keepdim=True) - r,
    "brightness": torch.ones_like,
}
"""The direction of each distortion from an image; a grating has 8 pixels a period."""


def distorted(reference: Tensor, name: str, psnr_db: float) -> Tensor:
    """A distorted copy of that PSNR, within 0..1: what clipping takes away is made up for elsewhere."""
    change, wanted = DISTORTIONS[name](reference), 10 ** (-psnr_db / 20)
    amount = wanted / change.square().mean().sqrt()
    for _ in range(CORRECTIONS):
        test = (reference + amount * change).clamp(0, 1)
        amount = amount * wanted / (test - reference).square().mean().sqrt()
    return (reference + amount * change).clamp(0, 1)


def gradient_rows(contender: Contender, side: int, psnr_db: float = 28.0) -> list[dict]:
    """Value and length of the gradient by distortion, for a loss."""
    reference, rows = photograph(side), []
    for name in DISTORTIONS:
        test = distorted(reference, name, psnr_db).requires_grad_(contender.loss.is_differentiable)
        value = contender.loss(test, reference)
        length = float(torch.autograd.grad(value, test)[0].norm()) if value.requires_grad else math.nan
        rows.append({"loss": contender.name, "title": contender.title, "psnr_db": psnr_db, "distortion": name})
        rows[-1].update(value=float(value.detach()), gradient=length)
    ranks = rankdata([float(f"{row['value']:.3g}") for row in rows], method="min")
    for row, rank in zip(rows, ranks, strict=True):
        row.update(rank=int(rank), value=f"{row['value']:.4g}", gradient=f"{row['gradient']:.4g}")
    return rows


@torch.no_grad()
def ranking_rows(everyone: list[Contender], side: int) -> Iterator[dict]:
    """Agreement of the losses' order of pairs with the exact metric's, and with the quality of a JPEG: a row a loss."""
    exact = HDRVDP2(encoding=OPTIONS["encoding"], pixels_per_degree=PIXELS_PER_DEGREE)
    pairs = [
        (distorted(reference, distortion, level), reference)
        for reference in (photograph(side, name) for name in PHOTOGRAPHS)
        for distortion in DISTORTIONS
        for level in LEVELS_DB
    ]
    truth = [float(exact(*pair).C_max) for pair in pairs]
    ladders = [[(jpeg(r, q), r) for q in QUALITIES] for r in (photograph(side, name) for name in PHOTOGRAPHS)]
    for contender in everyone:
        yield _ranking(contender, pairs, truth, ladders)


def _ranking(contender: Contender, pairs: list, truth: list[float], ladders: list) -> dict:
    values = [float(contender.loss(*pair)) for pair in pairs]
    steps = [
        earlier > later
        for ladder in ladders
        for earlier, later in _neighbours([float(contender.loss(*pair)) for pair in ladder])
    ]
    return {
        "loss": contender.name,
        "title": contender.title,
        "pairs": len(pairs),
        "srocc_exact_metric": f"{spearmanr(values, truth).statistic:.3f}",
        "jpeg_steps": len(steps),
        "jpeg_steps_in_order": sum(steps),
    }


def _neighbours(values: list[float]) -> list[tuple[float, float]]:
    return list(zip(values[:-1], values[1:], strict=True))
