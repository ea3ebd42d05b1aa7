"""MDF: the loss against a literal one, files of arrays, released models."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from skimage import data

from vdp_distill.checkpoints import read_tensors
from vdp_distill.losses.mdf import Discriminator, Discriminators, MDFConfig, MDFLoss
from vdp_distill.losses.mdf_adversary import initialise
from vdp_distill.losses.mdf_recipe import MDFRecipe
from vdp_distill.losses.mdf_weights import read_arrays, save_discriminators
from vdp_distill.recipes import models_folder

NARROW = MDFConfig(widths=(3, 3, 4))
RELEASED = ("mdf-sr-v1", "mdf-denoise-v1", "mdf-jpeg-v1")


@pytest.fixture(scope="module")
def stack():
    """Discriminators whose every weight and statistic is drawn, so that none can be left out unseen."""
    stack = Discriminators(NARROW)
    generator = torch.Generator().manual_seed(1)
    for name, value in stack.state_dict().items():
        if value.is_floating_point():
            value.copy_(0.3 * torch.randn(value.shape, generator=generator))
            if name.endswith("running_var"):
                value.abs_().add_(0.1)
    return stack.eval()


@pytest.fixture(scope="module")
def folder(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mdf") / "model"
    folder.mkdir()
    (folder / "recipe.toml").write_text(MDFRecipe(NARROW).text())
    save_discriminators(folder, stack)
    return folder


@pytest.fixture
def images(generator):
    reference = torch.rand(2, 3, 17, 19, generator=generator, dtype=torch.float64)
    return (reference + 0.05 * torch.randn(reference.shape, generator=generator, dtype=torch.float64)), reference


# The loss


def literal_taps(weights, image):
    """A discriminator's taps by scipy, one plane at a time."""

    def convolved(planes, name):
        kernels, offsets = weights[f"{name}.weight"], weights[f"{name}.bias"]
        sums = [sum(correlate2d(p, k, "valid") for p, k in zip(planes, row, strict=True)) for row in kernels]
        return np.stack(sums) + offsets[:, None, None]

    def block(planes, name):
        planes = convolved(planes, f"{name}.conv")
        norm = {key: weights[f"{name}.norm.{key}"][:, None, None] for key in ("weight", "bias")}
        mean, variance = (weights[f"{name}.norm.running_{key}"][:, None, None] for key in ("mean", "var"))
        planes = (planes - mean) / np.sqrt(variance + 1e-5) * norm["weight"] + norm["bias"]
        return np.where(planes > 0, planes, 0.2 * planes)

    head = body = block(image, "head")
    for number in (1, 2, 3):
        body = block(body, f"body.block{number}")
    return head, body, convolved(body, "tail")


def test_the_loss_is_the_papers(stack, folder, images):
    found = MDFLoss(folder, reduction="none")(*images)
    for number, (test, reference) in enumerate(zip(*images, strict=True)):
        expected = 0.0
        for discriminator in stack.values():
            weights = {name: value.double().numpy() for name, value in discriminator.state_dict().items()}
            taps = [literal_taps(weights, 2 * image.numpy() - 1) for image in (test, reference)]
            expected += sum(np.mean((ours - theirs) ** 2) for ours, theirs in zip(*taps, strict=True))
        # float64 throughout; some hundred additions each.
        assert float(found[number]) == pytest.approx(expected, rel=1e-10)


def test_names_and_number_of_parameters_are_the_released_arrays():
    stack = Discriminators(MDFConfig())
    # 571,400 learnt numbers in the authors' JPEG file of eight nets.
    assert sum(value.numel() for value in stack.parameters()) == 571_400
    names = list(stack.state_dict())
    assert names[0] == "s0.head.conv.weight" and names[-1] == "s7.tail.bias"
    assert "s4.body.block3.norm.running_var" in names and len(names) == 8 * 30


def test_a_score_sees_eleven_pixels(generator):
    critic = Discriminator(3, 4, 5).eval()
    initialise(critic, generator)
    image = torch.randn(1, 3, 25, 27, generator=generator, requires_grad=True)
    critic(image)[-1][0, 0, 7, 8].backward()
    rows, columns = image.grad.abs().sum(dim=(0, 1)).nonzero().T
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (7, 17, 8, 18)
    assert MDFConfig().reach == 11


def test_scales_and_taps_are_parts_of_the_sum(folder, images):
    whole = MDFLoss(folder)(*images)
    by_tap = [MDFLoss(folder, taps=[tap])(*images) for tap in ("head", "body", "tail")]
    torch.testing.assert_close(sum(by_tap), whole, rtol=1e-12, atol=0)
    by_scale = [MDFLoss(folder, scales=scales)(*images) for scales in (1, 2, 3)]
    assert by_scale[0] < by_scale[1] < by_scale[2] == whole


def test_input_range(folder, images):
    signed, unit = MDFLoss(folder), MDFLoss(folder, input_range="unit")
    shifted = [(image + 1) / 2 for image in images]  # signed makes of these what unit takes as it is
    torch.testing.assert_close(signed(*shifted), unit(*images), rtol=1e-10, atol=0)


def test_weights_are_frozen_and_statistics_stay(folder, images):
    loss = MDFLoss(folder).train()
    before = float(loss(*images))
    assert not any(value.requires_grad for value in loss.parameters())
    assert float(loss(*images)) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"taps": ["neck"]}, "taps must be some of head, body, tail, got neck"),
        ({"taps": []}, "got none"),
        ({"scales": 4}, "scales must be 1 to 3"),
        ({"input_range": "bytes"}, "input_range must be one of signed, unit"),
    ],
)
def test_wrong_options(folder, options, message):
    with pytest.raises(ValueError, match=message):
        MDFLoss(folder, **options)


def test_unknown_model():
    with pytest.raises(ValueError, match="there is no mdf network 'mdf-srr-v1'.*did you mean 'mdf-sr-v1'"):
        MDFLoss("mdf-srr-v1")


# Files of arrays


@pytest.fixture
def arrays(stack):
    return {name: value.numpy() for name, value in stack.state_dict().items()}


def test_arrays_are_read(arrays, folder, images, tmp_path):
    np.savez(tmp_path / "released.npz", **arrays)
    assert read_arrays(tmp_path / "released.npz").config == NARROW
    torch.testing.assert_close(MDFLoss(tmp_path / "released.npz")(*images), MDFLoss(folder)(*images), rtol=0, atol=0)


def test_more_arrays_than_the_papers_scales(tmp_path):
    stack = Discriminators(MDFConfig(widths=(2,) * 9))
    np.savez(tmp_path / "nine.npz", **{name: value.numpy() for name, value in stack.state_dict().items()})
    assert len(MDFLoss(tmp_path / "nine.npz").discriminators) == 8


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("s1.tail.bias", None, r"s1.tail.bias is missing, expected \(1,\)"),
        ("s1.tail.bias", np.zeros(2, np.float32), r"s1.tail.bias is \(2,\), expected \(1,\)"),
        ("s9.tail.bias", np.zeros(1, np.float32), "expected no such array"),
        ("s0.head.conv.bias", np.full(3, np.nan, np.float32), "NaN"),
        ("s0.head.conv.weight", None, "holds no discriminators"),
    ],
)
def test_arrays_that_make_no_set(arrays, tmp_path, name, value, message):
    arrays = {**arrays, name: value}
    np.savez(tmp_path / "broken.npz", **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path / "broken.npz")


def test_nothing_is_unpickled(tmp_path):
    torch.save({"s0": torch.ones(2)}, tmp_path / "Ds.pth")
    with pytest.raises(ValueError, match="is a pickle, which is never opened here"):
        MDFLoss(tmp_path / "Ds.pth")
    np.savez(tmp_path / "objects.npz", Ds=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="not a whole .npz file of plain arrays"):
        MDFLoss(tmp_path / "objects.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match="not a whole .npz"):
        MDFLoss(tmp_path / "cut.npz")
    with pytest.raises(ValueError, match="does not exist"):
        MDFLoss(tmp_path / "absent.npz")


# Released


@pytest.mark.parametrize("model", RELEASED)
def test_released_discriminators_give_their_golden_values(model):
    folder = models_folder() / model
    golden, _ = read_tensors(folder / "golden.safetensors")
    taps = MDFLoss(model).discriminators(golden["input"])
    for number, tap in enumerate(taps):
        expected = golden[f"output/{number}"]
        # Another processor rounds otherwise; float32, five layers deep.
        torch.testing.assert_close(tap, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert MDFRecipe.read(folder / "recipe.toml") == MDFRecipe.read(model.removesuffix("-v1"))
    assert (folder / "model.safetensors").stat().st_size < 2_000_000


@pytest.mark.parametrize("model", RELEASED)
def test_released_losses_grow_with_the_distortion(model, generator):
    reference = torch.from_numpy(data.coffee()[100:164, 200:264].transpose(2, 0, 1).copy())[None] / 255
    noise = torch.randn(reference.shape, generator=generator)
    loss = MDFLoss(model)
    values = [float(loss(reference + sigma * noise, reference)) for sigma in (0.0, 0.01, 0.03, 0.1)]
    assert values[0] == 0 and values == sorted(values) and len(set(values)) == 4


def test_first_layers_remember_the_range_of_their_image():
    """What ``input_range`` rests on: the mean of a convolution is the sum of its weights times the mean image."""
    weights = MDFLoss("mdf-sr-v1").discriminators.state_dict()
    mean = 2 * data.astronaut().reshape(-1, 3).mean(axis=0) / 255 - 1
    for scale in range(8):
        layer = {name: weights[f"s{scale}.head.{name}"].double() for name in ("conv.weight", "conv.bias")}
        outputs = weights[f"s{scale}.head.norm.running_mean"].double() - layer["conv.bias"]
        found = torch.linalg.lstsq(layer["conv.weight"].sum(dim=(2, 3)), outputs[:, None]).solution[:, 0]
        # Valid convolutions leave out the border, and the critic was shown restored images too.
        np.testing.assert_allclose(found.numpy(), mean, atol=0.08)
