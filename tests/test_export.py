"""The exported program: the module's values and gradients, any batch, pixels per degree at run time, torch alone."""

import subprocess
import sys
import zipfile

import onnxruntime
import pytest
import torch
from chain_data import scenes

from vdp_distill import VDPLoss, export, export_files, zoo
from vdp_distill.display import Display
from vdp_distill.export import export_loss, free_sides, load_exported
from vdp_distill.free_sizes import octaves
from vdp_distill.pyramid import pyramid_height
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


def values_of(losses, size, batch, seed):
    """What several losses say of one pair at 30 pixels per degree."""
    reference = scenes(batch, max(size), seed=seed)[..., : size[0], : size[1]]
    test = reference + 0.05 * torch.randn(reference.shape, generator=torch.Generator().manual_seed(seed))
    return [float(loss(test, reference, pixels_per_degree=torch.tensor([30.0])).mean()) for loss in losses]


def test_a_program_of_sides_in_steps(tmp_path):
    assert list(free_sides(34, 50)) == [40, 48]
    path = export_loss("vdp-chain-v1", tmp_path / "loss.pt2", sides=(34, 50), encoding="sRGB-display")
    loaded = load_exported(path)
    assert loaded.record["height"] == loaded.record["width"] == {"from": 40, "to": 48, "step": 8}
    module = VDPLoss("vdp-chain-v1", encoding="sRGB-display", pixels_per_degree=30)
    for size in ((40, 40), (48, 40), (40, 48)):
        values = values_of((module, loaded), size, batch=3, seed=5)
        assert values[1] == pytest.approx(values[0], rel=1e-4)  # float32, other order of sums
    image = scenes(1, 48, seed=5)[..., :44]
    with pytest.raises(ValueError, match="40 to 48 in steps of 8"):
        loaded(image, image, 30)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "loss.zip"
    return export_loss("vdp-fast-v1", path, sides=(33, 38), encoding="sRGB-display")


def agree(model, loaded):
    """Values of both octaves, all remainders by four in both axes, all batches; a long side of another octave."""
    module = VDPLoss(model, encoding="sRGB-display", pixels_per_degree=30)
    for number, size in enumerate(((34, 34), (35, 47), (36, 37), (37, 42), (38, 201))):
        values = values_of((module, loaded), size, batch=1 + number % 3, seed=number)
        assert values[1] == pytest.approx(values[0], rel=1e-4)
    reference = scenes(1, 37, seed=3)[..., :35, :]
    test = (reference + 0.03).requires_grad_()
    gradients = [torch.autograd.grad(loss(test, reference, pixels_per_degree=40), test)[0] for loss in (module, loaded)]
    # By magnitude: where float32's rounding crosses a kink, the gradient bends in one place.
    assert (gradients[1] - gradients[0]).abs().sum() < 1e-3 * gradients[0].abs().sum()


def test_an_archive_takes_any_size(archive):
    loaded = load_exported(archive)
    agree("vdp-fast-v1", loaded)
    assert list(loaded.programs) == ["34-38.pt2"]  # read when it is first needed
    image = scenes(1, 60, seed=1)
    assert float(loaded(image[..., :33], image[..., :33], 30)) == 0
    with pytest.raises(ValueError, match="shorter side is 33-33, 34-38; got"):
        loaded(image[..., :51], image[..., :51], 30)


def test_a_program_takes_any_size_of_an_octave(tmp_path):
    path = export_loss("vdp-swift-v1", tmp_path / "loss.pt2", sides=(34, 38), encoding="sRGB-display")
    loaded = load_exported(path)
    agree("vdp-swift-v1", loaded)
    assert loaded.record["shorter_side"] == {"from": 34, "to": 38, "step": 1}


def test_torch_alone_keeps_to_the_octave(archive, tmp_path):
    program = tmp_path / "one.pt2"
    with zipfile.ZipFile(archive) as file:
        program.write_bytes(file.read("34-38.pt2"))
    alone = torch.export.load(program).module()
    degree = torch.tensor([30.0])
    image = torch.rand(1, 3, 36, 90, generator=torch.Generator().manual_seed(0))
    assert float(alone(image, image, degree)) == 0
    with pytest.raises(RuntimeError, match="shorter side must be 34 to 38"):
        alone(*[torch.rand(1, 3, 60, 90)] * 2, degree)
    loaded = load_exported(program)
    with pytest.raises(ValueError, match="shorter side must be 34 to 38"):
        loaded(*[torch.rand(1, 3, 60, 90)] * 2, 30)


def test_octaves_of_shorter_sides():
    for low, high in ((32, 4351), (17, 33), (100, 200)):
        parts = octaves(low, high)
        assert [side for part in parts for side in part] == list(range(low, high + 1))
        assert all(len({pyramid_height(side, side) for side in (part[0], part[-1])}) == 1 for part in parts)
        heights = [pyramid_height(part[0], part[0]) for part in parts]
        assert heights == list(range(heights[0], heights[0] + len(parts)))
    assert octaves(32, 4351)[-1] == range(2176, 4352)


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


def test_sides_that_no_program_can_share(tmp_path):
    for low, high in ((60, 70), (16, 30), (100, 110)):
        with pytest.raises(ValueError, match="one number of pyramid levels, such as"):
            free_sides(low, high)
    for low, high in ((16, 30), (50, 40), (50, 20_000)):
        with pytest.raises(ValueError, match="shorter sides must go up, from 17 to 16384"):
            octaves(low, high)
    refused = {
        ("exact", "a.onnx", (34, 50)): "an ONNX model takes images of one size",
        ("vdp-fast-v1", "a.onnx", (34, 50)): "an ONNX model takes images of one size",
        ("vdp-fast-v1", "a.pt2", (60, 70)): "one octave, such as 34 to 67|one octave, such as 60 to 67",
        ("vdp-cortex-v1", "a.zip", (34, 50)): "takes sides in steps",
    }
    for (model, name, sides), message in refused.items():
        with pytest.raises(ValueError, match=message):
            export_loss(model, tmp_path / name, sides=sides, encoding="luminance")
    for size in ({}, {"height": 40}, {"height": 40, "width": 40, "sides": (34, 50)}):
        with pytest.raises(ValueError, match="height and width, or the sides"):
            export_loss("vdp-fast-v1", tmp_path / "a.pt2", encoding="luminance", **size)
    with pytest.raises(ValueError, match="an archive is of images of many sizes"):
        export_loss("vdp-fast-v1", tmp_path / "a.zip", height=40, width=40, encoding="luminance")
    assert not list(tmp_path.iterdir())


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
