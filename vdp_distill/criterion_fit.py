"""A criterion fitted to what people said: to their answers about pairs, or to averages over photographs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vdp_distill.criterion import Criterion

__all__ = ["calibrate", "calibrate_to_marginals", "threshold_quality"]

LOG_SLOPES = (math.log(0.05), math.log(50.0))
"""Where a slope is looked for."""


def calibrate(
    visibility: Sequence[float], seen: Sequence[float], observers: int = 30, *, like: Criterion, name: str = "own"
) -> Criterion:
    """Threshold and slope that make people's answers most likely.

    Parameters
    ----------
    visibility
        V of every pair, as ``like`` pools it.
    seen
        Share of the observers who saw a difference.
    observers
        How many they were: the share is taken as binomial.
    like
        Where the pooling comes from.
    name
        Of the new criterion.

    Raises
    ------
    ValueError
        For shares outside 0..1, or answers that are all alike, from which nothing can be fitted.
    """
    from scipy.optimize import minimize  # here, for only a fit waits for its import

    visibility, seen = np.asarray(visibility, np.float64), np.asarray(seen, np.float64)
    if visibility.shape != seen.shape or not ((seen >= 0) & (seen <= 1)).all():
        raise ValueError(f"seen must be a share in 0..1 for each of {visibility.size} visibilities")
    if seen.min() == seen.max():
        raise ValueError(f"every pair has the share {seen.min():g}; a threshold needs pairs that differ")
    logarithm = np.log(np.maximum(visibility, np.finfo(np.float64).tiny))

    def unlikelihood(fitted):
        strength = np.log(2) * np.exp(np.clip(np.exp(fitted[1]) * (logarithm - fitted[0]), -60, 60))
        log_seen = np.log(-np.expm1(-strength))
        return -observers * float((seen * log_seen - (1 - seen) * strength).sum())

    middle = (
        float(np.median(logarithm[(seen > 0) & (seen < 1)])) if ((seen > 0) & (seen < 1)).any() else logarithm.mean()
    )
    found = minimize(unlikelihood, [middle, 0.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    return replace(like, threshold=math.exp(found.x[0]), slope=math.exp(found.x[1]), name=name)


def calibrate_to_marginals(
    curves: Sequence[tuple[np.ndarray, np.ndarray]],
    mean_quality: float,
    quality_range: float,
    *,
    like: Criterion,
    name: str = "own",
) -> Criterion:
    """Threshold and slope that give a set of photographs the mean quality at the threshold that people had on others.

    Parameters
    ----------
    curves
        For each photograph qualities, ascending, and V at each.
    mean_quality
        Mean over people's photographs of the quality that half of them tell from the original.
    quality_range
        Mean distance between the qualities that three quarters and one quarter of them tell.
    like, name
        As for :func:`calibrate`.
    """
    if not curves:
        raise ValueError("a calibration needs the curve of at least one photograph")
    fallen = [(np.asarray(qualities, np.float64), _falling(values)) for qualities, values in curves]

    def mean_at(log_visibility: float) -> float:
        return float(np.mean([_quality_at(*curve, log_visibility) for curve in fallen]))

    def width(log_slope: float) -> float:
        few, most = (middle + math.log(-math.log2(1 - p)) / math.exp(log_slope) for p in (0.25, 0.75))
        return mean_at(few) - mean_at(most)

    ends = min(values.min() for _, values in fallen), max(values.max() for _, values in fallen)
    middle = _solved(lambda log_visibility: mean_at(log_visibility) - mean_quality, ends, "mean quality", mean_quality)
    log_slope = _solved(lambda x: width(x) - quality_range, LOG_SLOPES, "range of qualities", quality_range)
    return replace(like, threshold=math.exp(middle), slope=math.exp(log_slope), name=name)


def threshold_quality(qualities: Sequence[float], visibility: Sequence[float], threshold: float) -> float:
    """Quality that half of the people tell from the original: above it fewer do at every quality that was measured."""
    return _quality_at(np.asarray(qualities, np.float64), _falling(visibility), math.log(threshold))


def _falling(visibility: Sequence[float]) -> np.ndarray:
    """Logarithm of V, raised to the largest V of any higher quality: where V rises again, the last rise counts."""
    logarithm = np.log(np.maximum(np.asarray(visibility, np.float64), np.finfo(np.float64).tiny))
    return np.maximum.accumulate(logarithm[::-1])[::-1]


def _quality_at(qualities: np.ndarray, log_visibility: np.ndarray, wanted: float) -> float:
    return float(np.interp(-wanted, -log_visibility, qualities))


def _solved(function: Callable[[float], float], ends: tuple[float, float], what: str, wanted: float) -> float:
    from scipy.optimize import brentq

    if function(ends[0]) * function(ends[1]) > 0:
        raise ValueError(f"no criterion gives the {what} {wanted:g}: these photographs' curves do not reach it")
    return float(brentq(function, *ends))
