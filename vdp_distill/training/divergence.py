"""When a loss or its gradient is no number: find the samples that did it, and say how to make them again."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from vdp_distill.training.batches import origin_of
from vdp_distill.training.tasks import Task

__all__ = ["DivergedError", "bad_rows", "bad_samples", "named"]


class DivergedError(ValueError):
    """A loss or a gradient became NaN or infinite; the message names the samples."""


def bad_rows(losses: Tensor, samples: int) -> Tensor:
    """Which samples have a loss that is not finite, (samples,) bool, from losses (M, K)."""
    return ~losses.isfinite().all(dim=1).view(-1, samples).all(dim=0)


def bad_samples(task: Task, module: Callable, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Which samples of a batch, each alone, give a loss or a gradient that is not finite; (samples,) bool."""
    learnt = [value for value in network.parameters() if value.requires_grad]
    count = len(next(iter(batch.values())))
    return torch.tensor([_is_bad(task, module, learnt, _one(batch, number)) for number in range(count)])


def _one(batch: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    return {name: value[number : number + 1] for name, value in batch.items()}


def _is_bad(task: Task, module: Callable, learnt: Sequence[Tensor], sample: Mapping[str, Tensor]) -> bool:
    loss = task.losses(module, sample).mean()
    if not bool(loss.isfinite()):
        return True
    gradients = torch.autograd.grad(loss, learnt, allow_unused=True)
    return not all(bool(value.isfinite().all()) for value in gradients if value is not None)


def named(dataset: Dataset, numbers: Sequence[int]) -> str:
    """Samples of a data set in words: their index in the recipe that they were made from."""
    whole = origin_of(dataset)
    indices: dict[str, list[int]] = {}
    for number in numbers:
        origin = dataset.made_by(number) if whole and hasattr(dataset, "made_by") else whole
        indices.setdefault(origin, []).append(int(dataset[number]["samples/index"]))
    return ", ".join(f"index {index}" + (f" of {origin}" if origin else "") for origin, index in indices.items())
