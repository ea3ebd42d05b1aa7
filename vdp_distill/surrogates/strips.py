"""Networks over large images, some rows at a time, so that what lies between their layers needs little memory."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["in_strips"]

STRIP_PIXELS = 1 << 19
"""Of a strip without its halo. Smaller ones spend more on halos than the cache gives back."""


def in_strips(function: Callable[..., tuple[Tensor, ...]], image: Tensor, *beside: Tensor, halo: int, scale: int):
    """Apply a function that looks at the rows around a row to the images of a batch, strip by strip.

    While gradients are recorded there are no strips: a graph keeps all that lies between anyway.

    Parameters
    ----------
    function
        Takes an image and what lies beside it, gives a tuple of tensors (1, K, scale x H, scale x W).
    image
        (N, C, H, W).
    *beside
        Handed to every strip of the same image, (N, ...).
    halo
        Rows above and below, of the ``image``, that a row of the result hangs on.
    scale
        Rows of the result for a row of the ``image``.

    Returns
    -------
    tuple of Tensor
        What ``function(image, *beside)`` gives.

    Examples
    --------
    >>> from torch.nn import functional as F
    >>> double = lambda image: (F.interpolate(image, scale_factor=2.0, mode="bilinear"),)
    >>> image = torch.rand(1, 3, 300, 500)
    >>> with torch.no_grad():
    ...     bool(torch.equal(in_strips(double, image, halo=1, scale=2)[0], double(image)[0]))
    True
    """
    batch, _, height, width = image.shape
    rows = max(4 * halo, STRIP_PIXELS // (scale**2 * width))
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or (batch == 1 and height <= rows + halo):
        return function(image, *beside)
    outputs: tuple[Tensor, ...] = ()
    for number in range(batch):
        one = slice(number, number + 1)
        for top in range(0, height, rows):
            bottom, first = min(top + rows, height), max(0, top - halo)
            found = function(image[one, :, first : bottom + halo], *(value[one] for value in beside))
            outputs = outputs or tuple(x.new_empty((batch, x.shape[1], scale * height, x.shape[3])) for x in found)
            for output, value in zip(outputs, found, strict=True):
                seen = value[:, :, scale * (top - first) : scale * (bottom - first)]
                output[one, :, scale * top : scale * bottom] = seen
    return outputs
