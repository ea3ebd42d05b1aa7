"""Checks of what a user passes in: each says what was expected, what came and what to do.

Checks of kind, shape and device always run. Checks that read values are left out while a program is exported or
compiled, where there are no values to read.
"""

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "SMALLEST_SIDE",
    "as_device",
    "as_images",
    "check_pair",
    "check_channels",
    "check_codes",
    "check_light",
    "check_positive",
]

SMALLEST_SIDE = 17
"""Under 17 pixels the steerable pyramid has no oriented band; the original returns numbers there, we refuse."""


def as_images(image, name: str) -> tuple[Tensor, bool]:
    """An image as a float tensor (N, C, H, W), and whether it came as a NumPy array.

    Parameters
    ----------
    image
        Tensor (N, C, H, W), or array (H, W) or (H, W, C).

    Raises
    ------
    TypeError
        For anything else, and for integers: their range is not known.
    ValueError
        For another number of dimensions, or an empty batch.
    """
    if not isinstance(image, Tensor | np.ndarray):
        raise TypeError(
            f"{name} must be a torch tensor (N, C, H, W) or a NumPy array (H, W[, C]), got {type(image).__name__}"
        )
    floating = image.is_floating_point() if isinstance(image, Tensor) else np.issubdtype(image.dtype, np.floating)
    if not floating:
        raise TypeError(f"{name} must be floating point, got {image.dtype}; for 8-bit code values divide by 255 first")
    if isinstance(image, Tensor):
        if image.ndim != 4:
            raise ValueError(f"{name} must be (N, C, H, W), got {tuple(image.shape)}; add the batch axis with [None]")
        if image.shape[0] == 0:
            raise ValueError(f"{name} is an empty batch {tuple(image.shape)}; pass at least one image")
        return (image if image.dtype in (torch.float32, torch.float64) else image.float()), False
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"{name} as a NumPy array must be (H, W) or (H, W, C) and not empty, got {image.shape}")
    single = image.dtype.itemsize < 8  # in whatever order its bytes are
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.array(planes, dtype=np.float32 if single else np.float64))[None], True


def as_device(device: str | torch.device) -> torch.device:
    """A device that is there.

    Raises
    ------
    ValueError
        For one that torch does not know or find.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be cpu or cuda, or one by its number as cuda:1, got {device!r}") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"torch finds no device {device!s} here; leave device out to compute on the processor")
    return found


def check_pair(test: Tensor, reference: Tensor, smallest_side: int = SMALLEST_SIDE) -> None:
    """Refuse a pair that differs in shape, dtype or device, or is too small."""
    if test.shape != reference.shape:
        raise ValueError(
            f"test and reference must have the same shape, got {tuple(test.shape)} and {tuple(reference.shape)}"
        )
    if test.device != reference.device:
        raise ValueError(
            f"test and reference must be on one device, got {test.device} and {reference.device}; move one with .to()"
        )
    if test.dtype != reference.dtype:
        raise ValueError(
            f"test and reference must have one dtype, got {test.dtype} and {reference.dtype}; convert one with .to()"
        )
    if min(test.shape[-2:]) < smallest_side:
        hint = "; channels come before rows: image.permute(0, 3, 1, 2)" if test.shape[-1] <= 4 else ""
        raise ValueError(
            f"images must be at least {smallest_side} x {smallest_side} pixels, got {tuple(test.shape[-2:])}{hint}"
        )


def check_channels(image: Tensor, allowed: tuple[int, ...], encoding: str) -> None:
    """Refuse a number of channels that an encoding does not have."""
    if image.shape[1] in allowed:
        return
    hint = "drop the alpha channel" if image.shape[1] == 4 else "grey images take 'luma-display' or 'luminance'"
    if allowed == (1,):
        hint = "colour images take 'sRGB-display', 'rgb-bt.709' or 'XYZ'"
    expected = " or ".join(map(str, allowed))
    raise ValueError(f"{encoding!r} takes {expected} channel(s), got {image.shape[1]} in {tuple(image.shape)}; {hint}")


def _reading_values() -> bool:
    return not (torch.compiler.is_compiling() or torch.compiler.is_exporting())


def _range(image: Tensor, name: str) -> tuple[float, float]:
    low, high = (float(bound) for bound in torch.aminmax(image.detach()))
    if not np.isfinite(low) or not np.isfinite(high):
        bad = int((~torch.isfinite(image)).sum())
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values of {image.numel()}")
    return low, high


def check_codes(image: Tensor, name: str) -> None:
    """Refuse code values outside 0..1."""
    if not _reading_values():
        return
    low, high = _range(image, name)
    if low >= 0 and high <= 1:
        return
    hint = "divide 8-bit values by 255" if high > 2 else "clamp it, or for training use VDPLoss(out_of_range='extend')"
    raise ValueError(f"{name}: code values must lie in 0..1, got {low:.6g} to {high:.6g}; {hint}")


def check_light(image: Tensor, name: str, encoding: str, may_be_negative: bool = False) -> None:
    """Refuse light that is negative or not finite, and what looks like code values."""
    if not _reading_values():
        return
    low, high = _range(image, name)
    if low < 0 and not may_be_negative:
        hint = "code values in 0..1 take encoding='sRGB-display'" if high <= 1 else "clamp it at 0"
        raise ValueError(f"{name}: luminance must be positive cd/m2, got min {low:.6g}; {hint}")
    if high <= 1 and _looks_like_codes(image.detach(), low, high):
        raise ValueError(
            f"{name}: {encoding!r} takes light in cd/m2, got {low:.6g} to {high:.6g} that look like code values; "
            "pass encoding='sRGB-display', or for a scene that is really that dark check_values=False"
        )


def _looks_like_codes(image: Tensor, low: float, high: float) -> bool:
    """Multiples of 1/255, or values that fill 0..1 as a picture's do and a dark scene's (mostly near 0) do not."""
    eight_bit = image * 255
    if high > low and bool(((eight_bit - eight_bit.round()).abs() < 1e-3).all()):
        return True
    return high > 0.9 and low < 0.1 and float(image.mean()) > 0.25


def check_positive(value: Tensor, name: str, hint: str) -> None:
    """Refuse a setting that is not positive and finite."""
    if _reading_values() and not bool((torch.isfinite(value) & (value > 0)).all()):
        raise ValueError(f"{name} must be positive, got {value.flatten().tolist()}; {hint}")
