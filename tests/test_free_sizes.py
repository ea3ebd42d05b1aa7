"""Programs of many sizes: the module's values and gradients at every size, and a refusal of the others."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from chain_data import scenes

from vdp_distill import VDPLoss
from vdp_distill.export import export_loss, free_sides, load_exported
from vdp_distill.free_sizes import octaves
from vdp_distill.pyramid import pyramid_height
from vdp_distill.surrogate_metric import OutOfDomainWarning

EXAMPLE = Path(__file__).parent.parent / "benchmarks" / "train_with_exported_loss.py"


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
    warns_once(loaded.programs["34-38.pt2"], image[..., :34])


def warns_once(loss, image):
    """Of what the model in the file was not made for."""
    assert loss.record["domain"] == {"pixels_per_degree": [15.0, 120.0], "side_pixels": [32.0, None]}
    with pytest.warns(OutOfDomainWarning, match="vdp-fast-v1 was made for pixels_per_degree of 15 to 120, got 200"):
        loss(image, image, 200)
    loss(image, image, 200)
    loss.record["domain"]["side_pixels"] = [39.0, None]
    with pytest.warns(OutOfDomainWarning, match="made for side_pixels of 39 or more, got 34"):
        loss(image, image, 45)


def test_a_program_takes_any_size_of_an_octave(tmp_path):
    path = export_loss("vdp-swift-v1", tmp_path / "loss.pt2", sides=(34, 38), encoding="sRGB-display")
    loaded = load_exported(path)
    agree("vdp-swift-v1", loaded)
    # The file trains a network where torch alone is known: of all its sizes the example takes the least.
    done = subprocess.run([sys.executable, EXAMPLE, path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert losses[-1] < losses[0]
    assert loaded.record["shorter_side"] == {"from": 34, "to": 38, "step": 1}


def test_torch_alone_keeps_to_the_octave(archive, tmp_path):
    program = tmp_path / "one.pt2"
    with zipfile.ZipFile(archive) as file:
        program.write_bytes(file.read("34-38.pt2"))
    loaded = load_exported(program)
    alone = loaded.program  # what torch.export.load(program).module() is
    degree = torch.tensor([30.0])
    image = torch.rand(1, 3, 36, 90, generator=torch.Generator().manual_seed(0))
    assert float(alone(image, image, degree)) == 0
    with pytest.raises(RuntimeError, match="shorter side must be 34 to 38"):
        alone(*[torch.rand(1, 3, 60, 90)] * 2, degree)
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


def test_sides_that_no_program_can_share(tmp_path):
    for low, high in ((60, 70), (16, 30), (100, 110)):
        with pytest.raises(ValueError, match="one number of pyramid levels, such as"):
            free_sides(low, high)
    for low, high in ((16, 30), (50, 40), (50, 20_000)):
        with pytest.raises(ValueError, match="shorter sides must go up, from 17 to 16384"):
            octaves(low, high)
    refused = {
        ("exact", "a.onnx", (34, 50)): "of exact an ONNX model takes one size",
        ("vdp-fast-v1", "a.onnx", (60, 70)): "one octave, such as 34 to 67|one octave, such as 60 to 67",
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
