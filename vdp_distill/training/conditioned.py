"""What a conditioned chain is trained and judged by: the exact optics and retina of each pair, stage by stage."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vdp_distill import optics, pipeline
from vdp_distill.fourier import unit_frequency
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.surrogates.viewing import PEAK_SENSITIVITY
from vdp_distill.training.cortex import network_inputs
from vdp_distill.training.tasks import ErrorColumn, Task

__all__ = ["ConditionedTask", "exact_retina"]

FIELDS = (
    "light/test",
    "light/reference",
    "conditions/pixels_per_degree",
    "conditions/surround_cdm2",
    "conditions/emission",
    "samples/index",
)

LEAST_JND = 1e-3
"""A difference of less than this, in the mean square, is none: its relative error says nothing."""


class ConditionedTask(Task):
    """Distil optics and retina into a :class:`vdp_distill.surrogates.conditioned.ConditionedChain`.

    The losses of a pair: relative errors of the light on the retina and of the receptors' responses in the mean square,
    and that of the difference between the two achromatic responses, against its own mean square.
    """

    columns = (
        ErrorColumn("light_scatter", "light_scatter", "relative", is_square=True),
        ErrorColumn("photoreceptors", "photoreceptors", "relative", is_square=True),
        ErrorColumn("achromatic", "achromatic", "JND", is_square=True),
        ErrorColumn("achromatic_difference", "difference of achromatic", "its rms", is_square=True),
    )
    about = (
        "Optics and retina of HDR-VDP 2.2 with light scatter at half resolution: light in cd/m2 to light_scatter,\n"
        "photoreceptors, luminance_masking and achromatic. The exact cortex and detection follow."
    )
    limits = "Beside edges of orders of magnitude within two pixels, light on the retina is some per cent off."
    loss_unit = "sum of relative errors, squared"

    @property
    def fields(self) -> tuple[str, ...]:
        return FIELDS

    def losses(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        return self.evaluate(module, batch)[0]

    def errors(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        return self.evaluate(module, batch)[1]

    def evaluate(self, module: Callable, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        inputs = network_inputs(batch)
        found = module(*inputs, keep_stages=True)
        with torch.no_grad():
            exact = exact_retina(*inputs)
        light, receptors = (_relative(found, exact, stage) for stage in ("light_scatter", "photoreceptors"))
        response = _mean_square(_both(found, "achromatic") - _both(exact, "achromatic"))
        true = exact.test.achromatic - exact.reference.achromatic
        wrong = _mean_square(found.test.achromatic - found.reference.achromatic - true)
        seen = _mean_square(true)
        losses = torch.stack([light, receptors, wrong / (seen + LEAST_JND**2)], dim=1)
        share = torch.where(seen > LEAST_JND**2, wrong / seen, torch.nan)
        return losses, torch.stack([light, receptors, response, share], dim=1)


def exact_retina(light_cdm2: Pair, matrix: Tensor, surround_cdm2: Tensor, pixels_per_degree: Tensor) -> Pair:
    """Every stage of both images by the metric itself; arguments as for the chain."""
    canvas = unit_frequency(*light_cdm2.reference.shape[-2:]).to(pixels_per_degree)
    transfer = optics.eye_mtf(pixels_per_degree.view(-1, 1, 1, 1) * canvas)
    tables = pipeline.response_tables(PEAK_SENSITIVITY, DEFAULT_PARAMETERS, canvas.device)
    return pipeline.retina(light_cdm2, surround_cdm2, transfer, matrix, tables, keep_stages=True)


def _both(retinas: Pair, stage: str) -> Tensor:
    """A stage of both images, (N, 2 K, H, W)."""
    return torch.cat([getattr(image, stage) for image in retinas], dim=1)


def _relative(found: Pair, exact: Pair, stage: str) -> Tensor:
    true = _both(exact, stage)
    return _mean_square(_both(found, stage) / true - 1)


def _mean_square(value: Tensor) -> Tensor:
    return value.square().mean(dim=(1, 2, 3))
