"""NIMA in training: AVA's files, the rule that rates degraded photographs, runs and recipes."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from vdp_distill.checkpoints import read_tensors
from vdp_distill.distill import DivergedError
from vdp_distill.losses import nima_training
from vdp_distill.losses.nima import HybridLoss, NIMAConfig, mean_and_spread
from vdp_distill.losses.nima_ava import AVADataset, read_ava
from vdp_distill.losses.nima_pictures import middle_crops, open_set, random_crops, split_by_group
from vdp_distill.losses.nima_rated import DEGRADATIONS, RatedSet, ruled_distribution
from vdp_distill.losses.nima_recipe import NIMARecipe, NIMATraining
from vdp_distill.losses.nima_training import train

pytest.importorskip("torchvision.models", reason="NIMA's trunk is torchvision's")

NARROW = NIMAConfig(width_multiplier=0.1)
RECIPE = NIMARecipe(
    NARROW,
    NIMATraining(
        picture_side=40,
        crop_side=32,
        pictures_per_batch=8,
        learning_rate=3e-3,
        steps=8,
        validate_every=4,
        validation_share=0.4,
        norm_momentum=0.1,
        accelerator="cpu",
    ),
)


# AVA


@pytest.fixture
def ava(tmp_path):
    """Three pictures in AVA's layout."""
    (tmp_path / "images").mkdir()
    lines = []
    for number, picture in enumerate((953619, 953958, 954184)):
        counts = np.roll([0, 1, 5, 17, 38, 36, 15, 6, 5, 1], number)
        lines.append(f"{number + 1} {picture} {' '.join(map(str, counts))} 1 22 1396")
        Image.fromarray(data.coffee()[:50, : 60 + number]).save(tmp_path / "images" / f"{picture}.jpg")
    (tmp_path / "AVA.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_rows_of_ava(ava):
    rows = read_ava(ava / "AVA.txt")
    assert [row.picture for row in rows] == ["953619", "953958", "954184"]
    assert rows[0].counts == (0, 1, 5, 17, 38, 36, 15, 6, 5, 1)
    assert (rows[0].tags, rows[0].challenge) == ((1, 22), 1396)
    torch.testing.assert_close(rows[0].distribution.sum(), torch.tensor(1.0))


def test_ava_pictures(ava):
    pictures = AVADataset(ava / "AVA.txt", ava / "images", side=40)
    image, distribution = pictures[1]
    assert len(pictures) == 3 and image.shape == (3, 40, 40) and 0 <= image.min() <= image.max() <= 1
    assert float(distribution[0]) == pytest.approx(1 / 124)
    assert pictures.broken == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("4 954113 0 1 5 17 38 36 15 6 5 1 1 22", "line 4: expected 15 numbers .*, got 14"),
        ("4 954113 0 1 5 17 x 36 15 6 5 1 1 22 1396", "line 4: expected whole numbers, got '4 954113"),
        ("4 954113 0 0 0 0 0 0 0 0 0 0 1 22 1396", "line 4: counts of ratings must be at least 0 and not all 0"),
        ("4 954113 0 1 -5 17 38 36 15 6 5 1 1 22 1396", "line 4: counts of ratings"),
    ],
)
def test_a_bad_row(ava, line, message):
    with open(ava / "AVA.txt", "a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        read_ava(ava / "AVA.txt")


def test_a_missing_picture(ava):
    (ava / "images" / "953958.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="lacks 1 of 3 pictures: 953958; complete it, or leave them out"):
        AVADataset(ava / "AVA.txt", ava / "images")
    pictures = AVADataset(ava / "AVA.txt", ava / "images", missing="skip")
    assert len(pictures) == 2 and pictures.broken == [f"{ava / 'images' / '953958'}: missing"]


def test_a_broken_picture_is_listed_and_the_rest_goes_on(ava):
    path = ava / "images" / "953619.jpg"
    path.write_bytes(path.read_bytes()[:400])
    pictures = AVADataset(ava / "AVA.txt", ava / "images", side=32)
    assert [row.picture for row in pictures.rows] == ["953958", "954184"]
    assert len(pictures.broken) == 1 and "953619.jpg" in pictures.broken[0]
    with pytest.raises(ValueError, match="953619"):
        AVADataset(ava / "AVA.txt", ava / "images", check_files=False)[0]


def test_no_picture_left(ava):
    for path in (ava / "images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="holds no readable picture.*954184|holds no readable picture.*953619"):
        AVADataset(ava / "AVA.txt", ava / "images")
    with pytest.raises(FileNotFoundError, match="there is no folder of pictures"):
        AVADataset(ava / "AVA.txt", ava / "pictures")
    with pytest.raises(ValueError, match="does not exist; give the AVA.txt"):
        read_ava(ava / "ava.txt")


# The rule


def photographs():
    return [
        torch.from_numpy(codes[:64, :64].copy()).permute(2, 0, 1) / 255 for codes in (data.coffee(), data.chelsea())
    ]


def test_the_rule_falls_by_even_steps():
    mean, spread = mean_and_spread(torch.stack([ruled_distribution(level) for level in range(5)]).double())
    # Sampling a normal curve at ten whole numbers and cutting its ends moves the moments a little.
    np.testing.assert_allclose(mean.numpy(), [7.5, 6.25, 5.0, 3.75, 2.5], atol=0.35)
    np.testing.assert_allclose(spread.numpy(), 1.4, atol=0.25)


def test_every_degradation_grows_with_its_level():
    rated = RatedSet(photographs(), side=48)
    assert len(rated) == 2 * 4 * 5 and rated.groups == [0] * 20 + [1] * 20
    sound = rated[0][0]
    for kind in range(len(DEGRADATIONS)):
        errors = [float((rated[5 * kind + level][0] - sound).square().mean()) for level in range(5)]
        assert errors[0] == 0 and errors == sorted(errors) and len(set(errors)) == 5
        means = [float(mean_and_spread(rated[5 * kind + level][1][None])[0]) for level in range(5)]
        assert means == sorted(means, reverse=True)


def test_a_rated_sample_is_a_function_of_its_number():
    first, second = RatedSet(photographs(), side=48), RatedSet(photographs(), side=48)
    for number in (7, 21, 38):
        assert torch.equal(first[number][0], second[number][0])
    with pytest.raises(IndexError, match="there are 40 samples, got 40"):
        first[40]
    with pytest.raises(ValueError, match="at least one photograph"):
        RatedSet([])


def test_validation_shares_no_photograph():
    chosen, held_out = split_by_group(RatedSet(photographs() * 3, side=32).groups, 0.3, seed=4)
    assert len(chosen) + len(held_out) == 120 and len(held_out) == 40
    assert not {number // 20 for number in chosen} & {number // 20 for number in held_out}
    with pytest.raises(ValueError, match="give at least 2, got 1"):
        split_by_group([0, 0], 0.5, seed=0)


def test_crops(generator):
    ramp = torch.arange(36.0).view(1, 1, 6, 6).expand(40, 1, 6, 6)
    crops = random_crops(ramp, 4, generator)
    corners = {tuple(divmod(int(corner), 6)) for corner in crops[:, 0, 0, 0]}
    assert crops.shape == (40, 1, 4, 4) and corners <= {(top, left) for top in range(3) for left in range(3)}
    assert len(corners) > 4
    assert float(middle_crops(ramp, 4)[0, 0, 0, 0]) == 7


# Training


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("coffee", "chelsea", "astronaut"):
        Image.fromarray(getattr(data, name)()[100:180, 100:190]).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory):
    return train(RECIPE, pictures, tmp_path_factory.mktemp("run") / "model", progress=False)


def log(out):
    with open(out / "log.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_is_a_model_folder(finished):
    names = {"recipe.toml", "model.safetensors", "golden.safetensors", "README.md", "log.csv", "curve.png"}
    assert {path.name for path in finished.iterdir()} == names | {"resume.safetensors"}
    assert [row["step"] for row in log(finished)] == ["4", "8"]
    card = (finished / "README.md").read_text()
    assert "**The score is uncalibrated.**" in card and "3 photographs" in card
    assert HybridLoss(finished).nima.config == NARROW


class Killed(Exception):
    """Stands in for a kill: nothing of the run sees it coming."""


def test_resuming_after_a_kill_changes_nothing(finished, pictures, tmp_path, monkeypatch):
    out, calls, whole = tmp_path / "model", [], nima_training.random_crops

    def fragile(*arguments):
        calls.append(1)
        if len(calls) > 6:
            raise Killed
        return whole(*arguments)

    monkeypatch.setattr(nima_training, "random_crops", fragile)
    with pytest.raises(Killed):
        train(RECIPE, pictures, out, progress=False)
    monkeypatch.undo()
    train(RECIPE, pictures, out, resume=True, progress=False)
    for name in ("model.safetensors", "resume.safetensors", "log.csv"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_the_loss_falls(pictures, tmp_path):
    # A tenth of the rate: at that of the other tests it falls on some processors, as they round, and not on others.
    training = replace(RECIPE.training, steps=60, validate_every=20, learning_rate=3e-4)
    first, *_, last = log(train(replace(RECIPE, training=training), pictures, tmp_path / "model", progress=False))
    assert float(last["train_emd"]) < 0.99 * float(first["train_emd"])


def test_it_trains_on_ava(ava, tmp_path):
    recipe = replace(RECIPE, network=replace(NARROW, calibrated=True), training=replace(RECIPE.training, steps=2))
    out = train(recipe, ava, tmp_path / "model", progress=False)
    assert "3 pictures with people's ratings" in (out / "README.md").read_text()
    assert "uncalibrated" not in (out / "README.md").read_text()


def test_a_rule_calibrates_nothing(pictures, tmp_path):
    recipe = replace(RECIPE, network=replace(NARROW, calibrated=True))
    with pytest.raises(ValueError, match="needs people's ratings"):
        train(recipe, pictures, tmp_path / "model", progress=False)


def test_divergence_stops_with_the_last_good_state(pictures, tmp_path, monkeypatch):
    out, calls, whole = tmp_path / "model", [], nima_training.emd

    def breaking(*arguments, **options):
        calls.append(1)
        return whole(*arguments, **options) * (math.nan if len(calls) > 9 else 1)

    monkeypatch.setattr(nima_training, "emd", breaking)
    with pytest.raises(DivergedError, match="became NaN or infinite at step 6"):
        train(RECIPE, pictures, out, progress=False)  # four steps, three calls of the validation, two steps
    tensors, metadata = read_tensors(out / "resume.safetensors")
    assert metadata["position"]["step"] == 4
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    assert HybridLoss(out).nima.config == NARROW


def test_a_folder_of_another_run(finished, pictures, tmp_path):
    with pytest.raises(ValueError, match="already holds a training run"):
        train(RECIPE, pictures, finished, progress=False)
    with pytest.raises(ValueError, match="of a run with other number of pictures"):
        train(RECIPE, None, finished, resume=True, progress=False)


def test_bundled_photographs_are_the_default():
    assert isinstance(open_set(None, 32), RatedSet) and len(open_set(None, 32)) == 80


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network]\nwidth_multipler = 0.5", "did you mean 'width_multiplier'"),
        ("[network]\nkind = 'mdf'", "kind must be 'nima'"),
        ("[network]\nwidth_multiplier = 0.0", "width_multiplier must be positive"),
        ("[training]\ncrop_side = 16", "crop_side must be at least 32"),
        ("[training]\ncrop_side = 300", "at most picture_side"),
        ("[training]\npictures_per_batch = 1", "at least 2, for batch normalisation"),
        ("[training]\nsteps = 0", "steps must be positive"),
        ("[training]\nvalidation_share = 1.0", "validation_share must lie between 0 and 1"),
        ("[trainig]\nsteps = 1", "did you mean 'training'"),
    ],
)
def test_wrong_recipes(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        NIMARecipe.read(tmp_path / "r.toml")


@pytest.mark.parametrize("name", ["nima-small", "nima-paper"])
def test_recipes_that_ship_are_read(name):
    assert NIMARecipe.read(name).network.kind == "nima"
