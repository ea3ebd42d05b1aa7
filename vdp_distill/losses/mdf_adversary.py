"""What MDF's discriminators learn against: residual generators, and the losses of WGAN-GP.

Gulrajani et al., "Improved Training of Wasserstein GANs" (NeurIPS 2017), with the penalty of each pixel's gradient as
SinGAN has it, for the critic scores patches and not whole images.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill.losses.mdf import ConvolutionBlock, MDFConfig

__all__ = ["Generator", "critic_loss", "generator_loss", "gradient_penalty", "initialise"]

INITIAL_SPREAD = 0.02
"""Standard deviation of initial weights, as in SinGAN."""


class Generator(nn.Module):
    """Restores an image (N, C, H, W) by adding what it takes to be missing; the shape of a discriminator, padded."""

    def __init__(self, config: MDFConfig, width: int):
        super().__init__()
        widths = [config.channels, *[width] * (config.convolutions - 1)]
        layers = {f"block{n}": ConvolutionBlock(*widths[n : n + 2]) for n in range(config.convolutions - 1)}
        tail = {"tail": nn.Conv2d(width, config.channels, 3), "bound": nn.Tanh()}
        self.residual = nn.Sequential(OrderedDict(layers | tail))
        self.border = config.convolutions

    def forward(self, image: Tensor) -> Tensor:
        return image + self.residual(F.pad(image, [self.border] * 4, mode="reflect"))


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw a network's weights, from a generator alone."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0, INITIAL_SPREAD, generator=generator)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, INITIAL_SPREAD, generator=generator)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """How far the slope of a critic is from 1, between a real and a fake image.

    Parameters
    ----------
    critic
        From an image to its scores.
    real, fake
        (N, C, H, W).
    share
        Of the real image in the mixture, 0..1, that the slope is taken at.

    Returns
    -------
    Tensor
        Mean over pixels of (length of the gradient over the channels - 1) squared.

    Examples
    --------
    >>> image = torch.zeros(1, 3, 4, 4)
    >>> float(gradient_penalty(lambda x: 3 * x[:, :1], image, image, torch.tensor(0.5)))
    4.0
    """
    mixture = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(mixture).sum(), mixture, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


def critic_loss(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor, weight: float) -> Tensor:
    """Score of the fake image above that of the real one, and the penalty; the critic makes it small."""
    return critic(fake).mean() - critic(real).mean() + weight * gradient_penalty(critic, real, fake, share)


def generator_loss(critic: Callable[[Tensor], Tensor], fake: Tensor, real: Tensor, reconstruction: float) -> Tensor:
    """What the critic denies the fake image, and the squared error against the image that it should be."""
    return reconstruction * F.mse_loss(fake, real) - critic(fake).mean()
