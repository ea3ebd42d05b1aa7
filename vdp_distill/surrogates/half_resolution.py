"""Light scatter in the eye with most of the work at half resolution.

Few taps on the sharp image do what the eye's optics do to detail that half resolution cannot hold; all the rest, glare
over the whole image included, is the metric's own filter on means of 2 x 2 pixels. The taps follow pixels per degree: a
table, fitted to the optics. Source: as for :mod:`vdp_distill.optics`.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.fourier import filter_on_canvas, unit_frequencies
from vdp_distill.optics import eye_mtf
from vdp_distill.pyramid import cropped, steps_of
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.means import means
from vdp_distill.tiles import in_tiles

__all__ = ["fitted_taps", "made_once", "scatter_half", "taps_at"]

PIXELS_PER_DEGREE = (4.0, 500.0)
NODES = 33
FREQUENCIES = 64


def scatter_half(light: Tensor, pixels_per_degree: Tensor, table: Tensor) -> Tensor:
    """Light after scatter, (N, C, H, W), of light over its surround.

    A ring of empty means is filtered along: at the frame, pixels lie between an inner centre and an outer one.

    Parameters
    ----------
    table
        Taps on the sharp image, (NODES, 1) or (NODES, 3), as :func:`fitted_taps` gives them, or learnt.
    """
    height, width = light.shape[-2:]
    missing = 0, 2 * steps_of(width, 2) - width, 0, 2 * steps_of(height, 2) - height
    is_padded = torch.compiler.is_compiling() or any(missing)  # padding with nothing would copy all
    low = means(F.pad(light, missing) if is_padded else light, 2)
    taps = taps_at(pixels_per_degree, table.to(pixels_per_degree.dtype))
    transfer = made_once(_Rest(table), pixels_per_degree, *low.shape[-2:])
    low = filter_on_canvas(F.pad(low, (1, 1, 1, 1)), transfer)
    wide = cropped(bilinear(low, 2)[..., 2:, 2:], height, width)
    weights = taps[:, :, None, None]
    return in_tiles(_add_sharp, wide, light, weights, halo=1, learnt=(taps,))


def _add_sharp(wide: Tensor, light: Tensor, taps: Tensor) -> Tensor:
    """The taps' share of the sharp image, which is empty beyond its frame."""
    if taps.shape[1] == 1:
        return torch.addcmul(wide, light, taps)
    centre, edge, corner = (taps[:, i : i + 1] for i in range(3))
    padded = F.pad(light, (1, 1, 1, 1))
    rows = padded[..., :-2] + padded[..., 2:]
    beside = corner * rows + edge * padded[..., 1:-1]
    middle = edge * rows[..., 1:-1, :] + centre * light
    return wide + middle + beside[..., :-2, :] + beside[..., 2:, :]


def rest(pixels_per_degree: Tensor, taps: Tensor, height: int, width: int) -> Tensor:
    """What the taps leave to half resolution, on the canvas of height by width means."""
    down, across = (part / 2 for part in unit_frequencies(height, width))
    parts = *_waves(across, down), _passed(across, down), (down**2 + across**2).sqrt()
    *waves, passed, frequency = (part.to(pixels_per_degree) for part in parts)
    sharp = sum(tap * wave for tap, wave in zip(taps[:, :, None, None, None].unbind(1), waves, strict=False))
    return ((eye_mtf(pixels_per_degree.view(-1, 1, 1, 1) * frequency) - sharp) / passed).clamp(-1, 1)


class _Rest:
    """:func:`rest` for a table of taps; equal to another one while the table is the same and unchanged."""

    def __init__(self, table: Tensor):
        self.table, self.is_learnt = table, table.requires_grad
        self.key = (id(table), None if table.is_inference() else table._version)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rest) and self.key == other.key

    def __call__(self, pixels_per_degree: Tensor, height: int, width: int) -> Tensor:
        taps = taps_at(pixels_per_degree, self.table.to(pixels_per_degree.dtype))
        return rest(pixels_per_degree, taps, height, width)


def made_once(make: Callable[..., Tensor], pixels_per_degree: Tensor, height: int, width: int) -> Tensor:
    """A transfer function of (pixels per degree, height, width), remembered where it is one for all images."""
    if getattr(make, "is_learnt", False):
        return make(pixels_per_degree, height, width)
    with torch.inference_mode(False), torch.no_grad():  # what is remembered must serve a training later
        if pixels_per_degree.numel() > 1 or torch.compiler.is_compiling():
            return make(pixels_per_degree, height, width)
        return _remembered(
            make, float(pixels_per_degree), height, width, pixels_per_degree.dtype, pixels_per_degree.device
        )


@lru_cache(maxsize=8)
def _remembered(make, pixels_per_degree: float, height: int, width: int, dtype, device) -> Tensor:
    return make(torch.tensor([pixels_per_degree], dtype=dtype, device=device), height, width)


def taps_at(pixels_per_degree: Tensor, table: Tensor) -> Tensor:
    """Taps between the nodes of a table over the logarithm of pixels per degree, (N, taps).

    Parameters
    ----------
    table
        (NODES, taps); :func:`fitted_taps`.
    """
    low, high = np.log(PIXELS_PER_DEGREE)
    position = ((pixels_per_degree.log() - low) * ((NODES - 1) / (high - low))).clamp(0, NODES - 1)
    node = position.floor().clamp(max=NODES - 2).long()
    return table[node] + (position - node)[:, None] * (table[node + 1] - table[node])


@lru_cache(maxsize=2)
def fitted_taps(count: int) -> np.ndarray:
    """Taps nearest to the optics where half resolution passes little, for each node, (NODES, count).

    Parameters
    ----------
    count
        1: the middle alone. 3: middle, edge and corner of 3 x 3 pixels.
    """
    axis = (torch.arange(FREQUENCIES, dtype=torch.float64) + 0.5) / (2 * FREQUENCIES)
    horizontal, vertical = axis, axis[:, None]
    frequency = torch.hypot(horizontal, vertical)
    weight = ((1 - _passed(horizontal, vertical)) * (frequency < 0.5)).sqrt()[..., None]
    waves = weight * torch.stack(_waves(horizontal, vertical)[:count], dim=-1)
    targets = torch.stack([eye_mtf(node * frequency) for node in np.geomspace(*PIXELS_PER_DEGREE, NODES)], dim=-1)
    flat = waves.flatten(0, 1).numpy(), (weight * targets).flatten(0, 1).numpy()
    return np.ascontiguousarray(np.linalg.lstsq(*flat, rcond=None)[0].T)


def _waves(horizontal: Tensor, vertical: Tensor) -> tuple[Tensor, ...]:
    """Transfer of the middle, of the four edges and of the four corners of 3 x 3 pixels."""
    column, row = 2 * torch.cos(2 * torch.pi * horizontal), 2 * torch.cos(2 * torch.pi * vertical)
    corners = column * row
    return torch.ones_like(corners), column + row, corners


def _passed(horizontal: Tensor, vertical: Tensor) -> Tensor:
    return (torch.cos(torch.pi * horizontal) * torch.cos(torch.pi * vertical)) ** 4
