"""Our own trunk: how it is trained, what it leaves behind, and how that is loaded."""

import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from vdp_distill.checkpoints import write_tensors
from vdp_distill.distill import DivergedError, train
from vdp_distill.losses import create, released
from vdp_distill.losses.degradations import DEGRADATIONS, degrade
from vdp_distill.losses.trunk_recipe import TrunkNetwork, TrunkRecipe, TrunkTraining
from vdp_distill.losses.trunk_training import level
from vdp_distill.losses.trunk_training import train as train_trunk
from vdp_distill.losses.trunks import InHouseTrunk, load_trunk
from vdp_distill.recipes import models_folder
from vdp_distill.training.tasks import kind_of

SMALL = TrunkRecipe(
    TrunkNetwork(widths=(4, 6)),
    TrunkTraining(crop_pixels=24, crops_per_batch=7, steps=4, held_out=1, validate_every=2),
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(data, name)()[100:164, 100:180]).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory):
    return train_trunk(SMALL, photographs, tmp_path_factory.mktemp("run") / "small", progress=False)


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def test_a_trained_trunk_is_a_loss(trained):
    reference = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert create("features", trunk=trained)(0.8 * reference, reference) > 0
    assert load_trunk(trained).taps.keys() == {"stage1", "stage2"}
    card = (trained / "README.md").read_text()
    assert "chelsea.png" in card and "Held out: `rocket.png" in card and "in-house trunk" in card


def test_a_run_that_was_stopped_goes_on(trained, photographs, tmp_path, monkeypatch):
    half = tmp_path / "half"
    monkeypatch.setattr("vdp_distill.losses.trunk_training.write_report", None)
    stop_at = {"count": 0}
    draw = torch.optim.Adam.step

    def stopping(self, *args):
        stop_at["count"] += 1
        if stop_at["count"] == 4:
            raise KeyboardInterrupt
        return draw(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_trunk(SMALL, photographs, half, progress=False)
    monkeypatch.undo()
    train_trunk(SMALL, photographs, half, resume=True, progress=False)
    ours, theirs = (load_file(path / "model.safetensors") for path in (half, trained))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_levelling_makes_every_stage_count_and_changes_nothing_else(generator):
    trunk, images = InHouseTrunk((4, 6, 5)), torch.rand(3, 3, 24, 24, generator=generator, dtype=torch.float64)
    trunk.double()
    before = trunk(images)
    level(trunk, images)
    for plain, levelled in zip(before, trunk(images), strict=True):
        strengths, means = plain.mean((0, 2, 3)), levelled.mean((0, 2, 3))
        is_faint = strengths < 0.1 * strengths.mean()
        torch.testing.assert_close(means[~is_faint], torch.ones_like(means[~is_faint]))
        assert (means[is_faint] < 1).all()
        # Channel by channel the same picture.
        ratio = means / strengths.clamp(min=1e-12)
        torch.testing.assert_close(levelled, plain * ratio[:, None, None], rtol=1e-9, atol=1e-12)


def test_levelling_leaves_a_dead_stage_as_it_is(generator):
    trunk, images = InHouseTrunk((4, 4)), torch.rand(2, 3, 24, 24, generator=generator)
    with torch.no_grad():
        trunk.features[2].bias.fill_(-1e3)
    before = [parameter.clone() for parameter in trunk.parameters()]
    level(trunk, images)
    assert not trunk(images)[0].any()
    for was, parameter in list(zip(before, trunk.parameters(), strict=True))[:6]:
        torch.testing.assert_close(parameter, was)
    assert all(parameter.isfinite().all() for parameter in trunk.parameters())


def test_recipes(tmp_path):
    assert TrunkRecipe.read("trunk").network.kind == kind_of("trunk") == "trunk"
    (tmp_path / "small.toml").write_text(SMALL.text())
    assert TrunkRecipe.read(tmp_path / "small.toml") == SMALL
    (tmp_path / "bad.toml").write_text('[network]\nkind = "trunk"\nwidth = [4]\n')
    with pytest.raises(ValueError, match="has no key 'width'; did you mean 'widths'"):
        train(tmp_path / "bad.toml", tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="steps must be positive"):
        TrunkTraining(steps=0)


def test_too_few_photographs(photographs, tmp_path):
    with pytest.raises(ValueError, match="holds 0 photographs; 1 are held out, add more"):
        train_trunk(SMALL, tmp_path, tmp_path / "out", progress=False)
    large = TrunkRecipe(SMALL.network, TrunkTraining(crop_pixels=65, held_out=1))
    with pytest.raises(ValueError, match="smaller than a crop of 65 x 65"):
        train_trunk(large, photographs, tmp_path / "out", progress=False)


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_degradations_grow_with_their_strength(kind):
    image = torch.from_numpy(data.astronaut()[60:110, 180:223]).permute(2, 0, 1)[None] / 255
    errors = [
        float((degrade(image, kind, strength, torch.Generator().manual_seed(1)) - image).square().mean())
        for strength in (0.0, 0.5, 1.0)
    ]
    assert errors == sorted(errors)
    assert errors[-1] == 0 if kind == "none" else errors[-1] > 2 * errors[0] > 0


def test_a_changed_weight_and_another_kind(folder):
    tensors = load_file(folder / "model.safetensors")
    changed = {**tensors, "features.0.bias": tensors["features.0.bias"] + 1}
    write_tensors(folder / "model.safetensors", changed, {"format": released.FORMAT})
    with pytest.raises(ValueError, match="its card says"):
        load_trunk(folder)
    (folder / "README.md").unlink()
    with pytest.raises(ValueError, match="outputs differ from golden.safetensors"):
        load_trunk(folder)
    with pytest.raises(ValueError, match="is of a network 'trunk', not 'mdf'"):
        released.load(folder, "mdf", lambda table: None)


def test_the_released_trunk_is_the_default():
    assert TrunkRecipe.read(models_folder() / "trunk-v1" / "recipe.toml") == TrunkRecipe.read("trunk")
    loss = create("features")
    assert loss.taps == ("stage1", "stage2", "stage3", "stage4") and loss.minimum_size == 8


def test_a_run_of_other_photographs_is_not_resumed(folder, tmp_path):
    others = tmp_path / "others"
    others.mkdir()
    for place in range(3):
        Image.fromarray(data.astronaut()[60 * place : 60 * place + 64, 100:180]).save(others / f"{place}.png")
    with pytest.raises(ValueError, match="of a run with other photographs"):
        train_trunk(SMALL, others, folder, resume=True, progress=False)


def test_divergence_stops_before_a_weight_is_spoilt(photographs, tmp_path):
    wild = replace(SMALL, training=replace(SMALL.training, learning_rate=1e30, validate_every=1))
    with pytest.raises(DivergedError, match="became NaN or infinite at step"):
        train_trunk(wild, photographs, tmp_path / "run", progress=False)
    for path in (tmp_path / "run").glob("resume.safetensors"):
        assert all(bool(value.isfinite().all()) for value in load_file(path).values())
