"""The two denoisers: an auto-encoder for digits and a residual network for photographs, small on purpose."""

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["AutoEncoder", "ResidualDenoiser"]


class AutoEncoder(nn.Module):
    """Digits of 28 x 28 to 7 x 7 features and back, by strided convolutions and bilinear interpolation.

    The publication gives no layers; these are as few as reach clean digits within a minute of training.

    Parameters
    ----------
    width
        Channels of the first layer.
    ground
        Where the last layer's sigmoid starts: at 0 a medium grey, from which MSE drives very dark images to black for
        good.
    """

    def __init__(self, width: int = 16, ground: float = 0.0):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(1, width, 3, 2, 1), nn.Conv2d(width, 2 * width, 3, 2, 1)])
        self.up = nn.ModuleList([nn.Conv2d(2 * width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)])
        self.last = nn.Conv2d(width, 1, 3, 1, 1)
        nn.init.constant_(self.last.bias, ground)

    def forward(self, noisy: Tensor) -> Tensor:
        """(N, 1, 28, 28) -> (N, 1, 28, 28), in 0..1."""
        features = noisy
        for layer in self.down:
            features = layer(features).relu()
        for layer in self.up:
            features = layer(F.interpolate(features, scale_factor=2, mode="bilinear")).relu()
        return self.last(features).sigmoid()


class ResidualDenoiser(nn.Module):
    """What DnCNN does, narrower and without normalisation: 3 x 3 convolutions that predict the noise.

    Source of the structure: Zhang et al. 2017, "Beyond a Gaussian denoiser".
    """

    def __init__(self, width: int = 24, layers: int = 5):
        super().__init__()
        widths = [3, *[width] * (layers - 1), 3]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in zip(widths, widths[1:], strict=False))
        # The first guess is the noisy image itself.
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, noisy: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, H, W)."""
        features = noisy
        for layer in self.layers[:-1]:
            features = layer(features).relu()
        return noisy - self.layers[-1](features)
