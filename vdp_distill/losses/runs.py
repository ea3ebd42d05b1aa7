"""What the trainers of loss networks share: the recipe, the log of a run and its card."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import torch

from vdp_distill.checkpoints import write_whole
from vdp_distill.io import file_hash
from vdp_distill.recipes import from_table, nearest, read_toml, recipe_path, write_toml
from vdp_distill.version import __version__

__all__ = ["RunRecipe", "check_positive", "write_card", "write_log"]


@dataclass(frozen=True)
class RunRecipe:
    """A network and how it is trained: a table of TOML for each field.

    A kind of network derives from it and gives every field a dataclass as its ``default_factory``.

    Examples
    --------
    >>> from vdp_distill.losses.trunk_recipe import TrunkRecipe
    >>> TrunkRecipe.read("trunk").text().splitlines()[:2]
    ['[network]', 'kind = "trunk"']
    """

    network: object
    training: object

    def text(self) -> str:
        """TOML that :meth:`read` reads back."""
        return write_toml({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, recipe: "str | Path | Self") -> Self:
        """A recipe from a file, or by its bare name if it ships; one that is read already is given back.

        Raises
        ------
        ValueError
            For an unknown recipe, table, key or value, with the nearest known.
        """
        if isinstance(recipe, cls):
            return recipe
        path = recipe_path(recipe)
        tables, parts = read_toml(path), {field.name: field.default_factory for field in fields(cls)}
        for name in tables:
            if name not in parts:
                raise ValueError(f"{path} has no place for {name!r}; {nearest(name, parts)}")
        return cls(
            **{name: from_table(part, tables.get(name, {}), f"{path}, [{name}]") for name, part in parts.items()}
        )


def check_positive(training: object, names: Iterable[str]) -> None:
    """Refuse a ``[training]`` in which one of these is not over 0."""
    for name in names:
        if not getattr(training, name) > 0:
            raise ValueError(f"[training]: {name} must be positive, got {getattr(training, name)!r}")


def write_log(out: Path, columns: Sequence[str], rows: list[dict]) -> None:
    """The log of a run, ``log.csv``: its columns in this order, whatever order a resumed run has read them in."""

    def write(partial: Path) -> None:
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    write_whole(out / "log.csv", write)


def write_card(folder: Path, recipe: RunRecipe, text: str, *, out: Path | None = None, **facts) -> None:
    """The card of a model, ``README.md``: what is told of it, then its hash and how it was made.

    Parameters
    ----------
    folder
        Where to; new weights are there already, if there are any.
    recipe
    text
        With a place ``{name}`` for the model's name, and one for each of the facts.
    out
        Folder of the run, where that is another one.
    **facts
    """
    out = out or folder
    weights = next(path for part in (folder, out) if (path := part / "model.safetensors").is_file())
    card = text.format(name=out.name, **facts) + MADE.format(
        digest=file_hash(weights),
        version=__version__,
        torch=torch.__version__,
        recipe=recipe.text(),
    )
    write_whole(folder / "README.md", lambda partial: partial.write_text(card, encoding="utf-8"))


MADE = """
SHA-256 of `model.safetensors`: `{digest}`

Made with vdp_distill {version} and torch {torch} by `vdp-distill train` and this recipe:

```toml
{recipe}```
"""
