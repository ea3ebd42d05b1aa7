"""The run, on a network of eight weights: parts, processes and a kill change nothing."""

import os
import subprocess
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import toy_task
from torch import distributed
from toy_task import log, run, weights

from vdp_distill.training.processes import together

pytestmark = pytest.mark.usefixtures("toy")
FILES = ("model.safetensors", "resume.safetensors", "log.csv", "README.md")
EVERYTHING = {
    "schedule": "cosine",
    "warmup_steps": 3,
    "final_share": 0.1,
    "clip_norm": 0.5,
    "accumulate": 2,
    "ema_decay": 0.9,
    "dropout": 0.3,
}
ROUNDING = 2e-6
"""Relative: sums of sixteen float32 products in another order, through twelve steps."""


class Killed(Exception):
    """Stands in for a kill: nothing of the run sees it coming."""


class Fragile(list):
    """Samples that stop the run at a given reading."""

    readings = 0

    def __getitem__(self, index):
        self.readings -= 1
        if self.readings == 0:
            raise Killed
        return super().__getitem__(index)


def assert_same_training(ours, others):
    for row, other in zip(log(ours), log(others), strict=True):
        assert row == pytest.approx(other, rel=ROUNDING)
    for name, value in weights(ours).items():
        torch.testing.assert_close(value, weights(others)[name], rtol=ROUNDING, atol=ROUNDING)


def by_hand(steps, decay=0.0, clip=0.0, rate=lambda step: 1.0):
    """The same training written out: Adam's formulas in float64, and the running mean of the weights."""
    network = toy_task.Toy(toy_task.ToyConfig(), torch.Generator().manual_seed(0)).double()
    task, values = toy_task.ToyTask(network.config), list(network.parameters())
    data, order = toy_task.sets()["train"], None
    highest = [0.05, 0.05, 0.005]
    first, second = ([torch.zeros_like(value) for value in values] for _ in range(2))
    means = [value.detach().clone() for value in values]
    for step in range(steps):
        epoch, place = divmod(step, 5)
        order = torch.randperm(40, generator=torch.Generator().manual_seed(epoch))
        chosen = [data[index] for index in order[8 * place : 8 * place + 8].tolist()]
        batch = {name: torch.stack([sample[name].double() for sample in chosen]) for name in ("x", "y")}
        gradients = torch.autograd.grad(task.losses(network, batch).mean(), values)
        norm = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
        shorter = min(1.0, clip / float(norm)) if clip else 1.0
        with torch.no_grad():
            for place, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
                gradient = gradient * shorter
                first[place] = 0.9 * first[place] + 0.1 * gradient
                second[place] = 0.999 * second[place] + 0.001 * gradient**2
                long_run = first[place] / (1 - 0.9 ** (step + 1)), second[place] / (1 - 0.999 ** (step + 1))
                value -= highest[place] * rate(step) * long_run[0] / (long_run[1].sqrt() + 1e-8)
                keep = 0.0 if step == 0 else min(decay, (1 + step) / (10 + step))
                means[place] = keep * means[place] + (1 - keep) * value
    return dict(zip(("weight", "bias", "gain"), means, strict=True))


OPTIONS = {
    "plain": ({}, {}),
    "warm-up and cosine": (
        {"schedule": "cosine", "warmup_steps": 2, "steps": 6},
        {"rate": lambda step: [0.5, 1, 1, 0.853553, 0.5, 0.146447][step]},
    ),
    "clipping": ({"clip_norm": 0.5}, {"clip": 0.5}),
    "running mean": ({"ema_decay": 0.3}, {"decay": 0.3}),
}


@pytest.mark.parametrize("options, law", OPTIONS.values(), ids=OPTIONS)
def test_training_is_what_its_formulas_say(options, law, tmp_path):
    """Adam and the options, written out in float64; the parameter groups have their own rates."""
    out = run(tmp_path / "run", **{"steps": 6, "validate_every": 6, **options})
    for name, expected in by_hand(6, **law).items():
        torch.testing.assert_close(weights(out)[name].double(), expected, rtol=1e-5, atol=1e-5)  # float32, six steps


def test_what_is_validated_is_what_is_kept(tmp_path):
    out = run(tmp_path / "run", ema_decay=0.9, validate_every=12)
    network = toy_task.Toy(toy_task.ToyConfig(), torch.Generator())
    network.load_state_dict(weights(out))
    chosen = {name: torch.stack([sample[name] for sample in toy_task.sets()["val"]]) for name in ("x", "y")}
    error = (network(chosen["x"]) - chosen["y"]).detach()
    row = log(out)[-1]
    assert row["val_loss"] == pytest.approx(float(error.square().mean()), rel=1e-5)
    assert row["val_rmse"] == pytest.approx(float(error.square().mean().sqrt()), rel=1e-5)
    assert row["val_positive"] == pytest.approx(float(error.abs()[chosen["y"] > 0].mean()), rel=1e-5)
    assert not torch.equal(weights(out)["weight"], weights(out, "resume.safetensors")["network.weight"])


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_equals_one_large_batch(parts, tmp_path):
    assert_same_training(run(tmp_path / "parts", accumulate=parts), run(tmp_path / "whole"))


def test_two_processes_equal_one(tmp_path):
    """Two gloo processes on the CPU, each with half of every batch, in two parts."""
    script = Path(toy_task.__file__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(script.parent), str(script.parent.parent)])}
    command = [sys.executable, str(script), str(tmp_path / "two"), '{"devices": 2, "accumulate": 2, "ema_decay": 0.9}']
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert_same_training(tmp_path / "two", run(tmp_path / "one", ema_decay=0.9))


@pytest.mark.parametrize("fails", [False, True])
def test_processes_part_in_order(fails):
    """Without, one that ended first was aborted, about once in eight runs: its threads still talked to the other's."""
    waits = []
    fabric = SimpleNamespace(world_size=2, barrier=lambda: waits.append(distributed.is_initialized()))
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        with pytest.raises(Killed) if fails else nullcontext(), together(fabric):
            if fails:
                raise Killed
        assert not distributed.is_initialized()
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    assert waits == ([] if fails else [True])  # who failed alone waits for nobody


def test_bf16_trains_float32_weights(tmp_path):
    """bfloat16 has eight bits of mantissa: losses differ from float32's by up to about a percent, but do differ."""
    narrow, wide = run(tmp_path / "narrow", precision="bf16-mixed"), run(tmp_path / "wide")
    assert all(value.dtype == torch.float32 for value in weights(narrow).values())
    ours, theirs = (log(folder)[0]["train_loss"] for folder in (narrow, wide))
    assert ours != theirs and ours == pytest.approx(theirs, rel=0.03)


@pytest.mark.parametrize("reading", [20, 70])
def test_a_kill_changes_nothing_with_every_option(reading, tmp_path):
    """Before the first validation, and between two of them."""
    whole = run(tmp_path / "whole", **EVERYTHING)
    fragile = Fragile(toy_task.sets()["train"])
    fragile.readings = reading
    with pytest.raises(Killed):
        run(tmp_path / "killed", {**toy_task.sets(), "train": fragile}, **EVERYTHING)
    run(tmp_path / "killed", resume=True, **EVERYTHING)
    for name in FILES[:3]:
        assert (tmp_path / "killed" / name).read_bytes() == (whole / name).read_bytes(), name


def test_patience_ends_a_run_and_resuming_leaves_it(tmp_path):
    """Validation answers are those of another law: the better it learns, the worse they fit."""
    wrong = [{**sample, "y": -sample["y"]} for sample in toy_task.samples(11, 1)]
    data = {**toy_task.sets(), "val": wrong}
    out = run(tmp_path / "run", data, steps=300, patience=2)
    losses = [row["val_loss"] for row in log(out)]
    assert len(losses) == losses.index(min(losses)) + 3 < 100
    assert "It ended early: no better validation loss in 2 validations" in (out / "README.md").read_text()
    before = (out / "resume.safetensors").read_bytes()
    run(out, data, resume=True, steps=300, patience=2)
    assert (out / "resume.safetensors").read_bytes() == before


def test_random_numbers_of_the_caller_are_left_alone(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(tmp_path / "run", dropout=0.3)
    assert torch.equal(torch.get_rng_state(), before)


def test_tensorboard_where_it_is_installed(tmp_path):
    """Either package writes the events; with neither, the message says what to install."""
    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        with pytest.raises(ImportError, match="tensorboard"):
            run(tmp_path / "run", tensorboard=True)
        return
    out = run(tmp_path / "run", tensorboard=True)
    assert list(out.glob("tensorboard/version_0/events*"))
