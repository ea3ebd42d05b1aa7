"""What changes while a network trains: its learning rate, the running mean of its weights, and whether to go on.

The rate and the end are functions of the step and of the log alone, so that a resumed run finds them where they were.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vdp_distill.training.recipe import Training

__all__ = ["WeightAverage", "learning_rate_share", "why_stop"]


def learning_rate_share(training: Training, step: int) -> float:
    """Learning rate of a step, counted from 0, as a share of the highest.

    Examples
    --------
    >>> training = Training(steps=110, warmup_steps=10, schedule="cosine")
    >>> [round(learning_rate_share(training, step), 3) for step in (0, 9, 60, 109)]
    [0.1, 1.0, 0.5, 0.0]
    """
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    if training.schedule == "constant":
        return 1.0
    done = (step - training.warmup_steps) / (training.steps - training.warmup_steps)
    return training.final_share + (1 - training.final_share) * 0.5 * (1 + math.cos(math.pi * done))


def why_stop(training: Training, rows: Sequence[dict]) -> str:
    """Why training should end before its last step, from the rows of the log; empty if it should not."""
    losses = [row["val_loss"] for row in rows]
    if not losses:
        return ""
    since_best = len(losses) - 1 - losses.index(min(losses))
    if training.patience and since_best >= training.patience:
        return f"no better validation loss in {since_best} validations"
    before = [row["val_loss"] for row in rows if row["images"] <= rows[-1]["images"] - training.flat_images]
    if training.flat_images and before and min(losses) > (1 - training.flat_gain) * min(before):
        gain = 1 - min(losses) / min(before)
        return f"the validation loss fell by {100 * gain:.2g} % over the last {training.flat_images} images"
    return ""


class WeightAverage:
    """The running mean of a network's weights over the steps; with ``decay`` 0, the weights themselves.

    Parameters
    ----------
    network
    decay
        Share of the old mean that stays at each step. While fewer steps are taken than that looks back on, the mean is
        over about a tenth of them, so that the random first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network = network
        self._aside: dict[str, Tensor] | None = None
        self.mean = AveragedModel(network, avg_fn=_running_mean(decay)) if decay else None

    def update(self) -> None:
        """Take the weights of this step in."""
        if self.mean is not None:
            self.mean.update_parameters(self.network)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the network has the mean weights."""
        if self.mean is None or not int(self.mean.n_averaged):
            yield
            return
        self._aside = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.mean.module.state_dict())
        try:
            yield
        finally:
            self.network.load_state_dict(self._aside)
            self._aside = None

    def trained(self) -> dict[str, Tensor]:
        """The weights that the optimiser moves, within :meth:`in_place` too."""
        return self.network.state_dict() if self._aside is None else self._aside

    def state(self) -> dict[str, Tensor]:
        """Tensors to save; none without a mean."""
        return {} if self.mean is None else self.mean.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put :meth:`state` back."""
        if self.mean is not None:
            self.mean.load_state_dict(state)


def _running_mean(decay: float):
    def mean(old: Tensor, new: Tensor, steps: Tensor) -> Tensor:
        count = float(steps)
        return torch.lerp(old, new, 1 - min(decay, (1 + count) / (10 + count)))

    return mean
