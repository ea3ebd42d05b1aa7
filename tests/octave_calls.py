"""Calls of the Octave program and of a user's own HDR-VDP, and what the goldens ask of their results."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from vdp_distill import octave

GOLDEN = Path(__file__).resolve().parent / "golden"
CASES = sorted(file.stem for file in GOLDEN.glob("*.npz"))
PROBLEM = octave.octave_problem()
needs_octave = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM or "Octave is here")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

# Rounding only: both sides compute in float64; the faintest case (a contrast of 1e-4 of the
# threshold) differs most, by 1.4e-11.
MAP_TOLERANCE = 1e-10
SCALAR_TOLERANCE = 1e-9


def golden_call(name: str) -> tuple[dict, dict]:
    """A golden case and the keyword arguments of the call that made it."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        golden = dict(file)
    meta = json.loads(str(golden["meta"]))
    names = {"do_masking": "masking", "do_mtf": "mtf"}
    options = {names.get(key, key): value for key, value in meta["options"].items()}
    images = [golden[f"input.{side}"] for side in ("test", "reference")]
    images = [image / 255.0 if image.dtype == np.uint8 else image for image in images]
    call = {"encoding": meta["encoding"], "pixels_per_degree": meta["ppd"], **options}
    return golden, {"test": images[0], "reference": images[1], **call}


def small_call() -> dict:
    """A call that takes a few hundredths of a second."""
    rows = np.linspace(0.1, 0.9, 40)[:, None] * np.ones((1, 36))
    test = rows + 0.02 * np.sin(np.arange(36.0))
    return {"test": test, "reference": rows, "encoding": "luma-display", "pixels_per_degree": 30.0}


def flatten(bands: list[list[np.ndarray]]) -> np.ndarray:
    """A pyramid as the goldens hold it: every band column-major."""
    return np.concatenate([band.ravel(order="F") for level in bands for band in level])


def stage_array(result: dict, key: str) -> np.ndarray:
    """What the golden calls ``key``: a map, ``STAGE`` or ``test.STAGE``."""
    if key in ("C_map", "P_map"):
        return result[key]
    side, _, stage = key.rpartition(".")
    found = result["stages"][stage]
    found = found[side] if side else found
    return flatten(found) if isinstance(found, list) else found


def assert_meets(result: dict, golden: dict, keys: list[str]) -> None:
    for key in keys:
        found = stage_array(result, key)
        value = golden[f"{key}@value"]
        largest = max(np.abs(value).max(), 1e-300)
        deviation = np.abs(found.ravel()[golden[f"{key}@index"]] - value).max() / largest
        assert deviation <= MAP_TOLERANCE, f"{key} deviates by {deviation:.1e} of its maximum"
        assert np.linalg.norm(found) == pytest.approx(float(golden[f"{key}@norm"]), rel=1e-9), key
    for name in ("C_max", "P_det"):
        assert result[name] == pytest.approx(float(golden[name]), rel=SCALAR_TOLERANCE, abs=0), name
    assert result["Q"] == pytest.approx(float(golden["Q"]), abs=1e-7)


def golden_stages(golden: dict) -> list[str]:
    keys = [key.removesuffix("@index") for key in golden if key.endswith("@index")]
    return [key for key in keys if not key.startswith("photoreceptor_lut")]
