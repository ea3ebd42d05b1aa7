"""Convolutional trunks that feature losses look through: VGG16 and AlexNet of torchvision, and our own.

Layers stand under torchvision's names, so its weights fit; the classifiers on top are left out.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vdp_distill.losses import released
from vdp_distill.losses.contract import WeightsFile
from vdp_distill.losses.weights import read_released
from vdp_distill.recipes import nearest
from vdp_distill.zoo import put_weights

__all__ = ["AlexNet", "InHouseTrunk", "Trunk", "VGG16", "load_trunk"]

IN_HOUSE = "trunk-v1"
SUBSTITUTE = f"trunk={IN_HOUSE!r}, a small network of our own that ships"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of R, G and B in 0..1, as torchvision's models were trained; LPIPS writes the same numbers for images in -1..1."""


class Trunk(nn.Module):
    """A stack of layers that is looked into at named places.

    Attributes
    ----------
    taps
        Index of the layer after which a named place is.
    default_taps
        Where a loss looks if it is not told.
    minimum_size
        Smallest side in pixels that reaches the last tap.
    weights
        The released file, or None.
    """

    taps: dict[str, int]
    default_taps: tuple[str, ...]
    minimum_size: int
    weights: WeightsFile | None = None
    features: nn.Sequential
    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def forward(self, images: Tensor, taps: Sequence[str] | None = None) -> list[Tensor]:
        """Features at some places.

        Parameters
        ----------
        images
            (N, 3, H, W) in 0..1.
        taps
            Names of places.

        Returns
        -------
        list of Tensor
            (N, C, h, w) each.
        """
        places = [self.taps[name] for name in taps or self.default_taps]
        scale = [torch.tensor(values).to(images)[:, None, None] for values in (self.mean, self.std)]
        signal, found = (images - scale[0]) / scale[1], {}
        for index, layer in enumerate(self.features[: max(places) + 1]):
            signal = layer(signal)
            found[index] = signal
        return [found[place] for place in places]


class VGG16(Trunk):
    """Simonyan and Zisserman 2015, configuration D, up to conv5_3; taps are after the ReLU.

    Examples
    --------
    >>> [tuple(features.shape) for features in VGG16()(torch.rand(1, 3, 32, 32), ["conv1_2", "conv4_3"])]
    [(1, 64, 32, 32), (1, 512, 4, 4)]
    """

    taps = {"conv1_2": 3, "conv2_2": 8, "conv3_3": 15, "conv4_3": 22, "conv5_3": 29}
    default_taps = ("conv4_3",)
    minimum_size = 16
    weights = WeightsFile(
        "vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth", "BSD-3-Clause", SUBSTITUTE
    )

    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])


class AlexNet(Trunk):
    """Krizhevsky 2014 as torchvision has it, up to conv5; taps are after the ReLU.

    Examples
    --------
    >>> AlexNet()(torch.rand(1, 3, 64, 64), ["conv5"])[0].shape
    torch.Size([1, 256, 3, 3])
    """

    taps = {"conv1": 1, "conv2": 4, "conv3": 7, "conv4": 9, "conv5": 11}
    default_taps = ("conv5",)
    minimum_size = 31
    weights = WeightsFile(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "BSD-3-Clause",
        SUBSTITUTE,
    )

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip


class InHouseTrunk(Trunk):
    """Our own: two 3 x 3 convolutions a stage, halved between stages, taught to name what was done to an image.

    Parameters
    ----------
    widths
        Channels of each stage.

    Examples
    --------
    >>> [tuple(features.shape) for features in InHouseTrunk((8, 16))(torch.rand(1, 3, 32, 32))]
    [(1, 8, 32, 32), (1, 16, 16, 16)]
    """

    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96)):
        super().__init__()
        layers, channels, self.taps = [], 3, {}
        for number, width in enumerate(widths, 1):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
            layers += [nn.ReLU(), nn.AvgPool2d(2)]
            self.taps[f"stage{number}"] = len(layers) - 2
            channels = width
        self.features = nn.Sequential(*layers[:-1])
        self.default_taps = tuple(self.taps)
        self.minimum_size = 2 ** (len(widths) - 1)


TORCHVISION = {"vgg16": VGG16, "alexnet": AlexNet}


def load_trunk(trunk: str | Path = IN_HOUSE, weights: str | Path | None = None) -> Trunk:
    """A trunk with its weights, frozen.

    Parameters
    ----------
    trunk
        ``"trunk-v1"``, ``"vgg16"``, ``"alexnet"``, or the folder of a trunk that ``vdp-distill train`` made.
    weights
        File with torchvision's weights, for the latter two; None takes them from where torch keeps them, or fetches
        them there.

    Raises
    ------
    MissingWeights
        If they are not here and cannot be fetched.
    ValueError
        For weights that are cut off or another network's.
    """
    if str(trunk) not in TORCHVISION:
        return _in_house(trunk, weights)
    network = TORCHVISION[str(trunk)]()
    tensors = read_released(network.weights, weights)
    kept = {name: value for name, value in tensors.items() if name in network.state_dict()}
    put_weights(network, kept, Path(weights) if weights else Path(network.weights.name))
    return network.eval().requires_grad_(False)


def _in_house(trunk: str | Path, weights: str | Path | None) -> Trunk:
    if weights is not None:
        raise ValueError(f"trunk={str(trunk)!r} takes no trunk_weights=, which is for {', '.join(TORCHVISION)}")
    if not Path(trunk).is_dir() and str(trunk) != IN_HOUSE:
        raise ValueError(f"there is no trunk {str(trunk)!r}; {nearest(str(trunk), [IN_HOUSE, *TORCHVISION])}")
    return released.load(trunk, "trunk", lambda table: InHouseTrunk(table["widths"]))
