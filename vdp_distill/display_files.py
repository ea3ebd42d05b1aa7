"""Displays by name, from files and from their fields, named as in ColorVideoVDP, and the presets that come along."""

import json
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path

from vdp_distill.display import Display
from vdp_distill.recipes import nearest

__all__ = ["load_display", "preset_names"]


def _presets() -> dict[str, dict]:
    return json.loads(Path(__file__).with_name("display_presets.json").read_text(encoding="utf-8"))


def preset_names() -> list[str]:
    """Names that :func:`load_display` knows."""
    return list(_presets())


def load_display(name: str | Path | dict | Display) -> Display:
    """A display by preset name, from a JSON file, or from its fields.

    Parameters
    ----------
    name
        A preset, a path to a JSON file that holds one display's fields (or several, then ``FILE#NAME``), a dict of
        fields, or a :class:`Display`, which is returned as it is.

    Raises
    ------
    ValueError
        For an unknown preset or field, with the nearest known one; for a file that is not JSON.

    Examples
    --------
    >>> load_display("standard_4k").max_luminance
    200
    """
    if isinstance(name, Display):
        return name
    if isinstance(name, dict):
        return _from_fields(name)
    presets = _presets()
    if str(name) in presets:
        return _from_fields(presets[str(name)])
    path, _, entry = str(name).partition("#")
    if not Path(path).is_file():
        near = get_close_matches(str(name), presets, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"display must be a JSON file or one of {', '.join(presets)}, got {str(name)!r}{hint}")
    return _from_fields(_read_display_file(Path(path), entry))


def _read_display_file(path: Path, entry: str) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin with a mark of order
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a JSON file of a display: {error}") from error
    if entry:
        if not isinstance(content, dict) or entry not in content:
            raise ValueError(f"{path} holds no display {entry!r}; it holds {', '.join(map(str, content))}")
        content = content[entry]
    if not isinstance(content, dict) or any(isinstance(value, dict) for value in content.values()):
        raise ValueError(f"{path} must hold one display's fields; of a file with several, name one: {path}#NAME")
    return content


def _from_fields(values: dict) -> Display:
    known = [field.name for field in fields(Display)]
    for key in values:
        if key not in known:
            raise ValueError(f"a display has no field {key!r}; {nearest(key, known)}")
    return Display(**values)
