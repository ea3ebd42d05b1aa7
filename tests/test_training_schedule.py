"""Learning rate, end of training: functions of the step and of the log, checked by hand."""

import pytest

from vdp_distill.training.recipe import Training
from vdp_distill.training.schedule import learning_rate_share, why_stop


def rows(losses, images=1000):
    return [{"val_loss": loss, "images": images * (number + 1)} for number, loss in enumerate(losses)]


def test_warm_up_grows_evenly_to_the_highest_rate():
    training = Training(steps=100, warmup_steps=4)
    assert [learning_rate_share(training, step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_cosine_falls_from_one_to_its_floor():
    training = Training(steps=1000, schedule="cosine", final_share=0.2)
    shares = [learning_rate_share(training, step) for step in range(1000)]
    assert shares[0] == 1 and shares[-1] == pytest.approx(0.2, abs=1e-5)
    assert shares[500] == pytest.approx(0.6)  # half way between
    assert all(after < before for before, after in zip(shares[1:], shares[2:], strict=False))


@pytest.mark.parametrize(
    ("losses", "stops"),
    [([3, 2, 1], False), ([1, 2], False), ([1, 2, 3], True), ([3, 1, 2, 1.5], True), ([3, 1, 2, 0.5], False)],
)
def test_patience_counts_validations_since_the_best(losses, stops):
    assert bool(why_stop(Training(patience=2), rows(losses))) == stops


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([1.0], False),  # nothing to compare with yet
        ([1.0, 0.5, 0.5], False),  # 200,000 images ago it was twice as large
        ([1.0, 0.995, 0.992], True),
        ([1.0, 0.98, 0.989], False),  # the best counts, 2 %
        ([0.5, 0.8, 0.7, 0.497], True),  # the best of 200,000 images ago was the first, 0.6 %
    ],
)
def test_the_papers_rule_of_one_percent_over_200000_images(losses, stops):
    training = Training(flat_images=200_000)
    assert bool(why_stop(training, rows(losses, images=100_000))) == stops


def test_without_a_rule_nothing_stops():
    assert why_stop(Training(), rows([1, 2, 3, 4])) == "" and why_stop(Training(patience=1), []) == ""
