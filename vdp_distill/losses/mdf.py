"""Multi-scale discriminative features (MDF): a restoration loss from discriminators trained on a single image.

Mustafa, Mikhailiuk, Iliescu, Babbar and Mantiuk, "Training a Task-Specific Image Reconstruction Loss" (WACV 2022), and
its supplementary material. Discriminators that were trained, one a scale, against generators which restore one image
(super-resolution, denoising, JPEG) are frozen; the loss is the squared difference of their features. They see the
mistakes of a restorer, not what is natural. How they are trained: :mod:`vdp_distill.losses.mdf_training`.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vdp_distill.losses.contract import ImageLoss, chosen

__all__ = ["TAPS", "MDFConfig", "ConvolutionBlock", "Discriminator", "Discriminators", "MDFLoss"]

TAPS = ("head", "body", "tail")
"""Where features are read off a discriminator: after its first block, after its last block, and its map of scores."""

PAPER_SCALES = 8
"""Discriminators that the paper's loss uses (supplementary, section 4.1: the more the better, up to 8)."""

NEGATIVE_SLOPE = 0.2
"""Of the leaky ReLU, as in SinGAN."""

INPUT_RANGES = {"signed": lambda image: 2 * image - 1, "unit": lambda image: image}
"""From code values in 0..1 to what the discriminators are given."""


@dataclass(frozen=True)
class MDFConfig:
    """Shape of a set of discriminators; the ``[network]`` of a recipe.

    Parameters
    ----------
    kind
        ``"mdf"``.
    channels
        Of the image.
    widths
        Of each discriminator, coarsest scale first. The defaults are those of the released arrays.
    convolutions
        3x3 convolutions in each; they reach over ``2 * convolutions + 1`` pixels.
    """

    kind: str = "mdf"
    channels: int = 3
    widths: tuple[int, ...] = (32, 32, 32, 32, 64, 64, 64, 64)
    convolutions: int = 5

    def __post_init__(self):
        if self.kind != "mdf":
            raise ValueError(f"[network]: kind must be 'mdf' for discriminators, got {self.kind!r}")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"[network]: widths must hold a positive width a scale, got {self.widths}")
        if self.channels < 1 or self.convolutions < 2:
            raise ValueError(
                "[network]: channels must be at least 1 and convolutions at least 2, got "
                f"{self.channels} and {self.convolutions}"
            )

    @property
    def reach(self) -> int:
        """Side of what one score sees, in pixels; no smaller image has a score."""
        return 2 * self.convolutions + 1


class ConvolutionBlock(nn.Sequential):
    """3x3 convolution without padding, batch normalisation, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int):
        norm, activation = nn.BatchNorm2d(outputs), nn.LeakyReLU(NEGATIVE_SLOPE)
        super().__init__(OrderedDict(conv=nn.Conv2d(inputs, outputs, 3), norm=norm, activation=activation))


class Discriminator(nn.Module):
    """A patch critic: from an image (N, C, H, W) to its taps, the last of which is the map of scores (N, 1, h, w)."""

    def __init__(self, channels: int, width: int, convolutions: int):
        super().__init__()
        self.head = ConvolutionBlock(channels, width)
        blocks = {f"block{number}": ConvolutionBlock(width, width) for number in range(1, convolutions - 1)}
        self.body = nn.Sequential(OrderedDict(blocks))
        self.tail = nn.Conv2d(width, 1, 3)

    def forward(self, image: Tensor) -> list[Tensor]:
        head = self.head(image)
        body = self.body(head)
        return [head, body, self.tail(body)]


class Discriminators(nn.ModuleDict):
    """The discriminators of all scales, ``s0`` the coarsest; each is given the same image.

    Examples
    --------
    >>> stack = Discriminators(MDFConfig(widths=(4, 8))).eval()
    >>> [tuple(tap.shape) for tap in stack(torch.zeros(1, 3, 16, 16))]
    [(1, 4, 14, 14), (1, 4, 8, 8), (1, 1, 6, 6), (1, 8, 14, 14), (1, 8, 8, 8), (1, 1, 6, 6)]
    """

    def __init__(self, config: MDFConfig):
        shape = (config.channels, config.convolutions)
        super().__init__({f"s{k}": Discriminator(shape[0], width, shape[1]) for k, width in enumerate(config.widths)})
        self.config = config

    def forward(self, image: Tensor) -> list[Tensor]:
        """All taps, scale by scale in the order of :data:`TAPS`; ``image`` is (N, C, H, W) in -1..1."""
        return [tap for discriminator in self.values() for tap in discriminator(image)]


class MDFLoss(ImageLoss):
    """Squared difference of discriminative features, summed over scales and taps; 0 for identical images.

    Every discriminator is given the images at full resolution; of each tap the mean over its values is taken.
    There is no pixel term.

    Parameters
    ----------
    model
        A released model (``"mdf-sr-v1"``, ``"mdf-denoise-v1"``, ``"mdf-jpeg-v1"``), the folder that ``vdp-distill
        train`` made, or an ``.npz`` of the authors' released arrays (github.com/gfxdisp/mdf, BSD-3),
        see :func:`vdp_distill.losses.mdf_weights.read_arrays`.
    scales
        How many discriminators, coarsest first; by default the paper's 8, or all if there are fewer.
    taps
        Which of :data:`TAPS`.
    input_range
        ``"signed"`` hands the discriminators -1..1, as they were trained; ``"unit"`` 0..1, as the authors' example
        does with theirs. The first layers of their super-resolution arrays keep the mean of the image that they were
        trained on: solved for it, blue is negative, which no image in 0..1 has.
    **checks
        ``reduction`` and how images are checked, see :class:`vdp_distill.losses.contract.ImageLoss`.

    Raises
    ------
    ValueError
        For an unknown model or tap, weights that are broken, more scales than there are, or images under 11 pixels.

    Examples
    --------
    >>> loss = MDFLoss("mdf-sr-v1")
    >>> reference = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    >>> float(loss(reference, reference))
    0.0
    >>> bool(loss(reference.flip(-1), reference) > 0)
    True
    """

    paper = (
        "Mustafa, Mikhailiuk, Iliescu, Babbar, Mantiuk, Training a Task-Specific Image Reconstruction Loss, WACV 2022"
    )
    data_range = (0.0, 1.0)
    channels = (3,)
    minimum_size = MDFConfig().reach
    is_differentiable = True
    higher_is_better = False

    def __init__(
        self,
        model: str | Path = "mdf-sr-v1",
        *,
        scales: int | None = None,
        taps: Sequence[str] = TAPS,
        input_range: str = "signed",
        **checks,
    ):
        super().__init__(**checks)
        from vdp_distill.losses.mdf_weights import load_discriminators

        self.taps = tuple(taps)
        if not self.taps or set(self.taps) - set(TAPS):
            raise ValueError(f"taps must be some of {', '.join(TAPS)}, got {', '.join(map(str, taps)) or 'none'}")
        self.model, self.input_range = str(model), chosen(input_range, INPUT_RANGES, "input_range")
        self.discriminators = _first(load_discriminators(model), scales).eval().requires_grad_(False)
        self.channels, self.minimum_size = (self.discriminators.config.channels,), self.discriminators.config.reach

    def features(self, image: Tensor) -> list[Tensor]:
        """The chosen taps of images (N, C, H, W) in 0..1, all scales."""
        taps = self.discriminators(INPUT_RANGES[self.input_range](image))
        return [tap for number, tap in enumerate(taps) if TAPS[number % len(TAPS)] in self.taps]

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        pairs = zip(self.features(test), self.features(reference), strict=True)
        return torch.stack([(ours - theirs).square().mean(dim=(1, 2, 3)) for ours, theirs in pairs]).sum(dim=0)

    def extra_repr(self) -> str:
        return f"model={self.model!r}, scales={len(self.discriminators)}, input_range={self.input_range!r}"


def _first(stack: Discriminators, scales: int | None) -> Discriminators:
    """The coarsest scales of a set."""
    available = len(stack)
    if scales is None:
        scales = min(PAPER_SCALES, available)
    if not isinstance(scales, int) or not 1 <= scales <= available:
        raise ValueError(f"scales must be 1 to {available}, for so many discriminators there are, got {scales!r}")
    for name in list(stack)[scales:]:
        del stack[name]
    return stack
