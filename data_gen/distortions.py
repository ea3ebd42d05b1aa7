"""What happens to a test image. Each kind has one strength; 1 lies about the threshold of a typical picture.

A distortion takes code values, float32 (H, W, 3) in 0..1, a strength, a generator, and pixels per degree, and gives
code values. Values beyond 0..1 are clipped afterwards.
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from data_gen.chance import log_uniform

__all__ = ["DISTORTIONS", "distort"]


def distort(kind: str, code: np.ndarray, strength: float, generator: np.random.Generator, ppd: float) -> np.ndarray:
    """Apply one kind; float32 (H, W, 3) in 0..1."""
    return np.clip(DISTORTIONS[kind](code, strength, generator, ppd), 0, 1).astype(np.float32)


def _through_codec(code: np.ndarray, **options) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(code * 255).astype(np.uint8)).save(buffer, **options)
    return np.asarray(Image.open(buffer).convert("RGB"), np.float32) / 255


def _jpeg(code, strength, generator, ppd):
    percent = 40 * strength
    quality = 5000 / percent if percent > 100 else (200 - percent) / 2
    subsampling = int(generator.choice([0, 2]))
    return _through_codec(code, format="JPEG", quality=int(np.clip(round(quality), 1, 100)), subsampling=subsampling)


def _falling_quality(strength: float) -> int:
    """Quality of a codec without JPEG's tables: 96 at a tenth of the middle, 85 there, 43 at ten times it."""
    return int(np.clip(round(100 - 15 * strength**0.58), 1, 100))


def _webp(code, strength, generator, ppd):
    return _through_codec(code, format="WEBP", quality=_falling_quality(strength), method=1)


def _avif(code, strength, generator, ppd):
    return _through_codec(code, format="AVIF", quality=_falling_quality(strength), speed=10, max_threads=1)


def _gaussian_noise(code, strength, generator, ppd):
    return code + 0.012 * strength * generator.standard_normal(code.shape, np.float32)


def _poisson_noise(code, strength, generator, ppd):
    photons = 4000 / strength**2
    return generator.poisson(code * photons) / photons


def _salt_and_pepper(code, strength, generator, ppd):
    share = min(3e-4 * strength, 0.5)
    hit = generator.random(code.shape[:2]) < share
    colour = generator.integers(0, 2, code.shape[:2])
    return np.where(hit[..., None], colour[..., None], code)


def _blur(code, strength, generator, ppd):
    return ndimage.gaussian_filter(code, (0.5 * strength**0.7,) * 2 + (0,), mode="reflect", truncate=3)


def _motion_blur(code, strength, generator, ppd):
    length, angle = 1 + 1.5 * strength, generator.uniform(0, math.pi)
    steps = np.linspace(-0.5, 0.5, 4 * math.ceil(length) + 1) * length
    reach = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * reach + 1,) * 2)
    for step in steps:
        _splat(kernel, reach + step * math.sin(angle), reach + step * math.cos(angle))
    return ndimage.convolve(code, (kernel / kernel.sum())[..., None].astype(np.float32), mode="reflect")


def _splat(kernel: np.ndarray, row: float, column: float) -> None:
    """Add 1 at a place between pixels."""
    y, x = math.floor(row), math.floor(column)
    fy, fx = row - y, column - x
    kernel[y : y + 2, x : x + 2] += np.outer([1 - fy, fy], [1 - fx, fx])


def _ringing(code, strength, generator, ppd):
    padded = np.pad(code, [(16, 16), (16, 16), (0, 0)], mode="reflect")
    rows, columns = np.fft.fftfreq(padded.shape[0]), np.fft.rfftfreq(padded.shape[1])
    keep = np.hypot(rows[:, None], columns) < 0.25
    low = np.fft.irfft2(np.fft.rfft2(padded, axes=(0, 1)) * keep[..., None], padded.shape[:2], axes=(0, 1))
    return code + min(0.25 * strength, 1) * (low[16:-16, 16:-16] - code)


def _banding(code, strength, generator, ppd):
    steps = max(round(80 / strength), 2)
    return np.rint(code * steps) / steps


def _sign(generator) -> float:
    return 1.0 if generator.random() < 0.5 else -1.0


def _contrast(code, strength, generator, ppd):
    gain = math.exp(_sign(generator) * 0.06 * strength)
    mean = code.mean(axis=(0, 1), keepdims=True)
    return mean + (code - mean) * gain


def _brightness(code, strength, generator, ppd):
    return code + _sign(generator) * 0.02 * strength


def _colour_cast(code, strength, generator, ppd):
    direction = generator.standard_normal(3)
    return code * (1 + 0.04 * strength * direction / np.linalg.norm(direction)).astype(np.float32)


def _bump(shape, sigma: float, generator) -> np.ndarray:
    row, column = generator.uniform(0, shape[0]), generator.uniform(0, shape[1])
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))[..., None].astype(np.float32)


def _patch(code, strength, generator, ppd):
    sigma = log_uniform((2, 30), generator)
    tint = generator.uniform(0.3, 1, 3).astype(np.float32)
    return code + _sign(generator) * 0.03 * strength * tint * _bump(code.shape, sigma, generator)


def _grating(code, strength, generator, ppd):
    cycles_per_pixel = log_uniform((max(0.5 / ppd, 1 / 64), 0.4), generator)
    angle, phase = generator.uniform(0, math.pi), generator.uniform(0, 2 * math.pi)
    y, x = np.ogrid[: code.shape[0], : code.shape[1]]
    wave = np.sin(2 * math.pi * cycles_per_pixel * (x * math.cos(angle) + y * math.sin(angle)) + phase)
    window = _bump(code.shape, log_uniform((6, 60), generator), generator)
    return code + 0.025 * strength * window * wave[..., None].astype(np.float32)


def _shift(code, strength, generator, ppd):
    angle, pixels = generator.uniform(0, 2 * math.pi), 0.12 * strength
    offset = pixels * math.sin(angle), pixels * math.cos(angle)
    planes = [ndimage.shift(plane, offset, order=3, mode="mirror") for plane in code.transpose(2, 0, 1)]
    return np.stack(planes, axis=2)


def _rescale(code, strength, generator, ppd):
    height, width = code.shape[:2]
    factor = min(1 + 0.25 * strength, 8)
    small = (max(round(height / factor), 8), max(round(width / factor), 8))
    planes = torch.from_numpy(np.ascontiguousarray(code.transpose(2, 0, 1)))[None]
    options = {"mode": "bicubic", "antialias": True, "align_corners": False}
    shrunk = torch.nn.functional.interpolate(planes, small, **options)
    return torch.nn.functional.interpolate(shrunk, (height, width), **options)[0].numpy().transpose(1, 2, 0)


def _demosaic(code, strength, generator, ppd):
    """One colour a pixel (RGGB), the others from the neighbours by bilinear weights."""
    masks = np.zeros(code.shape, np.float32)
    masks[0::2, 0::2, 0] = masks[0::2, 1::2, 1] = masks[1::2, 0::2, 1] = masks[1::2, 1::2, 2] = 1
    weights = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])[..., None].astype(np.float32)
    known = ndimage.convolve(code * masks, weights, mode="mirror")
    full = known / ndimage.convolve(masks, weights, mode="mirror")
    return code + min(0.4 * strength, 1) * (np.where(masks > 0, code, full) - code)


def _tone_curve(code, strength, generator, ppd):
    return code ** math.exp(_sign(generator) * 0.05 * strength)


def _none(code, strength, generator, ppd):
    return code


DISTORTIONS: dict[str, Callable] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "avif": _avif,
    "gaussian_noise": _gaussian_noise,
    "poisson_noise": _poisson_noise,
    "salt_and_pepper": _salt_and_pepper,
    "blur": _blur,
    "motion_blur": _motion_blur,
    "ringing": _ringing,
    "banding": _banding,
    "contrast": _contrast,
    "brightness": _brightness,
    "colour_cast": _colour_cast,
    "patch": _patch,
    "grating": _grating,
    "shift": _shift,
    "rescale": _rescale,
    "demosaic": _demosaic,
    "tone_curve": _tone_curve,
    "none": _none,
}
"""Name and function of every distortion."""
