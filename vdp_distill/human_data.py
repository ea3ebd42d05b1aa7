"""Sets of human judgements: MCL-JCI as it was measured, and a stand-in made by synthetic observers.

MCL-JCI (Jin et al. 2016) holds 50 photographs of 1920 x 1080, each as JPEG at qualities 1 to 100, and at which quality
each of 30 subjects first saw a difference.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from vdp_distill.human_labels import SOURCE, SUBJECTS, WHERE, name_of, read_labels
from vdp_distill.io import READABLE
from vdp_distill.judgements import HumanData, Judgement, Viewing, deal_folds
from vdp_distill.synthetic_observers import Observers, fit_observers
from vdp_distill.synthetic_pictures import contrasts, encoded, load_photographs

__all__ = ["MCLJCI", "SyntheticObservers", "read_labels"]


class MCLJCI(HumanData):
    """MCL-JCI: photographs, their JPEG copies, and what 30 subjects saw.

    Parameters
    ----------
    root
        Folder of the pictures, as published: ``ImageJND_SRC01/ImageJND_SRC01_001.jpg``, or any paths that hold
        ``SRC01`` and end in the quality or name it, as in ``SRC01/QF001.png``; a source itself has no quality.
    labels
        A file for :func:`read_labels`; None looks in ``root``.
    folds
        A file with the published ten folds; None takes those of ``labels``, or deals the sources out.
    levels
        Qualities to keep; None keeps all that have labels.
    sources
        Sources to keep; None keeps all that have labels.
    reencode
        Make the JPEG copies from the sources with Pillow instead of reading them.
    viewing
        How the pairs are seen.

    Raises
    ------
    FileNotFoundError, ValueError
        For labels or pictures that are missing, with what to fetch from where, and for pictures whose size changes.
    """

    name = "MCL-JCI"

    def __init__(
        self,
        root: str | Path,
        labels: str | Path | None = None,
        *,
        folds: str | Path | None = None,
        levels: Iterable[int] | None = None,
        sources: Iterable[str] | None = None,
        reencode: bool = False,
        viewing: Viewing | None = None,
    ):
        self.root, self.reencode = Path(root), reencode
        shares, own_folds = read_labels(labels or self._find_labels())
        kept = None if sources is None else set(sources)
        wanted = None if levels is None else set(levels)
        rows = [
            Judgement(source, level, share * SUBJECTS, SUBJECTS)
            for (source, level), share in shares.items()
            if (kept is None or source in kept) and (wanted is None or level in wanted)
        ]
        if folds is not None:
            own_folds = read_labels(folds)[1]
        super().__init__(rows, own_folds or deal_folds([row.source for row in rows]), viewing or Viewing())
        self.pictures = self._index()
        self._size = self._check_pictures()
        copies = f"re-encoded with Pillow {PIL.__version__}" if reencode else "as published"
        self.about = f"MCL-JCI: {len(self.sources)} sources, {SUBJECTS} subjects, first JND, JPEG copies {copies}"

    def _find_labels(self) -> Path:
        found = sorted(self.root.glob("*.csv"))
        if not found:
            raise FileNotFoundError(f"{self.root} holds no labels (*.csv); {WHERE['labels']}")
        return found[0]

    def _index(self) -> dict[tuple[str, int | None], Path]:
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}; {WHERE['pictures']}")
        paths = (path for path in sorted(self.root.rglob("*")) if path.suffix.lower() in READABLE)
        names = ((path, str(path.relative_to(self.root))) for path in paths)
        return {name_of(name): path for path, name in names if SOURCE.search(name)}

    def _check_pictures(self) -> tuple[int, int]:
        needed = {(source, None if self.reencode else 100) for source in self.sources}
        if self.reencode:
            hint = "a source re-encoded needs its own picture, with no quality in its name"
        else:
            needed |= {(row.source, row.level) for row in self.judgements}
            hint = "copies can also be made from the sources: reencode=True"
        missing = sorted(needed - self.pictures.keys(), key=str)
        if missing:
            first = ", ".join(source if level is None else f"{source} at {level}" for source, level in missing[:3])
            raise FileNotFoundError(
                f"{self.root} has labels but no pictures for {len(missing)} of {len(needed)}, first {first}; "
                f"{WHERE['pictures']}; {hint}"
            )
        sizes = {}
        for key in sorted(needed, key=str):
            with Image.open(self.pictures[key]) as picture:
                sizes.setdefault(picture.size, self.pictures[key])
        if len(sizes) > 1:
            listed = "; ".join(f"{path} is {width}x{height}" for (width, height), path in list(sizes.items())[:2])
            raise ValueError(f"all pictures must have one size, or a pair cannot be compared: {listed}")
        width, height = next(iter(sizes))
        return height, width

    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self._size

    def codes(self, source: str, level: int | None) -> np.ndarray:
        """A copy's codes; the reference is the copy at quality 100, as the labels have it."""
        level = 100 if level is None else level
        with Image.open(self.pictures[source, None if self.reencode else level]) as picture:
            image = picture.convert("RGB")
        return np.asarray(encoded(image, level) if self.reencode else image)


class SyntheticObservers(HumanData):
    """Photographs judged by observers who see what the exact metric says: a stand-in where no human data is at hand.

    It proves that the machinery works, not that anything agrees with people: the exact metric is its own teacher here.
    The rule: C is the exact metric's contrast, in threshold units, of a pair in its viewing condition. Observer i of
    30 has the threshold T_i = T * 10^(s z_i), z_i the normal distribution's quantile at (i + 1/2) / 30, and sees the
    pair with probability 1 - 0.5^((C / T_i)^3). Each observer draws one number for each source and sees every copy
    whose probability exceeds it, so that the share falls with quality, as measured shares do. T and s are fitted to
    two averages over MCL-JCI's sources: the quality that half of the subjects see (26.3), and the highest that
    anyone does (53.1).

    Parameters
    ----------
    photographs
        A folder, paths, or 8-bit arrays (H, W, 3) by name. Those smaller than ``size`` are left out and listed in
        ``skipped``.
    levels
        Qualities of the codec, or strengths of ``distort``.
    size
        Height and width to which photographs are cut and shrunk before they are distorted.
    codec
        A format that Pillow writes with a quality.
    distort
        ``distort(image, level)`` in place of the codec, on Pillow images.
    observers
        Their thresholds; None fits them.
    seed
        Of the observers' draws.
    cache
        Folder that keeps the exact contrasts, which take the time.
    viewing
        How the pairs are seen.

    Examples
    --------
    >>> ramp = np.linspace(0, 255, 64 * 96 * 3).astype(np.uint8).reshape(64, 96, 3)
    >>> data = SyntheticObservers({"ramp": ramp}, levels=(5, 50), size=(64, 96), observers=Observers(100.0, 0.2))
    >>> [row.subjects for row in data.judgements], data.measured
    ([30, 30], False)
    """

    name = "synthetic observers"
    measured = False

    def __init__(
        self,
        photographs: str | Path | Iterable[str | Path] | Mapping[str, np.ndarray],
        *,
        levels: Iterable[int] = range(1, 101),
        size: tuple[int, int] = (1080, 1920),
        codec: str = "jpeg",
        distort: Callable[[Image.Image, int], Image.Image] | None = None,
        observers: Observers | None = None,
        seed: int = 0,
        cache: str | Path | None = None,
        viewing: Viewing | None = None,
    ):
        self.photographs, self.skipped = load_photographs(photographs, size)
        self._size, self.levels, viewing = tuple(size), sorted(set(levels)), viewing or Viewing()
        self.distort = distort or (lambda image, level: encoded(image, level, codec))
        named = codec if distort is None else getattr(distort, "__qualname__", "<unnamed>")
        cache = None if "<" in named else cache  # one name of many functions: what is kept might be another's
        key = {"codec": named}
        self.viewing = viewing
        self.contrast = contrasts(self, cache, key | {"pillow": PIL.__version__, "size": list(size)})
        self.observers = observers or fit_observers(self.contrast, self.levels)
        rows = self.observers.judge(self.contrast, self.levels, seed)
        super().__init__(rows, deal_folds(list(self.photographs)), viewing)
        self.about = (
            f"synthetic observers, not people: {len(self.sources)} photographs judged by the exact metric through "
            f"{self.observers.count} observers (threshold {self.observers.threshold:.4g}, spread "
            f"{self.observers.spread:.3g} decades), {codec if distort is None else 'distorted'} copies at "
            f"{len(self.levels)} levels, Pillow {PIL.__version__}"
        )

    def size(self) -> tuple[int, int]:
        """Height and width of the photographs."""
        return self._size

    def codes(self, source: str, level: int | None) -> np.ndarray:
        """A copy's codes; the reference is the photograph itself."""
        image = self.photographs[source]()
        return np.asarray(image if level is None else self.distort(image, level).convert("RGB"))

    def expected(self) -> np.ndarray:
        """The share that the observers would show on average, for every judgement."""
        return np.array([self.observers.share(self.contrast[row.source][row.level]) for row in self.judgements])
