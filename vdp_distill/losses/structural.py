"""Structural similarity as a loss: SSIM and MS-SSIM of pytorch-msssim, and the two forms that no library has."""

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.losses.contract import ImageLoss, package
from vdp_distill.losses.windows import similarity, window_mean

__all__ = ["MSSSIM", "MSSSIML1", "PerPixelMSSSIM", "SSIM"]

LUMA_601 = (0.299, 0.587, 0.114)
"""Grey from R, G, B: ITU-R BT.601, section 2.5.1."""

WINDOW_SIGMA, WINDOW_RADIUS = 1.5, 5
"""Wang et al. 2004, section III-C: an 11 x 11 circular Gaussian of 1.5 pixels."""

SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pixels; Zhao et al. 2017, section III-C: five widths at full resolution in place of a pyramid."""

PIXELS = (1, 2, 3)


class SSIM(ImageLoss):
    """1 - SSIM of pytorch-msssim: mean over channels, an 11 x 11 window, borders left out.

    Examples
    --------
    >>> ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
    >>> SSIM()(ramp, ramp).item()
    0.0
    """

    paper = "Wang et al. 2004, Image quality assessment: from error visibility to structural similarity"
    minimum_size = 11
    packages = ("pytorch-msssim",)

    def __init__(self, **checks):
        super().__init__(**checks)
        package("pytorch_msssim", "pytorch-msssim")

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        from pytorch_msssim import ssim

        return 1 - ssim(test, reference, data_range=1.0, size_average=False)


class MSSSIM(SSIM):
    """1 - MS-SSIM of pytorch-msssim: five scales with their published exponents.

    Where the structure of a scale is reversed the library takes it for 0, and the gradient with it.

    Examples
    --------
    >>> ramp = torch.linspace(0, 1, 176).expand(1, 1, 176, 176)
    >>> MSSSIM()(ramp, ramp).item()
    0.0
    """

    paper = "Wang et al. 2003, Multi-scale structural similarity for image quality assessment"
    minimum_size = 161

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        from pytorch_msssim import ms_ssim

        return 1 - ms_ssim(test, reference, data_range=1.0, size_average=False)


class PerPixelMSSSIM(ImageLoss):
    """1 - MS-SSIM of every pixel with all exponents 1, of grey images: for patches that the libraries refuse.

    Each scale is the one before, averaged over 2 x 2 pixels; its map of contrast and structure is brought back to the
    image's size bilinearly, and the maps are multiplied, with that of luminance of the coarsest scale.

    Parameters
    ----------
    scales
        The paper has 5.
    **checks
        As for :class:`ImageLoss`.

    Notes
    -----
    The paper sums over the pixels and maximises; this is the mean over pixels of 1 minus that, so that its size does
    not depend on the image's. How a map comes back to full size the paper does not say.

    Examples
    --------
    >>> ramp = torch.linspace(0, 1, 33).expand(1, 3, 33, 33)
    >>> round(PerPixelMSSSIM()(ramp, ramp).item(), 6)
    0.0
    """

    paper = "Snell et al. 2017, Learning to generate images with perceptual similarity metrics, section 2"
    minimum_size = 11

    def __init__(self, *, scales: int = 5, **checks):
        super().__init__(**checks)
        if not isinstance(scales, int) or scales < 1:
            raise ValueError(f"scales must be a positive whole number, got {scales!r}")
        self.scales = scales

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        return (1 - self.per_pixel(test, reference)).mean(PIXELS)

    def per_pixel(self, test: Tensor, reference: Tensor) -> Tensor:
        """MS-SSIM of every pixel, (N, 1, H, W), 1 where the images agree."""
        images, size = [_grey(test), _grey(reference)], test.shape[-2:]
        index = torch.ones_like(images[0])
        for scale in range(self.scales):
            if scale:
                images = [F.avg_pool2d(image, 2, ceil_mode=True) for image in images]
            luminance, structure = similarity(*images, WINDOW_SIGMA, WINDOW_RADIUS)
            index = index * _to_size(structure, size)
        return index * _to_size(luminance, size)


class MSSSIML1(ImageLoss):
    """MS-SSIM at full resolution with L1 under its widest window, a weighted sum of both, for every channel.

    Parameters
    ----------
    alpha
        Share of MS-SSIM: 0.84 in the paper, where both parts then weigh about the same.
    **checks
        As for :class:`ImageLoss`.

    Examples
    --------
    >>> ramp = torch.linspace(0, 1, 33).expand(1, 3, 33, 33)
    >>> round(MSSSIML1()(ramp, ramp).item(), 6)
    0.0
    """

    paper = "Zhao et al. 2017, Loss functions for image restoration with neural networks, section III-D"
    minimum_size = 11

    def __init__(self, *, alpha: float = 0.84, **checks):
        super().__init__(**checks)
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in 0..1, got {alpha!r}")
        self.alpha = alpha

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        index = torch.ones_like(test)
        for sigma in SIGMAS:
            luminance, structure = similarity(test, reference, sigma, ceil(3 * sigma))
            index = index * structure
        difference = window_mean((test - reference).abs(), SIGMAS[-1], ceil(3 * SIGMAS[-1]))
        return (self.alpha * (1 - luminance * index) + (1 - self.alpha) * difference).mean(PIXELS)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(LUMA_601, dtype=images.dtype, device=images.device)
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)


def _to_size(values: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)
