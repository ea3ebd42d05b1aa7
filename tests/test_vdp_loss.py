"""The loss: the metric's numbers, and a gradient that is right, finite, and points the right way."""

import logging

import pytest
import torch
from loss_images import VIEWING, gradient, narrow_model, noisy_pair

from vdp_distill import HDRVDP2, Display, VDPLoss, hdrvdp2, zoo

LUMINANCE = {"encoding": "luminance", "pixels_per_degree": 30}


@pytest.fixture(scope="module")
def images():
    return noisy_pair()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return narrow_model(tmp_path_factory.mktemp("zoo") / "narrow-v1")


def test_values_are_the_metrics(images):
    result = hdrvdp2(*images, **VIEWING, keep_stages=True)
    total = result.stages["contrast_map"].sum(dim=(1, 2, 3))
    expected = {"log_contrast": total.log1p(), "threshold": total.log().clamp(min=0), "quality": 100 - result.Q}
    for pool, values in expected.items():
        found = VDPLoss(**VIEWING, pool=pool, reduction="none")(*images)
        torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-4)


def test_threshold_asks_for_no_more_than_invisibility(images):
    faint = images[1] + 1e-5 * (images[0] - images[1])
    loss = VDPLoss(**VIEWING, pool="threshold")
    assert float(loss(faint, images[1])) == 0
    assert not gradient(loss, faint, images[1]).any()


def test_reductions(images):
    values = VDPLoss(**VIEWING, reduction="none")(*images)
    assert values.shape == (2,)
    torch.testing.assert_close(VDPLoss(**VIEWING)(*images), values.mean())
    torch.testing.assert_close(VDPLoss(**VIEWING, reduction="sum")(*images), values.sum())


@pytest.mark.parametrize("pool", ["log_contrast", "area", "threshold", "quality"])
@pytest.mark.parametrize("model", ["exact", "trained"])
def test_gradient_is_finite_everywhere(pool, model, images, trained):
    loss = VDPLoss(trained if model == "trained" else "exact", **VIEWING, pool=pool)
    test, reference = images
    cases = {
        "identical": (reference, reference),
        "black": (torch.zeros_like(reference), reference),
        "white": (torch.ones_like(reference), reference),
        "black on black": (torch.zeros_like(reference), torch.zeros_like(reference)),
        "white on black": (torch.ones_like(reference), torch.zeros_like(reference)),
        "clipped": ((3 * test - 1).clamp(0, 1), reference),
        "out of range": (3 * test - 1, reference),
        "far out of range": (100 * test - 50, reference),
    }
    for name, pair in cases.items():
        found = gradient(loss, *pair)
        assert bool(found.isfinite().all()), name
        assert bool(loss(*pair).isfinite()), name
    assert float(loss(reference, reference)) == 0


@pytest.mark.parametrize("pool", ["log_contrast", "area", "threshold", "quality"])
def test_gradcheck(pool):
    """Away from the nodes of the metric's tables; in double precision."""
    generator = torch.Generator().manual_seed(8)
    reference = 30 + 40 * torch.rand(1, 1, 18, 19, generator=generator, dtype=torch.float64)
    test = reference * (1 + 0.05 * torch.randn(reference.shape, generator=generator, dtype=torch.float64))
    loss = VDPLoss(**LUMINANCE, pool=pool)
    test.requires_grad_()
    (analytic,) = torch.autograd.grad(loss(test, reference), test)
    with torch.no_grad():
        for _ in range(5):
            direction = torch.randn(test.shape, generator=generator, dtype=torch.float64)
            numeric = (loss(test + 1e-6 * direction, reference) - loss(test - 1e-6 * direction, reference)) / 2e-6
            torch.testing.assert_close((analytic * direction).sum(), numeric, rtol=1e-4, atol=1e-6)


def test_a_step_along_the_gradient_helps(images):
    loss, (test, reference) = VDPLoss(**VIEWING), images
    before = loss(test, reference)
    found = gradient(loss, test, reference)
    assert loss(test - 0.02 * found / found.abs().max(), reference) < before


@pytest.mark.parametrize("viewing", [VIEWING, {"display": "standard_4k"}, {"display": "standard_hdr_pq"}])
def test_outside_the_range_the_gradient_points_back_in(viewing, images):
    reference = 0.3 + 0.4 * images[1]
    loss = VDPLoss(**viewing)
    for value, sign in ((1.2, 1), (-0.2, -1)):
        test = reference.clone()
        test[:, :, 10:20, 10:20] = value
        found = gradient(loss, test, reference)[:, :, 10:20, 10:20].mean(dim=(1, 2, 3))
        assert bool((sign * found > 0).all()), (viewing, value)


def test_raise_refuses_what_extend_continues(images):
    with pytest.raises(ValueError, match="0..1"):
        VDPLoss(**VIEWING, out_of_range="raise")(images[0] + 0.5, images[1])


def test_only_the_test_gets_a_gradient(images):
    test, reference = images[0].clone().requires_grad_(), images[1].clone()
    VDPLoss(**VIEWING)(test, reference).backward()
    assert test.grad.abs().sum() > 0 and reference.grad is None
    reference.requires_grad_()
    VDPLoss(**VIEWING)(test.detach(), reference).backward()
    assert reference.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_floats_give_float32(dtype, images):
    test = images[0].to(dtype).requires_grad_()
    value = VDPLoss(**VIEWING)(test, images[1].to(dtype))
    value.backward()
    assert value.dtype == torch.float32 and test.grad.dtype == dtype
    torch.testing.assert_close(value, VDPLoss(**VIEWING)(images[0].to(dtype).float(), images[1].to(dtype).float()))


def test_autocast_outside_float32_inside(images, trained):
    network = torch.nn.Conv2d(3, 3, 1)
    for model in ("exact", trained):
        loss = VDPLoss(model, **VIEWING)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = network(images[0])
            value = loss(output, images[1])
        assert output.dtype == torch.bfloat16 and value.dtype == torch.float32
        torch.testing.assert_close(value, loss(output.float(), images[1]))


def test_double_precision_stays(images):
    assert VDPLoss(**VIEWING)(images[0].double(), images[1].double()).dtype == torch.float64


def test_a_trained_chain_by_one_argument(images, trained):
    loss = VDPLoss(trained, **VIEWING)
    model = zoo.load(trained, **VIEWING)
    expected = model(*images, keep_stages=True).stages["contrast_map"].sum(dim=(1, 2, 3)).log1p().mean()
    torch.testing.assert_close(loss(*images), expected, rtol=1e-4, atol=1e-4)
    assert not any(value.requires_grad for value in loss.parameters())


def test_audit_compares_with_the_exact_metric(images, trained, caplog):
    loss = VDPLoss(trained, **VIEWING, audit_every=2, reduction="none")
    with caplog.at_level(logging.INFO, logger="vdp_distill"):
        values = [loss(*images, pixels_per_degree=torch.tensor([30.0, 50.0])) for _ in range(4)]
    assert [audit.call for audit in loss.audits] == [2, 4] and len(caplog.records) == 2
    exact = VDPLoss(**VIEWING)(images[0][:1], images[1][:1])
    assert loss.audits[0].surrogate == pytest.approx(float(values[1][0]))
    assert loss.audits[0].exact == pytest.approx(float(exact), rel=1e-4)


def test_a_strict_surrogate_is_audited_too(images):
    """The exact metric has no domain, so `strict` is not for it."""
    loss = VDPLoss("vdp-fast-v1", **VIEWING, strict=True, audit_every=1)
    loss(*images)
    assert len(loss.audits) == 1
    with pytest.raises(TypeError, match="strict"):
        VDPLoss(**VIEWING, strict=True)


def test_settings_per_call(images):
    loss = VDPLoss(**VIEWING)
    torch.testing.assert_close(
        loss(*images, pixels_per_degree=50), VDPLoss(encoding="sRGB-display", pixels_per_degree=50)(*images)
    )


def test_it_is_a_module_with_the_usual_marks(images):
    loss = VDPLoss(**VIEWING)
    assert loss.higher_is_better is False and loss.is_differentiable is True
    loss(*images)
    assert not loss.state_dict() and "log_contrast" in repr(loss)


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({"encoding": "sRGB-display"}, (3,)),
        ({"encoding": "luma-display"}, (1,)),
        ({"display": Display(colorspace="luma-2.2")}, (1, 3)),
        ({"encoding": "luminance"}, (1,)),
        ({"encoding": "XYZ"}, (3,)),
        ({"encoding": "generic", "emission": torch.rand(2, 4)}, (2,)),
        ({"encoding": "generic", "emission": torch.rand(5, 7, 4)}, (7,)),
    ],
)
def test_it_says_how_many_channels_it_takes(settings, channels):
    assert VDPLoss(pixels_per_degree=30, **settings).channels == channels


def test_a_network_learns_with_it(images):
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        layer.weight.normal_(0, 0.1, generator=generator)
        layer.bias.zero_()
    optimizer, loss = torch.optim.Adam(layer.parameters(), lr=0.02), VDPLoss(**VIEWING)
    values = []
    for _ in range(15):
        value = loss(layer(images[0]), images[1])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < values[0]


BAD = {
    "nan": (lambda test, reference: (test * float("nan"), reference), ValueError, "test must be finite"),
    "infinite": (lambda test, reference: (test, reference / 0), ValueError, "reference must be finite"),
    "8 bit": (lambda test, reference: (255 * test, 255 * reference), ValueError, "divide 8-bit values by 255"),
    "sizes": (lambda test, reference: (test[..., :-1], reference), ValueError, "same shape"),
    "channels": (lambda test, reference: (test[:, :2], reference[:, :2]), ValueError, "3 channel"),
    "integers": (lambda test, reference: ((255 * test).byte(), reference), TypeError, "floating point"),
    "arrays": (lambda test, reference: (test.numpy(), reference.numpy()), TypeError, "torch tensor"),
    "empty": (lambda test, reference: (test[:0], reference[:0]), ValueError, "empty batch"),
    "three axes": (lambda test, reference: (test[0], reference[0]), ValueError, "must be \\(N, C, H, W\\)"),
    "small": (lambda test, reference: (test[..., :16, :16], reference[..., :16, :16]), ValueError, "at least 17"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, images):
    spoil, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        VDPLoss(**VIEWING)(*spoil(*images))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"pixels_per_degree": 30}, ValueError, "units are never guessed"),
        ({"encoding": "sRGB-display"}, ValueError, "pixels_per_degree is required"),
        ({**VIEWING, "pool": "max"}, ValueError, "pool must be one of"),
        ({**VIEWING, "reduction": "avg"}, ValueError, "reduction must be one of"),
        ({**VIEWING, "out_of_range": "clip"}, ValueError, "out_of_range"),
        ({**VIEWING, "audit_every": -1}, ValueError, "audit_every"),
        ({**VIEWING, "model": "vdp-fats"}, ValueError, "released model"),
        ({**VIEWING, "surround": 1}, TypeError, "did you mean 'surround_l'"),
    ],
)
def test_bad_options(options, kind, message):
    with pytest.raises(kind, match=message):
        VDPLoss(**options)


def test_code_values_as_light(images):
    grey = images[1].mean(dim=1, keepdim=True)
    with pytest.raises(ValueError, match="look like code values|cd/m2"):
        VDPLoss(**LUMINANCE)(grey, (255 * grey).round() / 255)


def test_no_gradient_from_another_program(images):
    with pytest.raises(ValueError, match="engine='torch'"):
        VDPLoss(**VIEWING, engine="octave")(*images)


def test_exact_and_metric_are_one(images):
    assert isinstance(VDPLoss(**VIEWING).metric, HDRVDP2)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's tracer looks at it and hides the warning itself
@pytest.mark.parametrize("model", ["exact", "trained"])
def test_a_compiled_step_runs_the_loss_as_it_is_written(model, images, trained):
    loss = VDPLoss(**VIEWING, **({} if model == "exact" else {"model": trained}))

    def step(test, reference):
        return loss(0.9 * test, reference)

    compiled = torch.compile(step, backend="eager")
    assert float(compiled(*images)) == float(step(*images))
    torch.testing.assert_close(gradient(compiled, *images), gradient(step, *images), rtol=0, atol=0)
