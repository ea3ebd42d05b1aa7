"""Pairs of images and what a black box says of them: asked once, kept in files, read as a data set.

The answers may cost hours. They are written a chunk at a time, so that whoever is stopped goes on where they were.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vdp_distill import checks
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.surrogates.forward import OUTPUTS
from vdp_distill.training.black_box import BlackBox, BlackBoxError, ask

__all__ = ["ON_ERROR", "Labeller", "LabelledPairs", "Pairs", "as_pair"]

Pairs = Sequence[tuple[object, object]]
"""(test, reference) each: code values in 0..1, as tensors (1, C, H, W) or arrays (H, W[, C])."""

ON_ERROR = ("stop", "skip")
CHUNK = 32
FORMAT = "vdp_distill answers 1"

Report = Callable[[str, int, int], None]
"""Called as ``report(name, done, total)`` after every chunk."""


class LabelledPairs(Dataset):
    """Pairs with the answers to them; those without one are left out.

    Parameters
    ----------
    pairs
    answers
        (H, W) or () for each pair; None for one without.
    channels
        Of the images.
    origin
        Where they come from, for errors and for a run that goes on.
    """

    def __init__(self, pairs: Pairs, answers: Sequence[np.ndarray | None], channels: int, origin: str):
        self.pairs, self.channels, self.origin = pairs, channels, origin
        self.numbers = [number for number, answer in enumerate(answers) if answer is not None]
        self.answers = [answers[number] for number in self.numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        number, answer = self.numbers[place], torch.from_numpy(self.answers[place])
        test, reference = as_pair(self.pairs[number], self.channels, f"pair {number}")
        value = answer[None] if answer.ndim else answer
        return {"test": test, "reference": reference, "value": value, "samples/index": torch.tensor(number)}

    def scores(self) -> np.ndarray:
        """Score of each pair, float64: what was answered, or the mean of the map."""
        return np.array([answer.mean(dtype=np.float64) for answer in self.answers])


def as_pair(pair: tuple[object, object], channels: int, name: str) -> tuple[Tensor, Tensor]:
    """Both images as float32 (C, H, W) in 0..1.

    Raises
    ------
    TypeError, ValueError
        For what is no pair of images of so many channels; the message begins with the name.
    """
    try:
        images = [checks.as_images(image, side)[0] for image, side in zip(pair, ("test", "reference"), strict=True)]
        images = [image.detach().cpu() for image in images]
        checks.check_pair(*images, smallest_side=1)
        for image, side in zip(images, ("test", "reference"), strict=True):
            _check_codes(image, side)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    if images[0].shape[:2] != (1, channels):
        raise ValueError(
            f"{name}: images must be one a tensor, with {channels} channel(s), got {tuple(images[0].shape)} as "
            "(N, C, H, W); say channels=1 for grey images"
        )
    return tuple(image[0].float() for image in images)


def _check_codes(image: Tensor, side: str) -> None:
    low, high = (float(bound) for bound in torch.aminmax(image))
    if not (low >= 0 and high <= 1):
        hint = "divide 8-bit values by 255" if high > 2 else "clip it"
        raise ValueError(f"{side}: code values must lie in 0..1, got {low:.6g} to {high:.6g}; {hint}")


@dataclass(frozen=True)
class Labeller:
    """Asks a black box about pairs.

    Parameters
    ----------
    black_box
    output
        ``"score"`` or ``"map"``.
    channels
        Of the images.
    on_error
        ``"stop"`` at the first chunk that it fails in, or ``"skip"`` the pairs that it fails at with a warning.
    workers
        Threads that ask at a time; a program, and most of NumPy, runs beside the others.
    """

    black_box: BlackBox
    output: str
    channels: int = 3
    on_error: str = "stop"
    workers: int = 1

    def __post_init__(self):
        for name, known in (("output", OUTPUTS), ("on_error", ON_ERROR)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")

    def label(self, pairs: Pairs, folder: Path, name: str, report: Report | None = None) -> LabelledPairs:
        """Ask about every pair.

        Parameters
        ----------
        pairs
            All of one size.
        folder
            Where the answers are kept; what was answered is not asked again.
        name
            Of the set.
        report

        Raises
        ------
        BlackBoxError
            If it fails, and no pair is to be skipped or none is left; the message names the pair.
        ValueError
            For images that are no pairs, pairs of several sizes, or answers to other pairs in the folder.
        """
        answers, digest = [], hashlib.sha256()
        with ThreadPoolExecutor(self.workers) as pool:
            for first, chunk in _chunks(pairs, self.channels, name):
                own = self._digest(chunk)
                digest.update(own.encode())
                path = folder / f"{name}-{first // CHUNK:05d}.safetensors"
                answers += self._answers(path, chunk, own, f"of {name!r}", first, pool)
                if report:
                    report(name, len(answers), len(pairs))
        labelled = LabelledPairs(pairs, answers, self.channels, f"{name} pairs {digest.hexdigest()[:12]}")
        if not len(labelled):
            raise BlackBoxError(f"the black box failed at all {len(pairs)} pairs of {name!r}")
        return labelled

    def _answers(self, path: Path, chunk, digest: str, of: str, first: int, pool) -> list[np.ndarray | None]:
        """The answers to a chunk: those that are kept, and those that are now."""
        answers = _kept(path, digest)
        if answers and not first:
            self._check_again(path, answers, chunk, of)
        missing = [place for place in range(len(chunk)) if place not in answers]
        if not missing:
            return [answers[place] for place in range(len(chunk))]
        found = dict(zip(missing, pool.map(self._ask, [chunk[place] for place in missing]), strict=True))
        problems = {place: answer for place, answer in found.items() if isinstance(answer, BlackBoxError)}
        answers |= {place: answer for place, answer in found.items() if place not in problems}
        _keep(path, answers, digest)
        for place, error in problems.items():
            problem = f"pair {first + place} {of}: {error}"
            if self.on_error == "stop":
                raise BlackBoxError(f"{problem}; mend it, or pass on_error='skip'") from error
            warnings.warn(f"{problem}; it is left out", stacklevel=4)
        return [answers.get(place) for place in range(len(chunk))]

    def _check_again(self, path: Path, answers: dict[int, np.ndarray], chunk, of: str) -> None:
        """Ask about one pair whose answer is kept: another metric, or a mended one, answers otherwise."""
        place, kept = next(iter(answers.items()))
        again = self._ask(chunk[place])
        if isinstance(again, BlackBoxError) or np.allclose(again, kept, rtol=1e-3, atol=1e-6):
            return
        shown = (f"{value.mean(dtype=np.float64):.6g}" for value in (kept, again))
        raise ValueError(
            "{} holds answers of another black box: of pair {} {} it keeps {}, asked again it is {}; move {} away to "
            "ask anew, or choose another folder".format(path, place, of, *shown, path.parent)
        )

    def _ask(self, pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray | BlackBoxError:
        try:
            return ask(self.black_box, *pair, self.output)
        except BlackBoxError as error:
            return error

    def _digest(self, chunk: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
        digest = hashlib.sha256(repr((self.output, chunk[0][0].shape)).encode())
        for image in (image for pair in chunk for image in pair):
            digest.update(image)
        return digest.hexdigest()


def _chunks(pairs: Pairs, channels: int, name: str) -> Iterator[tuple[int, list[tuple[np.ndarray, np.ndarray]]]]:
    """The first number of each chunk, and its pairs as the black box takes them."""
    if not len(pairs):
        raise ValueError(f"there are no pairs in {name!r}")
    size = None
    for first in range(0, len(pairs), CHUNK):
        chunk = []
        for number in range(first, min(first + CHUNK, len(pairs))):
            pair = as_pair(pairs[number], channels, f"pair {number} of {name!r}")
            size = size or pair[0].shape
            if pair[0].shape != size:
                raise ValueError(
                    f"pair {number} of {name!r} is of shape {tuple(pair[0].shape)}, those before of {tuple(size)}; cut "
                    "all to one size, for they are trained on in batches"
                )
            chunk.append(tuple(_as_array(image) for image in pair))
        yield first, chunk


def _as_array(image: Tensor) -> np.ndarray:
    """(C, H, W) -> (H, W, C), or (H, W) for grey."""
    planes = image[0] if image.shape[0] == 1 else image.permute(1, 2, 0)
    return np.ascontiguousarray(planes.numpy())


def _keep(path: Path, answers: dict[int, np.ndarray], digest: str) -> None:
    found = {str(place): torch.from_numpy(answer) for place, answer in answers.items()}
    write_tensors(path, found, {"format": FORMAT, "pairs": digest})


def _kept(path: Path, digest: str) -> dict[int, np.ndarray]:
    """The answers to a chunk that are there, by place."""
    if not path.is_file():
        return {}
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT or metadata.get("pairs") != digest:
        raise ValueError(f"{path} holds answers to other pairs; choose another folder, or move it away to ask anew")
    return {int(place): answer.numpy() for place, answer in tensors.items()}
