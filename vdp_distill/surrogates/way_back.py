"""From waves in blocks to pixels: the way back of the block-wise visual system.

What is seen at a place is a wave, not its amplitude: the metric's map follows every crest, waves of several bands meet
with their signs, and its pooling counts from the highest crest. So every filter's masked response is painted into its
window with the sign it was found with, and the coarse octaves' picture between its places.

Source: Mantiuk et al. 2011, section 5.3, whose pyramid is turned back into an image; windows that overlap as in
:mod:`vdp_distill.surrogates.lapped`.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill.pyramid import BLOCK
from vdp_distill.surrogates.lapped import SwiftConfig, returning
from vdp_distill.surrogates.layers import start_from

__all__ = ["WayBack", "between_blocks", "grown_to_cells"]


class WayBack(nn.Module):
    """Waves of the fine octaves and the picture of the coarse ones to pixels.

    Parameters
    ----------
    config
        The system's shape.
    """

    def __init__(self, config: SwiftConfig):
        super().__init__()
        start = returning(config.orientations)
        taps = {"narrow_taps": start.taps, "wide_taps": start.wide_taps, "coarse_taps": between_blocks()}
        start_from(self, taps | {"gain": start.gain})
        self.register_buffer(
            "corners", torch.tensor(_between_corners(), dtype=torch.get_default_dtype()), persistent=False
        )
        self.filters = config.groups[0], 2 * config.groups[1]

    def forward(self, narrow: Tensor, wide: Tensor, coarse: Tensor, factor: Tensor) -> Tensor:
        """Paint.

        Parameters
        ----------
        narrow, wide
            Masked response, with its sign, of the filters of every pixel and of the first octave, and of those of the
            second, at the corners of the blocks, (N, filters, h + 1, w + 1).
        coarse
            What is seen in the coarse octaves together, with its sign, of every block, (N, 1, h, w).
        factor
            By which all is corrected, at the corners, (N, 1, h + 1, w + 1).

        Returns
        -------
        Tensor
            In cells, (N, BLOCK^2, h, w).
        """
        pixels, first, second = self.gain.exp()
        gains = torch.cat([pixels.expand(self.filters[0]), first.expand(self.filters[1])])
        painted = F.conv2d(narrow, _kernel(self.narrow_taps * gains[:, None, None]))
        painted = painted + F.conv2d(wide, _kernel(self.wide_taps * second), padding=1)
        coarse = F.pad(coarse, (1,) * 4, mode="replicate")
        painted = painted + F.conv2d(coarse, _channels_last(self.coarse_taps))
        return painted * F.conv2d(factor, _channels_last(self.corners.to(factor)))


def _channels_last(taps: Tensor) -> Tensor:
    """Taps for one channel, for a result that lies in memory as others do: a clone, for they seem to lie so already."""
    return taps.clone(memory_format=torch.channels_last)


def _kernel(taps: Tensor) -> Tensor:
    """Taps of windows, (filters, k, k), as a convolution paints them into cells, (BLOCK^2, filters, k / BLOCK, ...)."""
    side = taps.shape[-1] // BLOCK
    cells = taps.unflatten(2, (side, BLOCK)).unflatten(1, (side, BLOCK)).permute(2, 4, 0, 1, 3)
    return cells.flatten(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)


def between_blocks() -> np.ndarray:
    """Pixels of a block out of it and those about it, by straight lines between their middles, (BLOCK^2, 1, 3, 3)."""
    place = (np.arange(BLOCK) + 0.5) / BLOCK - 0.5
    share = np.maximum(0, 1 - abs(place[:, None] - np.arange(-1, 2)))
    return np.einsum("ab,cd->acbd", share, share).reshape(BLOCK**2, 1, 3, 3)


def grown_to_cells(plane: Tensor) -> Tensor:
    """A value a block to its pixels, by straight lines and repeated at the frame, (N, 1, h, w) -> (N, BLOCK^2, h, w).

    Examples
    --------
    >>> [round(float(x), 3) for x in grown_to_cells(torch.tensor([[[[0.0, 4.0]]]]))[0, :4, 0, 0]]
    [0.0, 0.0, 0.5, 1.5]
    """
    return F.conv2d(F.pad(plane, (1,) * 4, mode="replicate"), _between_taps(plane.dtype, plane.device))


@lru_cache(maxsize=8)
def _between_taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Those of :func:`between_blocks`."""
    with torch.inference_mode(False):
        taps = torch.tensor(between_blocks(), dtype=dtype, device=device)
        return _channels_last(taps)


def _between_corners() -> np.ndarray:
    """The same out of a block's four corners, (BLOCK^2, 1, 2, 2)."""
    place = (np.arange(BLOCK) + 0.5) / BLOCK
    share = np.stack([1 - place, place], axis=1)
    return np.einsum("ab,cd->acbd", share, share).reshape(BLOCK**2, 1, 2, 2)
