"""Gaussian windows and the statistics of structural similarity under them.

The windows are cut at the image's border and divided by what is left of them, so that no pixel is made up and an image
may be smaller than its window.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["gaussian", "similarity", "window_mean"]

K1, K2 = 0.01, 0.03
"""Wang et al. 2004, Image quality assessment: from error visibility to structural similarity, section III-B."""


def gaussian(sigma: float, radius: int) -> np.ndarray:
    """Window of ``2 radius + 1`` values that sum to 1.

    Examples
    --------
    >>> gaussian(1.5, 5).shape
    (11,)
    """
    offsets = np.arange(-radius, radius + 1)
    values = np.exp(-(offsets**2) / (2 * sigma**2))
    return values / values.sum()


def window_mean(images: Tensor, sigma: float, radius: int) -> Tensor:
    """Local mean under a Gaussian window, (N, C, H, W) as the images.

    Examples
    --------
    >>> flat = torch.full((1, 1, 4, 4), 0.5)
    >>> torch.allclose(window_mean(flat, 1.5, 5), flat)
    True
    """
    count, channels, height, width = images.shape
    planes = images.reshape(count * channels, 1, height, width)
    values = torch.from_numpy(gaussian(sigma, radius)).to(images)
    for axis, length in ((2, height), (3, width)):
        reach = min(radius, length - 1)
        shape, padding = [1, 1, 1, 1], [0, 0]
        shape[axis], padding[axis - 2] = 2 * reach + 1, reach
        window = values[radius - reach : radius + reach + 1].reshape(shape)
        inside = images.new_ones([1, 1, height if axis == 2 else 1, width if axis == 3 else 1])
        planes = F.conv2d(planes, window, padding=padding) / F.conv2d(inside, window, padding=padding)
    return planes.reshape(images.shape)


def similarity(test: Tensor, reference: Tensor, sigma: float, radius: int) -> tuple[Tensor, Tensor]:
    """Similarity of luminance, and of contrast and structure, (N, C, H, W) each: Wang et al. 2004, equations 6 and 13.

    Images have a peak of 1.
    """
    means = [window_mean(image, sigma, radius) for image in (test, reference)]
    squares = [
        window_mean(image * image, sigma, radius) - mean * mean
        for image, mean in zip((test, reference), means, strict=True)
    ]
    product = window_mean(test * reference, sigma, radius) - means[0] * means[1]
    luminance = (2 * means[0] * means[1] + K1**2) / (means[0] ** 2 + means[1] ** 2 + K1**2)
    structure = (2 * product + K2**2) / (squares[0] + squares[1] + K2**2)
    return luminance, structure
