"""The conditioned chain: its stages against the metric's own, at any viewing condition."""

import pytest
import torch
from torch.nn import functional as F

from vdp_distill import HDRVDP2
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.losses import VDPLoss
from vdp_distill.pipeline import Pair
from vdp_distill.receptors import display_matrix
from vdp_distill.surrogate_metric import ConditionedVDP, OutOfDomainWarning
from vdp_distill.surrogates import half_resolution
from vdp_distill.surrogates.conditioned import ConditionedChain, ConditionedConfig
from vdp_distill.training.conditioned import ConditionedTask, exact_retina


def chain(**config):
    return ConditionedChain(ConditionedConfig(**config)).double()


def viewed(ppd=45.0, display="ccfl-lcd", surround=1e-5, size=(96, 115), peak=300.0):
    """A photograph with noise, as the chain takes it."""
    _, reference = photograph_pairs(*size)[0]
    generator = torch.Generator().manual_seed(0)
    reference = peak * reference.double() ** 2.2 + 0.1
    test = reference * (1 + 0.05 * torch.randn(reference.shape, generator=generator, dtype=torch.float64))
    matrix = torch.tensor(display_matrix(display, 3))[None]
    around = torch.full((1, 3, 1, 1), surround, dtype=torch.float64)
    return Pair(test, reference), matrix, around, torch.tensor([ppd], dtype=torch.float64)


CONDITIONS = {
    "desk": {},
    "far": {"ppd": 110.0},
    "near": {"ppd": 16.0},
    "dim": {"peak": 2.0, "surround": 0.5},
    "crt": {"display": "crt", "surround": 100.0},
}


def share(wrong, true):
    return float((wrong.square().mean() / true.square().mean()).sqrt())


@pytest.mark.parametrize("condition", CONDITIONS)
def test_stages_are_the_metrics(condition):
    given = viewed(**CONDITIONS[condition])
    with torch.no_grad():
        found, exact = chain()(*given, keep_stages=True), exact_retina(*given)
    for stage in ("light_scatter", "photoreceptors"):
        true = getattr(exact.test, stage)
        assert share(getattr(found.test, stage) - true, true) < 0.01  # asked: 1 %
    seen, true = (image.test.achromatic - image.reference.achromatic for image in (found, exact))
    # Over pairs of all kinds it is 3 % (results/chain.csv; asked: 5 %); white noise is the hardest of differences.
    assert share(seen - true, true) < 0.06


def test_three_taps_are_nearer_to_the_optics_than_the_middle_alone():
    given = viewed()
    errors = []
    for taps in (1, 3):
        with torch.no_grad():
            found = chain(scatter_taps=taps)(*given, keep_stages=True).test.light_scatter
            true = exact_retina(*given).test.light_scatter
        errors.append(share(found - true, true))
    assert errors[1] < 0.5 * errors[0]


def test_uniform_light_in_its_own_surround_stays_what_it_is():
    light = torch.full((1, 3, 33, 40), 20.0, dtype=torch.float64)
    _, matrix, _, degree = viewed()
    with torch.no_grad():
        seen = chain().scatter(Pair(light, light), light[..., :1, :1], degree)
    assert torch.allclose(seen.test, light, rtol=1e-12)


def test_taps_of_a_node_are_those_of_the_table():
    table = torch.tensor(half_resolution.fitted_taps(3))
    low, high = half_resolution.PIXELS_PER_DEGREE
    assert torch.allclose(half_resolution.taps_at(torch.tensor([low, high]).double(), table), table[[0, -1]])
    # The optics let everything pass that four pixels per degree can hold, and next to nothing at 500.
    assert abs(float(table[-1, 0])) < 0.01 < 0.1 < float(table[0, 0])


def test_the_gradient_is_the_metrics():
    (test, reference), _, _, _ = viewed(peak=0.9, size=(64, 80))
    test, reference = test.clamp(0, 1), reference.clamp(0, 1)
    settings = {"encoding": "sRGB-display", "pixels_per_degree": 45.0}
    gradients = []
    for model in (ConditionedVDP(chain(), **settings), HDRVDP2(**settings)):
        image = test.clone().requires_grad_()
        model(image, reference).C_max.log().backward()
        gradients.append(image.grad.flatten())
    # One stage of light scatter is imitated, to a few thousandths; asked of whole surrogates: 0.95.
    assert F.cosine_similarity(*gradients, dim=0) > 0.99


def test_identical_images_differ_in_nothing():
    (_, reference), *viewing = viewed()
    with torch.no_grad():
        found = chain()(Pair(reference, reference.clone()), *viewing)
    assert torch.equal(found.test.achromatic, found.reference.achromatic)


def test_training_mends_wrong_taps():
    network, task = ConditionedChain(ConditionedConfig()), ConditionedTask(ConditionedConfig())
    (test, reference), matrix, surround, degree = viewed(size=(64, 64))
    batch = {"light/test": test, "light/reference": reference, "conditions/pixels_per_degree": degree}
    batch |= {"conditions/surround_cdm2": surround.flatten(1), "conditions/emission": matrix}
    batch = {name: value.float() for name, value in batch.items()}
    fitted = task.losses(network, batch).mean().item()
    with torch.no_grad():
        network.scatter_taps.mul_(0.8)
    spoilt = task.losses(network, batch).mean().item()
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(40):
        optimiser.zero_grad()
        loss = task.losses(network, batch).mean()
        loss.backward()
        optimiser.step()
    # The least there is lies about the fit, which knew no picture.
    assert spoilt > 4 * fitted and loss.item() < 1.5 * fitted


def test_viewing_beyond_the_table_is_said():
    model = ConditionedVDP(ConditionedChain(ConditionedConfig()))
    light = torch.full((1, 1, 32, 32), 50.0)
    with pytest.warns(OutOfDomainWarning, match="pixels_per_degree 4 to 500, got 600"):
        model(light, light, encoding="luminance", pixels_per_degree=600)
    strict = ConditionedVDP(ConditionedChain(ConditionedConfig()), strict=True)
    with pytest.raises(ValueError, match="model='exact'"):
        strict(light, light, encoding="luminance", pixels_per_degree=600)


def test_the_loss_takes_a_trained_chain(tmp_path):
    from vdp_distill import zoo
    from vdp_distill.recipes import write_toml

    network = ConditionedChain(ConditionedConfig())
    (tmp_path / "recipe.toml").write_text(write_toml({"network": network.config}))
    zoo.save_network(tmp_path, network)
    loss = VDPLoss(tmp_path, encoding="sRGB-display", pixels_per_degree=30.0)
    test, reference = photograph_pairs(64, 64)[0]
    image = test.clone().requires_grad_()
    loss(image, reference).backward()
    assert image.grad.abs().sum() > 0 and float(loss(reference, reference)) == 0


def test_a_wrong_number_of_taps_is_refused():
    with pytest.raises(ValueError, match=r"scatter_taps must be one of \(1, 3\), got 2"):
        ConditionedConfig(scatter_taps=2)
