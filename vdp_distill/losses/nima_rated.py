"""A small set of rated pictures that needs no people: photographs, degraded by known steps, rated by rule.

The rule knows the order of the steps of one degradation and nothing else. That a blur of two pixels is as bad as noise
of 0.06 is a choice; what a network learns from it is uncalibrated.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from vdp_distill.losses.mdf_tasks import jpeg as through_jpeg
from vdp_distill.losses.nima import BUCKETS
from vdp_distill.losses.nima_ava import as_square

__all__ = ["DEGRADATIONS", "RatedSet", "ruled_distribution"]

BEST, STEP = 7.5, 1.25
"""Mean rating of a photograph as it is, and what each step of a degradation takes from it."""
SPREAD = 1.4
"""Standard deviation of the ratings: AVA's mean one (Sunnak et al., section 2.1)."""


def blur(image: Tensor, sigma_px: float, generator: torch.Generator) -> Tensor:
    """Gaussian blur of an image (3, H, W)."""
    radius = math.ceil(3 * sigma_px)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=image.dtype) / sigma_px).square())
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    padded = F.pad(image[None], [radius] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, taps, groups=3), taps.transpose(2, 3), groups=3)[0]


def noise(image: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise."""
    return image + sigma * torch.randn(image.shape, generator=generator, dtype=image.dtype)


def jpeg(image: Tensor, quality: float, generator: torch.Generator) -> Tensor:
    """JPEG, 4:2:0."""
    return (through_jpeg(2 * image[None] - 1, int(quality))[0] + 1) / 2


def contrast(image: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Contrast about the mean."""
    mean = image.mean(dim=(1, 2), keepdim=True)
    return mean + share * (image - mean)


DEGRADATIONS: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "blur": (blur, (0.8, 1.6, 3.2, 6.4)),
    "noise": (noise, (0.03, 0.06, 0.12, 0.24)),
    "jpeg": (jpeg, (40, 20, 10, 4)),
    "contrast": (contrast, (0.7, 0.5, 0.33, 0.2)),
}
"""Each with its strengths from mild to severe: pixels at the set's side, code values in 0..1, quality, share."""

LEVELS = 1 + len(DEGRADATIONS["blur"][1])


def ruled_distribution(level: int) -> Tensor:
    """Distribution of the ratings (10,) after ``level`` steps of a degradation, 0 for none: a sampled normal curve.

    Examples
    --------
    >>> from vdp_distill.losses.nima import mean_and_spread
    >>> float(mean_and_spread(ruled_distribution(2)[None])[0].round(decimals=1))
    5.0
    """
    ratings = torch.arange(1, BUCKETS + 1, dtype=torch.get_default_dtype())
    shares = torch.exp(-0.5 * ((ratings - (BEST - STEP * level)) / SPREAD).square())
    return shares / shares.sum()


class RatedSet(Dataset):
    """Photographs at every step of every degradation; the sound photograph stands once for each.

    Parameters
    ----------
    photographs
        Images (3, H, W) in 0..1.
    side
        Each is scaled to a square of so many pixels before it is degraded.
    seed
        Of the noise.

    Attributes
    ----------
    groups
        Number of the photograph that each sample was made of, (len,).
    levels
        Step of each sample, 0 for none, (len,).
    """

    def __init__(self, photographs: Sequence[Tensor], side: int = 256, seed: int = 0):
        if not photographs:
            raise ValueError("a rated set needs at least one photograph, got none")
        # Eight bits a value: a set of some hundred photographs stays small in memory.
        self.photographs = [(as_square(image, side) * 255).round().byte() for image in photographs]
        self.side, self.seed, self.broken = side, seed, []
        self.groups = [index // (LEVELS * len(DEGRADATIONS)) for index in range(len(self))]
        self.levels = [index % LEVELS for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.photographs) * len(DEGRADATIONS) * LEVELS

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Picture (3, side, side) in 0..1, and its ruled distribution (10,)."""
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} samples, got {index}")
        photograph, rest = divmod(index, LEVELS * len(DEGRADATIONS))
        kind, level = divmod(rest, LEVELS)
        image = self.photographs[photograph].to(torch.get_default_dtype()) / 255
        if level:
            degrade, strengths = list(DEGRADATIONS.values())[kind]
            generator = torch.Generator().manual_seed(1_000_003 * self.seed + index)
            image = degrade(image, strengths[level - 1], generator).clamp(0, 1)
        return image, ruled_distribution(level)
