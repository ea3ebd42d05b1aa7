"""Trunks, their weights and LPIPS: against torchvision and the lpips package, with weights that are drawn at random."""

import hashlib
import warnings
from urllib.error import URLError

import numpy as np
import pytest
import torch
from loss_weights import heads_file, photograph, trunk_file
from safetensors.torch import load_file, save_file

from vdp_distill.losses import MissingWeights, create, features
from vdp_distill.losses.contract import WeightsFile
from vdp_distill.losses.trunks import TORCHVISION, AlexNet, InHouseTrunk, load_trunk
from vdp_distill.losses.weights import read_arrays, read_released, where_it_is_kept

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
"""float32 on both sides, through up to thirteen layers."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """A machine without torch's files and without a network."""

    def unreachable(*_, **__):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)


@pytest.mark.parametrize("name", TORCHVISION)
def test_trunks_are_torchvisions_layers(name, folder):
    """Same names, same numbers at every tap."""
    from torchvision import models

    with torch.device("meta"):
        theirs = getattr(models, name)().features
    theirs = theirs.to_empty(device="cpu").eval()
    tensors = load_file(trunk_file(folder, name))
    theirs.load_state_dict({key.removeprefix("features."): value for key, value in tensors.items() if "feat" in key})
    trunk, image = load_trunk(name, trunk_file(folder, name)), photograph(48)[:1].float()
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for tap, found in zip(trunk.taps, trunk(image, list(trunk.taps)), strict=True):
        with torch.no_grad():
            expected = theirs[: trunk.taps[tap] + 1]((image - mean) / std)
        torch.testing.assert_close(found, expected, **CLOSE)


def test_lpips_is_the_packages(folder):
    """Value and gradient of LPIPS on AlexNet, with the released heads that the package carries."""
    with warnings.catch_warnings():  # the package calls torchvision by names that are going away
        warnings.simplefilter("ignore")
        import lpips

        theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    tensors = load_file(trunk_file(folder, "alexnet"))
    for key, parameter in theirs.net.state_dict().items():
        parameter.copy_(tensors["features." + key.partition(".")[2]])
    ours = create("lpips_alex", trunk_weights=trunk_file(folder, "alexnet"), reduction="none")
    reference = photograph(64).float()
    gradients = []
    for value in (lambda test: ours(test, reference), lambda test: theirs(2 * test - 1, 2 * reference - 1).flatten()):
        test = (0.7 * reference).requires_grad_()
        gradients.append((value(test), torch.autograd.grad(value(test).sum(), test)[0]))
    torch.testing.assert_close(gradients[0][0], gradients[1][0], **CLOSE)
    # The package's normalised lengths are rounded otherwise.
    torch.testing.assert_close(gradients[0][1], gradients[1][1], rtol=1e-3, atol=1e-6)


def test_lpips_where_all_features_are_zero(folder, monkeypatch):
    """There the package's gradient is NaN."""
    loss = create("lpips_alex", trunk_weights=trunk_file(folder, "alexnet"), heads=heads_file(folder, "alexnet"))
    monkeypatch.setattr(
        loss.trunk, "forward", lambda images, taps: [torch.relu(images.mean() - 9).expand(1, c, 2, 2) for c in WIDTHS]
    )
    test = photograph(48)[:1].float().requires_grad_()
    loss(test, test.detach()).backward()
    assert test.grad.isfinite().all()


WIDTHS = features.HEAD_CHANNELS["alexnet"]


def test_heads_from_arrays_of_their_release(folder, tmp_path):
    tensors = load_file(heads_file(folder, "alexnet"))
    np.savez(tmp_path / "alex.npz", **{name: value.numpy() for name, value in tensors.items()})
    weights, images = trunk_file(folder, "alexnet"), (photograph(40).float(), photograph(40).flip(0).float())
    options = {"trunk_weights": weights}
    from_npz = create("lpips_alex", heads=tmp_path / "alex.npz", **options)
    assert from_npz(*images) == create("lpips_alex", heads=heads_file(folder, "alexnet"), **options)(*images)
    with pytest.raises(ValueError, match="no heads of LPIPS for alexnet: expected channels"):
        create("lpips_alex", heads=heads_file(folder, "vgg16"), **options)


def test_features_of_several_taps_and_norms():
    torch.manual_seed(0)
    trunk, images = InHouseTrunk((4, 6)), (photograph(32).float(), photograph(32).flip(0).float())
    each = [create("features", trunk=trunk, taps=[tap], norm="l2")(*images) for tap in ("stage1", "stage2")]
    both = create("features", trunk=trunk, norm="l2")(*images)
    torch.testing.assert_close(both, torch.stack(each).mean())
    first, second = (trunk(image, ["stage1"])[0] for image in images)
    torch.testing.assert_close(each[0], (first - second).square().mean())


@pytest.mark.parametrize("name", ["vgg", "lpips_alex", "lpips_vgg"])
def test_missing_weights_name_address_and_substitute(name, no_network):
    file = TORCHVISION["alexnet" if name == "lpips_alex" else "vgg16"].weights
    message = f"(?s){file.name} is not here .*{file.address}.*trunk_weights=.*trunk='trunk-v1'"
    with pytest.raises(MissingWeights, match=message):
        create(name)
    with pytest.raises(MissingWeights, match="there are no weights .*nowhere.pth; put https"):
        create(name, trunk_weights="nowhere.pth")


def test_a_released_file_is_fetched_once_and_checked(tmp_path, monkeypatch):
    """From an address of this machine; the name begins with the hash, as torchvision's do."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    tensors = {"features.0.weight": torch.arange(6.0)}
    torch.save(tensors, tmp_path / "net.pth")
    digest = hashlib.sha256((tmp_path / "net.pth").read_bytes()).hexdigest()
    source = (tmp_path / "net.pth").rename(tmp_path / f"net-{digest[:8]}.pth")
    file = WeightsFile(source.name, source.as_uri(), "none", "nothing")
    torch.testing.assert_close(read_released(file), tensors)
    source.unlink()
    torch.testing.assert_close(read_released(file), tensors)
    kept = where_it_is_kept(file)
    torch.testing.assert_close(read_released(file, kept), tensors)
    kept.write_bytes(kept.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"has the SHA-256 .*{digest[:8]}.*cut off or another file; delete it"):
        read_released(file)


def test_weights_of_another_network(folder, tmp_path):
    with pytest.raises(ValueError, match="of another network"):
        load_trunk("vgg16", trunk_file(folder, "alexnet"))
    save_file({"features.0.weight": torch.ones(2)}, tmp_path / "small.safetensors")
    with pytest.raises(ValueError, match="of another network"):
        load_trunk("alexnet", tmp_path / "small.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(trunk_file(folder, "alexnet").read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_trunk("alexnet", cut)


def test_arrays_that_are_none(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"no arrays")
    with pytest.raises(ValueError, match="not a whole .npz file of plain arrays"):
        read_arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", odd=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a whole .npz file of plain arrays"):
        read_arrays(tmp_path / "b.npz")
    with pytest.raises(MissingWeights, match="there are no weights"):
        read_arrays(tmp_path / "c.npz")


def test_bad_trunks(folder):
    with pytest.raises(ValueError, match="no trunk 'vgg19'; did you mean 'vgg16'"):
        create("features", trunk="vgg19")
    with pytest.raises(ValueError, match="takes no trunk_weights="):
        create("features", trunk_weights=trunk_file(folder, "alexnet"))
    with pytest.raises(ValueError, match="AlexNet has no tap 'conv9'"):
        create("features", trunk=AlexNet(), taps=["conv9"])


def test_a_first_use_in_inference_mode_does_not_freeze_it():
    loss, images = create("features"), [torch.rand(1, 3, 64, 64, dtype=torch.float64) for _ in range(2)]
    with torch.inference_mode():
        loss(*images)
    test = images[0].requires_grad_()
    loss(test, images[1]).backward()
    assert float(test.grad.abs().max()) > 0
