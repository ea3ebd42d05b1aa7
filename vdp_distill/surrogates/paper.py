"""The chained networks of Ak and Le Callet 2019, one for each early stage of the metric.

Source: Ak and Le Callet 2019, section 2.2 and figure 1; where the text is silent (widths, kernels, strides, the
normalisation of light, the padding) a field of :class:`ChainConfig` says what is taken.

=================  ====================================================  ==========================
network            layers                                                 imitates
=================  ====================================================  ==========================
light scatter      six convolutions: three halve, three follow a          ``light_scatter``
                   bilinear doubling; ReLU
photoreceptors     three convolutions, ReLU                               ``photoreceptors``
masking            four convolutions: one halves, one follows a           ``luminance_masking``,
                   bilinear doubling; SELU with its alpha fitted          then ``achromatic``
=================  ====================================================  ==========================

Light is log10 cd/m2 divided by 4, responses are JND divided by 100, so that each loss is of order one. The networks
know neither the pixels per degree nor the display: that is the paper's design, and its limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill import adaptation
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Retina
from vdp_distill.surrogates.layers import Double, FittedSELU, SurroundConv

__all__ = ["ChainConfig", "Chain", "ChainOutput", "to_network_light", "stage_targets"]

LOG10_CDM2_PER_UNIT = 4.0
JND_PER_UNIT = 100.0
LARGEST = 2.5
"""10^10 cd/m2 in the networks' unit."""
STRIDE = 8
"""The light scatter network halves three times."""


@dataclass(frozen=True)
class ChainConfig:
    """Shape of the three networks.

    Parameters
    ----------
    kind
        ``"paper"``, the one kind so far.
    channels
        Light channels, 1 or 3.
    scatter_widths, scatter_kernel
        Channels after each halving, and the side of the kernels, of the light scatter network.
    receptor_width, receptor_kernel
        The same of the photoreceptor network.
    masking_widths, masking_kernel
        Channels at half and at full resolution, and the side of the kernels, of the masking network.
    selu_alpha, fit_alpha
        Where the SELU's alpha starts, and whether it is learnt. One SELU of log light fits the metric's cones best at
        1.0; 1.6733 is the usual value.
    """

    kind: str = "paper"
    channels: int = 3
    scatter_widths: tuple[int, ...] = (32, 64, 64)
    scatter_kernel: int = 5
    receptor_width: int = 32
    receptor_kernel: int = 1
    masking_widths: tuple[int, ...] = (32, 16)
    masking_kernel: int = 3
    selu_alpha: float = 1.0
    fit_alpha: bool = True

    def __post_init__(self):
        if self.channels not in (1, 3):
            raise ValueError(f"network: channels must be 1 or 3, got {self.channels}")
        if len(self.scatter_widths) != 3 or len(self.masking_widths) != 2:
            raise ValueError(
                "network: scatter_widths takes three numbers and masking_widths two, "
                f"got {self.scatter_widths} and {self.masking_widths}"
            )
        sizes = (*self.scatter_widths, self.receptor_width, *self.masking_widths)
        kernels = (self.scatter_kernel, self.receptor_kernel, self.masking_kernel)
        if min(sizes) < 1 or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise ValueError(f"network: widths must be at least 1 and kernels odd, got {sizes} and {kernels}")


class ChainOutput(NamedTuple):
    """What the networks give, in their own units; each (M, K, H, W)."""

    light_scatter: Tensor
    photoreceptors: Tensor
    luminance_masking: Tensor


class Chain(nn.Module):
    """The three networks, each fed by the one before.

    Parameters
    ----------
    config
        Their shape.
    generator
        Draws the initial weights; without one they are those of seed 0.

    Examples
    --------
    >>> chain = Chain(ChainConfig(channels=1))
    >>> output = chain(torch.zeros(2, 1, 20, 33), torch.full((2, 1, 1, 1), -1.25))
    >>> output.photoreceptors.shape
    torch.Size([2, 4, 20, 33])
    """

    def __init__(self, config: ChainConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        self.light_scatter = _scatter_network(config)
        self.photoreceptors = _receptor_network(config)
        self.luminance_masking = _masking_network(config)
        generator = generator or torch.Generator().manual_seed(0)
        for layer in self.modules():
            if isinstance(layer, SurroundConv):
                layer.draw_weights(generator)

    def forward(self, light: Tensor, surround: Tensor) -> ChainOutput:
        """Stages of a batch of images.

        Parameters
        ----------
        light
            :func:`to_network_light` of the images, (M, C, H, W), at least 17 x 17.
        surround
            The same of the light around them, (M or 1, C or 1, 1, 1).
        """
        height, width = light.shape[-2:]
        surround = surround.expand(light.shape[0], light.shape[1], 1, 1)
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        padded = (F.pad(light - surround, padding) + surround).contiguous(memory_format=torch.channels_last)
        scattered, around = self.light_scatter((padded, surround))
        responses, around = self.photoreceptors((scattered, around))
        masked, _ = self.luminance_masking((responses, around))
        return ChainOutput(*(stage[..., :height, :width] for stage in (scattered, responses, masked)))

    def golden_input(self, height: int, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        """An input to know the network by."""
        channels = self.config.channels
        light = torch.rand(1, channels, height, width, generator=generator)
        return {"light": light, "surround": torch.full((1, channels, 1, 1), -0.25)}

    def see_golden(self, inputs: Mapping[str, Tensor]) -> ChainOutput:
        """Output for :meth:`golden_input`."""
        return self(inputs["light"], inputs["surround"])

    def retina(self, light_cdm2: Tensor, surround_cdm2: Tensor) -> Retina:
        """What :func:`vdp_distill.pipeline.retina` gives, imitated; the same units, the same dtype as the light."""
        dtype = next(self.parameters()).dtype
        output = self(to_network_light(light_cdm2).to(dtype), to_network_light(surround_cdm2).to(dtype))
        scattered, responses, masked = (stage.to(light_cdm2.dtype) for stage in output)
        receptors = _to_light(responses)
        return Retina(
            light_scatter=_to_light(scattered),
            photoreceptors=receptors,
            adapting_luminance=adaptation.adapting_luminance(receptors),
            luminance_masking=JND_PER_UNIT * masked,
            achromatic=adaptation.achromatic(JND_PER_UNIT * masked),
        )


def _scatter_network(config: ChainConfig) -> nn.Sequential:
    first, second, third = config.scatter_widths
    kernel = config.scatter_kernel
    halve = [(config.channels, first), (first, second), (second, third)]
    double = [(third, third), (third, first)]
    layers = [SurroundConv(*widths, kernel, 2, nn.ReLU()) for widths in halve]
    for widths in double:
        layers += [Double(), SurroundConv(*widths, kernel, 1, nn.ReLU())]
    return nn.Sequential(*layers, Double(), SurroundConv(first, config.channels, kernel))


def _receptor_network(config: ChainConfig) -> nn.Sequential:
    width, kernel = config.receptor_width, config.receptor_kernel
    return nn.Sequential(
        SurroundConv(config.channels, width, kernel, 1, nn.ReLU()),
        SurroundConv(width, width, kernel, 1, nn.ReLU()),
        SurroundConv(width, 4, kernel),
    )


def _masking_network(config: ChainConfig) -> nn.Sequential:
    half, full = config.masking_widths
    kernel = config.masking_kernel

    def selu() -> FittedSELU:
        return FittedSELU(config.selu_alpha, config.fit_alpha)

    return nn.Sequential(
        SurroundConv(4, half, kernel, 2, selu()),
        SurroundConv(half, half, kernel, 1, selu()),
        Double(),
        SurroundConv(half, full, kernel, 1, selu()),
        SurroundConv(full, 3, kernel),
    )


def to_network_light(light_cdm2: Tensor) -> Tensor:
    """Light in the networks' unit: log10 cd/m2 over 4, within the metric's range of light.

    Examples
    --------
    >>> float(to_network_light(torch.tensor(100.0)))
    0.5
    """
    return light_cdm2.clamp(*DEFAULT_PARAMETERS.light_range_cdm2).log10() / LOG10_CDM2_PER_UNIT


def _to_light(value: Tensor) -> Tensor:
    """Light in cd/m2 of a network's output; no more than the metric's largest, which float32 still holds."""
    return 10 ** (LOG10_CDM2_PER_UNIT * value.clamp(-LARGEST, LARGEST))


def stage_targets(light_scatter: Tensor, photoreceptors: Tensor, luminance_masking: Tensor) -> ChainOutput:
    """The metric's stages in the networks' units; each (M, K, H, W), of 4 receptors and 3 masked responses."""
    scattered, responses = to_network_light(light_scatter), to_network_light(photoreceptors)
    return ChainOutput(scattered, responses, luminance_masking / JND_PER_UNIT)
