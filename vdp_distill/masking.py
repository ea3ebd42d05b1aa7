"""Contrast masking: the difference of two images in each band, against what hides it.

Source: Mantiuk et al. 2011, section 5.2. Excitation is a power of the difference; it is divided by the threshold of the
band (neural contrast sensitivity) and by masking from the band itself, the other orientations and the neighbour bands.
"""

import torch
from torch import Tensor
from torch.nn import functional

from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.resize import resize

__all__ = ["mutual_contrast", "neighbour_masking", "masked_difference", "unmasked_difference"]


def mutual_contrast(test: Tensor, reference: Tensor) -> Tensor:
    """Contrast that both images share: 3 x 3 mean of the smaller magnitude, zeros outside.

    Parameters
    ----------
    test, reference
        A band of each image, (N, O, h, w).
    """
    shared = torch.minimum(test.abs(), reference.abs())
    return functional.avg_pool2d(shared, 3, stride=1, padding=1)


def neighbour_masking(mutual: list[Tensor], band: int) -> Tensor | None:
    """Masking signal from the next finer and the next coarser band, at the size of a band.

    Parameters
    ----------
    mutual
        :func:`mutual_contrast` of every band, high-pass to base band.
    band
        Which band is masked, counted from 0.

    Returns
    -------
    Tensor or None
        (N, O, h, w).
    """
    gain, base = 2.0**band, len(mutual) - 1
    orientations, height, width = mutual[band].shape[1:]
    signal = 0.0
    if band > 0:
        signal = signal + _lent(mutual[band - 1], orientations, height, width) / (gain / 2)
    if band + 1 < base:
        signal = signal + _lent(mutual[band + 1], orientations, height, width) / (2 * gain)
    return signal


def _lent(mutual: Tensor, orientations: int, height: int, width: int) -> Tensor:
    lender = mutual[:, :orientations]
    return resize(lender, height, width).clamp(min=0).expand(-1, orientations, -1, -1)


def masked_difference(
    test: Tensor,
    reference: Tensor,
    mutual: Tensor,
    neighbour: Tensor,
    sensitivity: Tensor,
    band: int,
    parameters: Parameters = DEFAULT_PARAMETERS,
) -> Tensor:
    """Difference of one band in units of its masked threshold, D.

    Parameters
    ----------
    test, reference, mutual, neighbour
        (N, O, h, w).
    sensitivity
        Neural contrast sensitivity, (N, 1, h, w); 1 in the base band.
    band
        Band number; the gain of a band is 2^band.

    Returns
    -------
    Tensor
        (N, O, h, w).
    """
    gain, q = 2.0**band, parameters.mask_q
    others = (mutual.sum(dim=1, keepdim=True) - mutual).clamp(min=0)
    masking = 10**parameters.log10_mask_self * (mutual * sensitivity / gain) ** q
    masking = masking + 10**parameters.log10_mask_cross_orientation * (others * sensitivity / gain) ** q
    masking = masking + 10**parameters.log10_mask_neighbour_band * (neighbour * sensitivity) ** q
    threshold = sensitivity ** (-2 * parameters.mask_p)
    return _excitation(test - reference, gain, parameters) / (threshold + (gain * masking) ** 2).sqrt()


def unmasked_difference(
    test: Tensor, reference: Tensor, sensitivity: Tensor, band: int, parameters: Parameters = DEFAULT_PARAMETERS
) -> Tensor:
    """Difference of one band in units of its own threshold, with masking switched off."""
    excitation = _excitation(test - reference, 2.0**band, parameters)
    return excitation * sensitivity**parameters.mask_p


def _excitation(difference: Tensor, gain: float, parameters: Parameters) -> Tensor:
    return gain * difference.sign() * (difference / gain).abs() ** parameters.mask_p
