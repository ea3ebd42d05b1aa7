"""The run, on a network of eight weights: parts, processes and a kill change nothing, and nothing is lost."""

import csv
import errno
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import toy_task

from vdp_distill import zoo
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.distill import DivergedError, train
from vdp_distill.training import report as training_report
from vdp_distill.training import tasks as training_tasks

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


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The toy is known, and no curve is drawn, which is most of the work of so small a run."""
    monkeypatch.setattr(training_tasks, "TASKS", {**training_tasks.TASKS, "toy": "toy_task:ToyTask"})
    monkeypatch.setitem(zoo.NETWORKS, "toy", (toy_task.ToyConfig, toy_task.Toy))
    monkeypatch.setattr(training_report, "_write_curve", lambda path, task, rows: path.write_bytes(b"a curve"))


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


def run(out, sets=None, resume=False, **options):
    return train(toy_task.recipe(**options), sets or toy_task.sets(), out, resume=resume, progress=False)


def log(folder):
    with open(folder / "log.csv", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def weights(folder, name="model.safetensors"):
    return read_tensors(folder / name)[0]


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


def spoilt(number, **values):
    data = toy_task.sets()
    data["train"][number] = {**data["train"][number], **values}
    return data


@pytest.mark.parametrize("parts", [1, 4])
def test_nan_names_its_sample_and_keeps_what_was_good(parts, tmp_path):
    """The spoilt sample comes up after the first validation of a good run."""
    last = torch.randperm(40, generator=torch.Generator().manual_seed(0))[-1].item()
    with pytest.raises(DivergedError, match=rf"at step 4; the samples with index \[{last + 100}\] did it; .*keeps"):
        run(tmp_path / "run", spoilt(last, y=torch.tensor([float("nan")])), accumulate=parts)
    good = run(tmp_path / "good", steps=3, accumulate=parts)
    torch.testing.assert_close(weights(tmp_path / "run"), weights(good), rtol=0, atol=0)
    assert [row["step"] for row in log(tmp_path / "run")] == [3]


def test_a_gradient_that_is_nan_names_its_sample_too(tmp_path, monkeypatch):
    """A square root has a value at 0, but no slope."""

    def losses(self, module, batch):
        return (module(batch["x"]) - batch["y"]).square() + (module.gain * batch["x"][:, :1]).square().sqrt()

    monkeypatch.setattr(toy_task.ToyTask, "losses", losses)
    with pytest.raises(DivergedError, match=r"gradient became NaN .* index \[107\] did it"):
        run(tmp_path / "run", spoilt(7, x=torch.zeros(toy_task.INPUTS)))


def test_nan_in_validation_names_its_sample(tmp_path):
    data = toy_task.sets()
    data["val"][5] = {**data["val"][5], "y": torch.tensor([float("inf")])}
    with pytest.raises(DivergedError, match=r"validation loss .* at step 3, by the samples with index \[105\]"):
        run(tmp_path / "run", data)


def test_a_data_set_says_which_recipe_a_bad_sample_is_of(tmp_path):
    class Made(list):
        origin = "recipe 'small' (set 0123456789ab)"

    data = spoilt(7, y=torch.tensor([float("nan")]))
    with pytest.raises(DivergedError, match=r"index \[107\] of recipe 'small' \(set 0123456789ab\) did it"):
        run(tmp_path / "run", {**data, "train": Made(data["train"])})


@pytest.mark.parametrize("file", range(5))
def test_a_full_disk_keeps_all_files_of_the_last_validation(file, tmp_path, monkeypatch):
    """The disk fills at each of the five files of the second validation in turn; with room again, the run goes on."""
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 1 + 5 + file + 1:  # the recipe, the first validation, then the second
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    first, whole = run(tmp_path / "first", steps=3, validate_every=3), run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"cannot write .*: No space left on device; what was there before is unto"):
            run(tmp_path / "run")
    assert weights(tmp_path / "run")["weight"].equal(weights(first)["weight"])
    assert len(log(tmp_path / "run")) == 1
    assert {path.name for path in (tmp_path / "run").iterdir()} == {*FILES, "recipe.toml", "curve.png"}
    run(tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "resume.safetensors").read_bytes() == (whole / "resume.safetensors").read_bytes()


def altered(folder, tensors=(), **metadata):
    found, about = read_tensors(folder / "resume.safetensors")
    write_tensors(folder / "resume.safetensors", {**found, **dict(tensors)}, {**about, **metadata})


FOREIGN = {
    "another recipe": (lambda folder: altered(folder, identity={"recipe": "[network]"}), "a run with other recipe"),
    "another network": (lambda folder: altered(folder, {"network.bias": torch.zeros(3)}), "weights of another network"),
    "NaN": (lambda folder: altered(folder, {"network.bias": torch.full((1,), float("nan"))}), "NaN or infinite"),
    "no state": (
        lambda folder: write_tensors(folder / "resume.safetensors", {"a": torch.zeros(1)}, {}),
        "no state of a training run",
    ),
    "cut off": (lambda folder: os.truncate(folder / "resume.safetensors", 300), "not a whole safetensors file"),
}


@pytest.mark.parametrize("spoil, message", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_state_is_refused_and_the_model_stays(spoil, message, tmp_path):
    out = run(tmp_path / "run", steps=3, validate_every=3)
    before = (out / "model.safetensors").read_bytes()
    spoil(out)
    with pytest.raises(ValueError, match=message):
        run(out, resume=True, steps=3, validate_every=3)
    assert (out / "model.safetensors").read_bytes() == before


def test_other_data_is_refused(tmp_path):
    out = run(tmp_path / "run")

    class Made(list):
        origin = "recipe 'other'"

    with pytest.raises(ValueError, match="a run with other data"):
        run(out, {**toy_task.sets(), "train": Made(toy_task.sets()["train"])}, resume=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": [1], "validation": [1]}, "a set 'val' to train and validate"),
        ({"train": [], "val": [1]}, "'train' is empty"),
    ],
)
def test_data_that_cannot_be_trained_on(data, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(toy_task.recipe(), data, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_too_few_samples_for_the_parts_of_a_batch(tmp_path):
    data = {**toy_task.sets(), "train": toy_task.samples(3, 0)}
    with pytest.raises(ValueError, match="3 training sample"):
        run(tmp_path / "run", data, accumulate=4)
