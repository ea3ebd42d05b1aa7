"""Features of a difference between two achromatic responses: filtered, masked by the reference, pooled by a norm."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ContrastFeature", "ScaleFeatures", "derivative_filters", "mean_norm"]

SMOOTH = np.array([1, 4, 6, 4, 1]) / 16
SLOPE = np.array([-1, -2, 0, 2, 1]) / 8
CURVE = np.array([1, 0, -2, 0, 1]) / 4
MASK_WINDOW = 5


def derivative_filters(count: int) -> np.ndarray:
    """Filters of unit norm and no mean, (count, 1, 5, 5): two slopes, two curvatures and their mixture."""
    pairs = [(SMOOTH, SLOPE), (SLOPE, SMOOTH), (SMOOTH, CURVE), (CURVE, SMOOTH), (SLOPE, SLOPE)]
    filters = np.stack([np.outer(rows, columns) for rows, columns in pairs[:count]])
    return (filters / np.linalg.norm(filters, axis=(1, 2), keepdims=True))[:, None]


def mean_norm(values: Tensor, exponent: Tensor) -> Tensor:
    """(mean of x^p)^(1/p) over the pixels of values from 0 up, (N, K, H, W) to (N, K).

    Scaled by the peak, which keeps the powers in range; exactly 0 for 0, with a finite gradient.

    Examples
    --------
    >>> round(float(mean_norm(torch.tensor([[[[3.0, 4.0]]]]), torch.tensor(2.0)) ** 2), 2)
    12.5
    """
    tiny = torch.finfo(values.dtype).tiny ** 0.25
    largest = values.detach().amax(dim=(2, 3), keepdim=True)
    peak = largest.clamp(min=tiny)
    exponent = exponent.reshape(-1, 1, 1) if exponent.ndim else exponent
    mean = ((values / peak + tiny).pow(exponent) - tiny**exponent).mean(dim=(2, 3), keepdim=True)
    root = (mean + tiny).pow(1 / exponent) - tiny ** (1 / exponent)
    return torch.where(largest > 0, peak * root, 0.0)[..., 0, 0]


class ScaleFeatures(nn.Module):
    """Filtered differences of one scale, divided by what the reference masks, pooled by learned norms.

    Parameters
    ----------
    filters
        How many; they begin as :func:`derivative_filters`.
    """

    def __init__(self, filters: int):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(derivative_filters(filters), dtype=torch.float32))
        self.log_masking = nn.Parameter(torch.zeros(filters, 1, 1))
        self.mask_exponent = nn.Parameter(torch.zeros(filters, 1, 1))
        self.log_norm = nn.Parameter(torch.full((filters,), 0.5))

    def forward(self, difference: Tensor, reference: Tensor) -> Tensor:
        """Features of a batch, (N, filters), from responses (N, 1, h, w)."""
        weight = self.weight - self.weight.mean(dim=(2, 3), keepdim=True)
        weight = weight / torch.linalg.vector_norm(weight, dim=(2, 3), keepdim=True)
        signal, masker = (self._filtered(image, weight) for image in (difference, reference))
        window = min(MASK_WINDOW, *(side - 1 + side % 2 for side in masker.shape[-2:]))
        masker = F.avg_pool2d(masker, window, 1, window // 2, count_include_pad=False)
        masking = (1 + self.log_masking.exp() * masker).pow(self.mask_exponent.sigmoid())
        return mean_norm(signal / masking, 1 + self.log_norm.exp())

    @staticmethod
    def _filtered(image: Tensor, weight: Tensor) -> Tensor:
        half = weight.shape[-1] // 2
        return F.conv2d(F.pad(image, (half,) * 4, mode="replicate"), weight).abs()


class ContrastFeature(nn.Module):
    """The exact contrast map pooled by a learned norm; at first HDR-VDP's own sum, over a field of so many pixels.

    Parameters
    ----------
    field_pixels
        Of the images whose sum it begins at.
    """

    def __init__(self, field_pixels: int):
        super().__init__()
        self.field_pixels = field_pixels
        self.log_norm = nn.Parameter(torch.tensor(0.0))

    def forward(self, contrast: Tensor) -> Tensor:
        """Feature of a batch, (N,), in units of the metric's threshold, from maps (N, 1, H, W)."""
        return self.field_pixels * mean_norm(contrast, self.log_norm.exp().clamp(min=0.5))[:, 0]
