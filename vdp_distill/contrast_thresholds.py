"""Contrast thresholds that people measured, and how far a metric's are from them.

The table is that of M. Ashraf, R. Mantiuk, A. Chapiro, S. Wuerger, "castleCSF", Journal of Vision 24(4), 2024: a row a
stimulus, with the sensitivity (one over the contrast at the threshold) of a person or the mean of several.
"""

import csv
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from vdp_distill import zoo
from vdp_distill.contrast_stimuli import SIDE_PIXELS, WINDOWS, Stimulus, find_contrasts
from vdp_distill.metric import HDRVDP2

__all__ = ["ContrastThresholds", "predictor", "why_not"]

COLUMNS = ("dataset", "stimulus", "luminance", "s_frequency", "t_frequency", "eccentricity", "orientation",
           "ge_sigma", "area", "col_dir_id", "sensitivity", "var_log_cone_contrast")  # fmt: skip
ACHROMATIC_DIRECTIONS = {"hdr_csf": "9", "colorfest": "2"}
"""Of sets that measured several directions of colour: the one that is band-pass and ends last, as only luminance is."""

STATIC_HZ = 1.0
"""Slower than this counts as static: Robson 1966, whose gratings all flicker, begins at 0.5 Hz."""


class ContrastThresholds:
    """The achromatic, static, foveal rows of a table of contrast thresholds.

    Parameters
    ----------
    path
        CSV file with the columns of castleCSF's ``data_aggregated.csv``.

    Attributes
    ----------
    stimuli
        What can be drawn, a :class:`Stimulus` a row.
    left_out
        Number of rows by (data set, why).

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such table, a column is missing, or no row is left.
    """

    def __init__(self, path: str | Path):
        rows = _read(Path(path))
        directions = _directions(rows)
        reasons = [why_not(row, directions[row["dataset"]]) for row in rows]
        self.stimuli = [_stimulus(row) for row, reason in zip(rows, reasons, strict=True) if reason is None]
        self.left_out = Counter((row["dataset"], reason) for row, reason in zip(rows, reasons, strict=True) if reason)
        if not self.stimuli:
            raise ValueError(f"{path} holds no achromatic, static, foveal row; left out: {dict(self.left_out)}")

    def sensitivities(self, model: str | Path = "exact", *, side: int = SIDE_PIXELS, batch: int = 16) -> np.ndarray:
        """One over the contrast at which a model's P_det is 0.5, (len(stimuli),); 1 where full contrast is not enough.

        Parameters
        ----------
        model
            ``"exact"``, a released model, or the folder of a trained one.
        side
            Of the canvas in pixels; what is larger is cut.
        batch
            Stimuli at a time.
        """
        predict = predictor(model)
        found = []
        for first in range(0, len(self.stimuli), batch):
            group = self.stimuli[first : first + batch]
            found.append(find_contrasts(group, predict, side))
        return 1 / np.concatenate(found)

    def errors(self, sensitivities: np.ndarray) -> list[dict]:
        """How far sensitivities are from people's, in log10: a row a data set, and ``"all"``.

        ``shift`` is the mean of model minus people; ``rmse_own_shift`` is left after the set's own, and
        ``rmse_common_shift`` after that of all sets.
        """
        names = np.array([stimulus.data_set for stimulus in self.stimuli])
        people = np.array([stimulus.sensitivity for stimulus in self.stimuli])
        error = np.log10(sensitivities) - np.log10(people)
        rows = []
        for name in (*dict.fromkeys(names), "all"):
            own = (names == name) | (name == "all")
            rows.append({
                "data_set": str(name),
                "stimuli": int(own.sum()),
                "rmse": _rms(error[own]),
                "shift": float(error[own].mean()),
                "rmse_own_shift": float(error[own].std()),
                "rmse_common_shift": _rms(error[own] - error.mean()),
                "unseen": int((sensitivities[own] <= 1).sum()),
            })  # fmt: skip
        return rows


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _read(path: Path) -> list[dict]:
    if not path.is_file():
        raise FileNotFoundError(f"no table of thresholds {path}; castleCSF's data_aggregated.csv is one")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise ValueError(f"{path} needs rows with the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    return rows


def _directions(rows: list[dict]) -> dict[str, str | None]:
    """The achromatic direction of every data set: the only one it has, or the one we know."""
    found = {}
    for row in rows:
        found.setdefault(row["dataset"], set()).add(row["col_dir_id"])
    only = {name: next(iter(directions)) for name, directions in found.items() if len(directions) == 1}
    return dict.fromkeys(found) | ACHROMATIC_DIRECTIONS | only


def why_not(row: dict, direction: str | None) -> str | None:
    """Why a row is left out; None where it is kept.

    Parameters
    ----------
    row
        Of the table.
    direction
        The achromatic ``col_dir_id`` of its data set, if known.
    """
    number = {name: _number(row[name]) for name in COLUMNS if name not in ("dataset", "stimulus", "col_dir_id")}
    drawn = ("luminance", "s_frequency", "ge_sigma", "area", "sensitivity")
    if direction is None:
        return "several directions of colour, and the table does not name the achromatic one"
    if row["col_dir_id"] != direction:
        return "chromatic"
    if not number["t_frequency"] <= STATIC_HZ:
        return f"flickers faster than {STATIC_HZ:g} Hz"
    if number["eccentricity"] != 0:
        return "beside the fovea"
    if row["stimulus"] not in WINDOWS or not all(number[name] > 0 for name in drawn):
        return "neither a Gabor patch nor a grating with a size"
    if number["sensitivity"] < 1:
        return "the threshold is a contrast above 1, which cannot be drawn"
    return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _stimulus(row: dict) -> Stimulus:
    names = ("luminance", "s_frequency", "ge_sigma", "area", "orientation", "sensitivity")
    error = math.sqrt(_number(row["var_log_cone_contrast"])) or math.nan  # a variance of 0 is one that was not measured
    return Stimulus(row["dataset"], row["stimulus"], *(_number(row[name]) for name in names), error)


def predictor(model: str | Path) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """C_max of grey light, (N,), from test, reference, pixels per degree and surround, by a metric or a model."""
    if model == "exact":
        return lambda test, reference, ppd, surround: (
            HDRVDP2(encoding="luminance", pixels_per_degree=ppd, surround_l=surround)(test, reference).C_max
        )
    trained = zoo.load(model)

    def predict(test, reference, ppd, surround):
        colour = [light.expand(-1, 3, -1, -1) for light in (test, reference)]
        return trained(*colour, encoding="rgb-bt.709", pixels_per_degree=ppd, surround_l=surround).C_max

    return predict
