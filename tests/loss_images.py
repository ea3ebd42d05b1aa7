"""What the tests of the metric as a loss share: noisy scenes, a narrow untrained chain, the gradient at an image."""

from pathlib import Path

import torch
from chain_data import scenes
from torch import Tensor

from vdp_distill import zoo
from vdp_distill.surrogates import Chain, ChainConfig
from vdp_distill.training.recipe import Recipe

VIEWING = {"encoding": "sRGB-display", "pixels_per_degree": 30}
NARROW = ChainConfig(scatter_widths=(4, 6, 6), receptor_width=6, masking_widths=(6, 4))


def noisy_pair() -> tuple[Tensor, Tensor]:
    """Two pairs of 36 x 36."""
    reference = scenes(2, 36, seed=3)
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(4))
    return (reference + 0.04 * noise).clamp(0, 1), reference


def narrow_model(folder: Path) -> Path:
    """A model's folder, of a chain that was never trained."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(Recipe(NARROW).text())
    zoo.save_network(folder, Chain(NARROW))
    return folder


def gradient(loss, test: Tensor, reference: Tensor) -> Tensor:
    """Of a loss, at the test image."""
    test = test.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(test, reference).sum(), test)
    return found
