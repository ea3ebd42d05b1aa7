"""How numbers lie in a shard: 16 bits a value, with a scale for each sample, and back.

Images are 16-bit codes. Stages and maps are float32, or float16 after a shift and a scale of their own sample, so that
neither a night scene nor a quasar of contrast leaves float16's range. Light spans decades: its logarithm is stored.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Packing", "PACKINGS", "LIGHT_DECADES", "pack_light", "unpack_light", "pack", "unpack"]

LIGHT_DECADES = (-5.0, 5.0)
"""log10 cd/m2 of the 16-bit codes 0 and 65535 of linear light: steps of 0.035 %, a ninth of the least threshold."""

LEAST_LIGHT = 1e-8
"""cd/m2 under which a stage's light is stored as this."""


class Packing(NamedTuple):
    """How the values of a field are stored: the logarithm or not, and whether each sample has a shift and scale."""

    log10: bool = False
    scaled: bool = True


PACKINGS = {
    "light_scatter": Packing(log10=True),
    "photoreceptors": Packing(log10=True),
    "adapting_luminance": Packing(log10=True),
    "luminance_masking": Packing(),
    "achromatic": Packing(),
    "pyramid": Packing(),
    "baseband": Packing(),
    "masked_difference": Packing(),
    "contrast_map": Packing(),
    "C_map": Packing(),
    "P_map": Packing(scaled=False),
    "gradient": Packing(),
}
"""Packing of each stage and map in float16; float32 stores every value as it is."""


def pack_light(light_cdm2: np.ndarray) -> np.ndarray:
    """Linear light in cd/m2 as uint16 codes of its logarithm."""
    low, high = LIGHT_DECADES
    decades = np.log10(np.clip(light_cdm2, 10.0**low, 10.0**high))
    return np.rint((decades - low) / (high - low) * 65535).astype(np.uint16)


def unpack_light(codes: Tensor) -> Tensor:
    """Light in cd/m2 of :func:`pack_light`'s codes, given in 0..1; computed in float64, returned in their dtype."""
    low, high = LIGHT_DECADES
    return (10.0 ** (codes.double() * (high - low) + low)).to(codes.dtype)


def pack(values: np.ndarray, packing: Packing, dtype: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of some samples as they are stored, and each sample's (shift, scale).

    Parameters
    ----------
    values
        float32 (N, ...).
    packing
        From :data:`PACKINGS`.
    dtype
        ``"float16"`` or ``"float32"``.

    Returns
    -------
    stored : ndarray
        Of ``dtype``.
    scaling : ndarray or None
        float32 (N, 2): value = stored * scale + shift, then 10 to its power for ``log10``. None where nothing was
        scaled.
    """
    if dtype == "float32":
        return np.ascontiguousarray(values, np.float32), None
    stored = np.empty(values.shape, np.float16)
    scaling = np.empty((len(values), 2), np.float32)
    # One sample at a time: faster in the cache, and no sample's last bit hangs on how many there are.
    samples = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    desk = torch.empty_like(samples[0])
    for row, (sample, half) in enumerate(zip(samples, torch.from_numpy(stored), strict=True)):
        scaling[row] = _pack_sample(sample, packing, desk, half)
    return stored, scaling if packing.scaled else None


def _pack_sample(sample: Tensor, packing: Packing, desk: Tensor, half: Tensor) -> tuple[float, float]:
    """Pack one sample into ``half`` over ``desk``, float32 memory for what lies between; its shift and scale."""
    if packing.log10:
        sample = torch.clamp(sample, min=LEAST_LIGHT, out=desk).log10_()
    if not packing.scaled:
        half.copy_(sample)
        return 0.0, 1.0
    low, high = (float(bound) for bound in torch.aminmax(sample))
    # Signed responses keep their zero exactly; only logarithms, which have no zero to keep, are centred.
    shift = float(np.float32((low + high) / 2)) if packing.log10 else 0.0
    scale = float(np.float32(max(high - shift, shift - low))) or 1.0
    half.copy_(torch.sub(sample, shift, out=desk).div_(scale))
    return shift, scale


def unpack(stored: Tensor, scaling: Tensor | None, log10: bool, out: Tensor | None = None) -> Tensor:
    """Values of one sample, float32: the inverse of :func:`pack`, to float16's rounding.

    Parameters
    ----------
    stored, scaling
        Of one sample, as :func:`pack` gives them.
    log10
        Whether its logarithm was stored.
    out
        Memory for the values.

    Examples
    --------
    >>> stored, scaling = pack(np.array([[1.0, 1000.0]], np.float32), Packing(log10=True), "float16")
    >>> unpack(torch.from_numpy(stored[0]), torch.from_numpy(scaling[0]), True).round()
    tensor([   1., 1000.])
    """
    values = stored.float() if out is None else out.copy_(stored)
    if scaling is None:
        return values
    values = values.mul_(scaling[1]).add_(scaling[0])
    # exp takes a third of the time of a power of 10, and its own rounding lies far under float16's.
    return values.mul_(math.log(10)).exp_() if log10 else values
