"""Other people's visual metrics behind our signature: ColorVideoVDP and FLIP, where they are installed."""

import torch
from torch import Tensor

from vdp_distill.clamping import clamped
from vdp_distill.losses.contract import ImageLoss, package

__all__ = ["ColorVideoVDP", "FLIP"]


class ColorVideoVDP(ImageLoss):
    """10 minus the quality in JOD of a still sRGB image, by ColorVideoVDP.

    It computes in float32 whatever the images' precision, and clips code values to 0..1, where its gradient is 0.

    Parameters
    ----------
    pixels_per_degree
        Of visual angle.
    display
        One of its own display models; ``vdp_distill.display`` has the same names.
    **checks
        As for :class:`ImageLoss`.

    Examples
    --------
    >>> grey = torch.full((1, 3, 32, 32), 0.5)
    >>> ColorVideoVDP(pixels_per_degree=30)(grey, grey).item()
    0.0
    """

    paper = "Mantiuk et al. 2024, ColorVideoVDP: a visual difference predictor for image, video and display distortions"
    minimum_size = 16
    channels = (3,)
    packages = ("cvvdp",)
    required_options = ("pixels_per_degree",)

    def __init__(self, *, pixels_per_degree: float, display: str = "standard_4k", **checks):
        super().__init__(**checks)
        package("pycvvdp", "cvvdp")
        self.pixels_per_degree, self.display = float(pixels_per_degree), display
        self.metrics: dict[torch.device, object] = {}

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        has_gradient = (
            torch.is_grad_enabled()
        )  # not in inference mode, but what the package keeps must serve a training
        with torch.inference_mode(False), torch.set_grad_enabled(has_gradient):
            images = (clamped(image.to(torch.float32), 0, 1).clone() for image in (test, reference))
            return self._metric(test.device).loss(*images, dim_order="BCHW").reshape(-1).to(test)

    def _metric(self, device: torch.device):
        from pycvvdp import cvvdp, vvdp_display_geometry

        if device not in self.metrics:
            geometry = vvdp_display_geometry([3840, 2160], ppd=self.pixels_per_degree)
            options = {"display_name": self.display, "display_geometry": geometry}
            self.metrics[device] = cvvdp(**options, device=device, quiet=True)
        return self.metrics[device]


class FLIP(ImageLoss):
    """Mean of the LDR-FLIP map of sRGB images, by flip-evaluator: a number to report, for it gives no gradient.

    Parameters
    ----------
    pixels_per_degree
        Of visual angle.
    **checks
        As for :class:`ImageLoss`.

    Examples
    --------
    >>> grey = torch.full((1, 3, 32, 32), 0.5)
    >>> FLIP(pixels_per_degree=67)(grey, grey).item()
    0.0
    """

    paper = "Andersson et al. 2020, FLIP: a difference evaluator for alternating images"
    is_differentiable = False
    minimum_size = 2
    channels = (3,)
    packages = ("flip-evaluator",)
    required_options = ("pixels_per_degree",)

    def __init__(self, *, pixels_per_degree: float, **checks):
        super().__init__(**checks)
        package("flip_evaluator", "flip-evaluator")
        self.pixels_per_degree = float(pixels_per_degree)

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        means = [self._mean(*pair) for pair in zip(test, reference, strict=True)]
        return torch.tensor(means, dtype=test.dtype, device=test.device)

    def _mean(self, test: Tensor, reference: Tensor) -> float:
        from flip_evaluator import evaluate

        arrays = [_to_array(image) for image in (reference, test)]
        _, mean, _ = evaluate(*arrays, "LDR", applyMagma=False, parameters={"ppd": self.pixels_per_degree})
        return float(mean)


def _to_array(image: Tensor):
    return image.detach().clamp(0, 1).permute(1, 2, 0).to(torch.float32).contiguous().numpy(force=True)
