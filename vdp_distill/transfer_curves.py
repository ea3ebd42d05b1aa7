"""Display curves: code values in 0..1 to relative or absolute light.

Sources: sRGB, IEC 61966-2-1; PQ, SMPTE ST 2084; HLG with its system gamma, ITU-R BT.2100-2, table 5. The HDR-VDP-2
release uses the same sRGB curve and a gamma of 2.2.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from vdp_distill.power import power

__all__ = ["srgb", "pq_cdm2", "hlg_scene", "tail_slopes", "is_inside", "emitted"]

PQ_PEAK_CDM2 = 10_000.0


def srgb(code: Tensor) -> Tensor:
    """sRGB curve; 0 to 0, 1 to 1."""
    bright = power((code.clamp(min=0.04045) + 0.055) / 1.055, 2.4)
    return torch.where(code <= 0.04045, code / 12.92, bright)


def pq_cdm2(code: Tensor) -> Tensor:
    """PQ curve: absolute light in cd/m2, up to 10,000."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = code.clamp(min=1e-6) ** (1 / m2)
    ratio = ((root - c1).clamp(min=1e-12)) / (c2 - c3 * root)
    return torch.where(root > c1, PQ_PEAK_CDM2 * ratio ** (1 / m1), torch.zeros_like(code))


def hlg_scene(code: Tensor) -> Tensor:
    """Inverse of the HLG curve: scene light, 0 to 1."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * math.log(4 * a)
    bright = (torch.exp((code.clamp(min=0.5) - c) / a) + b) / 12
    return torch.where(code <= 0.5, code**2 / 3, bright)


def _relative(code: Tensor, curve: str) -> Tensor:
    """The curve inside 0..1, relative to white for power curves and sRGB, else in its own unit."""
    named = {"sRGB": srgb, "PQ": pq_cdm2, "HLG": hlg_scene}
    return named[curve](code) if curve in named else power(code, float(curve))


@lru_cache(maxsize=256)
def tail_slopes(curve: str) -> tuple[float, float]:
    """Slopes of the straight tails: at 0 that of the chord over the first 64th, at 1 that of the curve.

    A power curve, PQ and HLG are flat at 0; the chord keeps a gradient that points back.
    """
    if curve == "linear":
        return 1.0, 1.0
    ends = torch.tensor([0.0, 1 / 64, 1 - 1e-6, 1.0], dtype=torch.float64)
    zero, first, almost, one = _relative(ends, curve).tolist()
    return 64 * (first - zero), 1e6 * (one - almost)


def is_inside(code: Tensor, curve: str) -> bool:
    """Whether the tails have nothing to add, to values or to gradients: to know costs little beside them.

    On the processor alone: a GPU would have to be waited for. Curves in cd/m2 stop at a peak before their end; a power
    curve is flat at 0, where the tail is not.
    """
    reads = code.device.type == "cpu" and not torch.compiler.is_compiling()
    if not reads or curve in ("PQ", "HLG", "linear"):
        return False
    low, high = code.detach().aminmax()
    return bool((low >= 0 if curve == "sRGB" else low > 0) & (high <= 1))


def _with_tails(code: Tensor, curve: str, tails: tuple[float, float]) -> Tensor:
    """The curve, and straight lines from its ends on: at an end the gradient is the line's."""
    below, above = torch.where(code <= 0, code, 0), torch.where(code >= 1, code - 1, 0)
    inside = torch.where((code > 0) & (code < 1), code, code.detach().clamp(0, 1))
    return _relative(inside, curve) + tails[0] * below + tails[1] * above


def _hlg_display(scene: Tensor, peak_cdm2: float, black_cdm2: float) -> Tensor:
    """System gamma of HLG: the light of a display of a given peak."""
    gamma = 1.2 + 0.42 * math.log10(peak_cdm2 / 1000)
    weights = (0.2627, 0.6780, 0.0593)
    luminance = (scene * scene.new_tensor(weights).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return (peak_cdm2 - black_cdm2) * luminance.clamp(min=1e-6) ** (gamma - 1) * scene + black_cdm2


def emitted(code: Tensor, curve: str, peak_cdm2: float, black_cdm2: float, tails: tuple[float, float] | None) -> Tensor:
    """Light that a display emits, without reflections.

    Parameters
    ----------
    code
        (N, C, H, W) code values; cd/m2 for the linear curve.
    curve
        ``sRGB``, ``PQ``, ``HLG``, ``linear``, or the exponent of a power curve as text.
    tails
        :func:`tail_slopes` to continue the curve outside 0..1; None if the caller has checked the range.

    Returns
    -------
    Tensor
        (N, C, H, W) in cd/m2. PQ and linear light stop at the peak, as a display does.
    """
    if curve == "linear":
        return _stop_at(code, peak_cdm2, tails is not None) + black_cdm2
    value = _relative(code, curve) if tails is None else _with_tails(code, curve, tails)
    if curve == "PQ":
        return _stop_at(value, peak_cdm2, tails is not None) + black_cdm2
    if curve == "HLG":
        return _hlg_display(value, peak_cdm2, black_cdm2)
    return (peak_cdm2 - black_cdm2) * value + black_cdm2


def _stop_at(light: Tensor, peak_cdm2: float, extend: bool) -> Tensor:
    """Clip to the display's peak; with ``extend`` the gradient passes, so that light above the peak can come back."""
    if not extend:
        return light.clamp(max=peak_cdm2)
    return torch.where(light < peak_cdm2, light, peak_cdm2 + (light - light.detach()))
