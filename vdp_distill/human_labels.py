"""MCL-JCI's labels in both public forms, and the names that its pictures have."""

import csv
import re
from pathlib import Path

__all__ = ["SOURCE", "SUBJECTS", "WHERE", "name_of", "read_labels", "source_of"]

SUBJECTS = 30
WHERE = {
    "pictures": "the data set's page, mcl.usc.edu/mcl-jci-dataset, has the pictures",
    "labels": (
        "jnd_pairs_npy.csv of github.com/kyillene/D-JNDQ, or sur_featnet_jnd_10_fold_dedup.csv of "
        "github.com/LinHanhe/SUR-FeatNet, holds them"
    ),
}
SOURCE = re.compile(r"SRC[ _-]?(\d{1,3})", re.IGNORECASE)
EXPLICIT_LEVEL = re.compile(r"QF[ _-]?(\d{1,3})", re.IGNORECASE)
LAST_LEVEL = re.compile(r"[ _/\\-](\d{1,3})$")


def read_labels(path: str | Path) -> tuple[dict[tuple[str, int], float], dict[str, int]]:
    """Share of people who see the first difference, by (source, quality), and the fold of every source if given.

    Parameters
    ----------
    path
        Either public form of MCL-JCI's labels: lines ``reference, test, share`` with the file names
        ``ImageJND_SRC01_100``, ``ImageJND_SRC01_099``; or columns ``ref_img, qf, first_SUR, ..., set``, where the
        satisfied user ratio is the share of those who see nothing.

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing file, or one in neither form.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no labels at {path}; {WHERE['labels']}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    try:
        if rows[0][:3] == ["ref_img", "qf", "first_SUR"]:
            table = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
            shares = {(source_of(row["ref_img"]), int(row["qf"])): 1 - float(row["first_SUR"]) for row in table}
            return shares, {source_of(row["ref_img"]): int(row["set"]) for row in table}
        return {name_of(test): float(share) for _, test, share in rows}, {}
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is in neither form of MCL-JCI's labels ('reference, test, share' or 'ref_img, qf, first_SUR, "
            f"..., set'): {error}"
        ) from error


def source_of(text: str) -> str:
    """Name of the source in a picture's path, such as SRC01."""
    found = SOURCE.findall(text)
    if not found:
        raise ValueError(f"{text!r} names no source such as SRC01")
    return f"SRC{int(found[-1]):02d}"


def name_of(text: str) -> tuple[str, int | None]:
    """Source and quality of a picture's path; no quality for a source itself."""
    source, stem = source_of(text), str(Path(text).with_suffix(""))
    rest = stem[max(match.end() for match in SOURCE.finditer(stem)) :]
    level = EXPLICIT_LEVEL.search(stem) or LAST_LEVEL.search(rest)
    return source, int(level[1]) if level else None
