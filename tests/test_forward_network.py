"""Network and loss of forward models: 0 at identical images, else positive, a gradient everywhere."""

import pytest
import torch

from vdp_distill import zoo
from vdp_distill.losses.forward import ForwardLoss
from vdp_distill.surrogates.forward import ForwardConfig, ForwardNetwork

CONFIGS = (
    ForwardConfig(),
    ForwardConfig(output="score", identical=1.0, scale=0.2, higher_is_better=True),
    ForwardConfig(channels=1, width=8, levels=1),
)


def network(config=CONFIGS[0], seed=0):
    """With the offsets of a trained network: those it starts with are 0."""
    generator = torch.Generator().manual_seed(seed)
    made = ForwardNetwork(config, generator)
    with torch.no_grad():
        for value in made.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return made


def images(config=CONFIGS[0], count=2, height=37, width=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, count, config.channels, height, width, generator=generator)


@pytest.mark.parametrize("config", CONFIGS, ids=("map", "score", "grey"))
def test_identical_images_have_exactly_the_metric_s_value_there(config):
    test, reference = images(config)
    same, other = (network(config)(image, reference) for image in (reference, test))
    assert (same.map == config.identical).all() and (same.score == config.identical).all()
    assert (config.direction * (other.map - config.identical) >= 0).all()
    assert (config.direction * (other.score - config.identical) > 0).all()
    assert same.map.shape == (2, 1, 37, 50)


@pytest.mark.parametrize("config", CONFIGS, ids=("map", "score", "grey"))
def test_the_gradient_reaches_the_test_image_and_is_right(config):
    test, reference = (image.double() for image in images(config, count=1, height=16, width=19))
    made = network(config).double()
    assert torch.autograd.gradcheck(lambda moving: made(moving, reference).score, test.requires_grad_(), fast_mode=True)


def test_the_gradient_is_finite_at_identical_images():
    _, reference = images()
    moving = reference.clone().requires_grad_()
    ForwardLoss(network())(moving, reference).backward()
    assert moving.grad.isfinite().all()


def test_a_batch_is_what_its_pairs_are():
    test, reference = images(count=3)
    together = network()(test, reference)
    alone = [network()(*(image[None] for image in pair)) for pair in zip(test, reference, strict=True)]
    # Convolutions of another batch size may sum in another order: some float32 roundings of values about 1.
    for side, value in enumerate(together):
        torch.testing.assert_close(value, torch.cat([pair[side] for pair in alone]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (64, 33)])
def test_any_size_from_the_smallest_on(height, width):
    test, reference = images(height=height, width=width)
    assert network()(test, reference).map.shape == (2, 1, height, width)


def test_small_and_foreign_images_are_refused():
    loss = ForwardLoss(network())
    with pytest.raises(ValueError, match="16"):
        loss(*images(height=15, width=40))
    with pytest.raises(ValueError, match="15 x 40"):
        network()(*images(height=15, width=40))
    with pytest.raises(ValueError, match="takes 1 channel"):
        ForwardLoss(network(CONFIGS[2]))(*images())


def test_grey_images_are_taken_as_three_equal_channels():
    test, reference = images(CONFIGS[2])
    loss = ForwardLoss(network())
    assert loss(test, reference) == loss(test.expand(-1, 3, -1, -1), reference.expand(-1, 3, -1, -1))


def test_the_loss_rises_with_the_difference_whichever_way_the_metric_goes():
    test, reference = images(CONFIGS[1])
    loss = ForwardLoss(network(CONFIGS[1]), reduction="none")
    assert (loss(reference, reference) == 0).all()
    torch.testing.assert_close(1 - loss(test, reference), loss.judge(test, reference).score)


def test_code_values_outside_have_a_gradient_that_points_back():
    _, reference = images()
    moving = (reference + 2).requires_grad_()
    ForwardLoss(network())(moving, reference).backward()
    assert (moving.grad > 0).all()


def test_a_float64_image_gets_a_float64_loss():
    test, reference = images()
    single, double = (
        ForwardLoss(network())(test.to(kind), reference.to(kind)) for kind in (torch.float32, torch.double)
    )
    # float32 through seven convolutions of some hundred summands each.
    assert double.dtype == torch.double and single.item() == pytest.approx(double.item(), rel=1e-4)


def test_weights_survive_a_folder(tmp_path):
    made = network()
    (tmp_path / "recipe.toml").write_text('[network]\nkind = "forward"\n')
    zoo.save_network(tmp_path, made)
    test, reference = images()
    assert torch.equal(ForwardLoss(tmp_path)(test, reference), ForwardLoss(made)(test, reference))


def test_it_is_no_surrogate_of_our_metric_and_none_is_one(tmp_path):
    (tmp_path / "recipe.toml").write_text('[network]\nkind = "forward"\n')
    zoo.save_network(tmp_path, network())
    with pytest.raises(ValueError, match="ForwardLoss"):
        zoo.load(tmp_path)
    with pytest.raises(ValueError, match="VDPLoss"):
        ForwardLoss("vdp-fast-v1")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": 2}, "1 or 3"),
        ({"output": "maps"}, "score, map"),
        ({"levels": 0}, "levels"),
        ({"scale": 0}, "scale"),
    ],
)
def test_wrong_shapes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ForwardConfig(**wrong)


def test_judging_takes_what_a_call_takes():
    loss = ForwardLoss(ForwardNetwork(ForwardConfig(scale=0.1)))
    images = torch.rand(2, 1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    expected = loss.judge(*images).score
    for dtype in (torch.float64, torch.float32):
        torch.testing.assert_close(loss.judge(*images.to(dtype)).score.float(), expected)
    with pytest.raises(ValueError, match="same shape|one size"):
        loss.judge(images[0], images[1, :, :, :30])
