"""A metric that nothing is known of: asked for its answer to a pair, and its answer checked.

It is a Python callable of two arrays, or a program that is given two files and prints a number.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vdp_distill.io import write_image

__all__ = ["BlackBox", "BlackBoxError", "Command", "ask"]

BlackBox = Callable[[np.ndarray, np.ndarray], object]
"""Called as ``black_box(test, reference)``, code values (H, W, 3), or (H, W) for grey, float32 in 0..1."""

SUFFIXES = (".npy", ".png")
SHOWN = 300
"""Characters of a program's words in an error."""


class BlackBoxError(ValueError):
    """A metric failed, or gave what is no score and no map; the message names the pair."""


class Command:
    """A program as a black box: two files go in, the last word that it prints is the score.

    Parameters
    ----------
    words
        Program and arguments. ``{test}`` and ``{reference}`` in them become the files' paths; without, both paths are
        added at the end, the test first.
    suffix
        ``".npy"``, float32 arrays as they are, or ``".png"``, code values of 16 bits.
    timeout_s
        Seconds that it may take.

    Examples
    --------
    >>> import sys
    >>> code = "import sys, numpy as np; print(abs(np.load(sys.argv[1]) - np.load(sys.argv[2])).max())"
    >>> Command([sys.executable, "-c", code])(np.ones((4, 4), np.float32), np.zeros((4, 4), np.float32))
    1.0
    """

    def __init__(self, words: Sequence[str], *, suffix: str = ".npy", timeout_s: float = 60.0):
        if isinstance(words, str) or not words:
            raise ValueError(f"a command must be a list of words, such as ['octave', 'metric.m'], got {words!r}")
        if suffix not in SUFFIXES:
            raise ValueError(f"suffix must be one of {', '.join(SUFFIXES)}, got {suffix!r}")
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be positive, got {timeout_s}")
        self.words, self.suffix, self.timeout_s = [str(word) for word in words], suffix, float(timeout_s)
        if shutil.which(self.words[0]) is None:
            raise ValueError(f"there is no program {self.words[0]!r} to run; install it, or give its whole path")

    @property
    def __name__(self) -> str:
        return Path(self.words[0]).name

    def __call__(self, test: np.ndarray, reference: np.ndarray) -> float:
        with tempfile.TemporaryDirectory() as folder:
            images = {"test": test, "reference": reference}
            return _last_number(self._run({name: self._write(folder, name, image) for name, image in images.items()}))

    def _write(self, folder: str, name: str, image: np.ndarray) -> str:
        path = Path(folder) / f"{name}{self.suffix}"
        if self.suffix == ".npy":
            np.save(path, image, allow_pickle=False)
        else:
            write_image(path, image, bits=16)
        return str(path)

    def _run(self, paths: dict[str, str]) -> str:
        """What the program prints."""
        words = self.words
        for name, path in paths.items():
            words = [word.replace(f"{{{name}}}", path) for word in words]
        words = [*words, *paths.values()] if words == self.words else words
        options = {"capture_output": True, "text": True, "errors": "replace", "stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(words, timeout=self.timeout_s, check=False, **options)
        except subprocess.TimeoutExpired:
            raise BlackBoxError(f"{words[0]} gave no answer within {self.timeout_s:g} s; raise timeout_s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-SHOWN:]
            raise BlackBoxError(f"{words[0]} ended with code {done.returncode}: {said or 'it said nothing'}")
        return done.stdout


def _last_number(printed: str) -> float:
    try:
        return float(printed.split()[-1])
    except (IndexError, ValueError):
        raise BlackBoxError(f"the last word printed must be the score, got {printed.strip()[-SHOWN:]!r}") from None


def ask(black_box: BlackBox, test: np.ndarray, reference: np.ndarray, output: str) -> np.ndarray:
    """The answer to a pair, float32: () for ``output="score"``, (H, W) for ``"map"``.

    Raises
    ------
    BlackBoxError
        If it raises, or its answer has another shape or is not finite.

    Examples
    --------
    >>> grey = np.full((16, 16), 0.5, np.float32)
    >>> float(ask(lambda test, reference: abs(test - reference), 0 * grey, grey, "map").mean())
    0.5
    """
    try:
        answer = black_box(test.copy(), reference.copy())
        found = np.asarray(answer, dtype=np.float64)
    except BlackBoxError:
        raise
    except Exception as error:
        raise BlackBoxError(f"the black box raised {type(error).__name__}: {error}") from error
    expected = () if output == "score" else test.shape[:2]
    if found.squeeze().shape != tuple(length for length in expected if length > 1):
        what = "a number" if output == "score" else f"a map of shape {expected}"
        raise BlackBoxError(f"the black box must give {what}, got shape {found.shape}; is output={output!r} meant?")
    with np.errstate(over="ignore"):
        single = found.reshape(expected).astype(np.float32)
    if not np.isfinite(single).all():
        raise BlackBoxError(f"the black box must give finite values, {_not_finite(single)}")
    return single


def _not_finite(found: np.ndarray) -> str:
    bad = found[~np.isfinite(found)]
    return f"got {bad[0]}" + (f" in {bad.size} of {found.size} places" if found.ndim else "")
