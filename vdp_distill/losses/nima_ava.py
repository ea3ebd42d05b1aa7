"""AVA: pictures with the counts of their ratings from 1 to 10 (Murray, Marchesotti and Perronnin, CVPR 2012)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from vdp_distill.io import READABLE, read_image
from vdp_distill.losses.contract import chosen
from vdp_distill.losses.nima import BUCKETS

__all__ = ["AVADataset", "AVARow", "as_square", "read_ava"]

COLUMNS = 2 + BUCKETS + 3
"""Index, picture, counts of the ratings 1 to 10, two semantic tags, challenge."""

NAMED = 3
"""How many of a list of files a message names."""


@dataclass(frozen=True)
class AVARow:
    """One line of ``AVA.txt``."""

    picture: str
    counts: tuple[int, ...]
    tags: tuple[int, int]
    challenge: int

    @property
    def distribution(self) -> Tensor:
        """Share of each rating, (10,)."""
        return torch.tensor(self.counts, dtype=torch.get_default_dtype()) / sum(self.counts)


def read_ava(path: str | Path) -> list[AVARow]:
    """Rows of ``AVA.txt``.

    Raises
    ------
    ValueError
        For a missing file, and for a line that is not 15 whole numbers or has no ratings; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give the AVA.txt of the data set")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return rows


def _row(line: str, where: str) -> AVARow:
    try:
        numbers = [int(value) for value in line.split()]
    except ValueError:
        raise ValueError(f"{where}: expected whole numbers, got {line[:60]!r}") from None
    if len(numbers) != COLUMNS:
        raise ValueError(
            f"{where}: expected {COLUMNS} numbers (index, picture, {BUCKETS} counts, 2 tags, challenge), "
            f"got {len(numbers)}"
        )
    counts = tuple(numbers[2 : 2 + BUCKETS])
    if min(counts) < 0 or not sum(counts):
        raise ValueError(f"{where}: counts of ratings must be at least 0 and not all 0, got {counts}")
    return AVARow(str(numbers[1]), counts, (numbers[-3], numbers[-2]), numbers[-1])


class AVADataset(Dataset):
    """Pictures as squares with the distributions of their ratings.

    Parameters
    ----------
    ratings
        ``AVA.txt``.
    images
        Folder of the pictures, each named by its number, in any format that is read here.
    side
        Every picture is scaled to a square of so many pixels, as NIMA does.
    missing
        ``"error"`` for a row without its picture, or ``"skip"`` it.
    check_files
        Read every picture once: those that cannot be read are left out and listed. False trusts them, and a broken
        one raises when it is asked for.

    Attributes
    ----------
    rows
        Those that are kept.
    groups
        Which samples belong together, (len,): here each its own.
    broken
        What was left out, a line each.

    Raises
    ------
    FileNotFoundError
        If a picture is missing.
    ValueError
        For a bad row, or if no picture is left.
    """

    def __init__(
        self,
        ratings: str | Path,
        images: str | Path,
        *,
        side: int = 256,
        missing: str = "error",
        check_files: bool = True,
    ):
        chosen(missing, ("error", "skip"), "missing")
        images = Path(images)
        if not images.is_dir():
            raise FileNotFoundError(f"there is no folder of pictures {images}")
        self.side, self.broken = side, []
        self.files = {path.stem: path for path in images.iterdir() if path.suffix.lower() in READABLE}
        self.rows = self._with_pictures(read_ava(ratings), images, missing)
        if check_files:
            self.rows = [row for row in self.rows if self._is_readable(row)]
        if not self.rows:
            listed = "; ".join(self.broken[:NAMED])
            raise ValueError(f"{images} holds no readable picture of {ratings}{': ' if listed else ''}{listed}")
        self.groups = list(range(len(self.rows)))

    def _with_pictures(self, rows: list[AVARow], images: Path, missing: str) -> list[AVARow]:
        absent = [row.picture for row in rows if row.picture not in self.files]
        if absent and missing == "error":
            raise FileNotFoundError(
                f"{images} lacks {len(absent)} of {len(rows)} pictures: {', '.join(absent[:NAMED])}"
                f"{', ...' if len(absent) > NAMED else ''}; complete it, or leave them out with missing='skip'"
            )
        self.broken += [f"{images / name}: missing" for name in absent]
        return [row for row in rows if row.picture in self.files]

    def _is_readable(self, row: AVARow) -> bool:
        try:
            read_image(self.files[row.picture])
        except (ValueError, OSError) as error:
            self.broken.append(f"{self.files[row.picture]}: {error}")
            return False
        return True

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Picture (3, side, side) in 0..1, and distribution (10,)."""
        row = self.rows[index]
        image = torch.from_numpy(read_image(self.files[row.picture], grey="expand").array)
        return as_square(image.permute(2, 0, 1), self.side), row.distribution


def as_square(image: Tensor, side: int) -> Tensor:
    """An image (3, H, W) scaled to a square, whatever its proportions."""
    return F.interpolate(image[None], size=(side, side), mode="bilinear", antialias=True)[0].clamp(0, 1)
