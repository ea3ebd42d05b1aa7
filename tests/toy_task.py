"""A network of eight weights with a task of its own, for tests of the trainer; run as a script it trains in processes.

python tests/toy_task.py OUT '{"devices": 2}'
"""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vdp_distill import zoo
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.distill import train
from vdp_distill.training import tasks as training_tasks
from vdp_distill.training.recipe import Recipe, Training

INPUTS = 6
OPTIONS = {"steps": 12, "validate_every": 3, "images_per_batch": 16, "learning_rate": 0.05, "accelerator": "cpu"}


@dataclass(frozen=True)
class ToyConfig:
    kind: str = "toy"
    dropout: float = 0.0


class Toy(nn.Module):
    def __init__(self, config, generator):
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.randn(1, INPUTS, generator=generator))
        self.bias = nn.Parameter(torch.zeros(1))
        self.gain = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.gain * nn.functional.linear(self.dropout(x), self.weight, self.bias)


class ToyTask(training_tasks.Task):
    """Squared error; the gain learns at a tenth of the rate; samples with a negative answer have no error."""

    fields = ("x", "y", "samples/index")
    columns = (
        training_tasks.ErrorColumn("rmse", "root", "1", is_square=True),
        training_tasks.ErrorColumn("positive", "mean over answers that are positive", "1"),
    )
    about, limits = "A toy.", "None."

    def losses(self, module, batch):
        return (module(batch["x"]) - batch["y"]).square()

    def errors(self, module, batch):
        error = module(batch["x"]) - batch["y"]
        return torch.cat([error.square(), torch.where(batch["y"] > 0, error.abs(), float("nan"))], dim=1)

    def parameter_groups(self, network, training):
        rate = training.learning_rate
        return [{"params": [network.weight, network.bias], "lr": rate}, {"params": [network.gain], "lr": rate / 10}]

    def save(self, folder, network):
        write_tensors(folder / "model.safetensors", network.state_dict(), {})


def register():
    """Make the kind known."""
    training_tasks.TASKS = {**training_tasks.TASKS, "toy": "toy_task:ToyTask"}
    zoo.NETWORKS["toy"] = (ToyConfig, Toy)


def samples(count, seed):
    """A linear law with noise, as float32."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, INPUTS, generator=generator)
    y = x @ torch.arange(1.0, INPUTS + 1)[:, None] / 5 + 0.1 * torch.randn(count, 1, generator=generator)
    return [{"x": x[row], "y": y[row], "samples/index": torch.tensor(row + 100)} for row in range(count)]


def sets(train=40, val=11):
    return {"train": samples(train, 0), "val": samples(val, 1)}


def recipe(dropout=0.0, **options):
    return Recipe(ToyConfig(dropout=dropout), Training(**{**OPTIONS, **options}))


def run(out, data=None, resume=False, **options):
    """Train the toy."""
    return train(recipe(**options), data or sets(), out, resume=resume, progress=False)


def log(folder):
    """The rows of a run's log."""
    with open(folder / "log.csv", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def weights(folder, name="model.safetensors"):
    """The tensors of one of a run's files."""
    return read_tensors(folder / name)[0]


def main():
    register()
    train(recipe(**json.loads(sys.argv[2])), sets(), Path(sys.argv[1]), progress=False)


if __name__ == "__main__":
    main()
