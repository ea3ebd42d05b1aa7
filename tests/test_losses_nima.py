"""NIMA: distances against scipy, the network against torchvision, the hybrid loss, the released model."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import rv_discrete, wasserstein_distance

from vdp_distill.checkpoints import read_tensors
from vdp_distill.losses.nima import NIMA, EMDLoss, HybridLoss, NIMAConfig, Rating, emd, mean_and_spread
from vdp_distill.losses.nima_recipe import NIMARecipe
from vdp_distill.losses.nima_weights import load_nima, put_trunk, save_nima
from vdp_distill.recipes import models_folder

models = pytest.importorskip("torchvision.models", reason="NIMA's trunk is torchvision's")

NARROW = NIMAConfig(width_multiplier=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nima") / "model"
    folder.mkdir()
    (folder / "recipe.toml").write_text(NIMARecipe(NARROW).text())
    save_nima(folder, trained_statistics(NIMA(NARROW)))
    return folder


def trained_statistics(network):
    """As after a run: with the statistics of new weights a deep network gives the same answer to everything."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the mean over what it sees
        network.train()(torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    return network.eval()


@pytest.fixture
def distributions(generator):
    shares = torch.rand(2, 6, 10, generator=generator, dtype=torch.float64)
    return shares / shares.sum(dim=-1, keepdim=True)


# Distances and moments


def test_emd_is_scipys_wasserstein_distance(distributions):
    ratings = np.arange(1, 11)
    expected = [
        wasserstein_distance(ratings, ratings, *map(np.asarray, pair)) for pair in zip(*distributions, strict=True)
    ]
    # Normalised: of ten buckets. The cumulative sums of both are float64.
    np.testing.assert_allclose(emd(*distributions, r=1).numpy() * 10, expected, rtol=1e-12)


@pytest.mark.parametrize("r", [1, 1.5, 2, 4])
def test_emd_is_the_papers_formula(distributions, r):
    first, second = (np.cumsum(shares.numpy(), axis=1) for shares in distributions)
    expected = (np.abs(first - second) ** r).mean(axis=1) ** (1 / r)
    np.testing.assert_allclose(emd(*distributions, r=r).numpy(), expected, rtol=1e-12)


def test_emd_is_of_each_sample(distributions):
    each = EMDLoss(2.0, reduction="none")(*distributions)
    alone = [EMDLoss(2.0)(first[None], second[None]) for first, second in zip(*distributions, strict=True)]
    torch.testing.assert_close(each, torch.stack(alone), rtol=1e-14, atol=0)
    torch.testing.assert_close(EMDLoss(2.0)(*distributions), each.mean())
    one_root = (distributions[0].cumsum(1) - distributions[1].cumsum(1)).square().mean().sqrt()
    assert float(one_root - each.mean()) > 1e-4  # a root over the whole batch is another number


def test_emd_at_equal_distributions_has_a_finite_gradient(distributions):
    shares = distributions[0].clone().requires_grad_()
    value = emd(shares, distributions[0]).sum()
    value.backward()
    assert float(value.detach()) == 0 and not shares.grad.any()


def test_emd_gradient(distributions):
    first = distributions[0][:2].clone().requires_grad_()
    direction = torch.linspace(-1, 1, 10, dtype=torch.float64)  # sums to 0: stays a distribution
    (slope,) = torch.autograd.grad(emd(first, distributions[1][:2]).sum(), first)
    step = 1e-6
    ends = [emd(first.detach() + sign * step * direction, distributions[1][:2]).sum() for sign in (1, -1)]
    # A central difference: its own error is of the order of step squared.
    assert float((slope * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-6)


@pytest.mark.parametrize(
    ("estimate", "truth", "r", "message"),
    [
        (torch.full((2, 10), 0.1), torch.full((1, 10), 0.1), 2, r"must both be \(N, buckets\)"),
        (torch.full((2, 10), 1.0), torch.full((2, 10), 0.1), 2, "estimate: each row must sum to 1, one is off by 9"),
        (torch.full((2, 10), 0.1), torch.full((2, 10), math.nan), 2, "truth: each row must sum to 1"),
        (torch.full((2, 10), 0.1), torch.full((2, 10), 0.1), 0.5, "r must be at least 1"),
    ],
)
def test_emd_refuses(estimate, truth, r, message):
    with pytest.raises(ValueError, match=message):
        emd(estimate, truth, r)


def test_mean_and_spread(distributions):
    mean, spread = mean_and_spread(distributions[0])
    for row, ours, ours_spread in zip(distributions[0].numpy(), mean, spread, strict=True):
        truth = rv_discrete(values=(np.arange(1, 11), row / row.sum()))
        assert float(ours) == pytest.approx(truth.mean(), rel=1e-12)
        assert float(ours_spread) == pytest.approx(truth.std(), rel=1e-10)


# The network


@pytest.mark.parametrize("width", [0.5, 1.0])
def test_parameters_are_named_as_torchvisions(width):
    theirs = models.MNASNet(width, num_classes=10).state_dict()
    ours = NIMA(NIMAConfig(width_multiplier=width)).state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}
    assert list(ours) == list(theirs)


def test_the_network_is_torchvisions(generator):
    network = trained_statistics(NIMA(NARROW))
    theirs = models.MNASNet(0.1, num_classes=10).eval()
    theirs.load_state_dict(network.state_dict())
    image = torch.rand(2, 3, 48, 40, generator=generator)
    normalised = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    torch.testing.assert_close(network(image), theirs(normalised).softmax(dim=1))


def test_it_is_fully_convolutional(generator):
    network = trained_statistics(NIMA(NARROW))
    for size in ((32, 32), (33, 90), (130, 64)):
        image = torch.rand(1, 3, *size, generator=generator)
        features = network.layers((image - network.input_mean) / network.input_spread)
        layer = network.classifier[1]
        maps = torch.nn.functional.conv2d(features, layer.weight[:, :, None, None], layer.bias)
        # The last layer at every place, pooled after; float32 sums in another order.
        torch.testing.assert_close(network(image), maps.mean(dim=(2, 3)).softmax(dim=1), rtol=1e-4, atol=1e-6)


def test_a_trunk_from_torchvision(tmp_path):
    source = models.MNASNet(0.1, num_classes=1000)
    save_file(source.state_dict(), tmp_path / "mnasnet.safetensors")
    network = NIMA(NARROW)
    last_layer = network.classifier[1].weight.clone()
    put_trunk(network, tmp_path / "mnasnet.safetensors")
    assert torch.equal(network.layers[0].weight, source.layers[0].weight)
    assert torch.equal(network.layers[15].running_var, source.layers[15].running_var)
    assert torch.equal(network.classifier[1].weight, last_layer)
    with pytest.raises(ValueError, match=r"layers.0.weight is .*, a MnasNet of width 0.5 has"):
        put_trunk(NIMA(NIMAConfig(width_multiplier=0.5)), tmp_path / "mnasnet.safetensors")
    torch.save(source.state_dict(), tmp_path / "mnasnet.pth")
    with pytest.raises(ValueError, match="is a pickle, which is never opened here"):
        put_trunk(network, tmp_path / "mnasnet.pth")
    with pytest.raises(ValueError, match="does not exist"):
        put_trunk(network, tmp_path / "absent.safetensors")


def test_without_torchvision(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision.models", None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        NIMA(NARROW)


def test_a_score_says_that_it_is_uncalibrated(folder):
    loss = HybridLoss(folder)
    rating = loss.nima.rate(torch.full((2, 3, 32, 32), 0.5))
    assert rating.distribution.shape == (2, 10) and rating.mean.shape == rating.spread.shape == (2,)
    assert str(rating).endswith("(uncalibrated)") and "score uncalibrated" in repr(loss)
    assert str(Rating(*rating[:3], calibrated=True)) == str(rating).removesuffix(" (uncalibrated)")


# The hybrid loss


def test_hybrid_loss_is_the_papers(folder, generator):
    reference = torch.rand(2, 3, 36, 33, generator=generator, dtype=torch.float64)
    test = (reference + 0.02 * torch.randn(reference.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    loss = HybridLoss(folder, gamma=0.3, value_range=255, reduction="none")
    shares = loss.nima.double()(test).detach().numpy()
    score = shares @ np.arange(1, 11)
    squared = ((255 * (test - reference).numpy()) ** 2).mean(axis=(1, 2, 3))
    # float64 throughout.
    np.testing.assert_allclose(loss(test, reference).detach().numpy(), squared + 0.3 * (10 - score), rtol=1e-10)


def test_value_range_scales_the_squared_error_alone(folder, generator):
    reference = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    test = (reference + 0.1).clamp(0, 1)
    ones, bytes_ = (HybridLoss(folder, value_range=value_range)(test, reference) for value_range in (1.0, 255.0))
    squared = (test - reference).square().mean()
    assert float(bytes_ - ones) == pytest.approx(float(squared * (255**2 - 1)), rel=1e-10)


def test_gamma_zero_is_the_squared_error(folder, generator):
    pair = torch.rand(2, 1, 3, 32, 32, generator=generator, dtype=torch.float64)
    squared = (pair[0] - pair[1]).square().mean()
    torch.testing.assert_close(HybridLoss(folder, gamma=0, value_range=1)(*pair), squared)


def test_the_score_has_a_gradient_at_identical_images(folder, generator):
    reference = torch.rand(1, 3, 32, 32, generator=generator)
    test = reference.clone().requires_grad_()
    HybridLoss(folder)(test, reference).backward()
    assert bool(test.grad.isfinite().all()) and bool(test.grad.any())  # it pulls away from the reference


@pytest.mark.parametrize("options", [{"gamma": -0.1}, {"value_range": 0}, {"gamma": math.nan}])
def test_wrong_options(folder, options):
    with pytest.raises(ValueError, match="gamma must be at least 0 and value_range positive"):
        HybridLoss(folder, **options)


# Released


def test_weights_are_kept_in_half_precision(tmp_path, generator):
    network = trained_statistics(NIMA(NARROW))
    network.layers[1].running_var[0] = 1e5  # float16 ends at 65504
    (tmp_path / "recipe.toml").write_text(NIMARecipe(NARROW).text())
    save_nima(tmp_path, network)
    kept = load_file(tmp_path / "model.safetensors")
    wide = [name for name, value in kept.items() if value.dtype == torch.float32]
    assert wide == ["layers.1.running_var"] and kept["layers.0.weight"].dtype == torch.float16
    image = torch.rand(2, 3, 40, 48, generator=generator)
    found = load_nima(tmp_path)(image)
    network.load_state_dict(kept)
    assert found.dtype == torch.float32 and torch.equal(found, network(image))


def test_released_nima_gives_its_golden_values():
    folder = models_folder() / "nima-v1"
    golden, _ = read_tensors(folder / "golden.safetensors")
    # Another processor rounds otherwise; float32, fifty layers deep.
    torch.testing.assert_close(load_nima("nima-v1")(golden["input"]), golden["output/0"], rtol=0, atol=1e-4)
    assert (folder / "model.safetensors").stat().st_size < 2_000_000
    assert "uncalibrated" in (folder / "README.md").read_text()
