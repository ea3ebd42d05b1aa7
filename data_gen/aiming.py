"""Aim: re-scale the difference of a pair until the exact P_det is what was asked for.

Samples at P_det 0 or 1 teach little; near threshold is where a surrogate must be right. The difference between test and
reference is multiplied by one factor, found by bisection of its logarithm on the exact metric, sped up by the metric's
own power law: log C rises almost in a straight line with the logarithm of the factor.
"""

from dataclasses import replace

import numpy as np
import torch

from data_gen.recipe import Aim
from data_gen.sampling import Block, codes_of
from vdp_distill.metric import HDRVDP2
from vdp_distill.targets import light_of, predict

__all__ = ["aimed"]

LARGEST_FACTOR = 16.0
LEAST_FACTOR = 1 / 256
USUAL_SLOPE = 3.0
"""Of log C against the logarithm of the factor, near threshold."""

CLOSE = 0.01
"""How far P_det may lie from its goal."""


def aimed(block: Block, aim: Aim, metric: HDRVDP2) -> Block:
    """A block with the samples that have a goal re-scaled; the others are untouched.

    Where no factor reaches the goal (an invisible difference, or one that the display clips), the nearest is taken.
    """
    wanted = np.flatnonzero(np.isfinite(block.rows["aim_P_det"]))
    if not len(wanted):
        return block
    part = block.take(wanted)
    factors = _find(part, aim, metric)
    test = block.test.copy()
    test[wanted] = scaled(part, factors)
    rescaled = block.rows["rescaled"].copy()
    rescaled[wanted] = factors
    return replace(block, test=test, rows={**block.rows, "rescaled": rescaled})


def scaled(block: Block, factors: np.ndarray) -> np.ndarray:
    """Test images whose difference from the reference is multiplied, uint16 (N, 3, H, W)."""
    reference = block.reference.astype(np.float32)
    difference = block.test.astype(np.float32) - reference
    moved = reference + difference * factors.astype(np.float32)[:, None, None, None]
    return np.rint(np.clip(moved, 0, 65535)).astype(np.uint16)


def _log_contrast(block: Block, factors: np.ndarray, metric: HDRVDP2) -> np.ndarray:
    test_cdm2 = light_of(codes_of(scaled(block, factors)), block.conditions)
    with torch.no_grad():
        contrast = predict(metric, test_cdm2, block.reference_cdm2, block.conditions).C_max
    return np.log(np.maximum(contrast.double().numpy(), 1e-30))


def _find(block: Block, aim: Aim, metric: HDRVDP2) -> np.ndarray:
    """Factors, by bisection between bounds that close in; each guess first along the slope of the last two."""
    goal_P = np.clip(block.rows["aim_P_det"].astype(np.float64), 1e-6, 1 - 1e-6)
    search = _Search(np.log(-np.log2(1 - goal_P)))
    best, error = search.factor.copy(), np.full(len(goal_P), np.inf)
    for _ in range(aim.steps):
        open_ = np.flatnonzero((error > CLOSE) & search.moves)
        if not len(open_):
            break
        found = _log_contrast(block.take(open_), np.exp(search.factor[open_]), metric)
        miss = np.abs(-np.expm1(-np.log(2) * np.exp(found)) - goal_P[open_])
        better = miss < error[open_]
        best[open_[better]], error[open_[better]] = search.factor[open_[better]], miss[better]
        search.learn(open_, found)
    return np.exp(best).astype(np.float32)


class _Search:
    """Where log C (``found``) reaches a goal, as a function of the logarithm of a factor; many at once."""

    def __init__(self, goal: np.ndarray):
        self.goal = goal
        self.low, self.high = np.full(len(goal), np.log(LEAST_FACTOR)), np.full(len(goal), np.log(LARGEST_FACTOR))
        self.factor = np.zeros(len(goal))
        self.before_factor, self.before_found = np.zeros(len(goal)), np.full(len(goal), np.nan)

    @property
    def moves(self) -> np.ndarray:
        """Whose bounds still lie apart."""
        return self.high - self.low > 1e-3

    def learn(self, which: np.ndarray, found: np.ndarray) -> None:
        """Take the results of some in, and move them to their next guess."""
        factor, goal = self.factor[which], self.goal[which]
        under = found < goal
        self.low[which] = np.where(under, factor, self.low[which])
        self.high[which] = np.where(under, self.high[which], factor)
        guess = factor + (goal - found) / self._slope(which, found)
        inside = (guess > self.low[which]) & (guess < self.high[which])
        middle = (self.low[which] + self.high[which]) / 2
        self.before_factor[which], self.before_found[which] = factor, found
        self.factor[which] = np.where(inside, guess, middle)

    def _slope(self, which: np.ndarray, found: np.ndarray) -> np.ndarray:
        moved = self.factor[which] - self.before_factor[which]
        usual = np.full(len(which), USUAL_SLOPE)
        known = np.isfinite(self.before_found[which]) & (np.abs(moved) > 1e-9)
        rise = np.divide(found - self.before_found[which], moved, out=usual, where=known)
        return np.clip(rise, 0.7, 8)
