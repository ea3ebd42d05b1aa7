"""JND networks: the paper's shape, exact zeros, laws of the psychometric function, sizes, gradients, saved models."""

import math

import numpy as np
import pytest
import torch

from benchmarks.jnd_study import released_networks
from vdp_distill import HDRVDP2
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.difference_features import derivative_filters, mean_norm
from vdp_distill.jnd import model as jnd_model
from vdp_distill.jnd.network import (
    DifferenceConfig,
    DifferenceNetwork,
    PaperConfig,
    PaperNetwork,
    binomial_loss,
    contrastive_loss,
    distance_loss,
)
from vdp_distill.jnd.recipe import Data, Recipe
from vdp_distill.jnd.responses import Responder

ALONE = DifferenceConfig(scales=(0, 1), filters=3, contrast=False)


def responses(generator, count=2, size=(48, 64), strength=3.0):
    reference = 20 * torch.randn(count, 1, *size, generator=generator)
    return reference + strength * torch.randn(reference.shape, generator=generator), reference


def test_the_papers_shape():
    network = PaperNetwork(PaperConfig())
    assert sum(value.numel() for value in network.parameters()) == 35_800  # as in its public follow-up
    with torch.no_grad():
        features = network.branch(torch.zeros(1, 1, 1080, 1920))
    assert features.numel() == 522_240  # likewise, at 1920x1080


def test_the_papers_distance(generator):
    network = PaperNetwork(PaperConfig()).eval()
    test, reference = responses(generator)
    first, second = (network.branch(image).flatten(1) for image in (test, reference))
    expected = (first - second).square().sum(dim=1).sqrt()
    torch.testing.assert_close(network(test, reference), expected, rtol=1e-5, atol=1e-6)
    assert not network(reference, reference).any()
    assert float(network.probability(test, reference).detach().max()) <= 1


def test_a_mean_distance_does_not_grow_with_the_image(generator):
    tiled = [image.repeat(1, 1, 4, 4) for image in responses(generator, 1, (64, 64))]
    plain = [image[..., :64, :64] for image in tiled]
    for distance, least, most in (("rms", 0.8, 1.2), ("euclidean", 3.2, 4.8)):  # 4: root of 16 times the pixels
        network = PaperNetwork(PaperConfig(distance=distance)).eval()
        with torch.no_grad():
            assert least < float(network(*tiled) / network(*plain)) < most


def test_contrastive_loss_is_the_squared_error_below_its_margin():
    distance, share = torch.rand(50), torch.rand(50)
    difference = contrastive_loss(distance, share, share) - distance_loss(distance, share, share)
    torch.testing.assert_close(difference, share * (1 - share), rtol=0, atol=1e-6)
    assert float(contrastive_loss(torch.tensor(2.0), torch.tensor(1.0), share)) == 0


def test_binomial_loss_is_the_likelihood():
    from scipy.stats import binom

    share, subjects = torch.tensor([3 / 30, 0.0]), torch.tensor([30.0, 30.0])
    loss = binomial_loss(torch.tensor([0.2, 0.1]), share, subjects).double().numpy()
    expected = [-(binom.logpmf(3, 30, 0.2) - np.log(math.comb(30, 3))) / 30, -binom.logpmf(0, 30, 0.1) / 30]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_filters_see_no_constant():
    filters = derivative_filters(5)
    np.testing.assert_allclose(filters.sum(axis=(1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose((filters**2).sum(axis=(1, 2, 3)), 1, rtol=1e-12)


def test_mean_norm_is_the_norm(generator):
    values = torch.rand(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    exponent = torch.tensor([1.0, 2.0, 4.5], dtype=torch.float64)
    expected = torch.stack([values[:, k].pow(p).mean(dim=(1, 2)) ** (1 / p) for k, p in enumerate(exponent)], dim=1)
    torch.testing.assert_close(mean_norm(values, exponent), expected, rtol=1e-9, atol=0)


def test_identical_images_are_never_told_apart(generator):
    _, reference = responses(generator)
    test = reference.clone().requires_grad_()
    network = DifferenceNetwork(ALONE)
    with torch.no_grad():  # whatever the slope and the norms have become
        network.log_slope.fill_(0.37)
        network.scales[0].log_norm.fill_(0.81)
    share = network(test, reference)
    assert not share.any()
    share.sum().backward()
    assert bool(test.grad.isfinite().all())


def test_monotone_in_the_difference(generator):
    test, reference = responses(generator, strength=1.0)
    network = DifferenceNetwork(ALONE)
    with torch.no_grad():
        shares = torch.stack(
            [network(reference + step * (test - reference), reference) for step in (0, 0.1, 0.3, 1, 3)]
        )
    assert bool((shares.diff(dim=0) > 0).all())


def test_more_of_the_same_is_the_same(generator):
    one = [image.double() for image in responses(generator, 1, (64, 64), strength=0.5)]
    network = DifferenceNetwork(ALONE).double()
    with torch.no_grad():
        shares = [float(network(*(image.repeat(1, 1, times, times) for image in one))) for times in (1, 6)]
    # Filters at the border meet repeated pixels, inside the tile's other side: one pixel in thirty or so.
    assert shares[0] == pytest.approx(shares[1], rel=0.05)


def test_half_at_threshold():
    network = DifferenceNetwork(ALONE)
    with torch.no_grad():
        network.log_slope.fill_(0.7)
        network.lapse.fill_(-30.0)
        share = network.psychometric(torch.tensor([0.0, 1.0, 1e6]))
    torch.testing.assert_close(share, torch.tensor([0.0, 0.5, 1.0]))


def test_it_begins_at_the_exact_metric(generator):
    reference = torch.rand(1, 3, 40, 48, generator=generator)
    test = (reference + 0.004 * torch.randn(reference.shape, generator=generator)).clamp(0, 1)
    eye = Responder(display="mcl-jci", pixels_per_degree=30)
    network = DifferenceNetwork(DifferenceConfig(scales=(1,), field_pixels=40 * 48))
    with torch.no_grad():
        network.log_weight.fill_(-50)
        found = float(network(*eye(test, reference)))
    exact = float(HDRVDP2(display="mcl-jci", pixels_per_degree=30)(test, reference).P_det)
    # Lapses are the only difference at the beginning: 0.05 sigmoid(-4).
    assert found == pytest.approx(exact * (1 - 0.05 / (1 + math.exp(4))), rel=1e-4) and 0.01 < exact <= 1


def test_the_contrast_map_is_asked_for(generator):
    with pytest.raises(ValueError, match="takes the exact contrast map too"):
        DifferenceNetwork(DifferenceConfig())(*responses(generator))


def test_responses_are_the_metrics(generator):
    reference = torch.rand(2, 3, 33, 40, generator=generator)
    test = (reference + 0.05 * torch.rand(reference.shape, generator=generator)).clamp(0, 1)
    exact = HDRVDP2(display="mcl-jci", pixels_per_degree=45, keep_stages=True)(test, reference).stages
    found = Responder(display="mcl-jci", pixels_per_degree=45)(test, reference)
    assert torch.equal(found.test, exact["achromatic"].test) and torch.equal(found.contrast, exact["contrast_map"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: PaperConfig(distance="cosine"), "distance must be one of"),
        (lambda: PaperConfig(widths=(4, 8)), "must be alike in number"),
        (lambda: DifferenceConfig(scales=()), "scales must be at least one"),
        (lambda: Data(kind="tid"), "kind must be one of synthetic, mcl-jci"),
        (lambda: Recipe(PaperConfig()), "is trained by distance or contrastive, got 'binomial'"),
    ],
)
def test_wrong_shapes(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "recipe.toml").write_text(Recipe(ALONE, Data(size=(1080, 1920), height=540)).text())
    jnd_model.save_network(tmp_path, DifferenceNetwork(ALONE))
    return tmp_path


def test_a_saved_model_works_at_its_own_pixels_per_degree(folder, generator):
    model = jnd_model.load(folder, display="mcl-jci", pixels_per_degree=90)
    reference = torch.rand(1, 3, 64, 80, generator=generator)
    test = (reference + 0.05).clamp(0, 1)
    halves = [torch.nn.functional.avg_pool2d(image, 2) for image in (test, reference)]
    same = jnd_model.load(folder, display="mcl-jci", pixels_per_degree=45)
    assert model.trained_pixels_per_degree == 45  # 90 at 1080 rows, 540 of them left
    assert torch.equal(model(test, reference), same(*halves))
    assert not model(reference, reference).any() and not any(value.requires_grad for value in model.parameters())
    assert torch.allclose(model(test.double(), reference.double()), model(test, reference))
    with pytest.raises(ValueError, match="where these images have .10, 15. pixels"):
        model(test[..., :20, :30], reference[..., :20, :30])


def test_changed_models_are_refused(folder):
    golden, metadata = read_tensors(folder / "golden.safetensors")
    write_tensors(folder / "golden.safetensors", golden | {"output/probability": torch.ones(2)}, metadata)
    with pytest.raises(ValueError, match="outputs differ from golden"):
        jnd_model.load_network(folder)
    weights, _ = read_tensors(folder / "model.safetensors")
    write_tensors(folder / "model.safetensors", weights, {"format": "another"})
    with pytest.raises(ValueError, match="holds no JND network of this package"):
        jnd_model.load_network(folder)
    with pytest.raises(ValueError, match="must be a folder or a released JND network, got 'jnd-v99'"):
        jnd_model.load("jnd-v99", display="mcl-jci")


def test_released_models_answer():
    for name in jnd_model.names():
        assert all(bool(value.isfinite().all()) for value in jnd_model.load_network(name).parameters())


def test_a_study_trains_on_models_that_have_responses_alone():
    """By default it took all released models, and stopped after minutes at the one that looks at blocks."""
    found = released_networks()
    assert "ours on vdp-cortex-v1" in found and "ours on vdp-swift-v1" not in found


def test_inside_a_network_that_trains_it_stays_as_it_was_trained():
    network = PaperNetwork(PaperConfig(widths=(2,), kernels=(3,), strides=(2,)))
    model = jnd_model.JND(network, Responder(display="mcl-jci", pixels_per_degree=30), trained_pixels_per_degree=30)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    outer = torch.nn.Sequential(model).train()
    model(torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96))
    assert outer.training and not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_its_eye_moves_with_it():
    eye = Responder("vdp-fast-v1", display="mcl-jci", contrast=False)
    model = jnd_model.JND(DifferenceNetwork(ALONE), eye, trained_pixels_per_degree=90).to("meta")
    assert {value.device.type for metric in eye.metrics.values() for value in metric.parameters()} == {"meta"}
    assert next(model.network.parameters()).device.type == "meta"


@pytest.mark.parametrize("model", ["vdp-cortex-v1", "vdp-fast-v1"])
def test_an_eye_sees_images_of_another_precision(model):
    images = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    eye = Responder(model, display="mcl-jci")
    single, double = eye(*images).contrast, eye(*images.double()).contrast
    torch.testing.assert_close(double, single, rtol=1e-4, atol=1e-4)  # light is made in another precision
