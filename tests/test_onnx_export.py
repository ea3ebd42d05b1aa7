"""ONNX: onnxruntime gives the module's values for batches that the export has not seen."""

import json
import math
import sys

import onnx
import onnxruntime
import pytest
import torch

from vdp_distill import VDPLoss
from vdp_distill.export import export_loss


@pytest.fixture(scope="module", params=["exact", "vdp-chain-v1", "vdp-cortex-v1", "vdp-swift-v1"])
def model(request):
    return request.param


@pytest.fixture(scope="module")
def path(tmp_path_factory, model):
    out = tmp_path_factory.mktemp("onnx") / "loss.onnx"
    return export_loss(model, out, height=34, width=40, encoding="sRGB-display")


def test_values_are_the_modules(path, model):
    generator = torch.Generator().manual_seed(5)
    reference = 0.1 + 0.8 * torch.rand(5, 3, 34, 40, generator=generator)
    test = reference + 0.01 * torch.randn(reference.shape, generator=generator)
    degree = torch.tensor([20.0, 30.0, 45.0, 60.0, 90.0])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {"test": test.numpy(), "reference": reference.numpy(), "pixels_per_degree": degree.numpy()}
    (found,) = session.run(["loss"], inputs)
    loss = VDPLoss(model, encoding="sRGB-display", pixels_per_degree=30, reduction="none")
    expected = loss(test, reference, pixels_per_degree=degree).detach()
    # float32 on another runtime, whose transforms and powers round otherwise.
    assert torch.allclose(torch.from_numpy(found), expected, rtol=1e-3)
    assert float(expected.max() / expected.min()) > 1.2  # the pairs differ, so a batch mixed up would be seen


def test_identical_images_give_zero(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    picture = torch.rand(1, 3, 34, 40, generator=torch.Generator().manual_seed(0)).numpy()
    degree = torch.tensor([45.0]).numpy()
    (found,) = session.run(None, {"test": picture, "reference": picture, "pixels_per_degree": degree})
    assert found.tolist() == [0.0]


def test_the_file_says_what_it_was_made_for(path, model):
    (entry,) = (entry for entry in onnx.load(str(path)).metadata_props if entry.key == "vdp_distill")
    record = json.loads(entry.value)
    assert (record["model"], record["height"], record["width"]) == (model, 34, 40)
    assert (record["range"], record["reduction"]) == ("code values in 0..1", "none")


def test_a_model_that_differs_is_not_written(tmp_path):
    out = tmp_path / "loss.onnx"
    out.write_text("before")
    with pytest.raises(ValueError, match="onnxruntime's values differ"):
        export_loss("vdp-fast-v1", out, height=32, width=32, encoding="luminance", tolerance=0.0)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("loss.onnx", "before")]


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"vdp_distill\[onnx\]"):
        export_loss("vdp-fast-v1", tmp_path / "loss.onnx", height=32, width=32, encoding="luminance")


@pytest.mark.parametrize("model", ["vdp-fast-v1", "vdp-swift-v1", "vdp-glance-v1"])
def test_one_model_takes_every_size_of_an_octave(model, tmp_path):
    path = export_loss(model, tmp_path / "loss.onnx", sides=(34, 67), encoding="sRGB-display")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    loss = VDPLoss(model, encoding="sRGB-display", pixels_per_degree=30, reduction="none")
    generator, degree = torch.Generator().manual_seed(7), torch.tensor([30.0, 60.0])
    # Sizes of every remainder by 16 in one axis or the other; none of them was traced or compared before.
    for size in ((36, 90), (43, 61), (50, 47), (67, 38), (49, 133), (200, 56)):
        reference = 0.1 + 0.8 * torch.rand(2, 3, *size, generator=generator)
        test = reference + 0.02 * torch.randn(reference.shape, generator=generator)
        inputs = {"test": test.numpy(), "reference": reference.numpy(), "pixels_per_degree": degree.numpy()}
        found = torch.from_numpy(session.run(None, inputs)[0])
        assert torch.allclose(found, loss(test, reference, pixels_per_degree=degree).detach(), rtol=1e-3)  # as above
    (found,) = session.run(None, inputs | {"test": inputs["reference"]})
    assert not found.any()
    for size in ((33, 60), (70, 68)):  # of other octaves: other numbers of levels
        picture = torch.rand(1, 3, *size, generator=generator).numpy()
        inputs = {"test": picture, "reference": picture, "pixels_per_degree": degree[:1].numpy()}
        (found,) = session.run(None, inputs)[0]
        assert math.isnan(found)  # and not the 0 of identical images
