"""Observers who see what the exact metric says, their thresholds, and the photographs that they are shown."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from vdp_distill.judgements import Judgement

__all__ = ["Observers", "fit_observers", "level_at"]

MEAN_HALF_LEVEL = 26.32
"""MCL-JCI: mean over its sources of the highest quality at which half of the subjects see a difference."""
MEAN_FIRST_LEVEL = 53.06
"""The same of the highest quality at which any of the 30 subjects does."""
SPREADS = (0.0, 1.5)
"""Between which the spread of thresholds is sought, decades."""


@dataclass(frozen=True)
class Observers:
    """Observers with log-normal thresholds.

    Parameters
    ----------
    threshold
        The median observer's, in units of the exact metric's threshold.
    spread
        Standard deviation of log10 threshold.
    slope
        Of an observer's own psychometric function of log contrast; 1 is the metric's. That is shallower than MCL-JCI's
        subjects are as a group: with it even equal observers first see a difference at quality 68 on average, not 53.
    count
        How many observers.

    Examples
    --------
    >>> round(float(Observers(threshold=200.0, spread=0.0).share(200.0)), 6)
    0.5
    """

    threshold: float
    spread: float
    slope: float = 3.0
    count: int = 30

    def __post_init__(self):
        if not (self.threshold > 0 and self.spread >= 0 and self.slope > 0 and self.count > 0):
            raise ValueError(
                f"observers need a positive threshold, slope and count and a spread of at least 0, got {self}"
            )

    def thresholds(self) -> np.ndarray:
        """Of every observer, at even quantiles."""
        quantiles = norm.ppf((np.arange(self.count) + 0.5) / self.count)
        return self.threshold * 10 ** (self.spread * quantiles)

    def probabilities(self, contrast) -> np.ndarray:
        """Of every observer to see contrasts C: 1 - 0.5^((C / T)^slope), (..., observers)."""
        return -np.expm1(-np.log(2) * (np.asarray(contrast)[..., None] / self.thresholds()) ** self.slope)

    def share(self, contrast) -> np.ndarray:
        """Expected share of the observers who see a contrast."""
        return self.probabilities(contrast).mean(axis=-1)

    def contrast_at(self, share: float) -> float:
        """The contrast that a share of the observers sees."""
        log_contrast = brentq(lambda value: self.share(10**value) - share, -12, 20)
        return 10**log_contrast

    def judge(self, contrast: Mapping[str, Mapping[int, float]], levels: list[int], seed: int) -> list[Judgement]:
        """Judgements of every source at every level; a source's draws are a function of (seed, its name)."""
        rows = []
        for source, of_level in contrast.items():
            digest = hashlib.sha256(f"{seed}/{source}".encode()).digest()
            draws = np.random.default_rng(int.from_bytes(digest[:8], "little")).random(self.count)
            seen = self.probabilities([of_level[level] for level in levels]) > draws
            counts = seen.sum(axis=-1)
            rows += [Judgement(source, level, int(k), self.count) for level, k in zip(levels, counts, strict=True)]
        return rows


def level_at(levels: Iterable[int], values: Iterable[float], wanted: float) -> float:
    """Highest level at which values that fall with level still reach one, between levels; the ends are held.

    Examples
    --------
    >>> level_at([10, 20, 30], [1.0, 0.6, 0.2], 0.5)
    22.5
    """
    levels, values = np.asarray(list(levels), float), np.asarray(list(values), float)
    falling = np.maximum.accumulate(values[::-1])[::-1]
    if falling[-1] >= wanted or falling[0] < wanted:
        return float(levels[-1] if falling[-1] >= wanted else levels[0])
    after = int(np.argmax(falling < wanted))
    drop = falling[after - 1] - falling[after]
    return float(levels[after - 1] + (falling[after - 1] - wanted) / drop * (levels[after] - levels[after - 1]))


def fit_observers(contrast: Mapping[str, Mapping[int, float]], levels: list[int], count: int = 30) -> Observers:
    """Observers whose half and first levels have MCL-JCI's averages over the sources.

    Where no spread meets the second average, the nearest in :data:`SPREADS` is taken; the first is met all the same.

    Raises
    ------
    ValueError
        If half of the observers see every copy, or none, whatever their threshold.
    """
    logs = {source: [np.log10(max(of[level], 1e-12)) for level in levels] for source, of in contrast.items()}

    def mean_level(value: float) -> float:
        return float(np.mean([level_at(levels, rows, value) for rows in logs.values()]))

    lowest, highest = min(map(min, logs.values())), max(map(max, logs.values()))
    if not mean_level(highest) <= MEAN_HALF_LEVEL <= mean_level(lowest):
        raise ValueError(
            f"levels {levels[0]} to {levels[-1]} cannot be seen by half of the observers at {MEAN_HALF_LEVEL} on "
            "average; give JPEG qualities that span 1 to 100, or observers= with thresholds of your own"
        )
    half = brentq(lambda value: mean_level(value) - MEAN_HALF_LEVEL, lowest, highest, xtol=1e-4)

    def with_spread(spread: float) -> Observers:
        unit = Observers(1.0, spread, count=count)
        return Observers(10**half / unit.contrast_at(0.5), spread, count=count)

    def first_level(spread: float) -> float:
        return mean_level(np.log10(with_spread(spread).contrast_at(1 - 0.5 ** (1 / count))))

    low, high = (first_level(spread) - MEAN_FIRST_LEVEL for spread in SPREADS)
    if low >= 0 or high <= 0:
        return with_spread(SPREADS[0] if low >= 0 else SPREADS[1])
    return with_spread(brentq(lambda spread: first_level(spread) - MEAN_FIRST_LEVEL, *SPREADS, xtol=1e-4))
