"""The metric as a loss in the hands of a user: images and weights of every kind, checkpoints, NaN, bends."""

import numpy as np
import pytest
import torch
from chain_data import scenes
from loss_images import VIEWING, gradient, narrow_model, noisy_pair
from torch.utils.checkpoint import checkpoint

from vdp_distill import Display, VDPLoss, pipeline
from vdp_distill.losses import create
from vdp_distill.receptors import display_matrix


@pytest.fixture(scope="module")
def images():
    return noisy_pair()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return narrow_model(tmp_path_factory.mktemp("zoo") / "narrow-v1")


@pytest.mark.parametrize("model", ["exact", "trained", "vdp-cortex-v1", "vdp-fast-v1", "vdp-swift-v1", "vdp-glance-v1"])
def test_what_no_model_takes_is_refused_by_all(model, images, trained):
    model = trained if model == "trained" else model
    strictly = VDPLoss(model, **VIEWING, out_of_range="raise")
    for pair in ((3 * images[0], images[1]), (images[0], 200 * images[1])):
        with pytest.raises(ValueError, match="in 0..1"):
            strictly(*pair)
    with pytest.raises(ValueError, match="channel"):
        VDPLoss(model, **VIEWING)(*(image[:, :1] for image in images))


@pytest.mark.parametrize("model", ["exact", "vdp-cortex-v1", "vdp-fast-v1", "vdp-swift-v1", "vdp-glance-v1"])
def test_memory_can_be_saved_by_checkpoints(model, images):
    """torch.utils.checkpoint runs the forward pass again and hands every saved tensor out once."""
    loss, (test, reference) = VDPLoss(model, **VIEWING), images
    leaf = test.clone().requires_grad_()
    checkpoint(loss, leaf, reference, use_reentrant=False).backward()
    torch.testing.assert_close(leaf.grad, gradient(loss, test, reference))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_network_that_is_halved_leaves_its_loss_whole(dtype, images):
    loss = VDPLoss("vdp-fast-v1", **VIEWING)
    expected = loss(*images)
    torch.testing.assert_close(loss.to(dtype)(*images), expected, rtol=0, atol=0)


@pytest.mark.parametrize("model", ["exact", "vdp-chain-v1"])
def test_second_derivatives_are_numbers_in_double_precision(model, images):
    test = images[0].double().requires_grad_()
    loss = VDPLoss(model, **VIEWING)
    (slope,) = torch.autograd.grad(loss(test, images[1].double()), test, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), test)
    assert bool(bend.isfinite().all()) and float(bend.abs().max()) > 0


def test_black_without_optics_has_a_gradient():
    loss = VDPLoss(display=Display(max_luminance=1000, min_luminance=0.0), pixels_per_degree=30, mtf=False)
    black, reference = torch.zeros(1, 3, 32, 32), scenes(1, 32, seed=1)
    assert bool(gradient(loss, black, reference).isfinite().all())


@pytest.mark.parametrize("model", ["exact", "vdp-fast-v1", "vdp-swift-v1", "vdp-glance-v1"])
def test_nan_that_nobody_checks_gives_nan(model, images):
    test = images[0].clone()
    test[0, 1, 5, 7] = float("nan")
    assert bool(VDPLoss(model, **VIEWING, check_values=False)(test, images[1]).isnan())


@pytest.mark.parametrize("batch", [2, 3])
def test_a_matrix_for_all_and_one_for_each(batch):
    """A shared (3, 4) matrix of a batch of three is no list of three; arrays and tensors are alike."""
    shared = np.asarray(display_matrix("crt", 3))
    images = [50 * scenes(batch, 32, seed=k) + 1 for k in (1, 2)]
    values = [
        VDPLoss(model="vdp-fast-v1", encoding="generic", emission=given, pixels_per_degree=45, audit_every=1)(*images)
        for given in (shared, torch.tensor(shared), shared.tolist(), np.stack([shared] * batch))
    ]
    for value in values[1:]:
        torch.testing.assert_close(value, values[0])


def test_an_audit_that_finds_them_apart_is_a_warning(images, trained, caplog):
    """Seen without any set-up of logging: an untrained chain is nowhere near."""
    loss = VDPLoss(trained, **VIEWING, audit_every=1)
    loss(*images)
    apart = abs(loss.audits[0].surrogate - loss.audits[0].exact) > 0.2 * max(1, loss.audits[0].exact)
    assert [record.levelname for record in caplog.records] == (["WARNING"] if apart else []) and apart


def test_the_metric_leaves_torchs_own_switches():
    """Named for the GPU, and asked of the CPU: what is set inside, and that all is put back."""
    cudnn = torch.backends.cudnn
    before = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with pipeline.full_precision(torch.device("cuda")):
            assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == before[:3] and not cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(precision)
    assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == before


def test_a_surrogate_follows_the_images_to_their_device(images):
    loss = VDPLoss("vdp-fast-v1", **VIEWING)
    moved = loss._in_its_precision(*(image.to("meta") for image in images))
    assert (
        {image.device.type for image in moved} == {value.device.type for value in loss.metric.parameters()} == {"meta"}
    )


def test_a_rival_first_used_in_inference_mode_can_train(images):
    loss = create("cvvdp", pixels_per_degree=30)
    with torch.inference_mode():
        loss(*images)
    leaf = images[0].clone().requires_grad_()
    loss(leaf, images[1]).backward()
    assert bool(leaf.grad.isfinite().all()) and float(leaf.grad.abs().max()) > 0
