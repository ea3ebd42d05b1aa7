"""MDF's discriminators in training: the laws of their adversary, the tasks, runs and recipes."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from vdp_distill.checkpoints import read_tensors
from vdp_distill.distill import DivergedError
from vdp_distill.losses import mdf_training
from vdp_distill.losses.mdf import MDFConfig, MDFLoss
from vdp_distill.losses.mdf_adversary import Generator, critic_loss, gradient_penalty, initialise
from vdp_distill.losses.mdf_recipe import MDFRecipe, MDFTraining
from vdp_distill.losses.mdf_tasks import DISTORTIONS, jpeg, pyramid, seed_images
from vdp_distill.losses.mdf_training import train

NARROW = MDFConfig(widths=(3, 3, 4))
RECIPE = MDFRecipe(
    NARROW, MDFTraining(coarsest_side=12, finest_side=18, steps_per_scale=6, save_every=2, critic_steps=1)
)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("seed") / "coffee.png"
    Image.fromarray(data.coffee()[100:148, 200:264]).save(path)
    return path


# The adversary


@pytest.mark.parametrize("slope", [(0.6, 0.0, 0.8), (3.0, 4.0, 0.0), (0.0, 0.0, 0.0)])
def test_gradient_penalty_of_a_linear_critic(slope, generator):
    real, fake = torch.rand(2, 1, 3, 5, 6, generator=generator, dtype=torch.float64)
    weights = torch.tensor(slope, dtype=torch.float64).view(1, 3, 1, 1)
    found = gradient_penalty(lambda image: (weights * image).sum(dim=1), real, fake, torch.tensor(0.3))
    # Its gradient is the weights at every pixel.
    assert float(found) == pytest.approx((np.linalg.norm(slope) - 1) ** 2, abs=1e-12)


def test_gradient_penalty_is_taken_at_the_mixture(generator):
    real, fake = torch.rand(2, 1, 3, 5, 6, generator=generator, dtype=torch.float64)
    found = gradient_penalty(lambda image: image.square() / 2, real, fake, torch.tensor(0.25, dtype=torch.float64))
    mixture = 0.25 * real + 0.75 * fake  # the gradient of half the square is the image itself
    expected = (mixture.square().sum(dim=1).sqrt() - 1).square().mean()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_critic_loss_falls_when_the_real_image_scores_higher(generator):
    real, fake = torch.rand(2, 1, 3, 5, 6, generator=generator)
    better = critic_loss(lambda image: image, real + 1, fake, torch.tensor(0.5), 0.0)
    assert float(better) == pytest.approx(float(fake.mean() - real.mean() - 1), abs=1e-6)  # float32


def test_a_generator_without_a_residual_changes_nothing(generator):
    network = Generator(MDFConfig(), 4).eval()
    initialise(network, generator)
    image = torch.rand(1, 3, 14, 15, generator=generator)
    assert network(image).shape == image.shape and not torch.equal(network(image), image)
    torch.nn.init.zeros_(network.residual.tail.weight)
    torch.testing.assert_close(network(image), image, rtol=0, atol=0)


# Tasks


def test_sides_are_singans_steps_of_three_quarters():
    recipe = MDFRecipe.read("mdf-paper")
    levels = pyramid(torch.zeros(1, 3, 400, 500), recipe.training, len(recipe.network.widths))
    sides = [level.shape[2] for level in levels]
    assert len(sides) == 9 and (sides[1], sides[-1]) == (25, 187)
    assert [round(187 * 0.75**step) for step in range(8, -1, -1)] == sides  # the level under the coarsest among them
    assert levels[-1].shape[3] == round(187 * 500 / 400)


def test_distortions(generator):
    training = MDFTraining(noise_sigma=0.1, jpeg_qualities=(9, 9))
    image = 2 * torch.from_numpy(data.coffee()[:64, :64].transpose(2, 0, 1).copy())[None] / 255 - 1
    assert not DISTORTIONS["sr"](image, training, generator).any()
    noise = DISTORTIONS["denoise"](image, training, generator)
    # 12,288 draws: the deviation is known within 0.6 %; -1..1 is twice as wide as 0..1.
    assert float(noise.std()) == pytest.approx(0.2, rel=0.03)
    restored = image + DISTORTIONS["jpeg"](image, training, generator)
    torch.testing.assert_close(restored, jpeg(image, 9), rtol=0, atol=1e-6)


def test_jpeg_is_pillows(tmp_path):
    codes = data.coffee()[:40, :56]
    Image.fromarray(codes).save(tmp_path / "c.jpg", quality=10)
    expected = np.asarray(Image.open(tmp_path / "c.jpg"))
    found = jpeg(2 * torch.from_numpy(codes.transpose(2, 0, 1).copy())[None] / 255 - 1, 10)
    np.testing.assert_array_equal(((found[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy(), expected)


def test_seed_images(photograph, tmp_path):
    (one,) = seed_images(photograph)
    assert one.name == "coffee.png" and one.image.shape == (1, 3, 48, 64) and -1 <= one.image.min() < 0
    assert [seed.sha256 for seed in seed_images(photograph.parent)] == [one.sha256]
    assert seed_images(None)[0].image.shape == (1, 3, 512, 512)
    with pytest.raises(ValueError, match="holds no images"):
        seed_images(tmp_path)
    with pytest.raises(FileNotFoundError):
        seed_images(tmp_path / "absent.png")


def test_an_image_under_the_coarsest_scale():
    with pytest.raises(ValueError, match="at least 25 pixels a side"):
        pyramid(torch.zeros(1, 3, 24, 100), MDFTraining(), 8)


# Training


@pytest.fixture(scope="module")
def finished(photograph, tmp_path_factory):
    return train(RECIPE, photograph, tmp_path_factory.mktemp("run") / "model", progress=False)


def log(out):
    with open(out / "log.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_is_a_model_folder(finished, photograph):
    assert {path.name for path in finished.iterdir()} == {
        "recipe.toml",
        "model.safetensors",
        "golden.safetensors",
        "README.md",
        "log.csv",
        "curve.png",
        "resume.safetensors",
    }
    assert MDFRecipe.read(finished / "recipe.toml") == RECIPE
    assert [(row["scale"], row["round"]) for row in log(finished)] == [
        (str(scale), str(done)) for scale in range(3) for done in (2, 4, 6)
    ]
    assert [row["height"] for row in log(finished)[::3]] == ["12", "15", "18"]
    assert "coffee.png" in (finished / "README.md").read_text()
    assert len(MDFLoss(finished).discriminators) == 3


class Killed(Exception):
    """Stands in for a kill: nothing of the run sees it coming."""


def test_resuming_after_a_kill_changes_nothing(finished, photograph, tmp_path, monkeypatch):
    out, calls, whole = tmp_path / "model", [], mdf_training.generator_loss

    def fragile(*arguments):
        calls.append(1)
        if len(calls) > 3 * 9:  # three generator steps a round: in the middle of the second scale
            raise Killed
        return whole(*arguments)

    monkeypatch.setattr(mdf_training, "generator_loss", fragile)
    with pytest.raises(Killed):
        train(RECIPE, photograph, out, progress=False)
    assert not (out / "model.safetensors").exists()
    monkeypatch.undo()
    train(RECIPE, photograph, out, resume=True, progress=False)
    for name in ("model.safetensors", "resume.safetensors", "log.csv"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_each_task_trains(photograph, tmp_path):
    for task in ("denoise", "jpeg"):
        recipe = replace(RECIPE, training=replace(RECIPE.training, task=task, steps_per_scale=2))
        rows = log(train(recipe, photograph, tmp_path / task, progress=False))
        assert all(float(row["psnr_given_db"]) < 40 for row in rows)  # there was something to restore


def test_a_scale_starts_from_the_one_before(photograph, tmp_path):
    run = mdf_training._Run(RECIPE, seed_images(photograph), tmp_path)
    run.pair(0)[0].tail.bias.data.fill_(7.0)
    run.position.scale = 1
    run.begin_scale()
    assert run.pair(1)[0].tail.bias.item() == 7.0
    run.position.scale = 2  # wider: nothing to inherit
    run.begin_scale()
    assert run.pair(2)[0].tail.bias.item() == 0.0


def test_generators_learn_to_restore(photograph, tmp_path):
    training = MDFTraining(
        task="denoise", coarsest_side=24, finest_side=24, steps_per_scale=60, save_every=20, critic_steps=1
    )
    rows = log(train(MDFRecipe(MDFConfig(widths=(8,)), training), photograph, tmp_path / "run", progress=False))
    assert float(rows[-1]["psnr_restored_db"]) > float(rows[-1]["psnr_given_db"])
    assert float(rows[-1]["psnr_restored_db"]) > float(rows[0]["psnr_restored_db"])


def test_divergence_stops_with_the_last_good_state(photograph, tmp_path, monkeypatch):
    out, calls, whole = tmp_path / "model", [], mdf_training.critic_loss

    def breaking(*arguments):
        calls.append(1)
        return whole(*arguments) * (float("nan") if len(calls) > 5 else 1)

    monkeypatch.setattr(mdf_training, "critic_loss", breaking)
    with pytest.raises(DivergedError, match="the loss became NaN or infinite at scale 0, round 5"):
        train(RECIPE, photograph, out, progress=False)
    tensors, metadata = read_tensors(out / "resume.safetensors")
    assert metadata["position"]["round"] == 4
    assert all(bool(value.isfinite().all()) for value in tensors.values())


def test_a_folder_of_another_run(finished, photograph, tmp_path):
    with pytest.raises(ValueError, match="already holds a training run"):
        train(RECIPE, photograph, finished, progress=False)
    other = replace(RECIPE, training=replace(RECIPE.training, seed=1))
    with pytest.raises(ValueError, match="of another recipe"):
        train(other, photograph, finished, resume=True, progress=False)
    Image.fromarray(data.coffee()[:48, :64]).save(tmp_path / "other.png")
    with pytest.raises(ValueError, match="of a run with other images"):
        train(RECIPE, tmp_path / "other.png", finished, resume=True, progress=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network]\nwidth = [4]", "did you mean 'widths'"),
        ("[network]\nkind = 'paper'", "kind must be 'mdf'"),
        ("[network]\nwidths = []", "widths must hold a positive width a scale"),
        ("[training]\ntask = 'blur'", "task must be one of sr, denoise, jpeg"),
        ("[training]\nsteps_per_scale = 0", "steps_per_scale must be positive"),
        ("[training]\ncoarsest_side = 8", "coarsest_side must be at least 11"),
        ("[training]\ncoarsest_side = 200", "at most finest_side"),
        ("[training]\njpeg_qualities = [10, 7]", "jpeg_qualities must be lowest and highest"),
        ("[train]\ntask = 'sr'", "did you mean 'training'"),
    ],
)
def test_wrong_recipes(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        MDFRecipe.read(tmp_path / "r.toml")


@pytest.mark.parametrize("name", ["mdf-sr", "mdf-denoise", "mdf-jpeg", "mdf-paper"])
def test_recipes_that_ship_are_read(name):
    assert MDFRecipe.read(name).network.kind == "mdf"


def test_a_start_with_wrong_data_claims_no_folder(tmp_path):
    Image.fromarray(data.astronaut()[:4, :4]).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="at least"):
        train(RECIPE, tmp_path / "small.png", tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "recipe.toml").exists()
