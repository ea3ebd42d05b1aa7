"""What a small visual system is trained and judged by: the metric's answer to each pair."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill import detection
from vdp_distill.pipeline import Pair
from vdp_distill.surrogates.cortex import Seen
from vdp_distill.training.tasks import ErrorColumn, Task

__all__ = ["CortexTask", "network_inputs"]

FIELDS = (
    "light/test",
    "light/reference",
    "conditions/pixels_per_degree",
    "conditions/surround_cdm2",
    "conditions/emission",
    "samples/index",
    "sum_S",
    "P_det",
    "P_map",
    "Q",
)

LEAST_CONTRAST = 1e-3
"""Contrast that nobody sees: log contrast is that of the sum with it."""

JUDGED = (1e-2, 1e5)
"""Range of the sum of S in which the error of log contrast is stated."""

NEAR_THRESHOLD = (0.02, 0.98)
"""Range of P_det in which its error is stated."""

TINY = 1e-6
"""Contrast that is nowhere."""

LARGEST_ERROR = 2.0
"""log10 units: from here on one pair's error counts linearly."""

WEIGHTS = {
    "cortex": (1.0, 1.0, 1.0, 0.0, 0.1),
    "fast": (1.0, 1.0, 1.0, 0.0, 0.1),
    "swift": (1.0, 1.0, 1.0, 0.3, 0.02),
    "glance": (1.0, 1.0, 1.0, 0.3, 0.02),
}
"""Of log contrast, P_det, P_map, places and Q in the loss, by kind of network: where Q is far off, it would drown the
rest; where the map is painted from blocks, where its contrast lies must be learnt."""

LARGEST_CHANCE = 0.9999
"""Of P_map in half precision, above which the contrast behind it is not told."""

GAIN_RATE = 25.0
"""Learning rate of the gains over that of the filters' taps."""

COLUMNS = (
    ErrorColumn("log10_contrast", "log10 of the sum of S", "log10", is_square=True),
    ErrorColumn("P_det", "P_det near threshold", "probability"),
    ErrorColumn("P_map", "P_map", "probability"),
    ErrorColumn("Q", "Q", "Q", is_square=True),
)
GRADIENT_COLUMN = ErrorColumn("gradient", "gradient of log contrast near threshold", "1 - cosine")


class CortexTask(Task):
    """Distil the metric into a small visual system, which gives :class:`vdp_distill.surrogates.cortex.Seen`.

    The loss of a pair: the square of its error in log10 of the sum of S (over 2 units, linear), the errors of P_det and
    of the mean of P_map, and a part of that of Q; for blocks, near threshold, the share of the contrast that lies
    elsewhere; where it is asked for, how far its gradient points elsewhere.
    """

    knows_gradients = True
    about = "Predicts what HDR-VDP 2.2 predicts for a pair of images: the map of contrast, P_map, P_det, C_max and Q."
    limits = "One plane of light stands for all receptors: fine detail of changing colours is its weak side."
    loss_unit = "weighted sum of errors"

    @property
    def fields(self) -> tuple[str, ...]:
        return (*FIELDS, "gradient") if self.gradient_weight else FIELDS

    @property
    def columns(self) -> tuple[ErrorColumn, ...]:
        return (*COLUMNS, GRADIENT_COLUMN) if self.gradient_weight else COLUMNS

    def losses(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        return self.evaluate(module, batch)[0]

    def errors(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        return self.evaluate(module, batch)[1]

    def evaluate(self, module: Callable, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        if self.gradient_weight:
            return self._with_gradients(module, batch)
        return self._judged(module(*network_inputs(batch)), batch)

    def _judged(self, seen: Seen, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        total = seen.contrast_map.sum(dim=(1, 2, 3))
        contrast = _log10(total) - _log10(batch["sum_S"])
        detected = (detection.probability(total) - batch["P_det"]).abs()
        probability = detection.probability(detection.pool_contrast(seen.contrast_map))
        mapped = (probability - batch["P_map"]).abs().mean(dim=(1, 2, 3))
        quality = seen.quality - batch["Q"]
        zero = torch.zeros_like(quality)
        places = _elsewhere(seen.contrast_map, batch["P_map"]) * _is_near(batch["P_det"])
        capped = 2 * F.huber_loss(contrast, zero, reduction="none", delta=LARGEST_ERROR)
        rated = F.smooth_l1_loss(quality, zero, reduction="none")
        losses = torch.stack([capped, detected, mapped, places, rated], dim=1)
        judged = [_within(contrast.square(), batch["sum_S"], JUDGED), _within(detected, batch["P_det"], NEAR_THRESHOLD)]
        weights = losses.new_tensor(WEIGHTS[self.config.kind])
        return losses * weights, torch.stack([*judged, mapped, quality.square()], dim=1)

    def _with_gradients(self, module: Callable, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The same and the gradient's: a training step then differentiates a derivative."""
        is_trained = torch.is_grad_enabled()
        with torch.enable_grad():
            test = batch["light/test"].detach().requires_grad_()
            seen = module(*network_inputs({**batch, "light/test": test}))
            log_contrast = seen.contrast_map.sum(dim=(1, 2, 3)).log1p()
            (gradient,) = torch.autograd.grad(log_contrast.sum(), test, create_graph=is_trained, retain_graph=True)
        # Per relative change of light, which is what equal steps of code values nearly are.
        own, true = ((slope * batch["light/test"]).flatten(1) for slope in (gradient, batch["gradient"]))
        away = 1 - F.cosine_similarity(own, true)
        is_near = _is_near(batch["P_det"])
        losses, errors = self._judged(seen, batch)
        losses = torch.cat([losses, (self.gradient_weight * away * is_near)[:, None]], dim=1)
        return losses, torch.cat([errors, torch.where(is_near, away, torch.nan)[:, None]], dim=1)

    def parameter_groups(self, network: nn.Module, training) -> list[dict]:
        learnt = {name: value for name, value in network.named_parameters() if value.requires_grad}
        slow = [value for name, value in learnt.items() if "taps" in name or "offset" in name]
        gains = [value for name, value in learnt.items() if "taps" not in name and "offset" not in name]
        rate = training.learning_rate
        return [{"params": slow, "lr": rate}, {"params": gains, "lr": GAIN_RATE * rate}]


def network_inputs(batch: Mapping[str, Tensor]) -> tuple[Pair, Tensor, Tensor, Tensor]:
    """Light, matrix, surround and pixels per degree of a batch, as the network takes them."""
    light = Pair(batch["light/test"], batch["light/reference"])
    surround = batch["conditions/surround_cdm2"][:, :, None, None]
    return light, batch["conditions/emission"], surround, batch["conditions/pixels_per_degree"]


def _log10(contrast: Tensor) -> Tensor:
    return (contrast + LEAST_CONTRAST).log10()


def _elsewhere(contrast: Tensor, true_chance: Tensor) -> Tensor:
    """Twice the share of a map's contrast that lies at other pixels than in the metric's P_map, (N,)."""
    true = -torch.log1p(-true_chance.clamp(max=LARGEST_CHANCE))
    shares = (plane / (plane.sum(dim=(1, 2, 3), keepdim=True) + TINY) for plane in (contrast, true))
    return (next(shares) - next(shares)).abs().sum(dim=(1, 2, 3))


def _is_near(detected: Tensor) -> Tensor:
    low, high = NEAR_THRESHOLD
    return (detected > low) & (detected < high)


def _within(error: Tensor, value: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Errors where a value lies within bounds, NaN elsewhere."""
    low, high = bounds
    return torch.where((value > low) & (value < high), error, torch.nan)
