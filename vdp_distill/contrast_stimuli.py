"""Gabor patches and gratings as light, and the contrast at which a metric begins to see them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["SIDE_PIXELS", "Stimulus", "WINDOWS", "draw", "find_contrasts", "sampling_ppd"]

SIDE_PIXELS = 256
LEAST_PPD = 30.0
"""What HDR-VDP is mostly run at; its sum over pixels makes thresholds depend on it, so that it is kept where it can."""

PIXELS_PER_CYCLE = 4.4
"""No whole number: a grating that keeps step with the pixels would show a phase, not a frequency."""
STRONGEST = 0.99
WEAKEST = 1e-6
SLOPE = 3.5
"""Of log C_max over log contrast without a masker (the metric's psychometric slope): where the next guess is aimed."""


@dataclass(frozen=True)
class Stimulus:
    """One measured stimulus.

    Attributes
    ----------
    data_set
        Its name in the table.
    shape
        ``"gabor"`` (a Gaussian window of ``sigma_deg``) or ``"grating"`` (a square window of ``area_deg2``).
    luminance_cdm2, frequency_cpd, sigma_deg, area_deg2, orientation_deg
        As drawn.
    sensitivity
        One over the contrast at the threshold.
    log10_error
        Standard deviation of its logarithm; NaN where the table gives none.
    """

    data_set: str
    shape: str
    luminance_cdm2: float
    frequency_cpd: float
    sigma_deg: float
    area_deg2: float
    orientation_deg: float
    sensitivity: float
    log10_error: float


def sampling_ppd(stimulus: Stimulus) -> float:
    """Pixels per degree that a stimulus is drawn at: 30, or more where its frequency needs them."""
    return max(LEAST_PPD, PIXELS_PER_CYCLE * stimulus.frequency_cpd)


def _gauss(across: Tensor, along: Tensor, stimulus: Stimulus, pixels_per_degree: float) -> Tensor:
    return torch.exp(-(across**2 + along**2) / (2 * stimulus.sigma_deg**2))


def _square(across: Tensor, along: Tensor, stimulus: Stimulus, pixels_per_degree: float) -> Tensor:
    """A square of the stimulus's area; the pixels on its edge by the share that it covers."""
    half = math.sqrt(stimulus.area_deg2) / 2
    covered = [((half - side.abs()) * pixels_per_degree + 0.5).clamp(0, 1) for side in (across, along)]
    return covered[0] * covered[1]


WINDOWS = {"gabor": _gauss, "grating": _square}
"""Window of a stimulus by its shape."""


def draw(stimuli: Sequence[Stimulus], contrast: Sequence[float], side: int = SIDE_PIXELS) -> Tensor:
    """Light of stimuli on a uniform ground, (N, 1, side, side), cd/m2 in float32.

    Examples
    --------
    >>> patch = Stimulus("made", "gabor", 20.0, 2.0, 0.5, 0.785, 0.0, 100.0, float("nan"))
    >>> light = draw([patch], [0.5], side=64)
    >>> round(float(light.max()), 6), float(light.min()) > 10
    (30.0, True)
    """
    pixels = torch.arange(side, dtype=torch.float64) - side // 2
    images = []
    for stimulus, strength in zip(stimuli, contrast, strict=True):
        ppd, angle = sampling_ppd(stimulus), math.radians(stimulus.orientation_deg)
        column, row = pixels[None, :] / ppd, pixels[:, None] / ppd
        across = column * math.cos(angle) + row * math.sin(angle)
        along = row * math.cos(angle) - column * math.sin(angle)
        wave = torch.cos(2 * math.pi * stimulus.frequency_cpd * across)
        window = WINDOWS[stimulus.shape](across, along, stimulus, ppd)
        images.append(stimulus.luminance_cdm2 * (1 + strength * window * wave))
    return torch.stack(images)[:, None].float()


def find_contrasts(
    stimuli: Sequence[Stimulus],
    predict: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    side: int = SIDE_PIXELS,
    tolerance_log10: float = 2e-3,
) -> np.ndarray:
    """Contrasts at which P_det is 0.5, all stimuli at once, (N,); 1 where the strongest that can be drawn is not seen.

    Bisection of the logarithm, with the next guess where a power law of exponent 3.5 meets the threshold, if that lies
    between the bounds.

    Parameters
    ----------
    predict
        C_max, (N,), of test, reference, pixels per degree (N,) and surround in cd/m2 (N,); P_det = 0.5 is C_max = 1.
    tolerance_log10
        Of the contrast.
    """
    low, high = np.full(len(stimuli), math.log10(WEAKEST)), np.full(len(stimuli), math.log10(STRONGEST))
    guess = np.clip([-math.log10(stimulus.sensitivity) for stimulus in stimuli], low, high)
    open_ = np.arange(len(stimuli))
    while len(open_):
        seen = _predicted([stimuli[i] for i in open_], 10 ** guess[open_], predict, side)
        missing = np.zeros(len(stimuli))
        missing[open_] = -np.log10(np.maximum(seen, 1e-30)) / SLOPE
        low[open_] = np.where(missing > 0, guess, low)[open_]
        high[open_] = np.where(missing > 0, high, guess)[open_]
        open_ = open_[((np.abs(missing) >= tolerance_log10) & (high - low >= tolerance_log10))[open_]]
        guess[open_] = _next_guess(guess + missing, low, high)[open_]
    return np.where(low == math.log10(STRONGEST), 1.0, 10**guess)


def _predicted(stimuli: Sequence[Stimulus], contrast: np.ndarray, predict: Callable, side: int) -> np.ndarray:
    ppd = torch.tensor([sampling_ppd(stimulus) for stimulus in stimuli])
    surround = torch.tensor([stimulus.luminance_cdm2 for stimulus in stimuli])
    with torch.no_grad():
        seen = predict(draw(stimuli, contrast, side), draw(stimuli, 0 * contrast, side), ppd, surround)
    return seen.double().numpy(force=True)


def _next_guess(aimed: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where the power law aims, the strongest contrast if it aims beyond and that was not tried, or the middle."""
    aimed = np.where((aimed > high) & (high == math.log10(STRONGEST)), high, aimed)
    return np.where((aimed > low) & (aimed <= high), aimed, (low + high) / 2)
