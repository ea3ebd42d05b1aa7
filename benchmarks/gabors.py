"""Contrast at which Gabor patches are seen, by the exact metric and by the released models."""

import numpy as np
import torch
from torch import Tensor

from vdp_distill import zoo
from vdp_distill.metric import HDRVDP2

SIZE = 160
PIXELS_PER_DEGREE = 45.0
FREQUENCIES_CPD = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
LUMINANCES_CDM2 = (0.1, 1.0, 10.0, 100.0, 500.0)
SIGMA_DEG = 0.5
STEPS = 14
"""Halvings of the range of log contrast: to a thousandth of a decade."""


def gabors(frequency_cpd: float, luminance_cdm2: float) -> tuple[Tensor, Tensor]:
    """A background and a patch of contrast 1 on it, to be added, (1, 1, SIZE, SIZE) in cd/m2."""
    axis = (torch.arange(SIZE, dtype=torch.float64) - (SIZE - 1) / 2) / PIXELS_PER_DEGREE
    envelope = torch.exp(-(axis[:, None] ** 2 + axis**2) / (2 * SIGMA_DEG**2))
    patch = luminance_cdm2 * envelope * torch.cos(2 * torch.pi * frequency_cpd * axis)
    return torch.full((1, 1, SIZE, SIZE), luminance_cdm2, dtype=torch.float64), patch[None, None]


@torch.no_grad()
def log10_thresholds(metric: HDRVDP2) -> np.ndarray:
    """log10 of the contrast at which P_det is a half, (frequencies, luminances), by bisection of all at once."""
    stimuli = [gabors(frequency, level) for frequency in FREQUENCIES_CPD for level in LUMINANCES_CDM2]
    background, patch = (torch.cat(parts) for parts in zip(*stimuli, strict=True))
    low, high = torch.full((len(patch),), -4.0), torch.zeros(len(patch))
    for _ in range(STEPS):
        middle = (low + high) / 2
        test = background + 10.0 ** middle.double().view(-1, 1, 1, 1) * patch
        # float64 for every model: float32 would round contrasts of a thousandth.
        seen = metric(test, background, check_values=False, surround_l=background[:, 0, 0, 0]).P_det > 0.5
        low, high = torch.where(seen, low, middle), torch.where(seen, middle, high)
    return ((low + high) / 2).view(len(FREQUENCIES_CPD), len(LUMINANCES_CDM2)).numpy()


def threshold_errors(model: str) -> np.ndarray:
    """Thresholds of a model less those of the exact metric, log10, (frequencies, luminances)."""
    settings = {"encoding": "luminance", "pixels_per_degree": PIXELS_PER_DEGREE}
    return log10_thresholds(zoo.load(model, **settings).double()) - log10_thresholds(HDRVDP2(**settings))
