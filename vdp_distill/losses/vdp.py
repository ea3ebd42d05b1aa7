"""The visual difference predictor as a loss."""

import logging
import math
from collections import deque
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vdp_distill import checks, detection, pipeline, zoo
from vdp_distill.losses.contract import REDUCTIONS, as_tensors, chosen
from vdp_distill.metric import HDRVDP2
from vdp_distill.settings import Settings, channels_of, takes_codes
from vdp_distill.uncompiled import uncompiled

__all__ = ["Audit", "POOLS", "VDPLoss"]

logger = logging.getLogger(__name__)

POOLS = {
    "log_contrast": lambda cortex: detection.log_contrast(cortex.contrast_map),
    "area": lambda cortex: detection.pool_contrast(cortex.contrast_map).log1p().mean(dim=(1, 2, 3)),
    "threshold": lambda cortex: cortex.contrast_map.sum(dim=(1, 2, 3)).clamp(min=1).log(),
    "quality": lambda cortex: 100 - cortex.quality,
}
"""From the pair in the visual cortex to a number for each pair, (N,)."""

AUDITS_KEPT = 1000
AUDIT_APART = 0.2
"""A surrogate's loss this share away from the exact one is logged as a warning, which is seen without any set-up."""

CODES_TOLERATED = 0.5
"""How far outside 0..1 a reference's code values may lie before they are taken for other units."""


class Audit(NamedTuple):
    """A surrogate's loss beside the exact one, for the first pair of a batch."""

    call: int
    surrogate: float
    exact: float


class VDPLoss(nn.Module):
    """How visible the differences between two images are, as a loss: 0 for identical images, higher is worse.

    Parameters
    ----------
    model
        ``"exact"``, the name of a released model, or the folder of a trained one; their weights are frozen.
    pool
        ``"log_contrast"``: log(1 + sum S), S being the contrast in threshold units. ``"area"``: the mean of
        log(1 + C_map) over the pixels, which asks for less of the picture to differ visibly, where the sum hangs on its
        worst places. ``"threshold"``: max(0, log sum S), which asks for no more than invisibility. ``"quality"``:
        100 - Q.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"`` over the batch.
    out_of_range
        ``"extend"`` continues the display's curve outside 0..1, for networks that leave it while they train, with a
        gradient that points back in; ``"raise"`` refuses.
    audit_every
        Every so many calls compare a surrogate with the exact metric on the batch's first pair: kept in ``audits`` and
        logged at level INFO, or as a WARNING where they lie apart by more than a fifth. 0 never does.
    **settings
        As for :func:`vdp_distill.hdrvdp2`: ``encoding`` or ``display``, ``pixels_per_degree``, ... Units are never
        guessed.

    Attributes
    ----------
    audits
        The last audits, oldest first.

    Notes
    -----
    Computed in float32, or float64 for float64 images and the exact metric, whatever autocast or the images' own
    precision say; float16 and bfloat16 give a float32 loss. A gradient flows to ``test``, and to ``reference`` if that
    requires one.
    ``check_values=True`` costs one reading of each image: both must be finite, and the reference in the encoding's
    range, also where the test may leave it. Nothing is read while a program is exported or compiled.

    Examples
    --------
    >>> loss = VDPLoss(encoding="sRGB-display", pixels_per_degree=30)
    >>> reference = torch.full((1, 3, 32, 32), 0.5)
    >>> test = reference.clone().requires_grad_()
    >>> loss(test, reference).item()
    0.0
    >>> loss(test + torch.linspace(0, 0.2, 32), reference).item() > 1
    True
    """

    paper = "Mantiuk et al. 2011, HDR-VDP-2; as a loss by distillation: Ak and Le Callet 2019"
    higher_is_better = False
    is_differentiable = True
    is_zero_at_identical = True
    data_range = (0.0, 1.0)
    minimum_size = checks.SMALLEST_SIDE
    channels = (1, 3)
    packages = ()
    weights = ()
    required_options = ("encoding", "pixels_per_degree")

    def __init__(
        self,
        model: str | Path = "exact",
        *,
        pool: str = "log_contrast",
        reduction: str = "mean",
        out_of_range: str = "extend",
        audit_every: int = 0,
        **settings,
    ):
        super().__init__()
        self.pool, self.reduction = chosen(pool, POOLS, "pool"), chosen(reduction, REDUCTIONS, "reduction")
        if not isinstance(audit_every, int) or audit_every < 0:
            raise ValueError(f"audit_every must be a whole number of calls, 0 for never, got {audit_every!r}")
        is_exact, settings = str(model) == "exact", {"out_of_range": out_of_range, **settings}
        own = {name: value for name, value in settings.items() if is_exact or name != "strict"}  # the metric's own
        self.metric = HDRVDP2(**own) if is_exact else zoo.load(model, **settings)
        self.exact = None if is_exact or not audit_every else HDRVDP2(**own)
        self.data_range = (0.0, 1.0 if takes_codes(self.metric.settings) else math.inf)
        self.channels = channels_of(self.metric.settings)
        self.audit_every, self.calls = audit_every, 0
        self.audits: deque[Audit] = deque(maxlen=AUDITS_KEPT)

    @uncompiled
    def forward(self, test: Tensor, reference: Tensor, **overrides) -> Tensor:
        """The loss of a batch of pairs.

        Parameters
        ----------
        test, reference
            (N, C, H, W).
        **overrides
            Settings for this call, such as ``pixels_per_degree`` as (N,).

        Returns
        -------
        Tensor
            A scalar, or (N,) for ``reduction="none"``.

        Raises
        ------
        TypeError, ValueError
            For images that are no float tensors, do not fit, or hold NaN; for a reference in another unit.
        """
        settings = self.metric.settings_for(**overrides)
        test, reference = as_tensors(test, reference)
        checks.check_pair(test, reference)
        if settings.engine != "torch":
            raise ValueError(
                f"a loss needs a gradient, which engine={settings.engine!r} does not give; use engine='torch'"
            )
        if settings.check_values and not torch.compiler.is_compiling():
            _check_values(test, reference, settings)
        values = self._values(self.metric, *self._in_its_precision(test, reference), settings).to(test.dtype)
        if self.exact is not None and not torch.compiler.is_compiling():
            self._audit(test, reference, settings, values)
        return REDUCTIONS[self.reduction](values)

    def extra_repr(self) -> str:
        return f"pool={self.pool!r}, reduction={self.reduction!r}"

    def _in_its_precision(self, test: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """The images, for a surrogate in the precision of its weights, which follow them to their device."""
        weights = next(self.metric.parameters(), test)
        if weights.device != test.device:
            with torch.inference_mode(False), torch.no_grad():  # a loss that was first used so must train later
                self.metric.to(test.device)
        return test.to(weights.dtype), reference.to(weights.dtype)

    def _values(self, metric: HDRVDP2, test: Tensor, reference: Tensor, settings: Settings) -> Tensor:
        with pipeline.full_precision(test.device):
            _, cortex = metric.respond(test, reference, settings, wants_quality=self.pool == "quality")
            return POOLS[self.pool](cortex)

    def _audit(self, test: Tensor, reference: Tensor, settings: Settings, values: Tensor) -> None:
        self.calls += 1
        if self.calls % self.audit_every:
            return
        with torch.no_grad():
            exact = self._values(self.exact, test[:1], reference[:1], settings.of_pair(0, test.shape[0]))
        self.audits.append(Audit(self.calls, float(values[0].detach()), float(exact)))
        _, ours, true = self.audits[-1]
        level = logging.WARNING if abs(ours - true) > AUDIT_APART * max(1.0, abs(true)) else logging.INFO
        logger.log(level, "call %d: %s %.4g, exact %.4g", self.calls, self.metric.name, ours, true)


def _check_values(test: Tensor, reference: Tensor, settings: Settings) -> None:
    for image, name in ((test, "test"), (reference, "reference")):
        if not bool(torch.isfinite(image.detach().sum())):
            bad = int((~torch.isfinite(image)).sum())
            if bad:
                raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values of {image.numel()}")
    if settings.out_of_range == "raise" or reference.requires_grad:
        return
    low, high = (float(bound) for bound in torch.aminmax(reference.detach()))
    is_codes = takes_codes(settings)
    if is_codes and not -CODES_TOLERATED <= low <= high <= 1 + CODES_TOLERATED:
        raise ValueError(
            f"reference: code values must lie in 0..1, got {low:.6g} to {high:.6g}; "
            f"{'divide 8-bit values by 255' if high > 2 else 'the test comes first, the reference second'}"
        )
    if not is_codes:
        name = settings.encoding or settings.display.colorspace
        checks.check_light(reference, "reference", name, may_be_negative=settings.encoding == "XYZ")
