"""Golden values of the original metric: run in GNU Octave, sampled at 256 places of every stage."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("golden")
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
OPTIONS = {"do_masking": ("masking", bool), "do_mtf": ("mtf", bool)}


def load(name: str) -> tuple[dict, dict, dict]:
    """Images as float64 arrays, keywords for ``hdrvdp2``, and the golden values."""
    golden = dict(np.load(FOLDER / f"{name}.npz"))
    meta = json.loads(str(golden["meta"]))
    images = {side: _as_float(golden[f"input.{side}"]) for side in ("test", "reference")}
    keywords = {"encoding": meta["encoding"], "pixels_per_degree": meta["ppd"]}
    for option, value in meta["options"].items():
        key, kind = OPTIONS.get(option, (option, lambda same: same))
        keywords[key] = kind(value)
    return images, keywords, golden


def _as_float(image: np.ndarray) -> np.ndarray:
    return image / 255 if image.dtype == np.uint8 else image


def stage_errors(result, golden: dict) -> dict[str, float]:
    """Largest error of every stage at the sampled places, over the largest golden value there."""
    errors = {}
    for key in golden:
        name, _, what = key.partition("@")
        if what == "index":
            expected = golden[f"{name}@value"]
            error = np.abs(_flat(_stage(result, name))[golden[key]] - expected).max()
            errors[name] = error / max(np.abs(expected).max(), np.finfo(float).tiny)
    return errors


def _stage(result, name: str):
    side, _, stage = name.rpartition(".")
    if side:
        return getattr(result.stages[stage], side)
    if name in ("P_map", "C_map"):
        return getattr(result, name)
    stage = result.stages[name]
    return (stage.test + stage.reference) / 2 if name == "adapting_luminance" else stage


def _flat(stage) -> np.ndarray:
    """C order; a pyramid is one vector, band after band, each column-major."""
    if not isinstance(stage, list):
        return stage.ravel()
    bands = (np.atleast_3d(band) for band in stage)
    return np.concatenate([band[..., o].ravel(order="F") for band in bands for o in range(band.shape[2])])
