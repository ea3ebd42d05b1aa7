"""What a chain is trained and judged by: each stage against the metric's, in a unit that means something."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vdp_distill.adaptation import achromatic
from vdp_distill.surrogates import JND_PER_UNIT, LOG10_CDM2_PER_UNIT, ChainOutput, stage_targets, to_network_light

__all__ = ["ERROR_NAMES", "LEARNT_STAGES", "network_batch", "stage_errors", "stage_losses"]

LEARNT_STAGES = ("light_scatter", "photoreceptors", "luminance_masking")
ERROR_NAMES = ("light_scatter_log10", "photoreceptors_log10", "luminance_masking_jnd", "achromatic_jnd")
"""Columns of :func:`stage_errors`: log10 cd/m2 and JND units."""


def network_batch(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, ChainOutput]:
    """Light, surround and targets of a batch of pairs, in the networks' units.

    Parameters
    ----------
    batch
        The fields of a shard that :data:`vdp_distill.distill.DATA_FIELDS` names.

    Returns
    -------
    tuple
        (2N, C, H, W), (2N, C, 1, 1) and the targets of 2N images: the test images, then the reference images.
    """
    names = ("light", *(f"stages/{stage}" for stage in LEARNT_STAGES))
    light, *stages = (torch.cat([batch[f"{name}/test"], batch[f"{name}/reference"]]) for name in names)
    surround = batch["conditions/surround_cdm2"][:, :, None, None].repeat(2, 1, 1, 1)
    return to_network_light(light), to_network_light(surround), stage_targets(*stages)


def stage_losses(output: ChainOutput, target: ChainOutput) -> Tensor:
    """Mean squared error of each image and network, (M, 3), in the networks' units.

    The last network is judged by its three responses and by their sum, the achromatic response before its mean is
    taken off.
    """
    pairs = [*zip(output[:2], target[:2], strict=True), (_with_sum(output[2]), _with_sum(target[2]))]
    return torch.stack([_mean_square(*pair) for pair in pairs], dim=1)


def stage_errors(output: ChainOutput, target: ChainOutput) -> Tensor:
    """Mean squared error of each image and stage, (M, 4): the columns of :data:`ERROR_NAMES`, squared."""
    log10 = [LOG10_CDM2_PER_UNIT**2 * _mean_square(*pair) for pair in zip(output[:2], target[:2], strict=True)]
    masked = _mean_square(output[2], target[2])
    response = _mean_square(achromatic(output[2]), achromatic(target[2]))
    return torch.stack([*log10, JND_PER_UNIT**2 * masked, JND_PER_UNIT**2 * response], dim=1)


def _mean_square(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean(dim=(1, 2, 3))


def _with_sum(responses: Tensor) -> Tensor:
    return torch.cat([responses, responses.sum(dim=1, keepdim=True)], dim=1)
