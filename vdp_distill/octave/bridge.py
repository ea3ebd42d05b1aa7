"""Run the metric in Octave on one pair of images: the package's program or the original."""

import atexit
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from . import inputs, original, results
from .installation import OctaveError, find_octave, import_oct2py, octave_version
from .session import Session, path_bytes

PROGRAM_DIR = Path(__file__).resolve().parent
REPAIRS_DIR = PROGRAM_DIR / "repairs"
# A sound pyramid of four orientations returns 0.98 of the energy of noise, and the noise to
# 9 %; without its oriented bands 0.6 and 52 %.
_ENERGY_RANGE = (0.93, 1.05)
_DEVIATION_LIMIT = 0.15

_sessions: dict[str, tuple[str, Session]] = {}
_lock = threading.RLock()
# Kept, for their end would be taken for the end of the parent's Octave.
_inherited: list[Session] = []


def octave_problem() -> str:
    """Why the Octave engines cannot be used; empty when they can.

    Examples
    --------
    >>> isinstance(octave_problem(), str)
    True
    """
    try:
        import_oct2py()
        octave_version(find_octave())
    except OctaveError as error:
        return str(error)
    return ""


def octave_available() -> bool:
    """Whether a usable Octave and oct2py are here; see :func:`octave_problem`."""
    return not octave_problem()


def run(
    test: np.ndarray,
    reference: np.ndarray,
    *,
    engine: str = "octave",
    hdrvdp_dir: str | os.PathLike | None = None,
    encoding: str,
    pixels_per_degree: float,
    rgb_display: str | None = None,
    surround_l: float | list[float] = 1e-5,
    peak_sensitivity: float = 2.4,
    masking: bool = True,
    mtf: bool = True,
    spectral_matrix: np.ndarray | None = None,
    keep_stages: bool = False,
    time_limit_s: float = 600.0,
    program_dir: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """HDR-VDP 2.2 of one pair of images, computed in Octave.

    Parameters
    ----------
    test, reference
        Of shape (height, width) or (height, width, channel), in the unit of ``encoding``.
    engine
        ``"octave"`` for the program of this package, ``"original"`` for ``hdrvdp_dir``.
    hdrvdp_dir
        An unmodified HDR-VDP 2.2.x; default the environment variable ``VDP_DISTILL_HDRVDP``.
    encoding
        ``"luminance"``, ``"rgb-bt.709"``, ``"generic"`` (cd/m2), ``"XYZ"`` (Y in cd/m2),
        ``"luma-display"`` or ``"sRGB-display"`` (code values 0..1).
    pixels_per_degree
        Of the visual field.
    rgb_display
        ``"crt"``, ``"ccfl-lcd"``, ``"led-lcd"`` or ``"D65"``; default by channel count.
    surround_l
        Light around the image, cd/m2: a number, one a channel, or -1 for the geometric mean of
        the reference.
    peak_sensitivity
        lg of the peak sensitivity.
    masking, mtf
        False leaves out contrast masking or light scatter.
    spectral_matrix
        Of shape (channel, 4), L, M, S, rod: in place of the display's. Engine "octave" only.
    keep_stages
        Return every stage too. Engine "octave" only.
    time_limit_s
        Seconds after which Octave is ended; the next call starts a fresh one.
    program_dir
        Another copy of this package's ``.m`` files to run, for tests that plant errors.

    Returns
    -------
    ``P_map``, ``C_map`` of shape (height, width), the floats ``P_det``, ``C_max``, ``Q``, the
    dict ``versions``, and with ``keep_stages`` the dict ``stages``: per image
    ``{"test": ..., "reference": ...}`` of light_scatter (height, width, channel), photoreceptors
    (height, width, 4), luminance_masking (height, width, 3), achromatic (height, width),
    pyramid (list of bands, each a list of orientations), baseband; of both
    adapting_luminance, masked_difference (like pyramid) and contrast_map.

    Raises
    ------
    ValueError
        The images or options do not fit together.
    OctaveError
        Octave is missing, too old, crashed, took too long or gave no finite number; or the
        original's pyramid does not return the noise that it was built from.

    Examples
    --------
    >>> image = np.full((32, 32), 0.5)
    >>> result = run(image, image, encoding="luma-display", pixels_per_degree=30)  # doctest: +SKIP
    >>> result["P_det"]  # doctest: +SKIP
    0.0
    """
    test, reference = inputs.checked_images(test, reference, encoding, spectral_matrix)
    if not pixels_per_degree > 0:
        raise ValueError(f"pixels_per_degree must be positive, got {pixels_per_degree}")
    options = {
        "surround_l": np.atleast_1d(np.asarray(surround_l, dtype=np.float64)),
        "peak_sensitivity": float(peak_sensitivity),
        "do_masking": bool(masking),
        "do_mtf": bool(mtf),
        "rgb_display": rgb_display or "",
    }
    if engine == "original":
        inputs.refuse_for_original(test, options, spectral_matrix, keep_stages)
        return _run_original(test, reference, hdrvdp_dir, encoding, float(pixels_per_degree), options, time_limit_s)
    if engine != "octave":
        raise ValueError(f'engine must be "octave" or "original", got {engine!r}')
    matrix = np.zeros((0, 0)) if spectral_matrix is None else np.asarray(spectral_matrix, np.float64)
    options |= {
        "encoding": encoding,
        "pixels_per_degree": float(pixels_per_degree),
        "spectral_matrix": matrix,
        "keep_stages": bool(keep_stages),
    }
    return _run_program(test, reference, options, program_dir, time_limit_s)


def close() -> None:
    """End all Octave sessions of this process; the next call starts a fresh one."""
    with _lock:
        for _, session in _sessions.values():
            session.close()
        _sessions.clear()


def _forget_after_fork() -> None:
    """Sessions belong to the process that started them, and so does its lock."""
    global _lock
    _lock = threading.RLock()
    _inherited.extend(session for _, session in _sessions.values())
    _sessions.clear()


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def _run_program(test, reference, options, program_dir, limit_s) -> dict[str, Any]:
    folder = str(Path(program_dir or PROGRAM_DIR).resolve())
    with _lock:
        key, session = _sessions.get("octave", ("", None))
        if session is None or not session.usable():
            if session is not None:
                session.close()
            key, session = "", Session(limit_s)
        if key != folder or program_dir is not None:
            session.call("vdp_use_program", path_bytes(folder), limit_s=limit_s)
        _sessions["octave"] = (folder, session)
        found = session.call("vdp_hdrvdp2", test, reference, options, limit_s=limit_s)
    result = results.numbers(found, session, "octave")
    if options["keep_stages"]:
        result["stages"] = results.stages(found["stages"])
    return result


def _run_original(test, reference, hdrvdp_dir, encoding, ppd, options, limit_s) -> dict[str, Any]:
    folder = original.find_folder(hdrvdp_dir)
    release = original.release(folder)
    # A name that a release does not know is not an error there.
    options = {**options, "disable_lowvals_warning": True}
    if not options["rgb_display"]:
        del options["rgb_display"]
    with _lock:
        session = _original_session(folder, limit_s)
        found = session.call("vdp_run_original", test, reference, encoding, ppd, options, limit_s=limit_s)
    result = results.numbers(found, session, "original")
    result["versions"]["hdrvdp"] = release
    return result


def _original_session(folder: Path, limit_s: float) -> Session:
    """A session of its own: the repairs cover functions that our program takes from Octave."""
    key, session = _sessions.get("original", ("", None))
    if session is not None and session.usable() and key == str(folder):
        return session
    if session is not None:
        session.close()
    session = Session(limit_s)
    try:
        _try_pyramid(session, folder, limit_s)
    except BaseException:
        session.close()
        raise
    _sessions["original"] = (str(folder), session)
    return session


def _try_pyramid(session: Session, folder: Path, limit_s: float) -> None:
    missing = (REPAIRS_DIR / "missing", PROGRAM_DIR)
    try:
        trip = session.call(
            "vdp_use_original",
            tuple(map(path_bytes, original.path_folders(folder))),
            path_bytes(REPAIRS_DIR),
            tuple(map(path_bytes, missing)),
            limit_s=limit_s,
        )
    except OctaveError as error:
        raise OctaveError(f"{folder} refused: its pyramid could not be tried: {error}") from error
    energy, deviation = (float(np.squeeze(trip[name])) for name in ("energy", "deviation"))
    low, high = _ENERGY_RANGE
    if not (low < energy < high and deviation < _DEVIATION_LIMIT):
        raise OctaveError(
            f"{folder} refused: a pyramid round trip of noise returned {energy:.3f} of its energy "
            f"(expected {low} to {high}) with a deviation of {deviation:.3f} (expected below "
            f"{_DEVIATION_LIMIT}), so P_map, P_det, C_map and C_max would be wrong"
        )
