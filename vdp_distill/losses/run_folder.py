"""The folder of a training run: made this run's own, or refused."""

from pathlib import Path

from vdp_distill.checkpoints import write_whole

__all__ = ["claim"]


def claim(out: Path, recipe_text: str, resume: bool) -> None:
    """Write a run's recipe into its folder, or see that it stands there already.

    Raises
    ------
    ValueError
        If the folder holds a run and ``resume`` is False, or a run of another recipe.

    Examples
    --------
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp()) / "run"
    >>> claim(out, "[network]\\n", resume=False)
    >>> claim(out, "[network]\\n", resume=False)
    Traceback (most recent call last):
    ValueError: ...already holds a training run; go on with it by --resume, or choose another folder
    """
    path = out / "recipe.toml"
    if path.is_file():
        if not resume:
            raise ValueError(f"{out} already holds a training run; go on with it by --resume, or choose another folder")
        if path.read_text(encoding="utf-8") != recipe_text:
            raise ValueError(f"{out} holds a run of another recipe; resume with {path}, or choose another folder")
        return
    write_whole(path, lambda partial: partial.write_text(recipe_text, encoding="utf-8"))
