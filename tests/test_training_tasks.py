"""Which code trains which kind, and the options of a recipe that are refused."""

import inspect

import pytest

from vdp_distill.distill import train
from vdp_distill.training import tasks as training_tasks
from vdp_distill.training.recipe import Training
from vdp_distill.training.tasks import TASKS, TRAINERS, kind_of, task_for, trainer_for
from vdp_distill.zoo import NETWORKS


@pytest.mark.parametrize("kind", TASKS)
def test_every_task_says_what_it_needs(kind):
    task = task_for(NETWORKS[kind][0](kind=kind))
    assert "samples/index" in task.fields and task.about and task.limits
    assert len({column.name for column in task.columns}) == len(task.columns) > 0


@pytest.mark.parametrize("kind", TRAINERS)
def test_every_other_trainer_is_called_alike(kind):
    arguments = inspect.signature(trainer_for(kind)).parameters
    assert [*arguments][:3] == ["recipe", "data", "out"] and {"resume", "progress"} <= arguments.keys()


def test_no_kind_is_trained_twice():
    assert not TASKS.keys() & TRAINERS.keys()


def test_a_foreign_kind_is_handed_over_whole(tmp_path, monkeypatch):
    recipe, calls = tmp_path / "other.toml", []
    recipe.write_text("[network]\nkind = 'other'\nanything = 1\n")
    monkeypatch.setattr(training_tasks, "TRAINERS", {"other": "here"})
    monkeypatch.setattr(training_tasks.importlib, "import_module", lambda name: {"here": Here(calls)}[name])
    assert train(recipe, None, tmp_path / "out", resume=True, progress=False) == "made"
    assert calls == [((recipe, None, tmp_path / "out"), {"resume": True, "progress": False})]


@pytest.mark.parametrize(("name", "message"), [("tiny", "on shards"), ("trunk", "on photographs"), ("jnd", "MCL-JCI")])
def test_a_kind_that_needs_data_says_which(name, message, tmp_path):
    with pytest.raises(ValueError, match=f"is trained .*{message}.*--data FOLDER"):
        train(name, None, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


class Here:
    def __init__(self, calls):
        self.calls = calls

    def train(self, *arguments, **options):
        self.calls.append((arguments, options))
        return "made"


def test_kind_of_a_recipe(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[training]\n")
    assert kind_of(recipe) == "paper" and kind_of("tiny") == "paper"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "cosin"}, "schedule must be one of"),
        ({"precision": "16-mixed"}, "precision must be one of"),
        ({"strategy": "fsdp"}, "strategy must be one of"),
        ({"ema_decay": 1.0}, "ema_decay must be at least 0 and below 1"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0"),
        ({"clip_norm": float("nan")}, "clip_norm must be at least 0"),
        ({"accumulate": 0}, "accumulate must be positive"),
        ({"accumulate": 3}, "multiple of 6"),
        ({"accumulate": 2, "devices": 8}, "multiple of 32"),
        ({"schedule": "cosine", "warmup_steps": 10, "steps": 10}, "fewer than steps"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Training(**options)
