"""Contrast masking: the difference of two images in each band, against what hides it.

Source: Mantiuk et al. 2011, section 5.2. Excitation is a power of the difference; it is divided by the threshold of the
band (neural contrast sensitivity) and by masking from the band itself, the other orientations and the neighbour bands.
"""

import torch
from torch import Tensor
from torch.nn import functional

from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.power import power
from vdp_distill.resize import resize
from vdp_distill.tiles import in_tiles

__all__ = ["mutual_contrast", "neighbours", "masked_difference"]


def mutual_contrast(difference: Tensor, reference: Tensor) -> Tensor:
    """Contrast that both images share: 3 x 3 mean of the smaller magnitude, zeros outside.

    Parameters
    ----------
    difference, reference
        A band of test minus reference, and of the reference, (N, O, h, w).
    """
    return in_tiles(_mutual_contrast, difference, reference, halo=1)


def _mutual_contrast(difference: Tensor, reference: Tensor) -> Tensor:
    test = reference + difference
    shared = functional.pad(torch.minimum(test.abs(), reference.abs()), (1, 1, 1, 1))
    columns = shared[..., :-2] + shared[..., 1:-1] + shared[..., 2:]
    return (columns[..., :-2, :] + columns[..., 1:-1, :] + columns[..., 2:, :]) / 9


def neighbours(mutual: list[Tensor], band: int) -> tuple[Tensor, Tensor]:
    """Mutual contrast of the next finer and the next coarser band, at the size of a band.

    Parameters
    ----------
    mutual
        :func:`mutual_contrast` of every band, high-pass to base band.
    band
        Which band is masked, counted from 0.

    Returns
    -------
    tuple of Tensor
        (N, 1 or O, h, w) each; a single 0 where there is no such band. The base band masks nothing.
    """
    nothing = mutual[band].new_zeros(1, 1, 1, 1)
    orientations, height, width = mutual[band].shape[1:]
    finer = mutual[band - 1][:, :orientations] if band > 0 else None
    coarser = mutual[band + 1][:, :orientations] if band + 2 < len(mutual) else None
    return tuple(nothing if lender is None else resize(lender, height, width) for lender in (finer, coarser))


def masked_difference(
    difference: Tensor,
    sensitivity: Tensor | float,
    maskers: tuple[Tensor, ...],
    band: int,
    parameters: Parameters = DEFAULT_PARAMETERS,
) -> Tensor:
    """Difference of one band in units of its masked threshold, D.

    Parameters
    ----------
    difference
        A band of test minus reference, (N, O, h, w).
    sensitivity
        Neural contrast sensitivity, (N, 1, h, w); 1 in the base band.
    maskers
        The band's :func:`mutual_contrast` and its two :func:`neighbours`; none to switch masking off.
    band
        Band number; the gain of a band is 2^band.

    Returns
    -------
    Tensor
        (N, O, h, w).
    """
    gain = 2.0**band
    excitation = gain * difference.sign() * power((difference / gain).abs(), parameters.mask_p)
    if not maskers:
        return excitation * power(sensitivity, parameters.mask_p)
    masking = gain * power(sensitivity / gain, parameters.mask_q) * _masking_signal(*maskers, parameters)
    return excitation / (power(sensitivity, -2 * parameters.mask_p) + masking**2).sqrt()


def _masking_signal(mutual: Tensor, finer: Tensor, coarser: Tensor, parameters: Parameters) -> Tensor:
    """Sum of masking from the band itself, its other orientations and its neighbours, before the band's sensitivity."""
    q = parameters.mask_q
    neighbour = 2 * finer.clamp(min=0) + coarser.clamp(min=0) / 2
    signal = 10**parameters.log10_mask_self * power(mutual, q)
    signal = signal + 10**parameters.log10_mask_neighbour_band * power(neighbour, q)
    if mutual.shape[1] == 1:
        return signal
    others = (mutual.sum(dim=1, keepdim=True) - mutual).clamp(min=0)
    return signal + 10**parameters.log10_mask_cross_orientation * power(others, q)
