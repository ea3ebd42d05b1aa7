"""Shared fixtures: seeded generators and small image pairs."""

import pytest
import torch
import toy_task

from vdp_distill import zoo
from vdp_distill.training import report as training_report
from vdp_distill.training import tasks as training_tasks


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Networks that a test makes draw their weights from the global generator: the same whatever ran before."""
    torch.manual_seed(20191101)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20191101)


@pytest.fixture
def pair(generator):
    """A grey pair with structure and a small difference, (1, 1, 40, 52) float64, 20 to 120 cd/m2."""
    return make_pair(generator, 1, 1, 40, 52)


def make_pair(generator, batch, channels, height, width, dtype=torch.float64):
    """Light of a smooth random scene and of the same with noise, cd/m2."""
    coarse = torch.rand(batch, channels, 6, 6, generator=generator, dtype=dtype)
    scene = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    reference = 20 + 100 * scene
    noise = torch.randn(reference.shape, generator=generator, dtype=dtype)
    return reference * (1 + 0.03 * noise), reference


@pytest.fixture
def toy(monkeypatch):
    """The toy is known, and no curve is drawn, which is most of the work of so small a run."""
    monkeypatch.setattr(training_tasks, "TASKS", {**training_tasks.TASKS, "toy": "toy_task:ToyTask"})
    monkeypatch.setitem(zoo.NETWORKS, "toy", (toy_task.ToyConfig, toy_task.Toy))
    monkeypatch.setattr(training_report, "_write_curve", lambda path, task, rows: path.write_bytes(b"a curve"))
