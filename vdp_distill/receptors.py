"""Photoreceptor spectral sensitivity: light channels to the responses of L, M and S cones and rods.

Source: Mantiuk et al. 2011, section 4.2. The stage is linear: one matrix, the integral of each receptor's spectral
sensitivity times each channel's emission. The matrices of release 2.2's displays are in
:data:`vdp_distill.parameters.EMISSION_MATRICES`; :func:`spectral_matrix` integrates a user's own spectra.
"""

import numpy as np
from torch import Tensor

from vdp_distill.parameters import EMISSION_MATRICES

__all__ = ["RECEPTORS", "display_matrix", "spectral_matrix", "photoreceptors"]

RECEPTORS = ("L", "M", "S", "rod")
"""Columns of every matrix and channels of the stage's output."""

CONE_PEAKS = (0.63778, 0.39223, 0.01300)
"""Peaks of the L, M and S sensitivities, which the tables normalise to 1: L + M comes closest to V(lambda) (least
squares over 380 to 780 nm), and S has under D65 the share that the metric's own D65 row gives it."""


def display_matrix(display: str | None, channels: int) -> np.ndarray:
    """Matrix (channels, 4) of a named display.

    Parameters
    ----------
    display
        ``"crt"``, ``"ccfl-lcd"``, ``"led-lcd"``, ``"D65"`` (any case), or None for the metric's default: D65 for one
        channel, ccfl-lcd for three.
    channels
        Light channels, 1 or 3. One channel on a three-channel display sees the sum of its rows.

    Raises
    ------
    ValueError
        For an unknown display, or one that cannot show that many channels.

    Examples
    --------
    >>> display_matrix(None, 1).shape
    (1, 4)
    """
    if display is None:
        display = "D65" if channels == 1 else "ccfl-lcd"
    names = {name.lower(): name for name in EMISSION_MATRICES}
    if str(display).lower() not in names:
        raise ValueError(f"rgb_display must be one of {', '.join(EMISSION_MATRICES)}, got {display!r}")
    matrix = np.array(EMISSION_MATRICES[names[display.lower()]])
    if channels == len(matrix):
        return matrix
    if channels == 1:
        return matrix.sum(axis=0, keepdims=True)
    raise ValueError(
        f"rgb_display={display!r} emits {len(matrix)} channel(s), the light has {channels}; for other channels pass "
        'encoding="generic" with emission=(wavelengths_nm, spectra)'
    )


def spectral_matrix(wavelengths_nm: np.ndarray, emission: np.ndarray) -> np.ndarray:
    """Integrate a display's own emission spectra with the receptors' sensitivities.

    Cones are those of Smith and Pokorny (1975), rods the CIE 1951 scotopic V'; both come from the package
    colour-science (extra ``spectra``). The four displays of the metric carry release 2.2's own integrals instead.

    Parameters
    ----------
    wavelengths_nm
        (K,) increasing wavelengths in nm.
    emission
        (C, K) emission of each channel, any scale: each channel is scaled to 1 cd/m2 of its own luminance times its
        share of white, that is, by one common factor so that all channels together have a luminance of 1.

    Returns
    -------
    ndarray
        (C, 4), columns L, M, S, rod.

    Raises
    ------
    ValueError
        If the shapes do not agree, wavelengths do not increase, or a spectrum is negative or holds no visible light.
    """
    wavelengths_nm, emission = np.asarray(wavelengths_nm, float), np.atleast_2d(np.asarray(emission, float))
    if wavelengths_nm.ndim != 1 or emission.shape[1:] != wavelengths_nm.shape:
        raise ValueError(
            f"emission must be (channels, {wavelengths_nm.size}) to match wavelengths_nm, got {emission.shape}"
        )
    if not (np.diff(wavelengths_nm) > 0).all() or not (np.isfinite(emission).all() and (emission >= 0).all()):
        raise ValueError("wavelengths_nm must increase and emission must be finite and not negative")
    sensitivity, luminous = _receptor_sensitivities(wavelengths_nm)
    luminance = np.trapezoid(emission * luminous, wavelengths_nm, axis=1).sum()
    if luminance <= 0:
        raise ValueError("emission holds no visible light: its integral with V(lambda) is 0")
    return np.trapezoid(emission[:, None] * sensitivity, wavelengths_nm, axis=2) / luminance


def _receptor_sensitivities(wavelengths_nm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L, M, S, rod sensitivities (4, K) and the photopic V (K,) at the wavelengths; 0 outside their tables."""
    try:
        import colour
    except ImportError as error:
        raise ImportError("emission spectra need colour-science: pip install 'vdp-distill[spectra]'") from error
    cones = colour.MSDS_CMFS["Smith & Pokorny 1975 Normal Trichromats"]
    rods = colour.SDS_LEFS["CIE 1951 Scotopic Standard Observer"]
    photopic = colour.SDS_LEFS["CIE 1924 Photopic Standard Observer"]
    curves = [(cones.wavelengths, peak * column) for peak, column in zip(CONE_PEAKS, cones.values.T, strict=True)]
    curves.append((rods.wavelengths, rods.values))
    sampled = [np.interp(wavelengths_nm, *curve, left=0, right=0) for curve in curves]
    luminous = np.interp(wavelengths_nm, photopic.wavelengths, photopic.values, left=0, right=0)
    return np.stack(sampled), luminous


def photoreceptors(light_cdm2: Tensor, matrix: Tensor) -> Tensor:
    """Responses of the photoreceptors.

    Parameters
    ----------
    light_cdm2
        Retinal light, (N, C, H, W).
    matrix
        (C, K): one column a receptor.

    Returns
    -------
    Tensor
        (N, K, H, W).

    Examples
    --------
    >>> light = torch.full((1, 1, 2, 2), 10.0)
    >>> photoreceptors(light, torch.tensor([[0.6, 0.3]]))[0, :, 0, 0]
    tensor([6., 3.])
    """
    mixed = matrix.mT @ light_cdm2.flatten(2)
    return mixed.unflatten(2, light_cdm2.shape[2:])
