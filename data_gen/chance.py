"""Random numbers that depend on the recipe's seed, a purpose and a number alone, never on who draws them when."""

import hashlib
import math
from functools import lru_cache

import numpy as np

__all__ = ["generator_for", "choose", "log_uniform"]


def generator_for(seed: int, purpose: str, number: int) -> np.random.Generator:
    """A counter-based generator (Philox) for one purpose of one sample or block.

    Examples
    --------
    >>> float(generator_for(1, "scene", 7).random()) == float(generator_for(1, "scene", 7).random())
    True
    """
    return np.random.Generator(np.random.Philox(_key(seed, purpose), counter=[0, 0, 0, number]))


class _Key(np.random.bit_generator.ISeedSequence):
    """A key of Philox as the seed that it is made from; given as ``key=``, NumPy would first ask the system for one."""

    def __init__(self, key: int):
        self.words = np.array([key & (1 << 64) - 1, key >> 64], np.uint64)

    def generate_state(self, n_words, dtype=np.uint32):
        return self.words


@lru_cache(maxsize=256)
def _key(seed: int, purpose: str) -> _Key:
    return _Key(int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:16], "big"))


def choose(shares: dict[str, float], generator: np.random.Generator) -> str:
    """One of the names, as often as its share says."""
    names = list(shares)
    edges = np.cumsum([shares[name] for name in names])
    return names[int(np.searchsorted(edges, generator.random() * edges[-1], side="right"))]


def log_uniform(bounds: tuple[float, float], generator: np.random.Generator) -> float:
    """A number from a range, each factor equally likely."""
    return math.exp(generator.uniform(math.log(bounds[0]), math.log(bounds[1])))
