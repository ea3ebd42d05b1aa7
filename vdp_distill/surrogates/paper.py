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

The networks know neither the pixels per degree nor the display: that is the paper's design, and its limit. Their units
are those of :mod:`vdp_distill.surrogates.network_units`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill import adaptation
from vdp_distill.pipeline import Retina
from vdp_distill.surrogates.layers import Double, FittedSELU, SurroundConv
from vdp_distill.surrogates.network_units import ChainOutput, seen, seen_and_kept, to_network_light
from vdp_distill.surrogates.strips import in_strips

__all__ = ["ChainConfig", "Chain"]

STRIDE = 8
"""The light scatter network halves three times."""
FINE_LAYERS = 2
"""Layers of it at full resolution: the last doubling and the last convolution."""


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
        size = light.shape[-2:]
        return ChainOutput(*_cropped(self._fine(*self._coarse(light, surround)), size))

    def _coarse(self, light: Tensor, surround: Tensor) -> tuple[Tensor, Tensor]:
        """Light scatter as far as half the resolution, and what the surround has become there."""
        height, width = light.shape[-2:]
        surround = surround.expand(light.shape[0], light.shape[1], 1, 1)
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        padded = (F.pad(light - surround, padding) + surround).contiguous(memory_format=torch.channels_last)
        return self.light_scatter[:-FINE_LAYERS]((padded, surround))

    def _fine(self, half: Tensor, around: Tensor) -> ChainOutput:
        """The rest, at full resolution."""
        scattered, around = self.light_scatter[-FINE_LAYERS:]((half, around))
        responses, around = self.photoreceptors((scattered, around))
        return ChainOutput(scattered, responses, self.luminance_masking((responses, around))[0])

    def golden_input(self, height: int, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        """An input to know the network by."""
        channels = self.config.channels
        light = torch.rand(1, channels, height, width, generator=generator)
        return {"light": light, "surround": torch.full((1, channels, 1, 1), -0.25)}

    def see_golden(self, inputs: Mapping[str, Tensor]) -> ChainOutput:
        """Output for :meth:`golden_input`."""
        return self(inputs["light"], inputs["surround"])

    def retina(self, light_cdm2: Tensor, surround_cdm2: Tensor, keep_stages: bool = False) -> Retina:
        """What :func:`vdp_distill.pipeline.retina` gives, imitated; the same units, the same dtype as the light."""
        dtype = next(self.parameters()).dtype

        def see(half: Tensor, around: Tensor) -> tuple[Tensor, ...]:
            stages = (stage.to(light_cdm2.dtype) for stage in self._fine(half, around))
            return seen_and_kept(*stages) if keep_stages else seen(*stages)

        coarse = self._coarse(to_network_light(light_cdm2).to(dtype), to_network_light(surround_cdm2).to(dtype))
        found = _cropped(in_strips(see, *coarse, halo=_halo(self.config), scale=2), light_cdm2.shape[-2:])
        luminance, masked, *others = found
        scattered, receptors = others or (None, None)
        return Retina(
            light_scatter=scattered,
            photoreceptors=receptors,
            adapting_luminance=luminance,
            luminance_masking=masked if keep_stages else None,
            achromatic=adaptation.achromatic(masked),
        )


def _cropped(stages: tuple[Tensor, ...], size: tuple[int, int]) -> tuple[Tensor, ...]:
    return tuple(stage[..., : size[0], : size[1]] for stage in stages)


def _halo(config: ChainConfig) -> int:
    """Rows at half resolution that a row of :meth:`Chain._fine` hangs on, above and below."""
    kernels = config.scatter_kernel, config.receptor_kernel, config.masking_kernel
    scatter, receptor, masking = (kernel // 2 for kernel in kernels)
    masked = 2 * masking + 1  # two convolutions and a doubling, at half resolution
    return masked + 1 + (masking + 3 * receptor + scatter + 1) // 2 + 1


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
