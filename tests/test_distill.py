"""Training: it learns, goes on after a kill as if it had not been killed, validates by source, and stops at NaN."""

import csv
from dataclasses import replace

import pytest
import torch
from chain_data import pairs

from vdp_distill import zoo
from vdp_distill.checkpoints import read_tensors
from vdp_distill.distill import DivergedError, train
from vdp_distill.recipes import models_folder
from vdp_distill.surrogates import ChainConfig
from vdp_distill.training.recipe import Recipe, Training, read_recipe
from vdp_distill.training.tasks import TASKS, kind_of

OF_SURROGATES = sorted(path.stem for path in (models_folder() / "recipes").glob("*.toml") if kind_of(path) in TASKS)
NARROW = ChainConfig(scatter_widths=(4, 8, 8), receptor_width=8, masking_widths=(8, 4))
RECIPE = Recipe(NARROW, Training(steps=24, validate_every=6, images_per_batch=8, learning_rate=2e-3, accelerator="cpu"))


@pytest.fixture(scope="module")
def data():
    return {"train": pairs(10), "val": pairs(4, seed=1)}


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    return train(RECIPE, data, tmp_path_factory.mktemp("run") / "model", progress=False)


class Killed(Exception):
    """Stands in for a kill: nothing of the run sees it coming."""


class Fragile:
    """A data set that stops the run at a given reading."""

    def __init__(self, samples, readings):
        self.samples, self.readings = samples, readings

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.readings -= 1
        if self.readings < 0:
            raise Killed
        return self.samples[index]


def log(folder):
    with open(folder / "log.csv", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_the_loss_falls(finished):
    rows = log(finished)
    assert [row["step"] for row in rows] == [6, 12, 18, 24]
    assert rows[-1]["val_loss"] < 0.5 * rows[0]["val_loss"]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


def test_a_run_is_a_model_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "recipe.toml",
        "model.safetensors",
        "golden.safetensors",
        "README.md",
        "log.csv",
        "curve.png",
        "resume.safetensors",
    }
    assert read_recipe(finished / "recipe.toml") == RECIPE
    assert (finished / "curve.png").read_bytes().startswith(b"\x89PNG")
    best = min(log(finished), key=lambda row: row["val_loss"])
    assert f"{best['val_achromatic_jnd']:.4g}" in (finished / "README.md").read_text()


def test_resuming_after_a_kill_changes_nothing(finished, data, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(Killed):
        train(RECIPE, {**data, "train": Fragile(data["train"], 4 * 15 + 2)}, out, progress=False)
    assert 0 < len(log(out)) < 4
    train(RECIPE, data, out, resume=True, progress=False)
    assert log(out) == log(finished)
    for name in ("model.safetensors", "resume.safetensors"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_resuming_a_finished_run_leaves_it(finished, data):
    before = (finished / "model.safetensors").read_bytes()
    train(RECIPE, data, finished, resume=True, progress=False)
    assert (finished / "model.safetensors").read_bytes() == before


def test_validation_decides_which_network_is_kept(data, tmp_path):
    """With validation sources unlike the training ones, the first of two states can be the better one."""
    out = train(RECIPE, data, tmp_path / "model", progress=False)
    position = read_tensors(out / "resume.safetensors")[1]["position"]
    assert position["best_loss"] == min(row["val_loss"] for row in log(out))


def test_nan_stops_and_names_the_sample(data, tmp_path):
    spoilt = [dict(sample) for sample in data["train"]]
    spoilt[3]["stages/photoreceptors/test"] = torch.full_like(spoilt[3]["stages/photoreceptors/test"], float("nan"))
    recipe = replace(RECIPE, training=replace(RECIPE.training, validate_every=1))
    with pytest.raises(DivergedError, match=r"index \[103\]"):
        train(recipe, {**data, "train": spoilt}, tmp_path / "model", progress=False)
    if (tmp_path / "model" / "model.safetensors").is_file():
        zoo.load(tmp_path / "model")


def test_what_is_there_is_not_overwritten(finished, data):
    with pytest.raises(ValueError, match="already holds a training run"):
        train(RECIPE, data, finished, progress=False)
    other = replace(RECIPE, training=replace(RECIPE.training, steps=30))
    with pytest.raises(ValueError, match="another recipe"):
        train(other, data, finished, resume=True, progress=False)
    with pytest.raises(ValueError, match="other data"):
        train(RECIPE, {**data, "train": data["train"][:8]}, finished, resume=True, progress=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network]\n[training]\nlearning_rat = 1", "did you mean 'learning_rate'"),
        ("[network]\nchanels = 3", "did you mean 'channels'"),
        ("[netwrk]\n", "did you mean 'network'"),
        ("[network]\nkind = 'papre'", "did you mean 'paper'"),
        ("[network]\n[training]\nsteps = 'many'", "steps must be like"),
        ("[network]\n[training]\nimages_per_batch = 3", "must be even"),
        ("[training]\nsteps = 3", "no table .network.: which network"),
        ("[training", "not a TOML file"),
    ],
)
def test_a_misspelt_recipe_is_refused(text, message, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_recipe(path)


@pytest.mark.parametrize("name", ["paper-chain", "tiny"])
def test_recipes_that_ship_are_read(name):
    assert read_recipe(name).training.learning_rate == 5e-4


@pytest.mark.parametrize("name", OF_SURROGATES)
def test_every_recipe_that_ships_is_one(name):
    """Of no key or value that a run would refuse."""
    assert read_recipe(name).network.kind in TASKS


def test_an_unknown_recipe_lists_those_that_ship():
    with pytest.raises(ValueError, match="paper-chain, paper-narrow, tiny"):
        read_recipe("papre")


def test_an_unwritable_folder(data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot write"):
        train(RECIPE, data, tmp_path / "file" / "model", progress=False)
