"""How close is the exact metric to the original, stage by stage?

    python -m benchmarks.fidelity

Compares float64 and float32 with the golden values of the original metric, and, where GNU Octave is installed, float64
with the Octave program on pairs that no golden holds. Writes ``results/fidelity.csv``; the README's table is made
from it. Prints how far off the released models are too, from ``results/surrogates.csv``, which
``benchmarks.surrogates`` writes.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import RESULTS, photograph_pair
from benchmarks.readme_tables import surrogate_table
from vdp_distill import hdrvdp2, octave

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
COLUMNS = ("truth", "ours", "quantity", "cases", "largest_error", "meaning")


def golden_rows() -> list[dict]:
    """Errors against the original's values, over all cases."""
    sys.path.insert(0, str(GOLDEN.parent))
    import goldens

    rows = []
    for name, dtype in (("float64", np.float64), ("float32", np.float32)):
        stages, scalars = {}, {"C_max": [], "P_det": [], "Q": []}
        for case in goldens.NAMES:
            images, keywords, golden = goldens.load(case)
            result = hdrvdp2(
                **{side: image.astype(dtype) for side, image in images.items()}, **keywords, keep_stages=True
            )
            for stage, error in goldens.stage_errors(result, golden).items():
                stages.setdefault(stage.rpartition(".")[2], []).append(error)
            for scalar, errors in scalars.items():
                errors.append(scalar_error(scalar, float(getattr(result, scalar)), float(golden[scalar])))
        truth = ("original metric", name)
        rows += [row(*truth, stage, errors, "of the stage's largest value") for stage, errors in stages.items()]
        rows += [row(*truth, scalar, errors, UNITS[scalar]) for scalar, errors in scalars.items()]
    return rows


UNITS = {"C_max": "relative", "P_det": "absolute", "Q": "absolute"}


def scalar_error(name: str, ours: float, truth: float) -> float:
    """Relative for C_max, which spans decades; absolute for P_det and Q."""
    error = abs(ours - truth)
    return error / truth if name == "C_max" and truth else error


def row(truth: str, ours: str, quantity: str, errors: list[float], meaning: str) -> dict:
    """A line of the table."""
    values = (truth, ours, quantity, len(errors), f"{max(errors):.1e}", meaning)
    return dict(zip(COLUMNS, values, strict=True))


def octave_rows() -> list[dict]:
    """Errors against the Octave program on other sizes and settings."""
    if not octave.octave_available():
        print(f"no Octave rows: {octave.octave_problem()}")
        return []
    sizes = ((61, 83), (128, 128), (135, 240))
    settings = ({"pixels_per_degree": 25.0}, {"pixels_per_degree": 60.0, "rgb_display": "crt", "surround_l": 20.0})
    errors = {"C_map": [], "P_det": [], "Q": []}
    for seed, size in enumerate(sizes):
        for options in settings:
            pair = photograph_pair(*size, seed=seed)
            ours, theirs = (hdrvdp2(*pair, encoding="sRGB-display", engine=e, **options) for e in ("torch", "octave"))
            errors["C_map"].append(float((ours.C_map - theirs.C_map).abs().max() / theirs.C_map.max()))
            errors["P_det"].append(float((ours.P_det - theirs.P_det).abs()))
            errors["Q"].append(float((ours.Q - theirs.Q).abs()))
    meaning = {"C_map": "of the map's largest value", "P_det": "absolute", "Q": "absolute"}
    return [row("Octave program", "float64", name, values, meaning[name]) for name, values in errors.items()]


def main() -> None:
    """Measure, write, print."""
    torch.set_grad_enabled(False)
    rows = golden_rows() + octave_rows()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "fidelity.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    for line in rows:
        print(
            f"{line['truth']:16} {line['ours']:8} {line['quantity']:20} {line['largest_error']:>9}  {line['meaning']}"
        )
    print(f"wrote {path}\n\n{surrogate_table()}")


if __name__ == "__main__":
    main()
