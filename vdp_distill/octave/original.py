"""A user's own, unmodified HDR-VDP 2.2.x folder: where it is, and what is in it."""

import os
import re
from pathlib import Path

from .installation import OctaveError

VARIABLE = "VDP_DISTILL_HDRVDP"
_NOT_FOR_THE_PATH = ("private", "__MACOSX", "__pycache__")


def find_folder(hdrvdp_dir: str | os.PathLike | None) -> Path:
    """Folder that holds ``hdrvdp.m``: the one given, or the only one right inside it.

    Parameters
    ----------
    hdrvdp_dir
        None takes the environment variable ``VDP_DISTILL_HDRVDP``.

    Raises
    ------
    OctaveError
        No folder was named, or there is no ``hdrvdp.m`` in it.
    """
    named = hdrvdp_dir or os.environ.get(VARIABLE)
    if not named:
        raise OctaveError(
            f'engine="original" needs your own HDR-VDP 2.2.x folder: pass hdrvdp_dir=PATH or set {VARIABLE}'
        )
    folder = Path(named).expanduser().resolve()
    candidates = [folder, *sorted(folder.glob("*/"))]
    found = [candidate for candidate in candidates if (candidate / "hdrvdp.m").is_file()]
    if folder in found:
        return folder
    if len(found) == 1:
        return found[0]
    raise OctaveError(
        f"expected hdrvdp.m of HDR-VDP 2.2.x in {folder}, found "
        + (f"several: {', '.join(map(str, found))}" if found else "none")
    )


def path_folders(folder: Path) -> list[str]:
    """The folder and all folders in it that hold files, but hidden and private ones.

    Folders with filters compiled for Octave come first, so that they are used, and not the
    plain ``.m`` files of the same names.
    """
    compiled, plain = [], []
    for here, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if _goes_on_the_path(name))
        if any(name.endswith(".mex") for name in files):
            compiled.append(here)
        elif files:
            plain.append(here)
    return compiled + plain


def _goes_on_the_path(name: str) -> bool:
    return name[0] not in ".@+" and name not in _NOT_FOR_THE_PATH


def release(folder: Path) -> str:
    """Release of HDR-VDP in a folder, from its change log, version file or name.

    Returns
    -------
    For example ``"2.2.1"``; ``"unknown"`` if nothing tells it.

    Raises
    ------
    OctaveError
        It is known and not 2.2.x: another release computes another metric.
    """
    found = _newest_in_change_log(folder) or _told_by_version_file(folder) or _in_name(folder)
    if found and not re.match(r"2\.2\d?(\.|$)", found):
        raise OctaveError(f'{folder} holds HDR-VDP {found}; engine="original" needs 2.2.x')
    return found or "unknown"


def _newest_in_change_log(folder: Path) -> str:
    for name in ("ChangeLog.txt", "ChangeLog"):
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            found = re.findall(r"HDR-VDP[ -]*v?(\d+(?:\.\d+)+)", text)
            if found:
                return max(found, key=lambda version: [int(part) for part in version.split(".")])
    return ""


def _told_by_version_file(folder: Path) -> str:
    file = folder / "hdrvdp_version.m"
    if not file.is_file():
        return ""
    found = re.search(r"=\s*'?(\d+(?:\.\d+)+)", file.read_text(encoding="utf-8", errors="replace"))
    return found.group(1) if found else ""


def _in_name(folder: Path) -> str:
    found = re.search(r"(\d+\.\d+(?:\.\d+)?)", folder.name)
    return found.group(1) if found else ""
