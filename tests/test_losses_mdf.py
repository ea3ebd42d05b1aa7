"""MDF: the loss against a literal one, files of arrays, the laws of its adversary, training, released models."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.signal import correlate2d
from skimage import data

from vdp_distill.checkpoints import read_tensors
from vdp_distill.distill import DivergedError
from vdp_distill.losses import mdf_training
from vdp_distill.losses.mdf import Discriminator, Discriminators, MDFConfig, MDFLoss
from vdp_distill.losses.mdf_adversary import Generator, critic_loss, gradient_penalty, initialise
from vdp_distill.losses.mdf_recipe import MDFRecipe, MDFTraining, read_recipe
from vdp_distill.losses.mdf_tasks import DISTORTIONS, jpeg, pyramid, seed_images
from vdp_distill.losses.mdf_training import train
from vdp_distill.losses.mdf_weights import read_arrays, save_discriminators
from vdp_distill.recipes import models_folder

NARROW = MDFConfig(widths=(3, 3, 4))
RECIPE = MDFRecipe(
    NARROW, MDFTraining(coarsest_side=12, finest_side=18, steps_per_scale=6, save_every=2, critic_steps=1)
)
RELEASED = ("mdf-sr-v1", "mdf-denoise-v1", "mdf-jpeg-v1")


@pytest.fixture(scope="module")
def stack():
    """Discriminators whose every weight and statistic is drawn, so that none can be left out unseen."""
    stack = Discriminators(NARROW)
    generator = torch.Generator().manual_seed(1)
    for name, value in stack.state_dict().items():
        if value.is_floating_point():
            value.copy_(0.3 * torch.randn(value.shape, generator=generator))
            if name.endswith("running_var"):
                value.abs_().add_(0.1)
    return stack.eval()


@pytest.fixture(scope="module")
def folder(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mdf") / "model"
    folder.mkdir()
    (folder / "recipe.toml").write_text(MDFRecipe(NARROW).text())
    save_discriminators(folder, stack)
    return folder


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("seed") / "coffee.png"
    Image.fromarray(data.coffee()[100:148, 200:264]).save(path)
    return path


@pytest.fixture
def images(generator):
    reference = torch.rand(2, 3, 17, 19, generator=generator, dtype=torch.float64)
    return (reference + 0.05 * torch.randn(reference.shape, generator=generator, dtype=torch.float64)), reference


# The loss


def literal_taps(weights, image):
    """A discriminator's taps by scipy, one plane at a time."""

    def convolved(planes, name):
        kernels, offsets = weights[f"{name}.weight"], weights[f"{name}.bias"]
        sums = [sum(correlate2d(p, k, "valid") for p, k in zip(planes, row, strict=True)) for row in kernels]
        return np.stack(sums) + offsets[:, None, None]

    def block(planes, name):
        planes = convolved(planes, f"{name}.conv")
        norm = {key: weights[f"{name}.norm.{key}"][:, None, None] for key in ("weight", "bias")}
        mean, variance = (weights[f"{name}.norm.running_{key}"][:, None, None] for key in ("mean", "var"))
        planes = (planes - mean) / np.sqrt(variance + 1e-5) * norm["weight"] + norm["bias"]
        return np.where(planes > 0, planes, 0.2 * planes)

    head = body = block(image, "head")
    for number in (1, 2, 3):
        body = block(body, f"body.block{number}")
    return head, body, convolved(body, "tail")


def test_the_loss_is_the_papers(stack, folder, images):
    found = MDFLoss(folder, reduction="none")(*images)
    for number, (test, reference) in enumerate(zip(*images, strict=True)):
        expected = 0.0
        for discriminator in stack.values():
            weights = {name: value.double().numpy() for name, value in discriminator.state_dict().items()}
            taps = [literal_taps(weights, 2 * image.numpy() - 1) for image in (test, reference)]
            expected += sum(np.mean((ours - theirs) ** 2) for ours, theirs in zip(*taps, strict=True))
        # float64 throughout; some hundred additions each.
        assert float(found[number]) == pytest.approx(expected, rel=1e-10)


def test_names_and_number_of_parameters_are_the_released_arrays():
    stack = Discriminators(MDFConfig())
    # 571,400 learnt numbers in the authors' JPEG file of eight nets.
    assert sum(value.numel() for value in stack.parameters()) == 571_400
    names = list(stack.state_dict())
    assert names[0] == "s0.head.conv.weight" and names[-1] == "s7.tail.bias"
    assert "s4.body.block3.norm.running_var" in names and len(names) == 8 * 30


def test_a_score_sees_eleven_pixels(generator):
    critic = Discriminator(3, 4, 5).eval()
    initialise(critic, generator)
    image = torch.randn(1, 3, 25, 27, generator=generator, requires_grad=True)
    critic(image)[-1][0, 0, 7, 8].backward()
    rows, columns = image.grad.abs().sum(dim=(0, 1)).nonzero().T
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (7, 17, 8, 18)
    assert MDFConfig().reach == 11


def test_scales_and_taps_are_parts_of_the_sum(folder, images):
    whole = MDFLoss(folder)(*images)
    by_tap = [MDFLoss(folder, taps=[tap])(*images) for tap in ("head", "body", "tail")]
    torch.testing.assert_close(sum(by_tap), whole, rtol=1e-12, atol=0)
    by_scale = [MDFLoss(folder, scales=scales)(*images) for scales in (1, 2, 3)]
    assert by_scale[0] < by_scale[1] < by_scale[2] == whole


def test_input_range(folder, images):
    signed, unit = MDFLoss(folder), MDFLoss(folder, input_range="unit")
    shifted = [(image + 1) / 2 for image in images]  # signed makes of these what unit takes as it is
    torch.testing.assert_close(signed(*shifted), unit(*images), rtol=1e-10, atol=0)


def test_weights_are_frozen_and_statistics_stay(folder, images):
    loss = MDFLoss(folder).train()
    before = float(loss(*images))
    assert not any(value.requires_grad for value in loss.parameters())
    assert float(loss(*images)) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"taps": ["neck"]}, "taps must be some of head, body, tail, got neck"),
        ({"taps": []}, "got none"),
        ({"scales": 4}, "scales must be 1 to 3"),
        ({"input_range": "bytes"}, "input_range must be one of signed, unit"),
    ],
)
def test_wrong_options(folder, options, message):
    with pytest.raises(ValueError, match=message):
        MDFLoss(folder, **options)


def test_unknown_model():
    with pytest.raises(ValueError, match="there is no mdf network 'mdf-srr-v1'.*did you mean 'mdf-sr-v1'"):
        MDFLoss("mdf-srr-v1")


# Files of arrays


@pytest.fixture
def arrays(stack):
    return {name: value.numpy() for name, value in stack.state_dict().items()}


def test_arrays_are_read(arrays, folder, images, tmp_path):
    np.savez(tmp_path / "released.npz", **arrays)
    assert read_arrays(tmp_path / "released.npz").config == NARROW
    torch.testing.assert_close(MDFLoss(tmp_path / "released.npz")(*images), MDFLoss(folder)(*images), rtol=0, atol=0)


def test_more_arrays_than_the_papers_scales(tmp_path):
    stack = Discriminators(MDFConfig(widths=(2,) * 9))
    np.savez(tmp_path / "nine.npz", **{name: value.numpy() for name, value in stack.state_dict().items()})
    assert len(MDFLoss(tmp_path / "nine.npz").discriminators) == 8


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("s1.tail.bias", None, r"s1.tail.bias is missing, expected \(1,\)"),
        ("s1.tail.bias", np.zeros(2, np.float32), r"s1.tail.bias is \(2,\), expected \(1,\)"),
        ("s9.tail.bias", np.zeros(1, np.float32), "expected no such array"),
        ("s0.head.conv.bias", np.full(3, np.nan, np.float32), "NaN"),
        ("s0.head.conv.weight", None, "holds no discriminators"),
    ],
)
def test_arrays_that_make_no_set(arrays, tmp_path, name, value, message):
    arrays = {**arrays, name: value}
    np.savez(tmp_path / "broken.npz", **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path / "broken.npz")


def test_nothing_is_unpickled(tmp_path):
    torch.save({"s0": torch.ones(2)}, tmp_path / "Ds.pth")
    with pytest.raises(ValueError, match="is a pickle, which is never opened here"):
        MDFLoss(tmp_path / "Ds.pth")
    np.savez(tmp_path / "objects.npz", Ds=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="not a whole .npz of plain arrays"):
        MDFLoss(tmp_path / "objects.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match="not a whole .npz"):
        MDFLoss(tmp_path / "cut.npz")
    with pytest.raises(ValueError, match="does not exist"):
        MDFLoss(tmp_path / "absent.npz")


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
    recipe = read_recipe("mdf-paper")
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
    assert read_recipe(finished / "recipe.toml") == RECIPE
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
        read_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize("name", ["mdf-sr", "mdf-denoise", "mdf-jpeg", "mdf-paper"])
def test_recipes_that_ship_are_read(name):
    assert read_recipe(name).network.kind == "mdf"


# Released


@pytest.mark.parametrize("model", RELEASED)
def test_released_discriminators_give_their_golden_values(model):
    folder = models_folder() / model
    golden, _ = read_tensors(folder / "golden.safetensors")
    taps = MDFLoss(model).discriminators(golden["input"])
    for number, tap in enumerate(taps):
        expected = golden[f"output/{number}"]
        # Another processor rounds otherwise; float32, five layers deep.
        torch.testing.assert_close(tap, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert read_recipe(folder / "recipe.toml") == read_recipe(model.removesuffix("-v1"))
    assert (folder / "model.safetensors").stat().st_size < 2_000_000


@pytest.mark.parametrize("model", RELEASED)
def test_released_losses_grow_with_the_distortion(model, generator):
    reference = torch.from_numpy(data.coffee()[100:164, 200:264].transpose(2, 0, 1).copy())[None] / 255
    noise = torch.randn(reference.shape, generator=generator)
    loss = MDFLoss(model)
    values = [float(loss(reference + sigma * noise, reference)) for sigma in (0.0, 0.01, 0.03, 0.1)]
    assert values[0] == 0 and values == sorted(values) and len(set(values)) == 4


def test_first_layers_remember_the_range_of_their_image():
    """What ``input_range`` rests on: the mean of a convolution is the sum of its weights times the mean image."""
    weights = MDFLoss("mdf-sr-v1").discriminators.state_dict()
    mean = 2 * data.astronaut().reshape(-1, 3).mean(axis=0) / 255 - 1
    for scale in range(8):
        layer = {name: weights[f"s{scale}.head.{name}"].double() for name in ("conv.weight", "conv.bias")}
        outputs = weights[f"s{scale}.head.norm.running_mean"].double() - layer["conv.bias"]
        found = torch.linalg.lstsq(layer["conv.weight"].sum(dim=(2, 3)), outputs[:, None]).solution[:, 0]
        # Valid convolutions leave out the border, and the critic was shown restored images too.
        np.testing.assert_allclose(found.numpy(), mean, atol=0.08)
