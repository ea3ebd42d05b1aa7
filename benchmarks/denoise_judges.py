"""The judges: what a person would see of the errors that a denoiser leaves, by the exact metric and by its rivals."""

from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.denoise_training import Study
from vdp_distill import HDRVDP2
from vdp_distill.losses.rivals import ColorVideoVDP

__all__ = ["Judgement", "judge"]

JUDGED_AT_ONCE = 16


class Judgement(NamedTuple):
    """Scores of some restored images, (N,) each, and where their errors are seen, (N, 1, H, W)."""

    scores: dict[str, Tensor]
    P_map: Tensor


@torch.no_grad()
def judge(restored: Tensor, clean: Tensor, study: Study) -> Judgement:
    """Scores of restored images, as they are shown: codes clipped to 0..1.

    ``P_det`` and ``log10_C`` are the exact metric's; ``visible_area`` is the share of the image where its ``P_map`` is
    above one half; ``PSNR_dB`` is of the code values; ``JOD``, where ColorVideoVDP is installed, its quality of 10.
    """
    exact = HDRVDP2(encoding="sRGB-display", pixels_per_degree=study.pixels_per_degree)
    has_peer = find_spec("pycvvdp") is not None
    peer = ColorVideoVDP(pixels_per_degree=study.pixels_per_degree, reduction="none") if has_peer else None
    parts = []
    for test, reference in zip(restored.clamp(0, 1).split(JUDGED_AT_ONCE), clean.split(JUDGED_AT_ONCE), strict=True):
        shown = study.shown(test), study.shown(reference)
        result = exact(*shown)
        scores = {
            "P_det": result.P_det,
            "log10_C": result.C_max.clamp(min=1e-6).log10(),
            "visible_area": (result.P_map > 0.5).float().mean(dim=(1, 2, 3)),
            "PSNR_dB": -10 * (test - reference).square().mean(dim=(1, 2, 3)).clamp(min=1e-10).log10(),
        }
        if peer is not None:
            scores["JOD"] = 10 - torch.cat([peer(*(image[i : i + 1] for image in shown)) for i in range(len(test))])
        parts.append(Judgement(scores, result.P_map))
    scores = {name: torch.cat([part.scores[name] for part in parts]) for name in parts[0].scores}
    return Judgement(scores, torch.cat([part.P_map for part in parts]))
