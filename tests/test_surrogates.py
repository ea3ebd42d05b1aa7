"""The paper's chain: shapes, padding by the surround, units, and what a recipe may say."""

import pytest
import torch

from vdp_distill.stages import STAGES
from vdp_distill.surrogates import Chain, ChainConfig, FittedSELU, strips, to_network_light

NARROW = {"scatter_widths": (4, 6, 6), "receptor_width": 5, "masking_widths": (6, 4)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(17, 17), (24, 40), (33, 18)])
def test_any_size_and_channels(channels, size, generator):
    chain = Chain(ChainConfig(channels=channels, **NARROW))
    light = torch.rand(2, channels, *size, generator=generator)
    retina = chain.retina(1 + 99 * light, torch.full((1, channels, 1, 1), 1e-5), keep_stages=True)
    shapes = {name: tuple(stage.shape) for name, stage in retina._asdict().items()}
    expected = {
        "light_scatter": channels,
        "photoreceptors": 4,
        "adapting_luminance": 1,
        "luminance_masking": 3,
        "achromatic": 1,
    }
    assert shapes == {name: (2, count, *size) for name, count in expected.items()}
    assert set(shapes) <= {stage.name for stage in STAGES}


def test_achromatic_has_no_mean_and_is_the_sum(generator):
    retina = Chain(ChainConfig(**NARROW)).retina(
        1 + 99 * torch.rand(2, 3, 32, 32, generator=generator), torch.ones(1, 3, 1, 1), keep_stages=True
    )
    total = retina.luminance_masking.sum(dim=1, keepdim=True)
    torch.testing.assert_close(retina.achromatic, total - total.mean(dim=(2, 3), keepdim=True))
    assert retina.achromatic.mean(dim=(1, 2, 3)).abs().max() < 1e-3


def test_a_surround_like_the_image_leaves_it_flat():
    """Padding is the surround's response at every layer, so a constant image in its own light has no border."""
    chain = Chain(ChainConfig(**NARROW))
    output = chain(torch.full((1, 3, 20, 27), 0.4), torch.full((1, 3, 1, 1), 0.4))
    for stage in output:
        assert float((stage - stage[..., :1, :1]).detach().abs().max()) < 1e-5


def test_the_surround_reaches_as_far_as_the_receptive_field(generator):
    """71 pixels for three halvings by 5x5 kernels; a little more where the grid of the halvings falls badly."""
    chain = Chain(ChainConfig(**NARROW))
    light = torch.rand(1, 3, 128, 128, generator=generator)
    dark, bright = (chain(light, torch.full((1, 3, 1, 1), value)).light_scatter for value in (-1.25, 0.5))
    apart = (dark - bright).detach().abs().amax(dim=1)[0]
    assert apart[0].max() > 1e-3
    assert apart[60:68, 60:68].max() < 1e-5


@pytest.mark.parametrize("kernels", [(5, 1, 3), (7, 3, 5), (3, 1, 1)], ids=str)
def test_strips_change_nothing(kernels, generator, monkeypatch):
    """Beside the halo that the kernels ask for, a strip that saw less would differ by its own padding."""
    names = ("scatter_kernel", "receptor_kernel", "masking_kernel")
    chain = Chain(ChainConfig(**NARROW, **dict(zip(names, kernels, strict=True)))).double()
    light = 1 + 99 * torch.rand(2, 3, 331, 40, generator=generator, dtype=torch.float64)
    surround = torch.tensor([1e-5, 30.0], dtype=torch.float64).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    whole = chain.retina(light, surround, keep_stages=True)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1)
    with torch.no_grad():
        kept, needed = (chain.retina(light, surround, keep) for keep in (True, False))
    # Only the order of sums differs: 1e-12 of numbers up to 1e5.
    for stripped in (kept, needed):
        for found, true in zip(stripped, whole, strict=True):
            assert found is None or torch.allclose(found, true.detach(), rtol=1e-12, atol=1e-12)
    assert needed.light_scatter is None and needed.photoreceptors is None


def test_six_three_and_four_convolutions():
    chain = Chain(ChainConfig())
    kernels = {name: [p.shape for n, p in getattr(chain, name).named_parameters() if n.endswith("weight")] for name in
               ("light_scatter", "photoreceptors", "luminance_masking")}  # fmt: skip
    assert [len(shapes) for shapes in kernels.values()] == [6, 3, 4]
    assert all(shape[2:] == (5, 5) for shape in kernels["light_scatter"])


def test_selu_with_the_usual_alpha_is_torchs(generator):
    value = torch.randn(1000, generator=generator)
    usual = FittedSELU(1.6732632423543772, fit=True)
    torch.testing.assert_close(usual(value), torch.nn.functional.selu(value))
    usual(value).sum().backward()
    assert usual.alpha.grad is not None
    assert not FittedSELU(1.0, fit=False).alpha.requires_grad


def test_weights_come_from_the_generator_alone():
    first, second, third = (
        Chain(ChainConfig(**NARROW), torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["light_scatter.0.weight"], third["light_scatter.0.weight"])


def test_light_unit():
    light = torch.tensor([0.0, 1e-5, 1.0, 1e4, 1e12], dtype=torch.float64)
    expected = torch.tensor([-1.25, -1.25, 0.0, 1.0, 2.5], dtype=torch.float64)
    torch.testing.assert_close(to_network_light(light), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 2},
        {"scatter_widths": (4, 4)},
        {"masking_widths": (4,)},
        {"receptor_kernel": 2},
        {"receptor_width": 0},
    ],
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match="network:"):
        ChainConfig(**wrong)
