"""Adapting luminance, luminance masking, and the achromatic response.

Source: Mantiuk et al. 2011, section 4.3: a photoreceptor's response is the integral of its sensitivity over log
luminance, so that one unit of response is one just noticeable difference. The sensitivities are release 2.2's refit.
"""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.tiles import gradients_of, look_up

__all__ = [
    "adapting_luminance",
    "joint_sensitivity",
    "rod_sensitivity",
    "cone_sensitivity",
    "response_tables",
    "luminance_masking",
    "achromatic",
]


def adapting_luminance(receptors: Tensor) -> Tensor:
    """Luminance that the eye adapts to, pixel by pixel: the sum of L and M responses.

    Parameters
    ----------
    receptors
        (N, K, H, W) with L and M first.

    Returns
    -------
    Tensor
        (N, 1, H, W) in cd/m2.
    """
    return receptors[:, 0:1] + receptors[:, 1:2]


def joint_sensitivity(luminance_cdm2: np.ndarray, parameters: Parameters = DEFAULT_PARAMETERS) -> np.ndarray:
    """Sensitivity of cones and rods together, s_A."""
    peak, knee, power, root = parameters.cone_sensitivity
    return peak * ((knee / luminance_cdm2) ** power + 1) ** -root


def rod_sensitivity(luminance_cdm2: np.ndarray, parameters: Parameters = DEFAULT_PARAMETERS) -> np.ndarray:
    """Sensitivity of rods, s_R: a skewed bell over log luminance."""
    distance = np.log10(luminance_cdm2 / parameters.rod_peak_luminance_cdm2)
    bright = np.abs(distance) ** parameters.rod_bright_power / parameters.rod_bright_width
    dark = np.abs(distance) ** parameters.rod_dark_power / parameters.rod_dark_width
    return 10**parameters.rod_log10_peak * np.exp(-np.where(distance > 0, bright, dark))


def cone_sensitivity(luminance_cdm2: np.ndarray, parameters: Parameters = DEFAULT_PARAMETERS) -> np.ndarray:
    """Sensitivity of one cone type, s_C: half of what rods leave at twice the luminance, from a table of nodes."""
    nodes = _lut_luminance(parameters)
    left_by_rods = joint_sensitivity(nodes, parameters) - rod_sensitivity(nodes, parameters)
    table = np.maximum(left_by_rods, parameters.least_cone_sensitivity)
    return 0.5 * np.interp(np.minimum(2 * luminance_cdm2, nodes[-1]), nodes, table)


def response_tables(peak_sensitivity: float = 2.4, parameters: Parameters = DEFAULT_PARAMETERS) -> np.ndarray:
    """Responses of cones and rods at the table's nodes.

    Parameters
    ----------
    peak_sensitivity
        log10 of the sensitivity that 1 JND stands for; higher sees more.

    Returns
    -------
    ndarray
        (2, nodes): cones, rods; float64, JND units.
    """
    luminance = _lut_luminance(parameters)
    log10_luminance = np.linspace(*parameters.lut_log10_range, parameters.lut_nodes)
    scale = parameters.jnd_scale * 10**peak_sensitivity
    curves = np.stack([cone_sensitivity(luminance, parameters), rod_sensitivity(luminance, parameters)])
    slices = (curves[:, 1:] + curves[:, :-1]) / 2 * np.diff(log10_luminance) * np.log(10)
    return scale * np.pad(np.cumsum(slices, axis=1), ((0, 0), (1, 0)))


def luminance_masking(
    receptors: Tensor, anchor_cdm2: Tensor, tables: Tensor, parameters: Parameters = DEFAULT_PARAMETERS
) -> tuple[Tensor, Tensor]:
    """Non-linear response of the photoreceptors, in JND units, as its difference from the response to an anchor.

    Linear between the nodes of a table over log10 luminance; constant outside the table. A float32 response of some
    hundred JND is rounded to 2e-5; measured from the node next to the image's own mean it is not, and later stages
    drop the mean anyway.

    Parameters
    ----------
    receptors
        L, M and rod responses, (M, 3, H, W) in cd/m2.
    anchor_cdm2
        Typical response, (M, 3, 1, 1) in cd/m2; the node next to it is the zero of the output.
    tables
        :func:`response_tables`, (2, nodes).

    Returns
    -------
    tuple of Tensor
        L, M and rod responses (M, 3, H, W), and the anchor's own response (M, 3, 1, 1): their sum is the response.

    Examples
    --------
    >>> tables = torch.from_numpy(response_tables())
    >>> light = torch.full((1, 3, 1, 1), 100.0, dtype=torch.float64)
    >>> response, anchor = luminance_masking(light, light / 2, tables)
    >>> bool((response + anchor)[0, 0].sub(104.5).abs() < 0.1)
    True
    """
    low, high = parameters.lut_log10_range
    nodes = tables.shape[1]
    per_decade = (nodes - 1) / (high - low)
    zero = ((anchor_cdm2.detach().clamp(10**low, 10**high).log10() - low) * per_decade).round().clamp(0, nodes - 2)
    curve = tables[[0, 0, 1]].expand(zero.shape[0], -1, -1)
    anchor = curve.gather(2, zero.flatten(2).long())
    response = (curve - anchor).to(receptors.dtype)
    inputs = receptors, zero, response, parameters
    relative = interpolated_response(*inputs) if torch.compiler.is_compiling() else _Response.apply(*inputs)
    return relative, anchor[..., None].to(receptors.dtype)


def interpolated_response(receptors: Tensor, zero: Tensor, response: Tensor, parameters: Parameters) -> Tensor:
    """Response between the nodes of a table, whose derivative automatic differentiation finds.

    Parameters
    ----------
    receptors
        (M, 3, H, W) in cd/m2.
    zero
        Node that is the zero of the output, (M, 3, 1, 1).
    response
        Response at the nodes, (M, 3, nodes).
    """
    value, _, _ = _interpolate(receptors, zero, response, parameters)
    return value


def _interpolate(receptors, zero, response, parameters) -> tuple[Tensor, Tensor, float]:
    """The response, its step from a node to the next, and the number of nodes a decade."""
    low, high = parameters.lut_log10_range
    nodes = response.shape[2]
    per_decade = (nodes - 1) / (high - low)
    unit = 10 ** (low + zero / per_decade)
    position = (receptors.clamp(10**low, 10**high) / unit).log10() * per_decade
    node = position.detach().floor().clamp(-zero, nodes - 2 - zero)
    row = torch.arange(3 * zero.shape[0], device=zero.device, dtype=torch.int32).view(-1, 3, 1, 1) * nodes
    index = (node + zero).int() + row
    step = look_up(response.diff(dim=2, append=response[..., -1:]), index)
    return look_up(response, index).addcmul(position - node, step), step, per_decade


class _Response(torch.autograd.Function):
    """The same with its derivative kept instead of what it is made from."""

    @staticmethod
    def forward(ctx, receptors: Tensor, zero: Tensor, response: Tensor, parameters: Parameters) -> Tensor:
        value, step, per_decade = _interpolate(receptors, zero, response, parameters)
        if ctx.needs_input_grad[0]:
            low, high = parameters.lut_log10_range
            is_outside = (receptors < 10**low).logical_or_(receptors > 10**high)
            slope = step.mul_(per_decade / math.log(10)).div_(receptors).masked_fill_(is_outside, 0)
            ctx.save_for_backward(receptors, zero, response, slope)
            ctx.parameters = parameters
        return value

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, slope = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return gradient * slope, None, None, None
        plain = partial(interpolated_response, parameters=ctx.parameters)
        return *gradients_of(plain, inputs, (True, False, False), (gradient,)), None


def achromatic(responses: Tensor) -> Tensor:
    """Achromatic response: cones and rods together, each without its image mean.

    Parameters
    ----------
    responses
        (N, 3, H, W) from :func:`luminance_masking`; a constant added to a channel changes nothing.

    Returns
    -------
    Tensor
        (N, 1, H, W) in JND units.
    """
    total = responses.sum(dim=1, keepdim=True)
    return total - total.mean(dim=(2, 3), keepdim=True)


def _lut_luminance(parameters: Parameters) -> np.ndarray:
    return 10 ** np.linspace(*parameters.lut_log10_range, parameters.lut_nodes)
