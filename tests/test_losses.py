"""The contract of the losses: what each declares about itself is true, and what none may take is refused."""

import copy
import math

import pytest
import torch
from loss_weights import options_for, photograph

from vdp_distill.losses import ImageLoss, VDPLoss, create, loss_class, names

NOISE = (0.02, 0.2)
RELATIVE = {torch.float32: 2e-4, torch.float64: 2e-5}
"""A batch against its images one by one: sums in another order, some through float32 inside (ColorVideoVDP)."""


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """Losses by name, each made once, giving a value a pair."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def get(name):
        if name not in made:
            options = options_for(name, loss_class(name).required_options, folder)
            made[name] = create(name, reduction="none", **options)
        return made[name]

    return get


def images_for(loss, dtype=torch.float32, strength=NOISE[0]):
    """A noisy pair of crops of the least size that is worth a look, with the loss's number of channels."""
    reference = photograph(max(loss.minimum_size, 40))[:, : loss.channels[-1]]
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (reference + strength * noise).clamp(0, 1).to(dtype), reference.to(dtype)


@pytest.mark.parametrize("name", names())
def test_declarations(name, losses):
    loss = losses(name)
    assert isinstance(loss, ImageLoss | VDPLoss)
    assert loss.paper and loss.higher_is_better is False
    assert isinstance(loss.minimum_size, int) and loss.minimum_size >= 1
    assert set(loss.channels) <= {1, 3} and loss.data_range in ((0.0, 1.0), (0.0, math.inf))
    assert all(file.address.startswith("https://") and file.substitute for file in loss.weights)
    assert not [parameter for parameter in loss.parameters() if parameter.requires_grad]
    assert not any(module.training for module in loss.train().modules() if isinstance(loss, ImageLoss))


@pytest.mark.parametrize("name", names())
def test_identical_images(name, losses):
    loss = losses(name)
    _, reference = images_for(loss)
    test = reference.clone().requires_grad_(loss.is_differentiable)
    values = loss(test, reference)
    assert values.isfinite().all()
    if loss.is_zero_at_identical:
        # Means of float32 rounding errors of quantities of about 1.
        torch.testing.assert_close(values.detach(), torch.zeros(2), atol=2e-6, rtol=0)
    if loss.is_differentiable:
        values.sum().backward()
        assert test.grad.isfinite().all()


@pytest.mark.parametrize("name", names())
def test_stronger_noise_is_worse_and_the_gradient_says_so(name, losses):
    loss = losses(name)
    weak, strong = (images_for(loss, strength=strength)[0] for strength in NOISE)
    _, reference = images_for(loss)
    strong.requires_grad_()
    values = loss(strong, reference)
    assert (values > loss(weak, reference)).all()
    assert values.requires_grad == loss.is_differentiable
    if loss.is_differentiable:
        values.sum().backward()
        assert strong.grad.isfinite().all()
        assert (strong.grad.abs().amax(dim=(1, 2, 3)) > 0).all(), "the gradient does not reach an image"


@pytest.mark.parametrize("name", names())
def test_a_step_down_the_gradient_lowers_it(name, losses):
    loss = losses(name)
    if not loss.is_differentiable:
        return
    test, reference = images_for(loss, torch.float64, strength=0.1)
    test.requires_grad_()
    value = loss(test, reference)[0]
    (gradient,) = torch.autograd.grad(value, test)
    step = 1e-3 * gradient / gradient.abs().amax()
    assert loss((test - step).detach(), reference)[0] < value


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_batch_is_its_images(name, dtype, losses):
    loss = losses(name)
    test, reference = images_for(loss, dtype)
    with torch.no_grad():
        batch = loss(test, reference)
        singles = torch.cat([loss(test[k : k + 1], reference[k : k + 1]) for k in range(2)])
    assert batch.shape == (2,) and batch.dtype == dtype and batch.device == test.device
    torch.testing.assert_close(batch, singles, rtol=RELATIVE[dtype], atol=1e-6)


@pytest.mark.parametrize("name", names())
def test_half_precision_gives_single(name, losses):
    test, reference = images_for(losses(name))
    with torch.no_grad():
        assert losses(name)(test.bfloat16(), reference).dtype == torch.float32


@pytest.mark.parametrize("name", names())
def test_every_number_of_channels(name, losses):
    loss = losses(name)
    for channels in loss.channels:
        images = (image[:1, :1].expand(-1, channels, -1, -1) for image in images_for(loss))
        with torch.no_grad():
            assert loss(*images).isfinite().all()


@pytest.mark.filterwarnings("ignore::vdp_distill.small_metric.OutOfDomainWarning")
@pytest.mark.parametrize("name", names())
def test_the_smallest_image(name, losses):
    loss = losses(name)
    images = [image[:1, :, : loss.minimum_size, : loss.minimum_size] for image in images_for(loss)]
    with torch.no_grad():
        assert loss(*images).isfinite().all()
    if loss.minimum_size > 1:
        with pytest.raises(ValueError, match=f"at least {loss.minimum_size} x {loss.minimum_size} pixels"):
            loss(*(image[..., :-1] for image in images))


BAD = {
    "range": (lambda test, reference: (255 * test, 255 * reference), ValueError, "divide 8-bit values by 255"),
    "nan": (lambda test, reference: (test / 0, reference), ValueError, "test must be finite, got [0-9]+ NaN"),
    "nan reference": (lambda test, reference: (test, reference * math.nan), ValueError, "reference must be finite"),
    "shapes": (lambda test, reference: (test[..., :-1], reference), ValueError, "same shape"),
    "channels": (lambda test, reference: (test[:, [0, 0, 0, 0]], reference[:, [0] * 4]), ValueError, "channel"),
    "integers": (lambda test, reference: ((255 * test).byte(), reference), TypeError, "floating point"),
    "arrays": (lambda test, reference: (test.numpy(), reference.numpy()), TypeError, "torch tensor"),
    "empty": (lambda test, reference: (test[:0], reference[:0]), ValueError, "empty batch"),
    "three axes": (lambda test, reference: (test[0], reference[0]), ValueError, "must be \\(N, C, H, W\\)"),
    "devices": (lambda test, reference: (test, reference.to("meta")), ValueError, "on one device, got cpu and meta"),
}


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("case", BAD)
def test_bad_input(name, case, losses):
    spoil, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        losses(name)(*spoil(*images_for(losses(name))))


@pytest.mark.parametrize("name", names())
def test_it_can_be_copied_and_printed(name, losses):
    loss = losses(name)
    test, reference = images_for(loss)
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(loss)(test, reference), loss(test, reference), rtol=0, atol=0)
    assert type(loss).__name__ in repr(loss)


def test_reductions():
    test, reference = photograph(40).float(), photograph(40).flip(0).float()
    each = create("l1", reduction="none")(test, reference)
    assert create("l1")(test, reference) == each.mean()
    assert create("l1", reduction="sum")(test, reference) == each.sum()


def test_a_network_may_leave_the_range_while_it_learns():
    test, reference = photograph(40) * 3 - 1, photograph(40)
    assert create("l1")(test, reference) > 0
    with pytest.raises(ValueError, match="test: L1 takes code values in 0..1, got -1 to 2; clamp it"):
        create("l1", out_of_range="raise")(test, reference)
    assert create("l1", check_values=False)(255 * test, 255 * reference) > 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("charbonier", {}, "there is no loss 'charbonier'; did you mean 'charbonnier'"),
        ("l1", {"reduction": "avg"}, "reduction must be one of mean, sum, none"),
        ("l1", {"out_of_range": "clip"}, "out_of_range must be one of"),
        ("charbonnier", {"epsilon": 0}, "epsilon must be positive"),
        ("psnr", {"ceiling": -1}, "ceiling must be positive dB"),
        ("ms_ssim_per_pixel", {"scales": 0}, "scales must be a positive whole number"),
        ("ms_ssim_l1", {"alpha": 2}, "alpha must lie in 0..1"),
        ("vdp", {}, "units are never guessed"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        create(name, **options)


def test_light_in_cdm2():
    loss = create("vdp", encoding="luminance", pixels_per_degree=30)
    assert loss.data_range == (0.0, math.inf) and loss.channels == (1,)
    with pytest.raises(ValueError, match="positive cd/m2, got min -"):
        loss(photograph(40)[:, :1], photograph(40)[:, :1] - 10)


def test_a_missing_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pytorch_msssim", None)
    with pytest.raises(ImportError, match="needs pytorch-msssim: pip install pytorch-msssim"):
        create("ssim")


@pytest.mark.parametrize("name", ["vdp", "vdp-fast-v1", "vdp-swift-v1", "vdp-glance-v1", "cvvdp"])
def test_black_and_white_pixels_can_come_back(name):
    """torch's clamp has no gradient at its ends, where images have many of their pixels."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(1, 3, 64, 64, generator=generator)
    test = (reference + 0.3 * torch.randn(reference.shape, generator=generator)).clamp(0, 1).requires_grad_()
    options = {} if name == "cvvdp" else {"encoding": "sRGB-display"}
    create(name, pixels_per_degree=45.0, **options)(test, reference).backward()
    assert (test.grad[(test == 0) | (test == 1)] != 0).double().mean() > 0.99
