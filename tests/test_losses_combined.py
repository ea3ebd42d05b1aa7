"""Sums of losses: weights, schedules, TOML, and what is refused."""

import pytest
import torch
from loss_weights import VIEWING, photograph

from vdp_distill.losses import create
from vdp_distill.losses.combined import Term, WeightedSum, read_terms

TOML = """
[[term]]
loss = "l1"

[[term]]
loss = "vdp"
weight = 0.02
start = 3
ramp = 2
options = { encoding = "sRGB-display", pixels_per_degree = 30 }
"""


def number(value):
    return float(value.detach())


@pytest.fixture
def images():
    reference = photograph(32).float()
    return (0.9 * reference).requires_grad_(), reference


def test_a_sum_is_its_terms(images):
    loss = WeightedSum([{"loss": "l1", "weight": 2}, {"loss": "vdp", "weight": 0.1, "options": VIEWING}])
    expected = 2 * create("l1")(*images) + 0.1 * create("vdp", **VIEWING)(*images)
    torch.testing.assert_close(loss(*images), expected)
    assert set(loss.parts) == {"l1", "vdp"} and float(loss.parts["l1"]) == pytest.approx(number(create("l1")(*images)))


def test_a_schedule_from_toml(images, tmp_path):
    (tmp_path / "loss.toml").write_text(TOML)
    loss = create("sum", terms=tmp_path / "loss.toml")
    pixels, visible = number(create("l1")(*images)), number(create("vdp", **VIEWING)(*images))
    found = [number(loss(*images)) for _ in range(6)]
    shares = [0, 0, 0, 0.01, 0.02, 0.02]
    assert found == pytest.approx([pixels + share * visible for share in shares], rel=1e-5)


def test_only_calls_with_a_gradient_are_steps_and_a_resumed_run_goes_on(images):
    terms = [{"loss": "l1", "until": 2}, {"loss": "l2", "start": 2}]
    loss, resumed = WeightedSum(terms), WeightedSum(terms)
    loss(images[0].detach(), images[1])
    with torch.no_grad():
        loss(*images)
    assert loss.step == 0
    for _ in range(2):
        assert number(loss(*images)) == pytest.approx(number(create("l1")(*images)))
    resumed.load_state_dict(loss.state_dict())
    assert resumed.step == 2
    assert number(resumed(*images)) == pytest.approx(number(create("l2")(*images)))


def test_it_takes_what_all_of_its_losses_take():
    loss = WeightedSum([{"loss": "l1"}, {"loss": "ssim"}, {"loss": "vdp", "options": VIEWING}])
    assert loss.minimum_size == 17 and loss.channels == (3,) and loss.data_range == (0.0, 1.0)


def test_the_weight_of_a_term():
    term = Term("l1", weight=1.0, start=2, ramp=2, until=6)
    assert [term.weight_at(step) for step in range(8)] == [0, 0, 0.5, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "at least one loss"),
        ([{"weight": 1.0}], "needs its loss"),
        ([{"loss": "l1", "wieght": 1.0}], "did you mean 'weight'"),
        ([{"loss": "l1", "weight": "much"}], "weight must be like 1.0"),
        ([{"loss": "l1"}, {"loss": "l1"}], "stands once in a sum"),
        ([{"loss": "l1", "start": -1}], "not negative"),
        ([{"loss": "l1", "start": 5, "until": 5}], "until must come after start"),
        ([{"loss": "l1", "options": 3}], "options must be a table"),
        (["l1"], "must be a table such as"),
        (
            [{"loss": "l1"}, {"loss": "vdp", "options": {"encoding": "rgb-bt.709", "pixels_per_degree": 30}}],
            "one range",
        ),
        (
            [
                {"loss": "cvvdp", "options": {"pixels_per_degree": 30}},
                {"loss": "vdp", "options": {"encoding": "luma-display", "pixels_per_degree": 30}},
            ],
            "same number of channels",
        ),
    ],
)
def test_bad_terms(terms, message):
    with pytest.raises(ValueError, match=message):
        WeightedSum(terms)


def test_bad_toml(tmp_path):
    (tmp_path / "loss.toml").write_text('[[trem]]\nloss = "l1"\n')
    with pytest.raises(ValueError, match="no place for 'trem'; did you mean 'term'"):
        read_terms(tmp_path / "loss.toml")
    with pytest.raises(ValueError, match="does not exist"):
        read_terms(tmp_path / "none.toml")


def test_a_step_without_any_term_goes_backward():
    loss = WeightedSum([{"loss": "l1", "start": 5}])
    test = torch.full((2, 1, 8, 8), 0.5, requires_grad=True)
    loss(test, torch.zeros(2, 1, 8, 8)).backward()
    assert not test.grad.any()


def test_the_reduction_is_the_sums_own():
    with pytest.raises(ValueError, match="l1: reduction is the sum's own"):
        WeightedSum([{"loss": "l1", "options": {"reduction": "sum"}}])
