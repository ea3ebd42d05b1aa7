"""Neural image assessment (NIMA) on a MnasNet trunk, and the hybrid loss that rewards its score.

Talebi and Milanfar, "NIMA: Neural Image Assessment" (IEEE TIP 2018): a network predicts how people's ratings of a
picture spread over 1 to 10. Sunnak et al., "Neural Image Enhancement and Assessment", put it on MnasNet, fully
convolutional, and train restoration with squared error plus gamma times what the score lacks of 10.

Their weights cannot be had. The released ``nima-v1`` was trained on photographs whose ratings follow a rule from a
known degradation, not on people's: its score is *uncalibrated* and says so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vdp_distill.losses.contract import REDUCTIONS, ImageLoss, chosen, package

__all__ = ["BUCKETS", "EMDLoss", "HybridLoss", "NIMA", "NIMAConfig", "Rating", "emd", "mean_and_spread"]

BUCKETS = 10
"""Ratings go from 1 to 10."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SPREAD = (0.229, 0.224, 0.225)
"""Of R, G, B code values in 0..1, by which torchvision's trunks expect their input normalised."""

DISTRIBUTION_TOLERANCE = 1e-3
"""How far from 1 a distribution may sum; half precision rounds so."""


@dataclass(frozen=True)
class NIMAConfig:
    """Shape of a NIMA network; the ``[network]`` of a recipe.

    Parameters
    ----------
    kind
        ``"nima"``.
    width_multiplier
        Of MnasNet's channels: 1.0 is the paper's; torchvision has weights for 0.5, 0.75, 1.0 and 1.3.
    dropout
        Before the last layer, while training.
    calibrated
        True only for weights trained on people's ratings.
    """

    kind: str = "nima"
    width_multiplier: float = 1.0
    dropout: float = 0.2
    calibrated: bool = False

    def __post_init__(self):
        if self.kind != "nima":
            raise ValueError(f"[network]: kind must be 'nima', got {self.kind!r}")
        if not self.width_multiplier > 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                "[network]: width_multiplier must be positive and dropout in 0..1, got "
                f"{self.width_multiplier} and {self.dropout}"
            )


class Rating(NamedTuple):
    """What NIMA says of images.

    Attributes
    ----------
    distribution
        Share of each rating from 1 to 10, (N, 10).
    mean, spread
        Mean rating and its standard deviation over the distribution, (N,).
    calibrated
        False unless the network was trained on people's ratings.
    """

    distribution: Tensor
    mean: Tensor
    spread: Tensor
    calibrated: bool

    def __str__(self) -> str:
        note = "" if self.calibrated else " (uncalibrated)"
        pairs = zip(self.mean.tolist(), self.spread.tolist(), strict=True)
        return ", ".join(f"{mean:.2f} +- {spread:.2f}" for mean, spread in pairs) + note


def mean_and_spread(distribution: Tensor) -> tuple[Tensor, Tensor]:
    """Mean rating and standard deviation of distributions over 1 to 10, (N, 10) to two (N,).

    Examples
    --------
    >>> mean_and_spread(torch.tensor([[0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]]))
    (tensor([5.5000]), tensor([4.5000]))
    """
    ratings = torch.arange(1, BUCKETS + 1, device=distribution.device, dtype=distribution.dtype)
    mean = (distribution * ratings).sum(dim=-1)
    return mean, (distribution * (ratings - mean[..., None]).square()).sum(dim=-1).sqrt()


class NIMA(nn.Module):
    """From images in 0..1 to the distribution of their ratings; any size from 32 pixels.

    The parameters have the names of :class:`torchvision.models.MNASNet` with ten classes, so that weights of its trunk
    fit (:func:`vdp_distill.losses.nima_weights.put_trunk`). Average pooling stands before the last layer, which is the
    same as that layer run as a 1x1 convolution and pooled after.

    Raises
    ------
    ImportError
        If torchvision is not installed.

    Examples
    --------
    >>> network = NIMA(NIMAConfig(width_multiplier=0.5)).eval()
    >>> network(torch.zeros(2, 3, 40, 48)).shape
    torch.Size([2, 10])
    """

    _version = 2
    """Of the names in ``state_dict()``: MNASNet's own, which else rebuilds its first layers as they were in 2019."""

    def __init__(self, config: NIMAConfig | None = None):
        super().__init__()
        self.config = config or NIMAConfig()
        models = package("torchvision.models", "torchvision")
        trunk = models.MNASNet(self.config.width_multiplier, num_classes=BUCKETS, dropout=self.config.dropout)
        self.layers, self.classifier = trunk.layers, trunk.classifier
        for name, values in (("mean", IMAGENET_MEAN), ("spread", IMAGENET_SPREAD)):
            table = torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1).to(torch.get_default_dtype())
            self.register_buffer(f"input_{name}", table, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Distributions of the ratings, (N, 10), of images (N, 3, H, W) in 0..1."""
        features = self.layers((image - self.input_mean) / self.input_spread)
        return self.classifier(features.mean(dim=(2, 3))).softmax(dim=-1)

    def rate(self, image: Tensor) -> Rating:
        """The distribution with its mean and spread."""
        distribution = self(image)
        return Rating(distribution, *mean_and_spread(distribution), self.config.calibrated)


def emd(estimate: Tensor, truth: Tensor, r: float = 2.0) -> Tensor:
    """Normalised earth mover's distance of each pair of distributions.

    Parameters
    ----------
    estimate, truth
        (N, buckets), each row summing to 1.
    r
        Exponent, at least 1; 2 to train (NIMA, section 3), 1 to report.

    Returns
    -------
    Tensor
        (N,): the r-mean, over the buckets, of the differences of the cumulative distributions.

    Raises
    ------
    ValueError
        For other shapes, rows that are no distributions, or an exponent under 1.

    Examples
    --------
    >>> certain = torch.eye(10)
    >>> emd(certain[:1], certain[9:], r=1)
    tensor([0.9000])
    """
    if estimate.shape != truth.shape or estimate.ndim != 2:
        raise ValueError(
            f"distributions must both be (N, buckets), got {tuple(estimate.shape)} and {tuple(truth.shape)}"
        )
    if not r >= 1:
        raise ValueError(f"r must be at least 1, got {r!r}")
    for rows, name in ((estimate, "estimate"), (truth, "truth")):
        off = float((rows.detach().sum(dim=1) - 1).abs().max()) if len(rows) else 0.0
        if not off <= DISTRIBUTION_TOLERANCE:
            raise ValueError(f"{name}: each row must sum to 1, one is off by {off:.3g}; divide counts by their sum")
    power = (estimate.cumsum(dim=1) - truth.cumsum(dim=1)).abs().pow(r).mean(dim=1)
    equal = power == 0  # where the root has no slope
    return power.masked_fill(equal, 1).pow(1 / r).masked_fill(equal, 0)


class EMDLoss(nn.Module):
    """:func:`emd` as a loss for training: ``reduction`` over the batch, each sample having its own distance."""

    def __init__(self, r: float = 2.0, *, reduction: str = "mean"):
        super().__init__()
        self.r, self.reduction = r, chosen(reduction, REDUCTIONS, "reduction")

    def forward(self, estimate: Tensor, truth: Tensor) -> Tensor:
        """A scalar, or (N,) for ``reduction="none"``."""
        return REDUCTIONS[self.reduction](emd(estimate, truth, self.r))


class HybridLoss(ImageLoss):
    """Squared error plus gamma times what the test image's NIMA score lacks of 10.

    Not 0 for identical images, and without a reference's help a network may learn to please the score: watch PSNR or
    the exact metric beside it. With ``nima-v1`` the score is uncalibrated.

    Parameters
    ----------
    model
        A released NIMA (``"nima-v1"``), or the folder that ``vdp-distill train`` made.
    gamma
        Weight of the score: 0.4 was the paper's best for super-resolution, 0.1 for deblurring.
    value_range
        What the largest code value counts in the squared error, on which gamma's weight depends. 255 is what the code
        that the paper names (EDSR-PyTorch) works in; the images themselves are given in 0..1 all the same.
    **checks
        ``reduction`` and how images are checked, see :class:`vdp_distill.losses.contract.ImageLoss`.

    Examples
    --------
    >>> loss = HybridLoss(gamma=0.4)
    >>> grey = torch.full((1, 3, 32, 32), 0.5)
    >>> 0 < float(loss(grey, grey)) <= 0.4 * 9
    True
    """

    paper = "Sunnak, Rajendrakumar, Rachakonda, Srinivasan, Hu, Neural Image Enhancement and Assessment, SFU 2019"
    data_range = (0.0, 1.0)
    channels = (3,)
    minimum_size = 32
    is_differentiable = True
    is_zero_at_identical = False
    packages = ("torchvision",)

    def __init__(self, model: str | Path = "nima-v1", *, gamma: float = 0.4, value_range: float = 255.0, **checks):
        super().__init__(**checks)
        from vdp_distill.losses.nima_weights import load_nima

        if not gamma >= 0 or not value_range > 0:
            raise ValueError(f"gamma must be at least 0 and value_range positive, got {gamma!r} and {value_range!r}")
        self.model, self.gamma, self.value_range = str(model), gamma, value_range
        self.nima = load_nima(model)

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        squared = (self.value_range * (test - reference)).square().mean(dim=(1, 2, 3))
        return squared + self.gamma * (BUCKETS - self.nima.rate(test).mean)

    def extra_repr(self) -> str:
        note = "" if self.nima.config.calibrated else ", score uncalibrated"
        return f"model={self.model!r}, gamma={self.gamma}, value_range={self.value_range}{note}"
