"""Neural contrast sensitivity: how much contrast each band needs, and the base band's filter.

Source: Mantiuk et al. 2011, section 5.1 and table 1; the numbers are release 2.2's refit.
"""

import numpy as np
import torch
from torch import Tensor

from vdp_distill.fourier import filter_on_canvas
from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.tiles import look_up

__all__ = ["csf_shape", "neural_csf", "csf_tables", "band_sensitivity", "baseband"]


def csf_shape(log10_luminance: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Shape parameters p1 to p4 at a luminance: linear in log luminance between the rows, constant outside.

    Returns
    -------
    Tensor
        (4, ...) for an input of shape (...).
    """
    rows = np.log10(parameters.csf_luminance_cdm2)
    values = np.array([parameters.csf_p1, parameters.csf_p2, parameters.csf_p3, parameters.csf_p4])
    shape = values[:, :1].reshape((4,) + (1,) * log10_luminance.ndim)
    result = log10_luminance.new_tensor(shape).expand(4, *log10_luminance.shape)
    for row in range(len(rows) - 1):
        share = ((log10_luminance - rows[row]) / (rows[row + 1] - rows[row])).clamp(0, 1)
        step = log10_luminance.new_tensor(values[:, row + 1] - values[:, row])
        result = result + step.view(shape.shape) * share
    return result


def neural_csf(frequency_cpd: Tensor, shape: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Neural contrast sensitivity; 0 at frequency 0.

    Parameters
    ----------
    frequency_cpd
        Spatial frequency in cycles/degree.
    shape
        (4, ...) from :func:`csf_shape`, each row broadcast against the frequency.

    Examples
    --------
    >>> shape = csf_shape(torch.tensor(2.0, dtype=torch.float64))
    >>> float(neural_csf(torch.tensor(0.0, dtype=torch.float64), shape))
    0.0
    """
    p1, p2, p3, p4 = shape
    zero = frequency_cpd == 0
    frequency = torch.where(zero, torch.ones_like(frequency_cpd), frequency_cpd)
    low_cut = -torch.expm1(-((frequency / parameters.csf_low_cut_cpd) ** 2))
    sensitivity = p4 * ((1 + (p1 * frequency) ** p2) / low_cut**p3) ** -0.5
    return torch.where(zero, torch.zeros_like(sensitivity), sensitivity)


def csf_tables(frequency_cpd: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Sensitivity of every band at each node of log10 luminance.

    Parameters
    ----------
    frequency_cpd
        (N, bands) frequency of the bands for each image.

    Returns
    -------
    Tensor
        (bands, N, 1, 1, nodes).
    """
    low, high = parameters.lut_log10_range
    nodes = frequency_cpd.new_tensor(np.linspace(low, high, parameters.csf_nodes))
    return neural_csf(frequency_cpd.mT[..., None, None, None], csf_shape(nodes, parameters), parameters)


def band_sensitivity(log10_luminance: Tensor, tables: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Sensitivity at every pixel of a band, linear between the nodes of its table.

    Parameters
    ----------
    log10_luminance
        Adapting luminance at the band's size, (N, 1, h, w), log10 cd/m2.
    tables
        A band's :func:`csf_tables`, (N, 1, 1, nodes), or (1, 1, 1, nodes) for all images.

    Returns
    -------
    Tensor
        (N, 1, h, w).
    """
    low, high = parameters.lut_log10_range
    count, nodes = tables.shape[0], tables.shape[3]
    position = (log10_luminance.clamp(low, high) - low) * ((nodes - 1) / (high - low))
    node = position.detach().floor().clamp(0, nodes - 2)
    image = torch.arange(count, device=tables.device).view(-1, 1, 1, 1)
    index = node.long() + image * nodes
    steps = tables.diff(dim=3, append=tables[..., -1:])
    return look_up(tables, index) + (position - node) * look_up(steps, index)


def baseband(
    band: Tensor,
    padding: Tensor,
    mean_luminance_cdm2: Tensor,
    frequency_cpd: Tensor,
    unit_frequency: Tensor,
    parameters: Parameters = DEFAULT_PARAMETERS,
) -> Tensor:
    """Base band after the contrast sensitivity filter, on a canvas of twice its size.

    Parameters
    ----------
    band
        Last low-pass band, (N, 1, h, w).
    padding
        Value around it, (N, 1, 1, 1): the mean of the reference's base band, for both images.
    mean_luminance_cdm2
        Mean adapting luminance of each image, (N,).
    frequency_cpd
        Frequency of the base band, (N,) or (1,).
    unit_frequency
        (2h, w + 1) in cycles/pixel.

    Notes
    -----
    The filter is 0 at frequency 0, so a constant is lost: the padding is taken off and not put back.
    """
    pixels_per_degree = parameters.base_band_ppd_factor * frequency_cpd.view(-1, 1, 1, 1)
    mean_luminance_cdm2 = mean_luminance_cdm2.clamp(min=parameters.light_range_cdm2[0])  # black, without optics, is 0
    shape = csf_shape(mean_luminance_cdm2.log10().view(-1, 1, 1, 1), parameters)
    transfer = neural_csf(pixels_per_degree * unit_frequency, shape, parameters)
    return filter_on_canvas(band - padding, transfer)
