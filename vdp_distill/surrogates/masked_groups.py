"""Sensitivity and masking of groups of channels: what the fine octaves in blocks have in common, however they look.

Source: Mantiuk et al. 2011, section 5.2; how it follows pixels per degree beyond the metric is learnt.
"""

import torch
from torch import Tensor, nn

from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.power import power
from vdp_distill.surrogates.channels import log2_ppd, mixed

__all__ = ["MaskedGroups"]

OCTAVES = (-1.6, 1.5)
"""Of the pixels per degree of what the gains are trained on, to 45."""

LARGEST_GAIN = 4.0
"""Natural logarithm; its 14th power is still a number in float32."""

LINK = 1.1
"""Natural logarithm where the weight of masking by the third octave starts, about that of the metric."""

P, Q = DEFAULT_PARAMETERS.mask_p, DEFAULT_PARAMETERS.mask_q


class MaskedGroups(nn.Module):
    """Channels in groups: of the residual, of the first octave, of the second.

    Parameters
    ----------
    sizes
        Channels of each group.

    Attributes
    ----------
    groups
        Which group a channel is of: 1 there, (channels, groups).
    masking_gain, output_gain
        Natural logarithms that a subclass gives: what masks what, (channels, channels), and what each channel counts.
    """

    masking_gain: Tensor
    output_gain: Tensor

    def __init__(self, sizes: tuple[int, ...]):
        super().__init__()
        self.sizes, channels = sizes, sum(sizes)
        groups = torch.eye(len(sizes)).repeat_interleave(torch.tensor(sizes), dim=0)
        self.register_buffer("groups", groups, persistent=False)
        self.sensitivity_gain = nn.Parameter(torch.zeros(3, channels))
        self.lift_gain = nn.Parameter(torch.zeros(channels))
        self.link_gain = nn.Parameter(torch.tensor([LINK]))
        self.energy_gain = nn.Parameter(torch.zeros(channels))

    def link(self) -> Tensor:
        """Which channels the third octave masks, (1, channels): those of the second."""
        return self.link_gain.exp() * self.groups.mT[-1:].to(self.link_gain)

    def gains(self, pixels_per_degree: Tensor) -> tuple[Tensor, Tensor]:
        """On the threshold and on masking, of every channel, (N, channels)."""
        octaves = log2_ppd(pixels_per_degree).clamp(*OCTAVES)[:, None]
        constant, slope, bend = self.sensitivity_gain
        gain = constant + slope * octaves + bend * octaves**2
        gain = LARGEST_GAIN * (gain / LARGEST_GAIN).tanh()
        return (-2 * P * gain).exp(), (Q * gain + self.lift_gain).exp()

    def matrices(self, pixels_per_degree: Tensor) -> Tensor:
        """From a group's sensitivity to the threshold and to masking of its channels, (N, 2 x groups x channels)."""
        output, groups = self.output_gain, self.groups.mT.to(pixels_per_degree)
        floor, lift = (gain[:, None] * groups for gain in self.gains(pixels_per_degree))
        # The output gain as a part of the denominator: B = c^p / sqrt(threshold + masking^2) e^gain.
        return torch.stack([floor * (-2 * output).exp(), lift * (-output).exp()], dim=1).flatten(1)

    def gain_under(self, masking: Tensor, sensitivity: Tensor, matrices: Tensor) -> Tensor:
        """What a difference to the power of 3.5 counts under masking, (N, channels, h, w)."""
        floor, lift = matrices.view(-1, 2, 1, *self.groups.mT.shape).unbind(1)
        masked = power(masking, Q) * mixed(power(sensitivity, Q), lift)
        threshold = mixed(power(sensitivity, -2 * P), floor)
        return torch.addcmul(threshold, masked, masked).rsqrt()
