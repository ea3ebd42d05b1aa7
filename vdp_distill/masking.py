"""Contrast masking: the difference of two images in each band, against what hides it.

Source: Mantiuk et al. 2011, section 5.2. Excitation is a power of the difference; it is divided by the threshold of the
band (neural contrast sensitivity) and by masking from the band itself, the other orientations and the neighbour bands.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.power import power
from vdp_distill.resize import resize
from vdp_distill.tiles import gradients_of, in_tiles

__all__ = ["masked_difference", "masking_weights", "mutual_contrast", "neighbours"]

Weights = tuple[float | Tensor, float | Tensor, float | Tensor]


def masking_weights(parameters: Parameters = DEFAULT_PARAMETERS) -> Weights:
    """How much the band itself, its neighbours and its other orientations count, in this order.

    Examples
    --------
    >>> [round(weight, 2) for weight in masking_weights()]
    [1.55, 33.51, 2.81]
    """
    own, neighbour, others = (
        parameters.log10_mask_self,
        parameters.log10_mask_neighbour_band,
        parameters.log10_mask_cross_orientation,
    )
    return 10**own, 10**neighbour, 10**others


def mutual_contrast(difference: Tensor, reference: Tensor) -> Tensor:
    """Contrast that both images share: 3 x 3 mean of the smaller magnitude, zeros outside.

    Parameters
    ----------
    difference, reference
        A band of test minus reference, and of the reference, (N, O, h, w).
    """
    function = plain_mutual_contrast if torch.compiler.is_compiling() else _MutualContrast.apply
    return in_tiles(function, difference, reference, halo=1)


def plain_mutual_contrast(difference: Tensor, reference: Tensor) -> Tensor:
    """:func:`mutual_contrast` of a whole band, whose derivative automatic differentiation finds."""
    return _box_mean(torch.minimum((reference + difference).abs(), reference.abs()))


def _box_mean(image: Tensor) -> Tensor:
    """3 x 3 mean, zeros outside; its own adjoint."""
    padded = functional.pad(image, (1, 1, 1, 1))
    columns = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    return (columns[..., :-2, :] + columns[..., 1:-1, :] + columns[..., 2:, :]) / 9


class _MutualContrast(torch.autograd.Function):
    """The same with its derivative written out: the mean's adjoint, to the smaller magnitude."""

    @staticmethod
    def forward(ctx, difference: Tensor, reference: Tensor) -> Tensor:
        ctx.save_for_backward(difference, reference)
        return plain_mutual_contrast(difference, reference)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        saved = difference, reference = ctx.saved_tensors
        if torch.is_grad_enabled():
            return tuple(gradients_of(plain_mutual_contrast, saved, ctx.needs_input_grad, (gradient,)))
        flow, test = _box_mean(gradient), reference + difference
        is_tests = (reference.abs() - test.abs()).sign_().add_(1).div_(2)  # a half each where both are equal
        at_test = test.sign().mul_(is_tests).mul_(flow)
        if not ctx.needs_input_grad[1]:
            return at_test, None
        return at_test, (1 - is_tests).mul_(reference.sign()).mul_(flow).add_(at_test)


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
    weights: Weights | None = None,
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
    weights
        Of the maskers, numbers or tensors to be learnt; without them :func:`masking_weights`.

    Returns
    -------
    Tensor
        (N, O, h, w).
    """
    weights = weights or masking_weights(parameters)
    is_learning = torch.is_grad_enabled() and any(isinstance(w, Tensor) and w.requires_grad for w in weights)
    if maskers and not is_learning and not torch.compiler.is_compiling():
        sensitivity = torch.as_tensor(sensitivity, dtype=difference.dtype, device=difference.device)
        return _MaskedDifference.apply(difference, sensitivity, *maskers, band, parameters, weights)
    fixed = {"band": band, "parameters": parameters, "weights": weights}
    return plain_masked_difference(difference, sensitivity, *maskers, **fixed)


def plain_masked_difference(
    difference: Tensor,
    sensitivity: Tensor | float,
    *maskers: Tensor,
    band: int,
    parameters: Parameters,
    weights: Weights | None = None,
) -> Tensor:
    """:func:`masked_difference` as its formula reads: what is traced, and what the fast form is tested against."""
    gain = 2.0**band
    excitation = gain * difference.sign() * power((difference / gain).abs(), parameters.mask_p)
    if not maskers:
        return excitation * power(sensitivity, parameters.mask_p)
    weighted = _maskers(*maskers, weights or masking_weights(parameters))
    signal = sum(weight * power(base, parameters.mask_q) for weight, base in weighted)
    masking = gain * power(sensitivity / gain, parameters.mask_q) * signal
    return excitation / (power(sensitivity, -2 * parameters.mask_p) + masking**2).sqrt()


def _maskers(mutual: Tensor, finer: Tensor, coarser: Tensor, weights: Weights) -> list[tuple[float | Tensor, Tensor]]:
    """What masks a band, each with its weight: itself, its neighbours, and its other orientations if it has any."""
    own, neighbour, others = weights
    maskers = [(own, mutual), (neighbour, 2 * finer.clamp(min=0) + coarser.clamp(min=0) / 2)]
    if mutual.shape[1] > 1:
        maskers.append((others, (mutual.sum(dim=1, keepdim=True) - mutual).clamp(min=0)))
    return maskers


class _MaskedDifference(torch.autograd.Function):
    """The formula with its derivative written out: of every power, x^(p - 1) is found, and x^p is x times that."""

    @staticmethod
    def forward(ctx, difference, sensitivity, mutual, finer, coarser, band, parameters, weights) -> Tensor:
        p, q = parameters.mask_p, parameters.mask_q
        octaves = sensitivity.log2()
        threshold, scale = (-2 * p * octaves).exp2_(), (q * (octaves - band)).add_(band).exp2_()
        masking, slopes = None, []
        for weight, base in _maskers(mutual, finer, coarser, weights):
            slopes.append(base.log2().mul_(q - 1).exp2_().mul_(weight))
            masking = slopes[-1] * base if masking is None else masking.addcmul_(slopes[-1], base)
        masking.mul_(scale)
        shrink = torch.addcmul(threshold, masking, masking).rsqrt_()
        slope = difference.abs().log2_().sub_(band).mul_(p - 1).exp2_().mul_(shrink)
        if any(ctx.needs_input_grad):
            inputs = difference, sensitivity, mutual, finer, coarser
            ctx.save_for_backward(*inputs, scale, threshold, masking, shrink, slope, *slopes)
            ctx.fixed = {"band": band, "parameters": parameters, "weights": weights}
        return slope * difference

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved, needed = ctx.saved_tensors, ctx.needs_input_grad[:5]  # read once: a checkpoint unpacks them once
        inputs = saved[:5]
        if torch.is_grad_enabled():
            plain = partial(plain_masked_difference, **ctx.fixed)
            return *gradients_of(plain, inputs, needed, (gradient,)), None, None, None
        difference, sensitivity, *maskers = inputs
        scale, threshold, masking, shrink, slope, *slopes = saved[5:]
        p, q = ctx.fixed["parameters"].mask_p, ctx.fixed["parameters"].mask_q
        flow = gradient * slope
        at_difference, at_sensitivity = p * flow, None
        flow.mul_(difference).mul_(shrink).mul_(shrink)
        if needed[1]:
            share = (p * threshold).addcmul(masking, masking, value=-q).mul_(flow)
            at_sensitivity = share.sum_to_size(sensitivity.shape).div_(sensitivity)
        flow.mul_(masking).mul_(-q * scale)
        at_maskers = _masking_gradients(flow, maskers, slopes)
        at_maskers = [g if is_needed else None for g, is_needed in zip(at_maskers, needed[2:], strict=True)]
        return at_difference, at_sensitivity, *at_maskers, None, None, None


def _masking_gradients(flow: Tensor, maskers: list[Tensor], slopes: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient at mutual contrast and both neighbours, from q times that at the masking signal."""
    _, finer, coarser = maskers
    own, neighbour, *others = (slope * flow.sum_to_size(slope.shape) for slope in slopes)
    if others:
        own = own.sub_(others[0]).add_(others[0].sum(dim=1, keepdim=True))
    at_finer = (2 * neighbour).mul_(finer > 0).sum_to_size(finer.shape)
    at_coarser = neighbour.div_(2).mul_(coarser > 0).sum_to_size(coarser.shape)
    return own, at_finer, at_coarser
