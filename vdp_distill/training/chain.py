"""What a chain is trained and judged by: each stage against the metric's, in a unit that means something."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vdp_distill.adaptation import achromatic
from vdp_distill.surrogates import JND_PER_UNIT, LOG10_CDM2_PER_UNIT, ChainOutput, stage_targets, to_network_light
from vdp_distill.training.tasks import ErrorColumn, Task

__all__ = ["FIELDS", "LEARNT_STAGES", "ChainTask", "network_batch", "stage_errors", "stage_losses"]

IMAGES = ("test", "reference")
LEARNT_STAGES = ("light_scatter", "photoreceptors", "luminance_masking")
FIELDS = (
    *(f"light/{image}" for image in IMAGES),
    *(f"stages/{stage}/{image}" for stage in LEARNT_STAGES for image in IMAGES),
    "conditions/surround_cdm2",
    "samples/index",
)
"""What a sample must hold, by its path in a shard."""


def network_batch(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, ChainOutput]:
    """Light, surround and targets of a batch of pairs, in the networks' units.

    Parameters
    ----------
    batch
        Samples with :data:`FIELDS`.

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
    """Mean squared error of each image and stage, (M, 4): the columns of :class:`ChainTask`, squared."""
    log10 = [LOG10_CDM2_PER_UNIT**2 * _mean_square(*pair) for pair in zip(output[:2], target[:2], strict=True)]
    masked = _mean_square(output[2], target[2])
    response = _mean_square(achromatic(output[2]), achromatic(target[2]))
    return torch.stack([*log10, JND_PER_UNIT**2 * masked, JND_PER_UNIT**2 * response], dim=1)


def _mean_square(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean(dim=(1, 2, 3))


def _with_sum(responses: Tensor) -> Tensor:
    return torch.cat([responses, responses.sum(dim=1, keepdim=True)], dim=1)


class ChainTask(Task):
    """The paper's chain: three networks, each judged by its own stage, of the test and of the reference image."""

    fields = FIELDS
    columns = (
        ErrorColumn("light_scatter_log10", "light_scatter", "log10 cd/m2", is_square=True),
        ErrorColumn("photoreceptors_log10", "photoreceptors", "log10 cd/m2", is_square=True),
        ErrorColumn("luminance_masking_jnd", "luminance_masking", "JND", is_square=True),
        ErrorColumn("achromatic_jnd", "achromatic", "JND", is_square=True),
    )
    loss_label, loss_unit = "loss: mean of the three stages", "mean squared error, networks' units"
    about = (
        "Three chained networks that imitate the optics and the retina of {metric}: light in cd/m2 in, light scatter,\n"
        "photoreceptor responses, luminance masking and achromatic response out. The exact later stages follow them."
    )
    limits = (
        "The networks know neither the pixels per degree nor the display: they answer for the mixture that they were "
        "trained on."
    )

    def losses(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        """Losses of the three networks, (2N, 3)."""
        return stage_losses(*self._stages(module, batch))

    def errors(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        """Squared errors of the four stages, (2N, 4)."""
        return stage_errors(*self._stages(module, batch))

    def evaluate(self, module: Callable, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Both, from one run of the networks."""
        stages = self._stages(module, batch)
        return stage_losses(*stages), stage_errors(*stages)

    def _stages(self, module: Callable, batch: Mapping[str, Tensor]) -> tuple[ChainOutput, ChainOutput]:
        light, surround, target = network_batch(batch)
        return module(light, surround), target
