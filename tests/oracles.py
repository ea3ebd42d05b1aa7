"""Plain forms of what the package computes in a fast form: short, literal, slow."""

import numpy as np
import torch
from torch.nn import functional

from vdp_distill import sp3_filters


def correlate(image: torch.Tensor, taps: np.ndarray) -> torch.Tensor:
    """Correlation with mirrored borders, (N, I, H, W) with (O, I, k, k)."""
    reach = taps.shape[-1] // 2
    padded = functional.pad(image, (reach,) * 4, mode="reflect")
    return functional.conv2d(padded, torch.from_numpy(np.ascontiguousarray(taps)).to(image))


def build_pyramid(image: torch.Tensor, levels: int) -> list[torch.Tensor]:
    bands = [correlate(image, sp3_filters.HIGH_PASS[None, None])]
    low = correlate(image, sp3_filters.LOW_PASS[None, None])
    for _ in range(levels):
        bands.append(correlate(low, sp3_filters.ORIENTED[:, None]))
        low = correlate(low, sp3_filters.LOW_PASS_DECIMATING[None, None])[..., ::2, ::2]
    return [*bands, low]


def reconstruct_pyramid(bands: list[torch.Tensor]) -> torch.Tensor:
    high, *levels, low = bands
    for level in reversed(levels):
        stuffed = torch.zeros_like(level[:, :1])
        stuffed[..., ::2, ::2] = low
        low = correlate(stuffed, sp3_filters.LOW_PASS_DECIMATING[None, None])
        low = low + correlate(level, sp3_filters.ORIENTED[None, :, ::-1, ::-1])
    low = correlate(low, sp3_filters.LOW_PASS[None, None])
    return low + correlate(high, sp3_filters.HIGH_PASS[None, None])


def filter_on_canvas(image: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    height, width = image.shape[-2:]
    canvas = functional.pad(image, (0, width, 0, height))
    return torch.fft.irfft2(torch.fft.rfft2(canvas) * transfer, s=canvas.shape[-2:])[..., :height, :width]


def cubic(distance: float) -> float:
    distance = abs(distance)
    if distance <= 1:
        return 1.5 * distance**3 - 2.5 * distance**2 + 1
    return -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2 if distance <= 2 else 0.0


def resize_line(line: np.ndarray, length: int) -> np.ndarray:
    """Bicubic resize of one line, sample by sample."""
    scale, result = length / len(line), []
    widening = max(1.0, 1 / scale)
    for i in range(length):
        centre = (i + 0.5) / scale - 0.5
        positions = range(int(np.floor(centre - 2 * widening)) - 1, int(np.ceil(centre + 2 * widening)) + 2)
        weights = np.array([cubic((p - centre) / widening) for p in positions])
        samples = [line[m if (m := p % (2 * len(line))) < len(line) else 2 * len(line) - 1 - m] for p in positions]
        result.append(weights @ samples / weights.sum())
    return np.array(result)


def box_mean(image: np.ndarray) -> np.ndarray:
    """3 x 3 mean of a plane, zeros outside."""
    padded = np.pad(image, 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return windows.mean(axis=(2, 3))
