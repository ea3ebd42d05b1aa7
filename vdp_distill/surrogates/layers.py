"""Layers of the chained networks: convolutions that know what lies around an image, doubling, a SELU with its alpha.

And how parameters of any network begin as numbers that are known.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Double", "FittedSELU", "SurroundConv", "start_from"]

USUAL_ALPHA = 1.6732632423543772
"""SELU's own."""


def start_from(module: nn.Module, starts: Mapping[str, np.ndarray]) -> None:
    """Give a module parameters by these names that begin as these numbers."""
    for name, value in starts.items():
        value = torch.tensor(value, dtype=torch.get_default_dtype()).contiguous()
        module.register_parameter(name, nn.Parameter(value))


class SurroundConv(nn.Module):
    """A convolution that pads with what the surround has become, and says what it becomes next.

    A constant stays a constant through every layer, so the surround is taken off, the rest padded with zeros, and the
    surround's own response put back.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, activation: nn.Module | None = None):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.stride, self.activation = stride, activation or nn.Identity()

    def draw_weights(self, generator: torch.Generator) -> None:
        """Normal weights that keep the variance: He's for ReLU, LeCun's for SELU and for none."""
        gain = 2.0 if isinstance(self.activation, nn.ReLU) else 1.0
        with torch.no_grad():
            self.weight.normal_(0, (gain / self.weight[0].numel()) ** 0.5, generator=generator)

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        image, surround = inputs
        around = F.conv2d(surround, self.weight.sum(dim=(2, 3), keepdim=True), self.bias)
        padding = self.weight.shape[-1] // 2
        if not padding and self.stride == 1:  # nothing lies around a pixel
            return self.activation(F.conv2d(image, self.weight, self.bias)), self.activation(around)
        inside = F.conv2d(image - surround, self.weight, stride=self.stride, padding=padding)
        return self.activation(inside.add_(around)), self.activation(around)


class Double(nn.Module):
    """Bilinear doubling; the surround stays what it is."""

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        image, surround = inputs
        return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False), surround


class FittedSELU(nn.Module):
    """SELU whose alpha is a parameter."""

    def __init__(self, alpha: float, fit: bool):
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(float(alpha)), requires_grad=fit)

    def forward(self, value: Tensor) -> Tensor:
        # Below 0 a SELU is its alpha times one curve: torch's own, and another slope there.
        return F.prelu(F.selu(value), (self.alpha / USUAL_ALPHA).reshape(1))
