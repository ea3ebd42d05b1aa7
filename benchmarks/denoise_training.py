"""Training a denoiser with one loss: everything but the loss is decided by the study and the seed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.denoise_networks import AutoEncoder, ResidualDenoiser
from vdp_distill import VDPLoss

__all__ = ["DIGITS", "PHOTOGRAPHS", "PIXEL_LOSSES", "STUDIES", "Study", "add_noise", "check_models", "losses", "train"]

PIXEL_LOSSES = {"mse": nn.MSELoss, "l1": nn.L1Loss}
"""Losses that know no viewer; every other name is a model of :class:`vdp_distill.VDPLoss`."""

METRIC_WEIGHT = 0.01
"""Of a loss of the metric beside one of pixels: log contrast is hundreds of times a mean difference of code values."""

FIRST_SHARE = 1 / 3
"""Of the steps, for the first of two losses."""


@dataclass(frozen=True)
class Study:
    """One denoising task.

    Attributes
    ----------
    network
        Makes the denoiser.
    pixels_per_degree
        How the images are looked at.
    frame_pixels
        Width of the black frame that images are shown in, for the loss and the judges.
    noise_range
        Standard deviations of the noise in training, drawn evenly for each image.
    judged_noise
        Standard deviations that the judges see.
    """

    name: str
    network: Callable[[], nn.Module]
    pixels_per_degree: float
    frame_pixels: int
    noise_range: tuple[float, float]
    judged_noise: tuple[float, ...]
    models: tuple[str, ...]
    batch: int
    learning_rate: float
    steps: int

    def shown(self, images: Tensor) -> Tensor:
        """What a viewer gets, (N, 3, H, W): in its frame, grey in three channels."""
        return F.pad(images, [self.frame_pixels] * 4).expand(-1, 3, -1, -1)


DIGITS = Study(
    name="digits",
    network=AutoEncoder,
    # A digit covers one degree, its strokes lie at 5 cycles a degree, where the eye is most sensitive.
    pixels_per_degree=30.0,
    # Two pixels on each side: 32 x 32 is the least that the released surrogates take.
    frame_pixels=2,
    noise_range=(0.1, 0.5),
    judged_noise=(0.1, 0.3, 0.5),
    models=("mse", "exact"),
    batch=32,
    learning_rate=3e-3,
    steps=500,
)

PHOTOGRAPHS = Study(
    name="photographs",
    network=ResidualDenoiser,
    # A 27-inch monitor of 3840 x 2160 pixels at a little over half a metre would have more, of 2560 x 1440 this many.
    pixels_per_degree=60.0,
    frame_pixels=0,
    noise_range=(5 / 255, 30 / 255),
    judged_noise=(10 / 255, 25 / 255),
    models=("l1", "exact"),
    batch=8,
    learning_rate=2e-3,
    steps=500,
)

STUDIES = {study.name: study for study in (DIGITS, PHOTOGRAPHS)}


def losses(model: str, study: Study) -> list[nn.Module]:
    """One loss, or two to be used in turn: ``"l1:exact"``; each may be a sum: ``"l1+exact"``."""
    names = model.split(":")
    if len(names) > 2:
        raise ValueError(f"a model must be one loss, or two as in l1:exact, got {model!r}")
    return [_loss(name, study) for name in names]


class _Sum(nn.Module):
    """A loss of pixels, and a hundredth of one of the metric, which cannot see colour."""

    def __init__(self, pixels: nn.Module, metric: nn.Module):
        super().__init__()
        self.pixels, self.metric = pixels, metric

    def forward(self, test: Tensor, reference: Tensor) -> Tensor:
        return self.pixels(test, reference) + METRIC_WEIGHT * self.metric(test, reference)


def _loss(name: str, study: Study) -> nn.Module:
    if "+" in name:
        pixels, _, metric = name.partition("+")
        if pixels not in PIXEL_LOSSES:
            raise ValueError(f"a sum begins with one of {', '.join(PIXEL_LOSSES)}, as in l1+exact, got {name!r}")
        return _Sum(PIXEL_LOSSES[pixels](), _loss(metric, study))
    if name in PIXEL_LOSSES:
        return PIXEL_LOSSES[name]()
    name, _, pool = name.partition("@")
    settings = {"pool": pool} if pool else {}
    return VDPLoss(name, encoding="sRGB-display", pixels_per_degree=study.pixels_per_degree, **settings)


def add_noise(images: Tensor, sigma: Tensor | float, generator: torch.Generator) -> Tensor:
    """Images and white Gaussian noise of a standard deviation, a number or (N, 1, 1, 1); not clipped."""
    return images + sigma * torch.randn(images.shape, generator=generator)


def train(model: str, study: Study, images: Tensor, steps: int, seed: int) -> nn.Module:
    """A denoiser trained with one loss.

    Parameters
    ----------
    model
        One of ``PIXEL_LOSSES``, or what :class:`vdp_distill.VDPLoss` takes as its model; two of them with a colon
        between take turns, the first for a third of the steps; ``l1+exact`` is L1 and a hundredth of the other;
        ``exact@area`` is the metric with another pool.
    images
        Clean images, (N, C, H, W) in 0..1.
    seed
        Decides the first weights, the order of the images and their noise, the same for every loss.
    """
    torch.manual_seed(seed)
    network, taught = study.network(), losses(model, study)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), study.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    low, high = study.noise_range
    for step in range(steps):
        clean = images[torch.randint(len(images), (study.batch,), generator=generator)]
        sigma = low + (high - low) * torch.rand(study.batch, 1, 1, 1, generator=generator)
        restored = network(add_noise(clean, sigma, generator))
        loss = taught[0 if step < steps * FIRST_SHARE else -1]
        value = loss(study.shown(restored), study.shown(clean))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def check_models(models: list[str], study: Study) -> None:
    """Refuse an unknown or unfit model before any is trained."""
    for model in models:
        losses(model, study)
