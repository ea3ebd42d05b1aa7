"""Recipes from TOML files: by path or by name, every misspelt key named."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from data_gen.recipe import Aim, Distortions, Recipe, Scenes, Targets, Viewing
from data_gen.spectra import read_spectra
from vdp_distill.recipes import nearest, read_toml

__all__ = ["load_recipe", "recipe_names", "from_table"]

RECIPES = Path(__file__).with_name("recipes")
PARTS = {"scenes": Scenes, "distortions": Distortions, "viewing": Viewing, "aim": Aim, "targets": Targets}


def recipe_names() -> list[str]:
    """Recipes that ship."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(recipe: str | Path) -> Recipe:
    """A recipe by path, or by the bare name of one that ships.

    Raises
    ------
    FileNotFoundError
        If there is none of that name.
    ValueError
        If it is not TOML, or has an unknown key or a value that does not fit.

    Examples
    --------
    >>> load_recipe("tiny").size_pixels
    128
    """
    path = RECIPES / f"{recipe}.toml" if str(recipe) in recipe_names() else Path(recipe)
    if not path.is_file():
        hint = nearest(str(recipe), recipe_names())
        raise FileNotFoundError(f"no recipe {recipe}: give a TOML file or the name of one that ships; {hint}")
    return from_table(_with_spectra(read_toml(path), path.parent), str(path))


def _with_spectra(table: dict, folder: Path) -> dict:
    """The table with the numbers of the spectra's files in place of their names."""
    viewing = table.get("viewing")
    spectra = viewing.get("spectra") if isinstance(viewing, dict) else None
    if not isinstance(spectra, dict):
        return table
    found = {name: read_spectra(folder / file) if isinstance(file, str) else file for name, file in spectra.items()}
    return {**table, "viewing": {**viewing, "spectra": found}}


def from_table(table: dict, where: str) -> Recipe:
    """A recipe from plain data."""
    parts = {key: _part(PARTS[key], table[key], f"{where} [{key}]") for key in PARTS.keys() & table.keys()}
    return _part(Recipe, {**table, **parts}, where)


def _part(kind: type, table: dict, where: str):
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table, got {table!r}")
    known = {item.name: item for item in fields(kind)}
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}; {nearest(key, known)}")
    values = {key: _fitting(value, known[key], f"{where}: {key}") for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def _fitting(value, item, where: str):
    """A value of TOML as the dataclass has it: lists as tuples, whole numbers as floats where those are due."""
    if is_dataclass(value):
        return value
    if item.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if getattr(item.type, "__origin__", None) is tuple:
        return _row(value, item.type, where)
    if getattr(item.type, "__origin__", None) is dict:
        return _shares(value, where) if item.type.__args__[1] is float else _matrices(value, where)
    if type(value) is not item.type:
        raise ValueError(f"{where} must be {item.type.__name__}, got {value!r}")
    return value


def _row(value, kind, where: str) -> tuple:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list, got {value!r}")
    if kind.__args__[-1] is Ellipsis:
        return tuple(value)
    if len(value) != 2 or not all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in value):
        raise ValueError(f"{where} must be a range of two numbers, got {value!r}")
    return tuple(map(float, value))


def _shares(value, where: str) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table of shares, got {value!r}")
    for key, share in value.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not share >= 0:
            raise ValueError(f"{where}: the share of {key!r} must be a number of at least 0, got {share!r}")
    return {key: float(share) for key, share in value.items()}


def _matrices(value, where: str) -> dict[str, tuple]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table of CSV files, got {value!r}")
    shapes = {name: np.shape(matrix) for name, matrix in value.items()}
    for name, shape in shapes.items():
        if shape != (3, 4):
            raise ValueError(f"{where}: {name!r} must be a CSV file or a (3, 4) matrix, got {value[name]!r}")
    return {name: tuple(tuple(map(float, row)) for row in matrix) for name, matrix in value.items()}
