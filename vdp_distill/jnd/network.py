"""Networks that say how many people see a difference, from the eye's achromatic responses to both images.

:class:`PaperNetwork` is the narrow Siamese network of Ak and Le Callet 2019 (its probability of detection), whose
widths are those of its public follow-up. :class:`DifferenceNetwork` is this project's: size-invariant, monotone in the
difference, with a psychometric function at its end.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vdp_distill.difference_features import ContrastFeature, ScaleFeatures
from vdp_distill.surrogates.means import shrunk

__all__ = [
    "DISTANCES",
    "LOSSES",
    "DifferenceConfig",
    "DifferenceNetwork",
    "PaperConfig",
    "PaperNetwork",
    "binomial_loss",
    "contrastive_loss",
    "distance_loss",
]

LEAST_PROBABILITY = 1e-6
"""Likelihoods are taken of probabilities at least so far from 0 and 1."""
LARGEST_LAPSE = 0.05

DISTANCES = {
    "euclidean": lambda difference: torch.linalg.vector_norm(difference.flatten(1), dim=1),
    "rms": lambda difference: torch.linalg.vector_norm(difference.flatten(1), dim=1) / difference[0].numel() ** 0.5,
}
"""Between the vectors of both images. The paper's grows with the image; the root mean square does not."""


def distance_loss(distance: Tensor, share: Tensor, subjects: Tensor) -> Tensor:
    """Squared error of the distance against the share of people who see the difference, (N,)."""
    return (distance - share).square()


def contrastive_loss(distance: Tensor, share: Tensor, subjects: Tensor, margin: float = 1.0) -> Tensor:
    """The contrastive loss with the share as a soft label, (N,): (1 - y) d^2 + y max(0, margin - d)^2.

    For distances below a margin of 1 it is :func:`distance_loss` and a constant y (1 - y).
    """
    return (1 - share) * distance.square() + share * (margin - distance).clamp(min=0).square()


def binomial_loss(probability: Tensor, share: Tensor, subjects: Tensor) -> Tensor:
    """Negative log likelihood of ``share * subjects`` of ``subjects`` who see it, (N,), in nats a subject.

    Examples
    --------
    >>> loss = binomial_loss(torch.tensor([0.5]), torch.tensor([0.3]), torch.tensor([30.0]))
    >>> math.isclose(loss, math.log(2), rel_tol=1e-6)
    True
    """
    seen = probability.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return -(share * seen.log() + (1 - share) * (-seen).log1p()) * (subjects / subjects.mean())


LOSSES = {"distance": distance_loss, "contrastive": contrastive_loss, "binomial": binomial_loss}
"""From a network's output, the share that saw it, and the number of subjects, to a loss for each pair."""


@dataclass(frozen=True)
class PaperConfig:
    """Shape of the paper's network.

    Parameters
    ----------
    widths, kernels, strides
        Of its convolutions.
    distance
        One of :data:`DISTANCES`.
    """

    kind: str = "jnd-paper"
    widths: tuple[int, ...] = (4, 8, 16, 32, 64)
    kernels: tuple[int, ...] = (7, 5, 5, 5, 3)
    strides: tuple[int, ...] = (2, 2, 2, 2, 1)
    distance: str = "euclidean"

    def __post_init__(self):
        if not len(self.widths) == len(self.kernels) == len(self.strides):
            raise ValueError(
                f"[network]: widths, kernels and strides must be alike in number, got {len(self.widths)}, "
                f"{len(self.kernels)} and {len(self.strides)}"
            )
        if self.distance not in DISTANCES:
            raise ValueError(f"[network]: distance must be one of {', '.join(DISTANCES)}, got {self.distance!r}")


class PaperNetwork(nn.Module):
    """One narrow branch, shared by both images; the distance between its outputs is trained against the share.

    Parameters
    ----------
    config
        Its shape.
    generator
        Of the initial weights.

    Examples
    --------
    >>> network = PaperNetwork(PaperConfig())
    >>> sum(value.numel() for value in network.parameters())
    35800
    """

    uses_contrast = False

    def __init__(self, config: PaperConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        generator = generator or torch.Generator().manual_seed(0)
        layers, inputs = [], 1
        for width, kernel, stride in zip(config.widths, config.kernels, config.strides, strict=True):
            layers += [nn.Conv2d(inputs, width, kernel, stride, kernel // 2), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        self.branch = nn.Sequential(*layers[:-1], nn.Sigmoid())
        for layer in self.branch:
            if isinstance(layer, nn.Conv2d):
                with torch.no_grad():
                    layer.weight.normal_(0, (2 / layer.weight[0].numel()) ** 0.5, generator=generator)
                    layer.bias.zero_()

    def forward(self, test: Tensor, reference: Tensor, contrast: Tensor | None = None) -> Tensor:
        """Distance of every pair, (N,); both responses (N, 1, H, W) in JND units. The contrast is not looked at."""
        features = self.branch(torch.cat([test, reference]))
        return DISTANCES[self.config.distance](torch.sub(*features.chunk(2)))

    def probability(self, test: Tensor, reference: Tensor, contrast: Tensor | None = None) -> Tensor:
        """Share of people who see the difference, (N,): the distance, no more than 1."""
        return self(test, reference, contrast).clamp(max=1)


@dataclass(frozen=True)
class DifferenceConfig:
    """Shape of :class:`DifferenceNetwork`.

    Parameters
    ----------
    scales
        Halvings of the images at which differences are looked for; 0 is the image itself.
    filters
        How many of the derivative filters each scale begins with, 1 to 5.
    contrast
        Take the exact cortex's contrast map as a feature too, and begin at HDR-VDP.
    field_pixels
        Pixels of the images on which the beginning is HDR-VDP's, whose contrast is a sum over the image; the feature
        itself is a mean, and the same for every size.
    """

    kind: str = "jnd"
    scales: tuple[int, ...] = (0, 1, 2, 3)
    filters: int = 5
    contrast: bool = True
    field_pixels: int = 129_600

    def __post_init__(self):
        if not self.scales or min(self.scales) < 0 or not 1 <= self.filters <= 5 or self.field_pixels < 1:
            raise ValueError(
                "[network]: scales must be at least one number from 0 up, filters 1 to 5 and field_pixels positive, "
                f"got {self.scales}, {self.filters} and {self.field_pixels}"
            )


class DifferenceNetwork(nn.Module):
    """Masked differences at several scales, pooled by learned norms, and a Weibull function with lapses.

    Every feature grows with the size of the difference (the masks know the reference alone) and has a positive weight,
    so the probability is monotone in it; with the contrast map, in that too. All pooling is by means: a larger field
    of the same gives the same answer.

    Parameters
    ----------
    config
        Its shape.
    generator
        Not needed: the beginning is fixed.

    Examples
    --------
    >>> network = DifferenceNetwork(DifferenceConfig(contrast=False))
    >>> response = torch.randn(1, 1, 64, 64)
    >>> network(response, response).item()
    0.0
    """

    def __init__(self, config: DifferenceConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config, self.uses_contrast = config, config.contrast
        self.scales = nn.ModuleList(ScaleFeatures(config.filters) for _ in config.scales)
        count = len(config.scales) * config.filters
        # Beside the contrast map, the network's own features begin at nearly nothing: HDR-VDP is where it starts.
        start = math.log(1e-3 if config.contrast else 1.0) - math.log(count)
        self.log_weight = nn.Parameter(torch.full((count,), start))
        self.contrast = ContrastFeature(config.field_pixels) if config.contrast else None
        self.log_sensitivity = nn.Parameter(torch.zeros(()))
        self.log_slope = nn.Parameter(torch.zeros(()))
        self.lapse = nn.Parameter(torch.tensor(-4.0))

    def evidence(self, test: Tensor, reference: Tensor, contrast: Tensor | None = None) -> Tensor:
        """The summed features, (N,), before the sensitivity; exactly 0 for identical images."""
        difference, features = test - reference, []
        for scale, pooled in zip(self.config.scales, self.scales, strict=True):
            features.append(pooled(_halved(difference, scale), _halved(reference, scale)))
        total = (torch.cat(features, dim=1) * self.log_weight.exp()).sum(dim=1)
        if self.contrast is not None:
            if contrast is None:
                raise ValueError("this network takes the exact contrast map too; pass contrast=")
            total = total + self.contrast(contrast)
        return total

    def forward(self, test: Tensor, reference: Tensor, contrast: Tensor | None = None) -> Tensor:
        """Share of people who see the difference, (N,).

        Parameters
        ----------
        test, reference
            Achromatic responses, (N, 1, H, W) in JND units.
        contrast
            The exact cortex's contrast map S, (N, 1, H, W), where the configuration takes it.
        """
        return self.psychometric(self.evidence(test, reference, contrast))

    probability = forward

    def psychometric(self, evidence: Tensor) -> Tensor:
        """Weibull function with lapses: (1 - lapse) (1 - 0.5^((s x)^slope)), one half at threshold."""
        lapse = LARGEST_LAPSE * self.lapse.sigmoid()
        # The tiny term keeps the power's gradient finite near identical images, where it is taken off again.
        tiny = torch.finfo(evidence.dtype).tiny ** 0.25
        scaled, slope = self.log_sensitivity.exp() * evidence, self.log_slope.exp()
        power = torch.where(evidence > 0, (scaled + tiny) ** slope - tiny**slope, 0.0)
        return (1 - lapse) * -torch.expm1(-math.log(2) * power)


def _halved(image: Tensor, times: int) -> Tensor:
    return shrunk(image, 2**times) if times else image
