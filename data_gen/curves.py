"""Light to code values: the way back through a display, and the 16-bit codes that a shard holds."""

import math

import numpy as np
import torch

from vdp_distill import transfer_curves
from vdp_distill.display import BT2020_TO_BT709, Display
from vdp_distill.packing import pack_light

__all__ = ["encode", "decode_srgb", "to_stored"]

HLG_WEIGHTS = np.array([0.2627, 0.6780, 0.0593])
BT709_TO_BT2020 = np.linalg.inv(np.array(BT2020_TO_BT709))


def srgb_code(light: np.ndarray) -> np.ndarray:
    """Code values of relative light in 0..1 (IEC 61966-2-1)."""
    return np.where(light <= 0.04045 / 12.92, light * 12.92, 1.055 * np.maximum(light, 1e-12) ** (1 / 2.4) - 0.055)


def pq_code(light_cdm2: np.ndarray) -> np.ndarray:
    """Code values of absolute light (SMPTE ST 2084)."""
    power = (np.clip(light_cdm2, 0, 10_000) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 4096 * 128)


def hlg_code(light_cdm2: np.ndarray, peak_cdm2: float) -> np.ndarray:
    """Code values of a display's light (ITU-R BT.2100-2): the system gamma taken back, then the curve."""
    relative = np.clip(light_cdm2 / peak_cdm2, 0, None)
    gamma = 1.2 + 0.42 * math.log10(peak_cdm2 / 1000)
    luminance = np.maximum(relative @ HLG_WEIGHTS, 1e-6**gamma)[..., None]
    scene = np.clip(relative * luminance ** ((1 - gamma) / gamma), 0, 1)
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * math.log(4 * a)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-6)) + c)


def decode_srgb(code: np.ndarray) -> np.ndarray:
    """Relative light of code values in 0..1."""
    return transfer_curves.srgb(torch.from_numpy(np.ascontiguousarray(code))).numpy()


def encode(light_cdm2: np.ndarray, display: Display) -> np.ndarray:
    """Code values that make a display show light, as far as it can.

    Parameters
    ----------
    light_cdm2
        (H, W, 3), BT.709 primaries.
    display
        A linear display has no curve: distortions then work on PQ codes of its light.

    Returns
    -------
    ndarray
        float32 (H, W, 3) in 0..1.
    """
    emitted = np.maximum(light_cdm2 - display.black_cdm2 - display.reflection_cdm2, 0)
    if display.primaries == "bt2020":
        emitted = np.maximum(emitted @ BT709_TO_BT2020.T, 0)
    span = display.max_luminance - display.black_cdm2
    curve = display.curve
    if curve in ("PQ", "linear"):
        code = pq_code(np.minimum(emitted, display.max_luminance))
    elif curve == "HLG":
        code = hlg_code(np.minimum(emitted, span) * display.max_luminance / span, display.max_luminance)
    elif curve == "sRGB":
        code = srgb_code(np.minimum(emitted / span, 1))
    else:
        code = np.minimum(emitted / span, 1) ** (1 / float(curve))
    return np.clip(code, 0, 1).astype(np.float32)


def to_stored(code: np.ndarray, display: Display) -> np.ndarray:
    """Code values (H, W, 3) as a shard holds them: uint16 (3, H, W)."""
    planes = np.ascontiguousarray(np.clip(code, 0, 1).transpose(2, 0, 1), np.float32)
    if display.curve == "linear":
        return pack_light(transfer_curves.pq_cdm2(torch.from_numpy(planes)).numpy())
    return np.rint(planes * 65535).astype(np.uint16)
