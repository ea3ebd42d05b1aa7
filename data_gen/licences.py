"""Licences of photographs: from files that lie beside them, or from a table where nothing may be put beside them."""

from pathlib import Path

from vdp_distill.recipes import read_toml

__all__ = ["NOT_STATED", "read_licences", "licence_beside", "licence_named"]

NOT_STATED = "not stated"


def read_licences(path: str | Path | None) -> dict[str, str]:
    """A TOML file of ``"start of a path" = "licence"``, paths as seen from the folder of images; empty without a file.

    Raises
    ------
    ValueError
        If it is not that.
    """
    table = {} if path is None else read_toml(Path(path))
    for name, licence in table.items():
        if not isinstance(licence, str):
            raise ValueError(f'{path}: expected lines like "kodak/" = "licence", got {name} = {licence!r}')
    return table


def licence_named(name: str, table: dict[str, str]) -> str:
    """What a table says of a picture: the entry that most of its path begins with.

    Examples
    --------
    >>> licence_named("kodak/kodim01.png", {"": "MIT", "kodak/": "unrestricted"})
    'unrestricted'
    """
    fitting = [start for start in table if name.startswith(start)]
    return table[max(fitting, key=len)] if fitting else NOT_STATED


def licence_beside(path: Path, root: Path) -> str:
    """First line of a licence file beside the picture or above it, as far up as ``root``."""
    for folder in (path.parent, *path.parent.parents):
        for text in sorted((*folder.glob("LICEN[SC]E*"), *folder.glob("COPYING*"))):
            lines = text.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return lines[0][:120] if lines else text.name
        if folder == root:
            break
    return NOT_STATED
