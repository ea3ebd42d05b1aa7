"""What a wave of every frequency is worth to the metric, and small filters fitted to that.

A band of the metric's pyramid answers a wave by the magnitude of its filter's transfer. Masking raises the answer to
the power of 3.5, and the filters of the way back weigh the result once more as it joins the map: together, the wave is
worth the band's magnitude times the 3.5th root of that of the way back. Filters with fewer taps, at fewer places, are
fitted to that by least squares. Sources: Simoncelli and Freeman 1995; Mantiuk et al. 2011, section 5.
"""

import numpy as np

from vdp_distill import sp3_filters
from vdp_distill.parameters import DEFAULT_PARAMETERS

__all__ = ["as_if_sharp", "fitted", "magnitude_on_picture", "magnitudes", "sharpening"]

NODES = 48
"""Frequencies along an axis at which filters are fitted."""

AXIS = (np.arange(NODES) + 0.5) / NODES - 0.5
"""Cycles a sample."""

RADIUS, ANGLE = np.hypot(AXIS, AXIS[:, None]), np.arctan2(AXIS[:, None], AXIS)

LEAST_RADIUS = 0.03
"""Cycles a sample: a deviation counts by 1 / (frequency + this), as photographs have contrast."""

LEAST_LEFT = 0.2
"""Share of a wave that a picture must keep for filters on it to make up for the rest."""

RIDGE = 0.02
"""What taps cost by themselves; deviations cost 1 a frequency."""


def transfer(taps: np.ndarray, spacing: float = 1.0, along: float = 1.0) -> np.ndarray:
    """Transfer of filters (..., k, k) about their middle, taps so many samples apart, at AXIS times ``along``."""
    place = (np.arange(taps.shape[-1]) - (taps.shape[-1] - 1) / 2) * spacing * along
    wave = np.exp(-2j * np.pi * AXIS[:, None] * place)
    return np.einsum("yr,...rc,xc->...yx", wave, taps, wave)


def magnitudes(orientations: int) -> list[np.ndarray]:
    """Worth of every wave to the high-pass residual, (1, F, F), and to two octaves, (orientations, F, F) each.

    Examples
    --------
    >>> [worth.shape for worth in magnitudes(4)]
    [(1, 48, 48), (4, 48, 48), (4, 48, 48)]
    """
    root = 1 / DEFAULT_PARAMETERS.mask_p
    high, low = (abs(transfer(taps)) for taps in (sp3_filters.HIGH_PASS, sp3_filters.LOW_PASS))
    left = low * abs(transfer(sp3_filters.LOW_PASS_DECIMATING))
    octaves = (_worth(octave, orientations, before) for octave, before in enumerate((low, left)))
    return [high[None] ** (1 + root), *octaves]


def magnitude_on_picture(octave: int, orientations: int, low_pass: np.ndarray, step: int) -> np.ndarray:
    """Worth of every wave of an octave, counted from 0, to filters on a picture of the image, (orientations, F, F).

    Parameters
    ----------
    low_pass
        Taps along an axis of what made the picture: what it took is put back, down to LEAST_LEFT of it.
    step
        Of its samples, in pixels.
    """
    own = transfer(np.outer(low_pass, low_pass) / low_pass.sum() ** 2, along=1 / step)
    before = abs(transfer(sp3_filters.LOW_PASS, along=1 / step))
    for decimated in range(octave):
        before = before * abs(transfer(sp3_filters.LOW_PASS_DECIMATING, spacing=2**decimated, along=1 / step))
    return _worth(octave, orientations, before, along=1 / step) / np.maximum(abs(own), LEAST_LEFT)


def _worth(octave: int, orientations: int, before: np.ndarray, along: float = 1.0) -> np.ndarray:
    """Of every wave to the bands of an octave, (orientations, F, F), of which earlier filters leave a share."""
    root = 1 / DEFAULT_PARAMETERS.mask_p
    axes = np.pi * np.arange(len(sp3_filters.ORIENTED)) / len(sp3_filters.ORIENTED)
    all_along = np.sqrt((np.cos(axes) ** 6).sum())  # all orientations of the metric over the one that a wave lies on
    bands = transfer(sp3_filters.ORIENTED, spacing=2**octave, along=along)
    radial = np.sqrt((abs(bands) ** 2).sum(axis=0)) / all_along
    # Masking takes the gain off, 2 an octave, and puts it on again; zeros between samples leave a quarter.
    gain = 2.0 ** (octave + 1)
    there, back = before * radial / gain, before / 4**octave * radial * gain
    oriented = [abs(np.cos(ANGLE - np.pi * k / orientations)) ** (3 * (1 + root)) for k in range(orientations)]
    return there * back**root * np.array(oriented)


def fitted(goal: np.ndarray, side: int, place: tuple[float, float], direction: float) -> np.ndarray:
    """Two filters that answer a wave about a place by a goal, (2, side, side): a quarter of a period apart.

    Parameters
    ----------
    goal
        Magnitude at every frequency, (F, F).
    side
        Of their window.
    place
        Of their middle, in samples from the window's.
    direction
        In radians; waves one way of it are ahead in the second filter, the others behind.
    """
    places = np.arange(side) - (side - 1) / 2
    rows, columns = (np.exp(-2j * np.pi * AXIS[:, None] * (places - middle)) for middle in place)
    ahead = -1j * np.sign(np.cos(ANGLE - direction))
    weight = 1 / np.sqrt(RADIUS + LEAST_RADIUS)
    return _solved(rows, columns, weight, np.stack([goal.astype(complex), ahead * goal]) * weight)


def as_if_sharp(low_pass: np.ndarray, step: int, side_low: int) -> tuple[np.ndarray, np.ndarray]:
    """The metric's filters of an octave, for a picture that another filter has made of the image.

    Parameters
    ----------
    low_pass
        Its taps along an axis; what it leaves out of the octave is put back.
    step
        Of its samples, in pixels: 2 for the second octave, and so on.
    side_low
        Of the second result.

    Returns
    -------
    tuple of numpy.ndarray
        Filters of the bands, (4, 9, 9), and of what is left to the next octave, (side_low, side_low).
    """
    own, metric = _left_of(low_pass, step)
    found = []
    for taps, side in ((sp3_filters.ORIENTED, 9), (sp3_filters.LOW_PASS_DECIMATING[None], side_low)):
        wave = np.exp(-2j * np.pi * AXIS[:, None] * (np.arange(side) - side // 2))
        found.append(_solved(wave, wave, own, transfer(taps) * metric))
    return found[0], found[1][0]


def sharpening(low_pass: np.ndarray, step: int, side: int) -> np.ndarray:
    """A filter, (side, side), that makes what another has made of the image what the metric's pyramid would have.

    ``low_pass`` and ``step`` are those of :func:`as_if_sharp`.
    """
    own, metric = _left_of(low_pass, step)
    wave = np.exp(-2j * np.pi * AXIS[:, None] * (np.arange(side) - side // 2))
    return _solved(wave, wave, own, metric[None].astype(complex))[0]


def _left_of(low_pass: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every wave, what taps leave, and what the metric's pyramid does before the octave, (F, F) each."""
    own = transfer(np.outer(low_pass, low_pass) / low_pass.sum() ** 2, along=1 / step).real
    metric = abs(transfer(sp3_filters.LOW_PASS, along=1 / step))
    for octave in range(int(np.log2(step))):
        metric = metric * (abs(transfer(sp3_filters.LOW_PASS_DECIMATING, along=2**octave / step)) / 2)
    return own, metric


def _solved(rows: np.ndarray, columns: np.ndarray, weight: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Real taps (G, k, k) whose weighted transfer is nearest to each goal (G, F, F)."""
    side = rows.shape[1]
    design = (np.einsum("yr,xc->yxrc", rows, columns) * weight[..., None, None]).reshape(-1, side**2)
    design = np.concatenate([design.real, design.imag])
    goals = goals.reshape(len(goals), -1).T
    values = np.concatenate([goals.real, goals.imag])
    normal = design.T @ design + RIDGE**2 * np.eye(side**2)  # the ridge keeps it well conditioned, and this is quick
    return np.linalg.solve(normal, design.T @ values).T.reshape(-1, side, side)
