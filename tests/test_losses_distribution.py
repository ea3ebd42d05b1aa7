"""Distances between distributions: against POT and SciPy, and against the contextual paper's equations."""

import numpy as np
import ot
import pytest
import torch
from loss_weights import photograph
from scipy.stats import wasserstein_distance

from vdp_distill.losses import create
from vdp_distill.losses.contextual import DISTANCES, EPSILON, contextual_similarity
from vdp_distill.losses.distribution import PROJECTIONS, wasserstein
from vdp_distill.losses.trunks import InHouseTrunk

EXACT = {"rel": 1e-9, "abs": 1e-12}
"""float64 on both sides."""


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return InHouseTrunk((6, 8)).double()


@pytest.fixture(scope="module")
def clouds():
    """Two sets of 50 features of 6 channels, (1, 6, 50) each."""
    generator = torch.Generator().manual_seed(2)
    draw = [torch.randn(1, 6, 50, generator=generator, dtype=torch.float64) for _ in range(2)]
    return draw[0], 1.5 * draw[1] + 0.2


@pytest.fixture(scope="module")
def pair():
    reference = photograph(40)[:1]
    return (0.8 * reference + 0.1 * reference.flip(3)).clamp(0, 1), reference


def test_one_dimension_is_scipys(clouds):
    found = wasserstein(*clouds)[0]
    expected = [wasserstein_distance(one, other) for one, other in zip(*(c[0].numpy() for c in clouds), strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_one_dimension_is_pots_to_the_power_p(p, clouds):
    found = wasserstein(*clouds, float(p))[0]
    expected = ot.wasserstein_1d(*(c[0].T.numpy() for c in clouds), p=p)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_projections_onto_the_sphere_are_pots_sliced_distance(clouds):
    onto = PROJECTIONS["random_sphere"](40, 6, torch.Generator().manual_seed(3)).double()
    found = float(wasserstein(*(onto @ c[0] for c in clouds)).mean())
    options = {"projections": onto.T.numpy(), "p": 1}
    assert found == pytest.approx(ot.sliced_wasserstein_distance(*(c[0].T.numpy() for c in clouds), **options), **EXACT)


def test_the_loss_is_the_mean_over_the_channels_of_the_trunk(trunk, pair):
    loss = create("pdl", trunk=trunk, taps=["stage2"])
    features = [trunk(image, ["stage2"])[0][0].flatten(1).numpy() for image in pair]
    expected = np.mean([wasserstein_distance(one, other) for one, other in zip(*features, strict=True)])
    assert float(loss(*pair)) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("projections", PROJECTIONS)
def test_projections(projections, trunk, pair):
    factor = 1.0 if projections == "identity" else 1.5
    loss, again, other = (
        create("pdl", trunk=trunk, projections=projections, factor=factor, seed=seed) for seed in (0, 0, 1)
    )
    assert float(loss(*pair)) == float(again(*pair)) > 0
    if projections == "identity":
        return
    assert float(other(*pair)) != float(loss(*pair))
    rows = loss.get_buffer("onto_stage1")
    assert rows.shape == (9, 6) and rows.dtype == torch.float64
    # Drawn in float32.
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(9).double(), atol=1e-6, rtol=0)
    if projections == "random_pairs":
        assert ((rows != 0).sum(1) == 2).all()
    if projections == "perturbed_identity":
        assert (rows.argmax(1) == torch.arange(9) % 6).all()


def test_where_features_stand_does_not_matter(trunk):
    """Features moved about have the same distribution; the gradient takes the order as fixed."""
    one = torch.randn(1, 4, 30, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert float(wasserstein(one, one[..., torch.randperm(30)]).abs().max()) == 0
    other = (one + 0.1).requires_grad_()
    wasserstein(other, one).sum().backward()
    torch.testing.assert_close(other.grad, torch.full_like(one, 1 / 30))


def cosine(x, y):
    """Mechrez et al. 2018, equation for d: 1 - cosine from the mean of y."""
    x, y = x - y.mean(0), y - y.mean(0)
    x, y = (a / (np.linalg.norm(a, axis=1, keepdims=True) + EPSILON) for a in (x, y))
    return 1 - x @ y.T


def squared(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(2)


@pytest.mark.parametrize(("name", "written_out"), [("dot", cosine), ("l2", squared)])
def test_contextual_similarity_written_out(name, written_out, clouds):
    distances = written_out(*(c[0].T.numpy() for c in clouds))
    np.testing.assert_allclose(DISTANCES[name](*clouds)[0].numpy(), distances, atol=1e-10)
    relative = distances / (distances.min(1, keepdims=True) + EPSILON)
    weights = np.exp((1 - relative) / 0.3)
    weights = weights / weights.sum(1, keepdims=True)
    expected = weights.max(0).mean()
    assert float(contextual_similarity(torch.from_numpy(distances)[None], 0.3)) == pytest.approx(expected, **EXACT)


def test_contextual_similarity_of_a_shuffled_set_is_one(clouds):
    shuffled = clouds[0][..., torch.randperm(50, generator=torch.Generator().manual_seed(1))]
    similarity = contextual_similarity(DISTANCES["l2"](shuffled, clouds[0]), 0.1)
    assert float(similarity) == pytest.approx(1, abs=1e-9)


def test_few_positions_are_spread_evenly(trunk, pair):
    all_of_them = create("contextual", trunk=trunk, taps=["stage2"], positions=400)
    assert float(all_of_them(*pair)) == float(create("contextual", trunk=trunk, taps=["stage2"])(*pair))
    assert create("contextual", trunk=trunk, positions=64)(*pair).isfinite()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pdl", {"projections": "random"}, "projections must be one of identity"),
        ("pdl", {"p": 0.5}, "p must be at least 1"),
        ("pdl", {"factor": 2}, "factor must be positive, and 1 for identity"),
        ("pdl", {"taps": ["stage3"]}, "InHouseTrunk has no tap 'stage3'; did you mean"),
        ("contextual", {"distance": "cosine"}, "distance must be one of dot, l2"),
        ("contextual", {"bandwidth": 0}, "bandwidth must be positive"),
        ("contextual", {"positions": 0}, "positions must be a positive whole number"),
    ],
)
def test_bad_options(name, options, message, trunk):
    with pytest.raises(ValueError, match=message):
        create(name, trunk=trunk, **options)
