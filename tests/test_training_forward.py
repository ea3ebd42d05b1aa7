"""Forward models: a black box is asked once, its faults are named, and what is learnt of it is a loss."""

import csv

import numpy as np
import pytest
import torch

from vdp_distill.distill import train
from vdp_distill.losses.forward import ForwardLoss
from vdp_distill.surrogates import ChainConfig
from vdp_distill.surrogates.forward import ForwardConfig
from vdp_distill.training.black_box import BlackBoxError
from vdp_distill.training.forward import ForwardModel
from vdp_distill.training.recipe import Recipe, Training

OPTIONS = {"images_per_batch": 16, "learning_rate": 5e-3, "accelerator": "cpu"}


def recipe(steps=20, validate_every=None, **network):
    training = Training(steps=steps, validate_every=validate_every or steps, **OPTIONS)
    return Recipe(ForwardConfig(**{"width": 8, "levels": 1} | network), training)


def pairs(count, seed=0, side=16, channels=3):
    """Shifts of colour of every strength on smooth pictures; the last pair is of identical images."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        slope = generator.uniform(0.2, 0.8, (1, 1, channels)) + np.linspace(-0.2, 0.2, side)[:, None, None]
        reference = np.broadcast_to(slope, (side, side, channels)).astype(np.float32)
        shift = generator.standard_normal(channels) * 0.2 * (1 - (number + 1) / count)
        found.append((np.clip(reference + shift, 0, 1).astype(np.float32), reference))
    return found


SETS = {"train": pairs(48), "val": pairs(12, seed=1)}


def difference_map(test, reference):
    return np.abs(test - reference).mean(axis=2)


def similarity(test, reference):
    return 1 - 2 * float(np.abs(test - reference).mean())


class Counted:
    """A black box that counts how often it is asked, and fails from a given time on."""

    def __init__(self, black_box, fails_at=10**9):
        self.black_box, self.asked, self.fails_at = black_box, 0, fails_at

    def __call__(self, test, reference):
        self.asked += 1
        if self.asked > self.fails_at:
            raise RuntimeError("out of memory")
        return self.black_box(test, reference)


def log(folder):
    with open(folder / "log.csv", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    model = ForwardModel(difference_map, output="map")
    model.train(SETS, tmp_path_factory.mktemp("run") / "model", recipe=recipe(100), progress=False)
    return model


def test_it_learns_a_map(finished):
    (row,) = log(finished.folder)
    true = np.array([difference_map(*pair).mean() for pair in SETS["val"]])
    assert row["val_score"] < 0.5 * true.std()  # one constant for all pairs errs by the deviation


def test_going_downhill_on_the_loss_lowers_the_black_box(finished):
    test, reference = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in SETS["val"][0])
    loss, moving = finished.as_loss(), test.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        loss(moving, reference).backward()
        optimizer.step()
    arrays = [image.detach()[0].permute(1, 2, 0).numpy() for image in (test, moving, reference)]
    # A hundred steps of training and eight features: 0.67 of what it was; a gradient of no use leaves 1 or more.
    assert difference_map(*arrays[1:]).mean() < 0.8 * difference_map(*arrays[::2]).mean()


def test_the_loss_is_what_the_folder_says(finished):
    test, reference = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in SETS["val"][0])
    again = ForwardLoss(finished.folder)
    assert torch.equal(again(test, reference), finished.as_loss()(test, reference))
    assert again.network.config.output == "map" and again.network.config.identical == 0
    card = (finished.folder / "README.md").read_text()
    assert "ForwardLoss" in card and "encoding" not in card and "vdp-distill train" not in card


def test_scores_that_fall_with_the_difference(tmp_path):
    model = ForwardModel(similarity, higher_is_better=True)
    model.train(SETS, tmp_path, recipe=recipe(100), progress=False)
    (row,), true = log(tmp_path), np.array([similarity(*pair) for pair in SETS["val"]])
    assert row["val_score"] < 0.5 * true.std()
    reference = torch.rand(1, 3, 20, 30)
    assert model.as_loss()(reference, reference) == 0
    assert model.as_loss().judge(reference, reference).score == 1


def test_a_stopped_labelling_and_training_go_on(tmp_path):
    whole, other = tmp_path / "whole", tmp_path / "other"
    ForwardModel(difference_map, output="map").train(SETS, whole, recipe=recipe(10), progress=False)
    broken = ForwardModel(Counted(difference_map, fails_at=40), output="map")
    with pytest.raises(BlackBoxError, match="pair 40 of 'train'.*RuntimeError: out of memory"):
        broken.train(SETS, other, recipe=recipe(10), progress=False)
    mended = Counted(difference_map)
    model = ForwardModel(mended, output="map")
    model.train(SETS, other, recipe=recipe(10), progress=False)
    # What was answered is not asked again, but for one pair, to know the black box by; eight identical pairs come last.
    assert mended.asked == 60 - 40 + 1 + 8
    assert (whole / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    asked = mended.asked
    model.train(SETS, other, recipe=recipe(10), resume=True, progress=False)
    assert mended.asked == asked + 3  # one of each set


def test_answers_of_another_black_box_are_not_taken_for_its_own(tmp_path):
    """A metric that was mended, or another in the same folder."""
    ForwardModel(difference_map, output="map").train(SETS, tmp_path, recipe=recipe(2), progress=False)
    other = ForwardModel(lambda test, reference: 2 * difference_map(test, reference), output="map")
    with pytest.raises(ValueError, match="another black box: of pair 0 of 'train' it keeps .* move .*answers"):
        other.train(SETS, tmp_path, recipe=recipe(2), progress=False)


def test_a_killed_training_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    from vdp_distill.training.run import Run

    whole, other = tmp_path / "whole", tmp_path / "other"
    model = ForwardModel(difference_map, output="map")
    model.train(SETS, whole, recipe=recipe(20, 10), progress=False)
    step = Run.step

    def killed(run, *batch):
        if run.position.step == 14:
            raise KeyboardInterrupt
        return step(run, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "step", killed)
        model.train(SETS, other, recipe=recipe(20, 10), progress=False)
    model.train(SETS, other, recipe=recipe(20, 10), resume=True, progress=False)
    assert (whole / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert log(whole) == log(other)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (float("nan"), "finite values, got nan"),
        (np.zeros((16, 16)), "a number, got shape \\(16, 16\\)"),
        ("good", "ValueError: could not convert"),
        ({}, "TypeError"),
    ],
)
def test_a_wrong_answer_is_named(answer, message, tmp_path):
    with pytest.raises(BlackBoxError, match=f"pair 0 of 'train': .*{message}"):
        ForwardModel(lambda test, reference: answer).train(SETS, tmp_path, recipe=recipe(), progress=False)
    assert not (tmp_path / "recipe.toml").exists()


def test_a_wrong_map_is_named(tmp_path):
    with pytest.raises(BlackBoxError, match="a map of shape \\(16, 16\\), got shape \\(8, 8\\)"):
        model = ForwardModel(lambda test, reference: difference_map(test, reference)[::2, ::2], output="map")
        model.train(SETS, tmp_path, recipe=recipe(), progress=False)


def test_pairs_that_fail_are_left_out_if_asked(tmp_path):
    hated = SETS["train"][5][0]

    def fragile(test, reference):
        return float("inf") if (test == hated).all() else similarity(test, reference)

    labeller = ForwardModel(fragile, on_error="skip").labeller
    with pytest.warns(UserWarning, match="pair 5 of 'train'.*inf.*left out"):
        found = labeller.label(SETS["train"], tmp_path, "train")
    assert [int(sample["samples/index"]) for sample in found] == [n for n in range(48) if n != 5]
    with pytest.raises(BlackBoxError, match="all 1 pairs"), pytest.warns(UserWarning, match="left out"):
        labeller.label([(hated, hated)], tmp_path, "bad")


def test_threads_give_the_same_answers(tmp_path):
    one, four = (
        ForwardModel(similarity, workers=workers).labeller.label(SETS["train"], tmp_path / str(workers), "train")
        for workers in (1, 4)
    )
    assert (one.scores() == four.scores()).all()


def test_the_black_box_cannot_change_the_pairs(tmp_path):
    def rude(test, reference):
        test[:] = 0
        return float(reference.mean())

    kept = [(test.copy(), reference.copy()) for test, reference in SETS["val"]]
    ForwardModel(rude).labeller.label(kept, tmp_path, "val")
    assert all((pair[0] == own[0]).all() for pair, own in zip(kept, SETS["val"], strict=True))


def test_a_metric_that_no_forward_model_can_be_made_of(tmp_path):
    def refused(black_box, message, **options):
        with pytest.raises(ValueError, match=message):
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            ForwardModel(black_box, **options).train(SETS, folder, recipe=recipe(), progress=False)

    refused(lambda test, reference: float(reference.mean()) + similarity(test, reference), "identical images")
    refused(similarity, "higher_is_better=True")
    refused(lambda test, reference: 3.0, "nothing to learn")


def test_wrong_pairs_are_named(tmp_path):
    def refused(wrong, message, **options):
        with pytest.raises((ValueError, TypeError), match=message):
            ForwardModel(similarity, **options).labeller.label(wrong, tmp_path, "train")

    test, reference = SETS["train"][0]
    refused([(255 * test, reference)], "pair 0 of 'train': test: code values .* divide")
    refused([(test, reference), (test[:8], reference)], "pair 1 of 'train': .*same shape")
    refused([(test, reference), (test[:8], reference[:8])], "pair 1 .*one size")
    refused([(test, reference)], "1 channel", channels=1)
    refused([], "no pairs in 'train'")
    with pytest.raises(ValueError, match="'train' and 'val'"):
        ForwardModel(similarity).train({"train": SETS["train"]}, tmp_path, recipe=recipe())
    with pytest.raises(ValueError, match="kind 'forward'"):
        ForwardModel(similarity).train(SETS, tmp_path, recipe=Recipe(ChainConfig()))
    with pytest.raises(ValueError, match="16 pixels for 3 levels, got 12 x 12"):
        small = {split: pairs(4, side=12) for split in ("train", "val")}
        model = ForwardModel(similarity, higher_is_better=True)
        model.train(small, tmp_path / "small", recipe=recipe(levels=3), progress=False)


def test_answers_to_other_pairs_are_not_mixed_in(tmp_path):
    labeller = ForwardModel(similarity).labeller
    labeller.label(SETS["train"], tmp_path, "train")
    with pytest.raises(ValueError, match="other pairs; choose another folder"):
        labeller.label(pairs(48, seed=7), tmp_path, "train")


def test_grey_pictures(tmp_path):
    sets = {split: [(test[..., 0], reference[..., 0]) for test, reference in own] for split, own in SETS.items()}

    def grey_map(test, reference):
        assert test.shape == (16, 16)
        return np.abs(test - reference)

    model = ForwardModel(grey_map, output="map", channels=1)
    model.train(sets, tmp_path, recipe=recipe(10), progress=False)
    assert model.as_loss().channels == (1,)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"output": "maps"}, "output"), ({"on_error": "ignore"}, "on_error"), ({"workers": 0}, "workers")],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ForwardModel(similarity, **options)


def test_no_loss_before_training():
    with pytest.raises(ValueError, match="train()"):
        ForwardModel(similarity).as_loss()
    with pytest.raises(TypeError, match="callable"):
        ForwardModel(3)


def test_the_trainer_of_shards_says_where_to_go(tmp_path):
    with pytest.raises(ValueError, match="ForwardModel"):
        train("forward", None, tmp_path)
