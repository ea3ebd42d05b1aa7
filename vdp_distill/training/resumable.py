"""Runs that a kill does not end: whose a folder is, and training to the last step from wherever it stands."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from vdp_distill.checkpoints import write_whole
from vdp_distill.training.report import Progress

__all__ = ["STATE", "Resumable", "claim", "conduct"]

STATE = "resume.safetensors"
"""What a run needs to go on, in its folder."""


class WrittenRecipe(Protocol):
    """A recipe, equal to what is read from its text."""

    def text(self) -> str:
        """TOML."""


AnyRecipe = TypeVar("AnyRecipe", bound=WrittenRecipe)


class Resumable(Protocol):
    """A run, as :func:`conduct` takes it."""

    out: Path
    steps: int

    def steps_done(self) -> int:
        """Steps before the position."""

    def restore(self) -> None:
        """Go back to the last saved position."""

    def run(self, bar: Progress) -> None:
        """Train from the position to the last step, and save on the way."""


def claim(out: Path, recipe: AnyRecipe, read: Callable[[Path], AnyRecipe], resume: bool) -> None:
    """Write a run's recipe into its folder, or see that it stands there already.

    Parameters
    ----------
    out
        Folder of the run; made if there is none.
    recipe
    read
        Reads a recipe of this kind.
    resume
        Go on with the run in ``out``, if there is one.

    Raises
    ------
    ValueError
        If the folder holds a run and ``resume`` is False, or a run of another recipe.

    Examples
    --------
    >>> import tempfile
    >>> from vdp_distill.losses.trunk_recipe import TrunkRecipe
    >>> out = Path(tempfile.mkdtemp()) / "run"
    >>> claim(out, TrunkRecipe(), TrunkRecipe.read, resume=False)
    >>> claim(out, TrunkRecipe(), TrunkRecipe.read, resume=False)
    Traceback (most recent call last):
    ValueError: ...already holds a training run; go on with it by --resume, or choose another folder
    """
    path = out / "recipe.toml"
    if path.is_file():
        if not resume:
            raise ValueError(f"{out} already holds a training run; go on with it by --resume, or choose another folder")
        if read(path) != recipe:
            raise ValueError(f"{out} holds a run of another recipe; resume with {path}, or choose another folder")
        return
    write_whole(path, lambda partial: partial.write_text(recipe.text(), encoding="utf-8"))


def conduct(run: Resumable, resume: bool, progress: bool) -> Path:
    """Train to the last step, from the first or from the last saved position; gives the run's folder.

    Parameters
    ----------
    run
        At its first step.
    resume
        Go on from what its folder holds, if it holds a position.
    progress
        Show a progress bar.
    """
    if resume and (run.out / STATE).is_file():
        run.restore()
    with Progress(run.steps, run.steps_done(), progress) as bar:
        run.run(bar)
    return run.out
