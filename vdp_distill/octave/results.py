"""From Octave's structs and cells to numpy, under the names of the package."""

from typing import Any

import numpy as np

from .installation import OctaveError
from .session import Session


def numbers(found: Any, session: Session, engine: str) -> dict[str, Any]:
    """The maps and numbers that every engine gives, and the versions that gave them.

    Raises
    ------
    OctaveError
        One of them is NaN or infinite.
    """
    result: dict[str, Any] = {name: np.asarray(found[name], np.float64) for name in ("P_map", "C_map")}
    result |= {name: float(np.squeeze(found[name])) for name in ("P_det", "C_max", "Q")}
    wrong = [name for name, value in result.items() if not np.isfinite(value).all()]
    if wrong:
        raise OctaveError(
            f"Octave returned NaN or infinity in {', '.join(wrong)}; are all channels positive cd/m2 "
            "where the encoding is light, and within 0..1 where it is a display's?"
        )
    result["versions"] = {
        "engine": engine,
        "octave": session.octave_version,
        "oct2py": session.oct2py_version,
    }
    return result


def stages(found: Any) -> dict[str, Any]:
    """Octave's struct under the names of the package, pyramids as lists of lists."""
    per_image = ("light_scatter", "photoreceptors", "luminance_masking", "achromatic", "baseband")
    sides = ("test", "reference")
    found_stages: dict[str, Any] = {
        name: {side: np.asarray(found[side][name], np.float64) for side in sides} for name in per_image
    }
    for side in sides:
        light = found_stages["light_scatter"][side]
        found_stages["light_scatter"][side] = light.reshape(*light.shape[:2], -1)
    found_stages["pyramid"] = {side: _bands(found[side]["pyramid"]) for side in sides}
    found_stages["masked_difference"] = _bands(found["masked_difference"])
    for name in ("adapting_luminance", "contrast_map"):
        found_stages[name] = np.asarray(found[name], np.float64)
    return found_stages


def _bands(cell: Any) -> list[list[np.ndarray]]:
    bands = [np.atleast_2d(np.asarray(band, np.float64)) for band in np.ravel(cell)]
    return [list(np.moveaxis(band.reshape(*band.shape[:2], -1), 2, 0)) for band in bands]
