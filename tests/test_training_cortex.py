"""What a small visual system is trained by: nothing to learn from a perfect answer, something from its start."""

import shutil

import pytest
import torch

from vdp_distill import HDRVDP2, distill, zoo
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.receptors import display_matrix
from vdp_distill.surrogates.cortex import CortexConfig, Seen
from vdp_distill.surrogates.swift import SwiftConfig
from vdp_distill.surrogates.vision import SmallVision
from vdp_distill.training.cortex import CortexTask
from vdp_distill.training.recipe import Recipe, Training, read_recipe

PPD = 30.0
FAST = CortexConfig(kind="fast")


@pytest.fixture(scope="module")
def exact():
    """A batch as shards have it, and the exact map of S and Q."""
    test, reference = (100 * torch.cat(images) + 1 for images in zip(*photograph_pairs(64, 64), strict=True))
    metric = HDRVDP2(encoding="rgb-bt.709", pixels_per_degree=PPD, surround_l=10.0, keep_stages=True)
    with torch.no_grad():
        result = metric(test, reference)
    count, contrast = len(test), result.stages["contrast_map"]
    batch = {
        "light/test": test,
        "light/reference": reference,
        "conditions/pixels_per_degree": torch.full((count,), PPD),
        "conditions/surround_cdm2": torch.full((count, 3), 10.0),
        "conditions/emission": torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32).expand(count, 3, 4),
        "sum_S": contrast.sum(dim=(1, 2, 3)),
        "P_det": result.P_det,
        "P_map": result.P_map,
        "Q": result.Q,
    }
    return batch, Seen(contrast, result.Q)


def test_a_perfect_answer_costs_nothing(exact):
    batch, seen = exact
    losses, errors = CortexTask(FAST).evaluate(lambda *inputs: seen, batch)
    # P_det is the map's largest value there and 1 - 0.5^sum here: the same but for float32.
    assert losses.shape == (len(batch["Q"]), 5) and losses.abs().max() < 1e-4
    assert errors.nan_to_num().abs().max() < 1e-4


def test_an_error_is_counted_in_its_own_column(exact):
    batch, seen = exact
    task = CortexTask(FAST)
    _, errors = task.evaluate(lambda *inputs: Seen(seen.contrast_map, seen.quality + 2), batch)
    assert torch.allclose(errors[:, 3], torch.full_like(errors[:, 3], 4.0), rtol=1e-3)
    _, errors = task.evaluate(lambda *inputs: Seen(10 * seen.contrast_map, seen.quality), batch)
    judged = (batch["sum_S"] > 1e-2) & (batch["sum_S"] < 1e5)
    # Ten times the contrast is one unit of log10, but for the least contrast that is counted.
    assert judged.any() and (errors[judged, 0] - 1).abs().max() < 0.2
    assert bool(errors[~judged, 0].isnan().all())


def test_blocks_are_told_where_contrast_lies(exact):
    """Near threshold, twice the share of it that lies elsewhere, however much of it there is."""
    batch, seen = exact
    task, column = CortexTask(SwiftConfig()), 3
    near = (batch["P_det"] > 0.02) & (batch["P_det"] < 0.98)
    assert near.any() and not near.all()
    right, wrong = seen.contrast_map, seen.contrast_map.flip(3)
    found = [
        task.losses(lambda *inputs, m=m: Seen(m, seen.quality), batch)[:, column] for m in (right, 3 * right, wrong)
    ]
    # The share is read back from P_map in float32.
    assert bool((found[0] < 0.01).all()) and torch.allclose(found[0], found[1], atol=1e-3)
    share = right[near] / right[near].sum(dim=(1, 2, 3), keepdim=True)
    elsewhere = (share - share.flip(3)).abs().sum(dim=(1, 2, 3))
    assert torch.allclose(found[2][near], 0.3 * elsewhere, rtol=0.02) and not found[2][~near].any()


def test_some_steps_help(exact):
    batch, _ = exact
    task, network = CortexTask(FAST), SmallVision(FAST)
    with torch.no_grad():
        network.cortex.output_gain.add_(0.3)  # it starts too near the metric for a few steps to show
    optimizer = torch.optim.Adam(task.parameter_groups(network, Training(learning_rate=2e-4)))
    history = []
    for _ in range(8):
        loss = task.losses(network, batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.9 * history[0]


def test_taps_and_gains_have_their_own_rates():
    network = SmallVision(FAST)
    groups = CortexTask(FAST).parameter_groups(network, Training(learning_rate=1e-3))
    assert [group["lr"] for group in groups] == [1e-3, 25e-3]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


class Samples(torch.utils.data.Dataset):
    """A batch, sample by sample."""

    def __init__(self, batch):
        self.batch = batch | {"samples/index": torch.arange(len(batch["Q"]))}

    def __len__(self):
        return len(self.batch["Q"])

    def __getitem__(self, number):
        return {name: values[number] for name, values in self.batch.items()}


def test_a_training_starts_from_a_released_model(exact, tmp_path):
    sets = {"train": Samples(exact[0]), "val": Samples(exact[0])}
    released = read_recipe(zoo.model_folder("vdp-swift-v1") / "recipe.toml")
    # Adam moves a weight by its rate a step, and the gains' rate is 25 times this: nothing in float32.
    still = Training(images_per_batch=4, learning_rate=1e-12, steps=1, start="vdp-swift-v1")
    distill.train(Recipe(released.network, still), sets, tmp_path / "run", progress=False)
    kept, first = (zoo.load_network(model).state_dict() for model in (tmp_path / "run", "vdp-swift-v1"))
    for name, value in first.items():
        torch.testing.assert_close(kept[name], value, rtol=0, atol=1e-7)


def test_a_start_that_is_given_takes_the_place_of_the_recipes(exact, tmp_path):
    sets = {"train": Samples(exact[0]), "val": Samples(exact[0])}
    released = read_recipe(zoo.model_folder("vdp-swift-v1") / "recipe.toml")
    recipe = Recipe(released.network, Training(images_per_batch=4, learning_rate=1e-12, steps=1, start="no folder"))
    distill.train(recipe, sets, tmp_path / "run", progress=False, start="vdp-swift-v1")
    assert read_recipe(tmp_path / "run" / "recipe.toml").training.start == "vdp-swift-v1"
    own = shutil.copytree(zoo.model_folder("vdp-swift-v1"), tmp_path / "first")
    distill.train(recipe, sets, tmp_path / "second", progress=False, start=own)
    shutil.rmtree(own)  # a run that goes on has its weights in its own state
    distill.train(recipe, sets, tmp_path / "second", progress=False, start=own, resume=True)
    with pytest.raises(ValueError, match="kind 'jnd' starts from no other weights; leave start=vdp-swift-v1 out"):
        distill.train("jnd", tmp_path, tmp_path / "other", start="vdp-swift-v1")


def test_only_the_named_parameters_are_learnt(exact, tmp_path):
    sets = {"train": Samples(exact[0]), "val": Samples(exact[0])}
    released = read_recipe(zoo.model_folder("vdp-swift-v1") / "recipe.toml")
    training = Training(images_per_batch=4, steps=2, start="vdp-swift-v1", only="fine.output quality")
    distill.train(Recipe(released.network, training), sets, tmp_path / "run", progress=False)
    found, first = (zoo.load_network(model).state_dict() for model in (tmp_path / "run", "vdp-swift-v1"))
    assert [name for name in first if not torch.equal(found[name], first[name])] == [
        "quality_gain",
        "fine.output_gain",
    ]
    nothing = Training(images_per_batch=4, steps=2, only="fine output_gains")
    with pytest.raises(
        ValueError, match="only='output_gains' is the beginning of no parameter; did you mean '.*output_gain'"
    ):
        distill.train(Recipe(released.network, nothing), sets, tmp_path / "other", progress=False)


def test_a_start_of_another_network_is_refused(exact, tmp_path):
    sets = {"train": Samples(exact[0]), "val": Samples(exact[0])}
    recipe = Recipe(FAST, Training(images_per_batch=4, steps=1, start="vdp-swift-v1"))
    with pytest.raises(ValueError, match="is another network than"):
        distill.train(recipe, sets, tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "recipe.toml").exists()


@pytest.fixture(scope="module")
def sloped(exact):
    """The batch with the metric's own gradient, as a shard may hold it."""
    from vdp_distill.targets import complete, exact_metric

    batch, _ = exact
    conditions = {name: batch[f"conditions/{name}"] for name in ("pixels_per_degree", "surround_cdm2", "emission")}
    lights = batch["light/test"], batch["light/reference"]
    return batch | {"gradient": complete(exact_metric(), *lights, conditions, maps=("gradient",))["gradient"]}


def test_gradients_are_matched_where_asked_for(sloped):
    task = CortexTask(FAST, Training(gradient_weight=0.5))
    assert task.fields[-1] == "gradient" and task.columns[-1].name == "gradient"
    losses, errors = task.evaluate(SmallVision(FAST), sloped)
    near = (sloped["P_det"] > 0.02) & (sloped["P_det"] < 0.98)
    assert near.any() and bool(errors[~near, 4].isnan().all())
    # An untrained cortex is near the metric: its gradient points where the metric's does, to some per cent.
    assert bool((errors[near, 4] < 0.2).all()) and torch.allclose(losses[near, 5], 0.5 * errors[near, 4])
    turned = sloped | {"gradient": -sloped["gradient"]}
    _, away = task.evaluate(SmallVision(FAST), turned)
    assert torch.allclose(away[near, 4], 2 - errors[near, 4], atol=1e-5)


def test_the_matched_gradient_moves_the_weights(sloped):
    """The derivative of the last loss by a weight, against the difference of two."""
    task, network = CortexTask(FAST, Training(gradient_weight=1.0)), SmallVision(FAST).double()
    batch = {name: value.double() for name, value in sloped.items()}
    weight = network.cortex.sensitivity_gain

    def loss():
        return task.losses(network, batch)[:, 4].sum()

    (found,) = torch.autograd.grad(loss(), weight)
    step, changed = 1e-4, torch.zeros_like(weight)
    place = divmod(int(found.abs().argmax()), weight.shape[1])
    changed[place] = step
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * changed)
        ends.append(float(loss().detach()))
        with torch.no_grad():
            weight.sub_(sign * changed)
    assert float(found[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


def test_gradients_are_refused_where_they_mean_nothing():
    from vdp_distill.surrogates import ChainConfig
    from vdp_distill.training.tasks import task_for

    with pytest.raises(ValueError, match="gradient_weight is for visual systems, not for a network 'paper'"):
        task_for(ChainConfig(), Training(gradient_weight=1.0))
