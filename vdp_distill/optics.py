"""Light scatter in the eye: the first stage, from display light to retinal light.

Source: Mantiuk et al. 2011, section 4.1 (equation 1); the four weights are release 2.2's refit. The image lies on a
canvas twice its size, filled with the surround. The filter is linear and passes a constant unchanged, so the surround
is taken off first and put back after: the canvas then holds zeros, which need no transform.
"""

from torch import Tensor

from vdp_distill.fourier import filter_on_canvas
from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters

__all__ = ["eye_mtf", "light_scatter", "light_scatter_pair"]

LEAST_EXPONENT = -87.0
"""exp of less is under float32's normal numbers, where it takes eight times as long, and adds nothing to the sum."""


def eye_mtf(frequency_cpd: Tensor, parameters: Parameters = DEFAULT_PARAMETERS) -> Tensor:
    """Modulation transfer function of the eye's optics; 1 at frequency 0.

    Parameters
    ----------
    frequency_cpd
        Spatial frequency in cycles/degree, any shape.

    Examples
    --------
    >>> float(eye_mtf(torch.zeros((), dtype=torch.float64)))
    1.0
    """
    terms = zip(parameters.mtf_weight, parameters.mtf_decay_deg, strict=True)
    return sum(weight * (-decay * frequency_cpd).clamp(min=LEAST_EXPONENT).exp() for weight, decay in terms)


def light_scatter(
    light_cdm2: Tensor, surround_cdm2: Tensor, transfer: Tensor, parameters: Parameters = DEFAULT_PARAMETERS
) -> Tensor:
    """Light on the retina after scatter in the eye.

    Parameters
    ----------
    light_cdm2
        Light of the display or scene, (N, C, H, W) in cd/m2.
    surround_cdm2
        Light around the image, broadcast against (N, C, 1, 1), in cd/m2.
    transfer
        :func:`eye_mtf` of the canvas frequencies, broadcast against (N, 1, 2H, W + 1).

    Returns
    -------
    Tensor
        (N, C, H, W) in cd/m2, within the parameters' light range.
    """
    scattered = filter_on_canvas(light_cdm2 - surround_cdm2, transfer)
    return scattered.add_(surround_cdm2).clamp_(*parameters.light_range_cdm2)


def light_scatter_pair(
    test_cdm2: Tensor,
    reference_cdm2: Tensor,
    surround_cdm2: Tensor,
    transfer: Tensor,
    parameters: Parameters = DEFAULT_PARAMETERS,
) -> tuple[Tensor, Tensor]:
    """:func:`light_scatter` of test and reference images, filtered as the reference and the difference from it.

    A transform in float32 leaves noise everywhere in proportion to the brightest light: next to the sun, as much as the
    dark parts themselves. The reference's noise is common to both images; that of the small difference is small.

    Parameters
    ----------
    test_cdm2, reference_cdm2
        (N, C, H, W) in cd/m2.
    surround_cdm2, transfer
        As for :func:`light_scatter`.
    """
    difference = filter_on_canvas(test_cdm2 - reference_cdm2, transfer)
    reference = filter_on_canvas(reference_cdm2 - surround_cdm2, transfer).add_(surround_cdm2)
    test = difference.add_(reference).clamp_(*parameters.light_range_cdm2)
    return test, reference.clamp_(*parameters.light_range_cdm2)
