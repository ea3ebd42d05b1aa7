"""Distillation: train a network as its recipe says, through Lightning Fabric.

A run is a folder: ``recipe.toml``, ``log.csv``, ``curve.png``, the best network so far as ``model.safetensors`` with
its golden values and card, and ``resume.safetensors``. The order of the samples is a function of (seed, epoch), so a
run that was killed goes on from its position as if it had never stopped.

======================  ========================================================================================
file                    what of it
======================  ========================================================================================
``training/tasks``      what each kind of network needs: fields, losses, errors (``cortex``, ``chain``)
``training/recipe``     all options
``training/batches``    which samples go where
``training/schedule``   learning rate, running mean of the weights, early end
``training/run``        the loop
``training/resumable``  whose a folder is
``training/processes``  several devices
``training/divergence`` NaN, and who did it
``training/forward``    any metric as a loss (``labels``: its answers; ``black_box``: its faults)
``checkpoints``         files that survive a kill
======================  ========================================================================================
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from torch.utils.data import Dataset

from vdp_distill.training.batches import SetMaker, open_sets
from vdp_distill.training.divergence import DivergedError
from vdp_distill.training.processes import in_first_process, together
from vdp_distill.training.recipe import Recipe, Training, read_recipe
from vdp_distill.training.report import Progress
from vdp_distill.training.resumable import claim
from vdp_distill.training.run import Run
from vdp_distill.training.tasks import check_data, kind_of, task_for, trainer_for

__all__ = ["DivergedError", "train"]


def train(
    recipe: str | Path | Recipe,
    data: str | Path | Mapping[str, Dataset] | SetMaker | None,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    start: str | Path | None = None,
) -> Path:
    """Train a network.

    Parameters
    ----------
    recipe
        A file, the bare name of one that ships, or a :class:`Recipe`. A kind of
        :data:`vdp_distill.training.tasks.TRAINERS` is handed over whole.
    data
        Folder of shards, or data sets ``{"train": ..., "val": ...}`` whose samples hold the task's fields, or what
        makes them (:data:`vdp_distill.training.batches.SetMaker`). For other trainers, what they say.
    out
        Folder of the run; becomes the model's folder.
    resume
        Go on with the run in ``out``, if there is one.
    progress
        Show a progress bar.
    start
        Released model, or folder of a run, whose weights the training starts from, in place of the recipe's own.

    Returns
    -------
    Path
        ``out``; :func:`vdp_distill.zoo.load` takes it.

    Raises
    ------
    ValueError
        For a wrong recipe, data without what is needed, or a folder that holds another run.
    DivergedError
        When the loss becomes NaN; the best network so far and the last good state stay.
    OSError
        When a file cannot be written; those of the last validation stay.
    """
    out = Path(out)
    if not isinstance(recipe, Recipe):
        kind = kind_of(recipe)
        trainer = trainer_for(kind)
        if trainer is not None:
            check_data(kind, data)
            if start is not None:
                raise ValueError(f"a recipe of kind {kind!r} starts from no other weights; leave start={start} out")
            return trainer(recipe, data, out, resume=resume, progress=progress)
        recipe = read_recipe(recipe)
    if start is not None:
        recipe = replace(recipe, training=replace(recipe.training, start=str(start)))
    check_data(recipe.network.kind, data)
    _fabric(recipe.training, out).launch(_train, recipe, data, out, resume, progress)
    return out


def _fabric(training: Training, out: Path) -> Fabric:
    strategy = "ddp" if training.devices > 1 and training.strategy == "auto" else training.strategy
    loggers = TensorBoardLogger(out, name="tensorboard") if training.tensorboard else []
    places = {"accelerator": training.accelerator, "devices": training.devices, "strategy": strategy}
    return Fabric(**places, precision=training.precision, loggers=loggers)


def _train(fabric: Fabric, recipe: Recipe, data, out: Path, resume: bool, progress: bool) -> None:
    """One process of a training."""
    task = task_for(recipe.network, recipe.training)
    sets = open_sets(data, task.fields, recipe.training, fabric.device)
    on_device = [fabric.device] if fabric.device.type == "cuda" else []
    with together(fabric), torch.random.fork_rng(on_device):
        run = Run(fabric, recipe, task, sets, out, resume)
        in_first_process(fabric, lambda: claim(out, recipe, read_recipe, resume))  # after a wrong start is refused
        if resume:
            run.restore()
        steps, shown = recipe.training.steps, progress and fabric.is_global_zero
        with Progress(steps, run.position.step, shown) as bar:
            run.run(bar)
