"""What goes wrong in a run is named, and what was good is kept."""

import errno
import os

import pytest
import torch
import toy_task
from toy_task import log, run, weights

from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.distill import DivergedError, train

pytestmark = pytest.mark.usefixtures("toy")
FILES = ("model.safetensors", "resume.safetensors", "log.csv", "README.md")


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


def test_nan_before_any_validation_does_not_speak_of_what_was_kept(tmp_path):
    first = torch.randperm(40, generator=torch.Generator().manual_seed(0))[0].item()
    with pytest.raises(
        DivergedError, match="did it; nothing was validated yet, so nothing is kept; .*lower learning_rate"
    ):
        run(tmp_path / "run", spoilt(first, y=torch.tensor([float("nan")])))


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
