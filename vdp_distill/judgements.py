"""What people said about pairs of images: one judgement, how the pairs were seen, and the shape of every set."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.display import Display
from vdp_distill.display_files import load_display

__all__ = ["FOLDS", "HumanData", "Judgement", "Viewing", "deal_folds", "reduce_image"]

FOLDS = 10


@dataclass(frozen=True)
class Judgement:
    """How many of the subjects saw a difference between a source and its distorted copy.

    Attributes
    ----------
    source
        Name of the source.
    level
        Quality of the codec, or another distortion's strength.
    seen, subjects
        So many of so many; ``seen`` may be a fraction where a fitted curve stands for the counts.
    """

    source: str
    level: int
    seen: float
    subjects: int = 30

    def __post_init__(self):
        if not (self.subjects > 0 and 0 <= self.seen <= self.subjects):
            raise ValueError(
                f"{self.source} at level {self.level}: seen must lie in 0..subjects, got {self.seen} of {self.subjects}"
            )

    @property
    def share(self) -> float:
        """Share of the subjects who saw it."""
        return self.seen / self.subjects


@dataclass(frozen=True)
class Viewing:
    """How the pairs of a set are seen.

    Parameters
    ----------
    display
        A preset's name, a file, or a :class:`vdp_distill.display.Display`.
    pixels_per_degree
        Of the images at their own size; None for the display's.
    height
        Images are reduced to so many rows, and the pixels per degree with them; None leaves them as they are.

    Examples
    --------
    >>> Viewing(height=270).reduced_pixels_per_degree(1080)
    22.5
    """

    display: str | Display = "mcl-jci"
    pixels_per_degree: float | None = None
    height: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "display", load_display(self.display))
        if self.pixels_per_degree is None:
            object.__setattr__(self, "pixels_per_degree", self.display.geometry_pixels_per_degree())
        if self.pixels_per_degree is None or not self.pixels_per_degree > 0:
            raise ValueError(
                f"pixels_per_degree must be positive, got {self.pixels_per_degree}; a display without geometry has "
                "none of its own"
            )
        if self.height is not None and self.height < 1:
            raise ValueError(f"height must be a positive number of rows, got {self.height}")

    def reduced_pixels_per_degree(self, full_height: int) -> float:
        """Pixels per degree of an image after :meth:`reduce`."""
        return self.pixels_per_degree * min(1.0, (self.height or full_height) / full_height)

    def reduce(self, codes: np.ndarray) -> Tensor:
        """8-bit codes (H, W, C) as float32 (1, C, h, w) in 0..1, reduced."""
        image = torch.from_numpy(np.array(codes, dtype=np.float32) / np.float32(255)).permute(2, 0, 1)[None]
        scale = min(1.0, (self.height or codes.shape[0]) / codes.shape[0])
        return reduce_image(image, scale)


def reduce_image(image: Tensor, scale: float) -> Tensor:
    """An image (N, C, H, W) made smaller by averaging over areas; a scale of 1 leaves it alone.

    Examples
    --------
    >>> reduce_image(torch.rand(1, 3, 1080, 1920), 0.25).shape
    torch.Size([1, 3, 270, 480])
    """
    if scale >= 1:
        return image
    return F.interpolate(image, size=[max(1, round(side * scale)) for side in image.shape[-2:]], mode="area")


def deal_folds(sources: list[str], folds: int = FOLDS) -> dict[str, int]:
    """Folds 1, 2, ... dealt to the sources in the order of their names: never through a source.

    Examples
    --------
    >>> deal_folds(["c", "a", "b"], 2)
    {'a': 1, 'b': 2, 'c': 1}
    """
    return {source: 1 + number % min(folds, len(sources)) for number, source in enumerate(sorted(sources))}


class HumanData:
    """A set of judgements and the images that they are about; a subclass says where those come from.

    Attributes
    ----------
    name
        For tables and cards.
    measured
        True if people made the judgements, False if a model of them did.
    about
        What the set is, in a sentence or two.
    judgements
        All of them, sorted by source and level.
    folds
        Fold of every source.
    viewing
        How the pairs are seen.
    """

    name = "human data"
    measured = True
    about = ""

    def __init__(self, judgements: list[Judgement], folds: dict[str, int], viewing: Viewing):
        if not judgements:
            raise ValueError(f"{self.name}: there are no judgements left; give sources and levels that have some")
        self.judgements = tuple(sorted(judgements, key=lambda row: (row.source, row.level)))
        self.sources = tuple(sorted({row.source for row in judgements}))
        self.folds = {source: folds[source] for source in self.sources}
        self.viewing = viewing

    def __len__(self) -> int:
        return len(self.judgements)

    def codes(self, source: str, level: int | None) -> np.ndarray:
        """8-bit codes of a source's copy, or of the reference itself for None, (H, W, 3)."""
        raise NotImplementedError(f"{type(self).__name__} must say where its images come from")

    def size(self) -> tuple[int, int]:
        """Height and width of the images at their own size."""
        raise NotImplementedError(f"{type(self).__name__} must say how large its images are")

    def pair(self, index: int) -> tuple[Tensor, Tensor]:
        """Test and reference of a judgement, (1, 3, h, w) code values in 0..1, reduced as the viewing says."""
        row = self.judgements[index]
        return self.viewing.reduce(self.codes(row.source, row.level)), self.reference(row.source)

    def reference(self, source: str) -> Tensor:
        """A source, as :meth:`pair` gives it."""
        return self.viewing.reduce(self.codes(source, None))

    def pixels_per_degree(self) -> float:
        """Of the images that :meth:`pair` gives."""
        return self.viewing.reduced_pixels_per_degree(self.size()[0])

    def split(self, fold: int) -> tuple[list[int], list[int]]:
        """Judgements of the other folds, and of this one: no source is in both."""
        inside = [index for index, row in enumerate(self.judgements) if self.folds[row.source] == fold]
        chosen = set(inside)
        return [index for index in range(len(self)) if index not in chosen], inside
