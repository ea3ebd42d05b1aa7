"""Recipes: TOML files read into frozen dataclasses, with every misspelt key named."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path

__all__ = ["chosen_folder", "from_table", "models_folder", "nearest", "read_toml", "recipe_path", "write_toml"]


def models_folder() -> Path:
    """Folder of released models and training recipes: in the package in a wheel, one folder up in a clone."""
    package = Path(__file__).parent
    for folder in (package / "models", package.parent / "models"):
        if (folder / "recipes").is_dir():
            return folder
    return package / "models"


def recipe_path(recipe: str | Path) -> Path:
    """Path of a training recipe given by path, or by its bare name if it ships.

    Raises
    ------
    ValueError
        For an unknown name, with those that ship.
    """
    path = Path(recipe)
    if path.suffix == ".toml" and path.is_file():
        return path
    shipped = {found.stem: found for found in sorted((models_folder() / "recipes").glob("*.toml"))}
    if str(recipe) in shipped:
        return shipped[str(recipe)]
    raise ValueError(f"recipe must be a .toml file or one of {', '.join(shipped)}, got {str(recipe)!r}")


def chosen_folder(model: str | Path, released: Mapping[str, Path]) -> Path:
    """Folder of a model given by its released name, with or without the version, or by path.

    A whole released name is the released model; a :class:`Path`, or text such as ``"./jnd"``, what lies there.

    Raises
    ------
    ValueError
        For a name without its version that a trained folder here has too.
    """
    name, folder = str(model), Path(model)
    newest = {known.rpartition("-v")[0]: path for known, path in released.items()}
    if isinstance(model, Path) and folder.is_dir():
        return folder
    if name in newest and (folder / "recipe.toml").is_file():
        raise ValueError(
            f"{name!r} is both a folder here and a released model; write './{name}' or {newest[name].name!r}"
        )
    return (newest | dict(released)).get(name, folder)


def read_toml(path: Path) -> dict:
    """Content of a TOML file.

    Raises
    ------
    ValueError
        For a missing file or one that is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the nearest known one, or all."""
    known = list(known)
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


def from_table(cls: type, table: Mapping, where: str):
    """A frozen dataclass from a table of a recipe.

    Raises
    ------
    ValueError
        For a key that the class does not have, with the nearest known, and for a value of another kind.
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} must be a table, got {table!r}")
    known = {field.name: field for field in fields(cls)}
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"{where} has no key {key!r}; {nearest(key, known)}")
        default = known[key].default
        if not _same_kind(value, default):
            raise ValueError(f"{where}: {key} must be like {default!r}, got {value!r}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return cls(**values)


def _same_kind(value, default) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(_same_kind(item, default[0]) for item in value)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))


def write_toml(tables: Mapping[str, object], comment: str = "") -> str:
    """TOML text of dataclasses, a table each."""
    lines = [f"# {comment}", ""] if comment else []
    for name, values in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in asdict(values).items()), ""]
    return "\n".join(lines)


def _toml(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
