"""Detection: psychometric function, pooling, probability maps, and the quality correlate.

Source: Mantiuk et al. 2011, section 5.3; the quality correlate is that of release 2.2.1, which replaced the paper's
section 6.2.
"""

import math
from functools import reduce

import torch
from torch import Tensor

from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.tiles import in_tiles

__all__ = [
    "psychometric",
    "pool_contrast",
    "probability",
    "log_contrast",
    "changed_light",
    "row_energy",
    "band_energy",
    "quality_weights",
    "quality",
]


def psychometric(difference: Tensor, band: int, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Slope of the psychometric function, applied to a band's masked difference D; gives B, same shape."""
    gain = 2.0**band
    exponent = parameters.psychometric_slope / parameters.mask_p
    if abs(exponent - 1) < torch.finfo(difference.dtype).eps:
        return difference
    is_zero = difference == 0  # where the power's second derivative is infinite
    magnitude = (difference / gain).abs().masked_fill(is_zero, 1)
    return gain * difference.sign() * magnitude**exponent


def pool_contrast(contrast: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Spatial pooling: scale a map so that its peak is the sum over the image.

    Parameters
    ----------
    contrast
        S, the magnitude of the reconstructed masked difference, (N, 1, H, W).

    Returns
    -------
    Tensor
        C_map, (N, 1, H, W); 1 is the threshold.
    """
    total = contrast.sum(dim=(1, 2, 3), keepdim=True)
    peak = contrast.amax(dim=(1, 2, 3), keepdim=True)
    return contrast * (total / (peak + parameters.pooling_epsilon))


def probability(contrast: Tensor) -> Tensor:
    """Probability of detection of a contrast in threshold units: 1 - 0.5^C.

    Examples
    --------
    >>> float(probability(torch.tensor(1.0)))
    0.5
    """
    return -torch.expm1(-math.log(2) * contrast)


def log_contrast(contrast: Tensor) -> Tensor:
    """log(1 + sum S), (N,): what a network is trained with, for P_det saturates and this does not."""
    return contrast.sum(dim=(1, 2, 3)).log1p()


def changed_light(test_cdm2: Tensor, reference_cdm2: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """1 where any light channel differs by more than a thousandth, (N, 1, H, W); nothing flows back through it."""

    def changed(test, reference):
        channels = zip(test.split(1, dim=1), reference.split(1, dim=1), strict=True)
        relative = ((own - other).abs_().div_(other) for own, other in channels)
        found = (part > parameters.quality_least_difference for part in relative)
        return reduce(torch.logical_or, found).to(reference.dtype)  # torch's own any() takes as long as all the rest

    with torch.no_grad():
        return in_tiles(changed, test_cdm2, reference_cdm2)


def quality_weights(frequency_cpd: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Weight of a band in the quality correlate: linear between the rows of its table, ends held."""
    rows, values = parameters.quality_frequency_cpd[::-1], parameters.quality_weight[::-1]
    frequency = frequency_cpd.clamp(rows[0], rows[-1])
    weight = torch.full_like(frequency, float(values[0]))
    for row in range(len(rows) - 1):
        share = ((frequency - rows[row]) / (rows[row + 1] - rows[row])).clamp(0, 1)
        weight = weight + share * (values[row + 1] - values[row])
    return weight


def row_energy(difference: Tensor, changed: Tensor) -> Tensor:
    """Root energy of the changed pixels of every row of a band, (N, O, h, 1)."""
    return torch.linalg.vector_norm(difference * changed, dim=3, keepdim=True)


def band_energy(rows: Tensor, pixels: int) -> Tensor:
    """Root energy of a band over its number of pixels, (N, O), from :func:`row_energy`."""
    return torch.linalg.vector_norm(rows, dim=(2, 3)) / pixels


def quality(energies: list[Tensor], weights: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Quality correlate Q of release 2.2.1: 100 for identical images, lower is worse, may be negative.

    Parameters
    ----------
    energies
        :func:`band_energy` of every band, each (N, O).
    weights
        :func:`quality_weights` of the band frequencies, (N, bands) or (1, bands).

    Returns
    -------
    Tensor
        (N,).
    """
    epsilon = parameters.quality_epsilon
    lost = 0.0
    for band, energy in enumerate(energies):
        lost = lost + weights[:, band] * ((energy + epsilon).log() - math.log(epsilon)).sum(dim=1)
    return 100 - lost
