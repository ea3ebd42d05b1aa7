"""A network for any metric of pairs: code values to a map of differences and a score.

It knows nothing of vision. Both images go through the same convolutions at several scales; what differs between their
features, weighed by what is there, is the map. Nothing in it can be negative, and nothing differs between identical
images, so that what it stands for has its least (or largest) value there: a loss needs no more, nor less.

Idea: Snell et al. 2017, Learning to generate images with perceptual similarity metrics, their outlook.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["OUTPUTS", "ForwardConfig", "ForwardNetwork", "Judged"]

OUTPUTS = ("score", "map")

CELL = 4
"""Pixels a side that become the channels of one place."""

ROUNDING = 2.0**-10
"""Differences of features well below this count by their square: the gradient is finite at identical images."""

START = 16.0
"""Sum of the starting weights from features to the map: a typical difference of features is some hundredths."""

LEAST_RELATIVE = 2.0**-10
"""Of a place's difference to the typical one, in the weights of the mean."""


class Judged(NamedTuple):
    """What a metric says of a batch of pairs."""

    map: Tensor
    """(N, 1, H, W)."""

    score: Tensor
    """(N,)."""


@dataclass(frozen=True)
class ForwardConfig:
    """Shape of a forward model's network, and the units of what it stands for.

    Parameters
    ----------
    kind
        ``"forward"``.
    channels
        Of an image: 1 or 3; a three-channel network takes grey images too.
    width
        Features of a place.
    levels
        Scales, each half the size of the one before.
    output
        What it learns: ``"map"``, whose mean is the score, or ``"score"``.
    identical
        Value at identical images.
    scale
        Typical departure from it.
    higher_is_better
        The values fall as the images differ more.
    """

    kind: str = "forward"
    channels: int = 3
    width: int = 24
    levels: int = 3
    output: str = "map"
    identical: float = 0.0
    scale: float = 1.0
    higher_is_better: bool = False

    def __post_init__(self):
        if self.channels not in (1, 3):
            raise ValueError(f"network: channels must be 1 or 3, got {self.channels}")
        if self.output not in OUTPUTS:
            raise ValueError(f"network: output must be one of {', '.join(OUTPUTS)}, got {self.output!r}")
        for name in ("width", "levels"):
            if getattr(self, name) < 1:
                raise ValueError(f"network: {name} must be at least 1, got {getattr(self, name)}")
        if not (math.isfinite(self.identical) and math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f"network: identical must be finite and scale positive, got {self.identical} and {self.scale}"
            )

    @property
    def direction(self) -> int:
        """Where the values go as the images differ more: 1 up, -1 down."""
        return -1 if self.higher_is_better else 1

    @property
    def smallest_side(self) -> int:
        """Pixels that the coarsest scale makes one place of."""
        return CELL * 2 ** (self.levels - 1)


class ForwardNetwork(nn.Module):
    """Imitates a metric of pairs.

    Parameters
    ----------
    config
        Its shape.
    generator
        Draws the weights.

    Examples
    --------
    >>> network = ForwardNetwork(ForwardConfig(identical=1.0, higher_is_better=True))
    >>> image = torch.rand(2, 3, 40, 50)
    >>> with torch.no_grad():
    ...     same, other = network(image, image), network(1 - image, image)
    >>> same.map.shape, same.score, bool((other.score < 1).all())
    (torch.Size([2, 1, 40, 50]), tensor([1., 1.]), True)
    """

    def __init__(self, config: ForwardConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        self.scales = nn.ModuleList(Scale(config, generator) for _ in range(config.levels))
        if config.output == "score":
            self.focus = nn.Parameter(torch.tensor(-2.0))

    def forward(self, test: Tensor, reference: Tensor) -> Judged:
        """Value of every pixel and of the pair, in the metric's unit; arguments as for :meth:`distances`."""
        units = self.config.direction * self.config.scale
        return Judged(*(self.config.identical + units * part for part in self.distances(test, reference)))

    def distances(self, test: Tensor, reference: Tensor) -> Judged:
        """Departure from the value at identical images, in typical ones: 0 there, and positive elsewhere.

        Parameters
        ----------
        test, reference
            Code values (N, C, H, W) in 0..1, no side under ``config.smallest_side``.
        """
        pair = [self.prepared(image) for image in (test, reference)]
        height, width = test.shape[-2:]
        distance = 0.0
        for level, scale in enumerate(self.scales):
            own = scale(*(F.avg_pool2d(image, 2**level) if level else image for image in pair))
            if level:
                own = F.interpolate(own, scale_factor=2.0**level, mode="bilinear", align_corners=False)
            distance = distance + own
        distance = distance[..., :height, :width]
        return Judged(distance, self.pooled(distance))

    def prepared(self, image: Tensor) -> Tensor:
        """The image about 0, grown at its far edges to whole places of the coarsest scale."""
        height, width = image.shape[-2:]
        whole = self.config.smallest_side
        if min(height, width) < whole:
            raise ValueError(f"images must have sides of at least {whole} pixels, got {height} x {width}")
        if image.shape[1] != self.config.channels:
            image = image.expand(-1, self.config.channels, -1, -1)
        return F.pad(2 * image - 1, (0, -width % whole, 0, -height % whole), mode="replicate")

    def pooled(self, distance: Tensor) -> Tensor:
        """The map's mean, (N,); for scores one that larger differences weigh more in, as much as was learnt."""
        if self.config.output == "map":
            return distance.mean(dim=(1, 2, 3))
        weight = (distance + LEAST_RELATIVE) ** F.softplus(self.focus)
        return (weight * distance).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))

    def golden_input(self, height: int, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        """An input to know the network by."""
        reference = torch.rand(1, self.config.channels, height, width, generator=generator)
        noise = torch.randn(reference.shape, generator=generator)
        return {"test": (reference + 0.1 * noise).clamp(0, 1), "reference": reference}

    def see_golden(self, inputs: Mapping[str, Tensor]) -> Judged:
        """Distances for :meth:`golden_input`."""
        return self.distances(inputs["test"], inputs["reference"])


class Scale(nn.Module):
    """Differences at one scale: (N, C, h, w) twice to (N, 1, h, w)."""

    def __init__(self, config: ForwardConfig, generator: torch.Generator | None):
        super().__init__()
        width, cell = config.width, CELL**2
        self.first = _drawn(nn.Conv2d(config.channels * cell, width, 3, padding=1), generator)
        self.second = _drawn(nn.Conv2d(width, width, 3, padding=1), generator)
        self.gate = _drawn(nn.Conv2d(2 * width, width, 1), generator)
        start = math.log(math.expm1(START / (9 * width)))
        self.spread = nn.Parameter(start + 0.1 * torch.randn(cell, width, 3, 3, generator=generator))

    def forward(self, test: Tensor, reference: Tensor) -> Tensor:
        test, reference = self.features(test), self.features(reference)
        difference = ((test - reference).square() + ROUNDING**2).sqrt() - ROUNDING
        weighed = difference * F.softplus(self.gate(torch.cat([reference, difference], dim=1)))
        return F.pixel_shuffle(F.conv2d(weighed, F.softplus(self.spread), padding=1), CELL)

    def features(self, image: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, width, h / CELL, w / CELL)."""
        cells = F.pixel_unshuffle(image, CELL).contiguous(memory_format=torch.channels_last)
        return self.second(F.silu(self.first(cells)))


def _drawn(layer: nn.Conv2d, generator: torch.Generator | None) -> nn.Conv2d:
    """Weights that keep the variance of their inputs, and no bias."""
    with torch.no_grad():
        fan_in = layer.weight[0].numel()
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / math.sqrt(fan_in))
        layer.bias.zero_()
    return layer
