"""The exported program: the module's values and gradients, any batch, pixels per degree at run time, torch alone."""

import subprocess
import sys

import onnxruntime
import pytest
import torch
from chain_data import scenes

from vdp_distill import VDPLoss, export, export_files, zoo
from vdp_distill.display import Display
from vdp_distill.export import export_loss, load_exported
from vdp_distill.loss_program import LossProgram
from vdp_distill.surrogates import Chain, ChainConfig
from vdp_distill.training.recipe import Recipe

HEIGHT, WIDTH = 33, 40

ALONE = """
import sys, torch
program = torch.export.load(sys.argv[1]).module()
layer = torch.nn.Conv2d(3, 3, 1)
image = torch.rand(3, 3, {height}, {width})
optimizer = torch.optim.Adam(layer.parameters(), 0.05)
values = []
for _ in range(5):
    loss = program(layer(image), image, torch.tensor([30.0])).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    values.append(loss.item())
assert "vdp_distill" not in sys.modules
assert values[-1] < values[0], values
"""


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "loss.pt2"
    return export_loss("exact", path, height=HEIGHT, width=WIDTH, encoding="sRGB-display", reduction="none")


@pytest.fixture(scope="module")
def loaded(exact):
    return load_exported(exact)


@pytest.fixture(scope="module")
def images():
    reference = scenes(40, 40, seed=6)[..., :HEIGHT, :]
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(7))
    return reference + 0.05 * noise, reference


@pytest.mark.parametrize(("batch", "ppd"), [(1, [35.0]), (4, [20.0, 30.0, 45.0, 60.0]), (5, [50.0])])
def test_values_and_gradients_are_the_modules(loaded, images, batch, ppd):
    test, reference = (image[:batch].clone() for image in images)
    ppd = torch.tensor(ppd)
    module = VDPLoss(encoding="sRGB-display", pixels_per_degree=30, reduction="none")
    values, gradients = [], []
    for loss in (lambda t, r, p: module(t, r, pixels_per_degree=p), loaded):
        test.requires_grad_().grad = None
        values.append(loss(test, reference, ppd))
        gradients.append(torch.autograd.grad(values[-1].sum(), test)[0])
    assert values[0].shape == (batch,)
    torch.testing.assert_close(values[1], values[0], rtol=1e-4, atol=1e-5)
    assert (gradients[1] - gradients[0]).norm() < 1e-4 * gradients[0].norm()


def test_out_of_range_and_identical_images(loaded, images):
    reference = images[1][:2]
    test = (3 * reference - 1).requires_grad_()
    loaded(test, reference, 30).sum().backward()
    assert bool(test.grad.isfinite().all())
    assert not loaded(reference, reference, 30).any()


def test_torch_alone_trains_with_it(exact, tmp_path):
    script = tmp_path / "alone.py"
    script.write_text(ALONE.format(height=HEIGHT, width=WIDTH))
    run = subprocess.run([sys.executable, str(script), str(exact)], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr


def test_the_file_says_what_it_is_for(loaded):
    record = loaded.record
    assert (record["height"], record["width"], record["channels"]) == (HEIGHT, WIDTH, 3)
    assert record["settings"]["encoding"] == "sRGB-display" and "pixels_per_degree" not in record["settings"]
    assert record["model"] == "exact" and record["torch"] == torch.__version__


BAD = {
    "size": (lambda image: image[..., :-1], 30, ValueError, "export another"),
    "channels": (lambda image: image[:, :1], 30, ValueError, "export another"),
    "axes": (lambda image: image[0], 30, ValueError, "export another"),
    "empty": (lambda image: image[:0], 30, ValueError, "export another"),
    "dtype": (lambda image: image.double(), 30, TypeError, "float32"),
    "8 bit": (lambda image: 255 * image, 30, ValueError, "code values in 0..1"),
    "nan": (lambda image: image * float("nan"), 30, ValueError, "code values in 0..1"),
    "ppd": (lambda image: image, -1, ValueError, "pixels_per_degree must be positive"),
    "many ppd": (lambda image: image, torch.tensor([20.0, 30.0, 40.0]), ValueError, "one for each of 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_it_refuses_what_it_was_not_made_for(case, loaded, images):
    spoil, ppd, kind, message = BAD[case]
    image = spoil(images[1][:2])
    with pytest.raises(kind, match=message):
        loaded(image, image, ppd)


def test_a_trained_chain(tmp_path):
    config = ChainConfig(scatter_widths=(4, 6, 6), receptor_width=6, masking_widths=(6, 4))
    (tmp_path / "recipe.toml").write_text(Recipe(config).text())
    zoo.save_network(tmp_path, Chain(config))
    path = export_loss(tmp_path, tmp_path / "loss.pt2", height=24, width=24, display="standard_4k", pool="quality")
    assert load_exported(path).record["model"] == tmp_path.name
    assert {file.name for file in tmp_path.glob("loss*")} == {"loss.pt2"}


DISPLAYS = ((200.0, 0.5), (80.0, 2.0))


def shown(model, codes, white, black, ppd):
    display = Display(max_luminance=white, min_luminance=black)
    return VDPLoss(model, display=display, pixels_per_degree=ppd, reduction="none")(*codes)


@pytest.mark.parametrize(("model", "kind"), [("exact", "pt2"), ("vdp-cortex-v1", "onnx")])
def test_the_display_as_an_input(model, kind, tmp_path):
    path = tmp_path / f"loss.{kind}"
    export_loss(model, path, height=34, width=40, encoding="sRGB-display", reduction="none", display_input=True)
    reference = scenes(40, 40, seed=5)[:2, :, :34]
    codes = (reference + 0.03).clamp(0, 1), reference
    if kind == "onnx":
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        inputs = (*codes, torch.tensor([40.0, 40.0]), torch.tensor(DISPLAYS))
        named = zip(session.get_inputs(), inputs, strict=True)
        (found,) = session.run(None, {entry.name: value.numpy() for entry, value in named})
    else:
        found = load_exported(path)(*codes, 40, torch.tensor(DISPLAYS)).detach()
    for number, (white, black) in enumerate(DISPLAYS):
        one = [image[number : number + 1] for image in codes]
        # float32, and for ONNX another runtime; another display would give values a third apart.
        assert float(found[number]) == pytest.approx(float(shown(model, one, white, black, 40)), rel=1e-3)


def test_a_display_that_is_none(loaded, images, tmp_path):
    path = export_loss("exact", tmp_path / "a.pt2", height=17, width=17, encoding="sRGB-display", display_input=True)
    small = [image[..., :17, :17] for image in images]
    taking = load_exported(path)
    for display, message in ((None, "takes display"), ((1.0, 2.0), "white over black"), ((1.0,), "white over black")):
        with pytest.raises(ValueError, match=message):
            taking(*small, 30, display)
    with pytest.raises(ValueError, match="exported for one display"):
        loaded(*images, 30, (100.0, 1.0))
    for options in ({"encoding": "rgb-bt.709"}, {"display": "standard_hdr_pq"}):
        with pytest.raises(ValueError, match="needs code values on a curve relative to white"):
            export_loss("exact", path, height=17, width=17, display_input=True, **options)


def test_a_program_that_differs_is_not_written(tmp_path, monkeypatch):
    other = torch.export.export(torch.nn.ReLU(), (torch.ones(2),))
    monkeypatch.setattr(export, "_export", lambda *_: other)
    monkeypatch.setattr(export_files, "compare", lambda *_: {"value": 0.5, "gradient": 0.0})
    (tmp_path / "loss.pt2").write_text("before")
    with pytest.raises(ValueError, match="differs from the module"):
        export_loss("exact", tmp_path / "loss.pt2", height=17, width=17, encoding="luminance")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("loss.pt2", "before")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 16, "width": 40, "encoding": "luminance"}, "at least 17"),
        ({"height": 40, "width": 40}, "units are never guessed"),
        ({"height": 40, "width": 40, "encoding": "sRGB-displai"}, "sRGB-display"),
        ({"height": 40, "width": 40, "encoding": "luminance", "out": "loss.pt"}, "end in .pt2"),
    ],
)
def test_bad_options(options, message, tmp_path):
    out = tmp_path / options.pop("out", "loss.pt2")
    with pytest.raises(ValueError, match=message):
        export_loss("exact", out, **options)


def test_foreign_and_cut_off_files(exact, tmp_path):
    cut = tmp_path / "cut.pt2"
    cut.write_bytes(exact.read_bytes()[:-5000])
    with pytest.raises(ValueError, match="cut off"):
        load_exported(cut)
    with pytest.raises(ValueError, match="does not exist"):
        load_exported(tmp_path / "none.pt2")
    foreign = tmp_path / "foreign.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.ones(2),)), foreign)
    with pytest.raises(ValueError, match="no loss of this package"):
        load_exported(foreign)


@pytest.mark.parametrize("colorspace", ["sRGB", "gamma-2.2"])
def test_a_display_as_an_input_continues_the_curve_as_the_loss_does(colorspace):
    """Beyond 0..1 too, where networks in training are."""
    display = Display(colorspace=colorspace, max_luminance=200, min_luminance=0.5, E_ambient=50)
    loss = VDPLoss(display=display, pixels_per_degree=45, reduction="none")
    reference = 0.3 * scenes(2, 40, seed=1)
    ends = torch.tensor([[200.0, 0.5]]) + display.reflection_cdm2
    for shift in (-0.3, -0.1, 0.9):
        test = (reference + shift).requires_grad_()
        values = loss(test, reference), LossProgram(loss, True)(test, reference, torch.tensor([45.0]), ends)
        torch.testing.assert_close(*values, rtol=1e-4, atol=1e-4)
        slopes = [torch.autograd.grad(value.sum(), test)[0].flatten() for value in values]
        assert float(torch.cosine_similarity(*slopes, dim=0)) > 0.999
