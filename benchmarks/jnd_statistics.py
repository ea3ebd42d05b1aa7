"""How well predicted shares agree with the shares of people: correlations, errors, the 50 % quality, intervals."""

import numpy as np
from scipy.optimize import curve_fit
from scipy.special import expit
from scipy.stats import kendalltau, pearsonr, spearmanr

from vdp_distill.synthetic_observers import level_at

__all__ = ["MEASURES", "agreement", "fit_logistic", "intervals", "noise_floor"]

MEASURES = ("plcc", "plcc_logistic", "srocc", "krocc", "rmse", "half_quality_error")
RESAMPLES = 300


def logistic(score, low, high, middle, width):
    """A rising or falling curve from low to high."""
    return low + (high - low) * expit((score - middle) / width)


def fit_logistic(score: np.ndarray, share: np.ndarray):
    """A function from a score to a share, fitted by least squares; a rising or falling logistic curve."""
    spread = float(np.std(score)) or 1.0
    sign = -1.0 if np.corrcoef(score, share)[0, 1] < 0 else 1.0
    start = (float(share.min()), float(share.max()), float(np.median(score)), sign * spread / 4)
    try:
        values, _ = curve_fit(logistic, score, share, start, maxfev=20_000)
    except RuntimeError:  # no better curve was found than the first guess
        values = start
    return lambda new: logistic(new, *values)


def agreement(predicted: np.ndarray, share: np.ndarray, sources: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """Every one of :data:`MEASURES`; the last is the mean absolute error of a source's 50 % quality."""
    fitted = fit_logistic(predicted, share)(predicted)
    halves = []
    for source in np.unique(sources):
        own = np.flatnonzero(sources == source)
        own = own[np.argsort(levels[own])]
        halves.append(level_at(levels[own], predicted[own], 0.5) - level_at(levels[own], share[own], 0.5))
    return {
        "plcc": float(pearsonr(predicted, share)[0]),
        "plcc_logistic": float(pearsonr(fitted, share)[0]),
        "srocc": float(spearmanr(predicted, share)[0]),
        "krocc": float(kendalltau(predicted, share)[0]),
        "rmse": float(np.sqrt(np.mean((predicted - share) ** 2))),
        "half_quality_error": float(np.mean(np.abs(halves))),
    }


def intervals(predicted, share, sources, levels, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % intervals of :func:`agreement`, from resampling whole sources."""
    rng, names = np.random.default_rng(seed), np.unique(sources)
    rows = {name: np.flatnonzero(sources == name) for name in names}
    found = []
    for _ in range(RESAMPLES):
        drawn = rng.choice(names, len(names))
        index = np.concatenate([rows[name] for name in drawn])
        # A source drawn twice counts as two.
        copies = np.repeat(np.arange(len(drawn)), [len(rows[name]) for name in drawn])
        found.append(agreement(predicted[index], share[index], copies, levels[index]))
    return {
        name: tuple(float(value) for value in np.percentile([one[name] for one in found], [2.5, 97.5]))
        for name in MEASURES
    }


def noise_floor(share: np.ndarray, subjects: int = 30) -> float:
    """RMSE of a perfect prediction against shares of so many subjects, each of whom decides by chance."""
    return float(np.sqrt(np.mean(share * (1 - share) / subjects)))
