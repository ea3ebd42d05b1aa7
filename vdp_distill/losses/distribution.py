"""Projected Distribution Loss: how far apart the distributions of features are, wherever the features stand."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from vdp_distill.losses.contract import chosen
from vdp_distill.losses.features import TrunkLoss
from vdp_distill.losses.trunks import IN_HOUSE, Trunk

__all__ = ["PROJECTIONS", "ProjectedDistribution", "wasserstein"]

PERTURBATION = 0.1
"""Standard deviation of the small random change of the identity; the paper gives none."""


def _unit_rows(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


def _random_pairs(count: int, channels: int, generator: torch.Generator) -> Tensor:
    pairs = torch.stack([torch.randperm(channels, generator=generator)[:2] for _ in range(count)])
    shares = torch.randn(pairs.shape, generator=generator)
    return _unit_rows(torch.zeros(count, channels).scatter_(1, pairs, shares))


def _perturbed_identity(count: int, channels: int, generator: torch.Generator) -> Tensor:
    identity = torch.eye(channels)[torch.arange(count) % channels]
    return _unit_rows(identity + PERTURBATION * torch.randn(count, channels, generator=generator))


def _random_sphere(count: int, channels: int, generator: torch.Generator) -> Tensor:
    return _unit_rows(torch.randn(count, channels, generator=generator))


PROJECTIONS: dict[str, Callable | None] = {
    "identity": None,
    "random_pairs": _random_pairs,
    "perturbed_identity": _perturbed_identity,
    "random_sphere": _random_sphere,
}
"""Directions that features are projected onto, (count, channels): the paper's section 5.8. Identity takes every channel
by itself, which the paper finds as good as any."""


class ProjectedDistribution(TrunkLoss):
    """Mean Wasserstein distance between the distributions of projected features of an image, over the projections.

    The distance alone: the paper adds it to a pixel loss, which is a sum of losses here
    (:class:`vdp_distill.losses.combined.WeightedSum`).

    Parameters
    ----------
    trunk
        As for :class:`TrunkLoss`. The paper has ``"vgg16"`` and "conv4", taken for conv4_3 after its ReLU.
    projections
        ``"identity"``, ``"random_pairs"`` (R2P), ``"perturbed_identity"`` (RPP) or ``"random_sphere"`` (RSP).
    factor
        Number of projections, in numbers of channels; identity has 1.
    p
        Exponent of the distance: 1 in the paper. Higher ones give its p-th power.
    seed
        Of the random projections, which are drawn once.
    **options
        As for :class:`TrunkLoss`.

    Notes
    -----
    A permutation has no gradient: which value is compared with which counts as fixed.

    Examples
    --------
    >>> from vdp_distill.losses.trunks import InHouseTrunk
    >>> image = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    >>> ProjectedDistribution(InHouseTrunk((4, 4)))(image, image).item()
    0.0
    """

    paper = "Delbracio et al. 2021, Projected distribution loss for image enhancement"

    def __init__(
        self,
        trunk: str | Path | Trunk = IN_HOUSE,
        *,
        projections: str = "identity",
        factor: float = 1.0,
        p: float = 1.0,
        seed: int = 0,
        **options,
    ):
        super().__init__(trunk, **options)
        self.projections = chosen(projections, PROJECTIONS, "projections")
        if not p >= 1:
            raise ValueError(f"p must be at least 1, got {p!r}")
        if not factor > 0 or (projections == "identity" and factor != 1):
            raise ValueError(f"factor must be positive, and 1 for identity, got {factor!r} for {projections!r}")
        self.p = float(p)
        self._draw(factor, torch.Generator().manual_seed(seed))

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        distances = []
        for tap, pair in zip(self.taps, self.feature_pairs(test, reference), strict=True):
            clouds = (self._projected(features.flatten(2), tap) for features in pair)  # (N, C, h, w) -> (N, P, h w)
            distances.append(wasserstein(*clouds, self.p).mean(1))
        return torch.stack(distances).mean(0)

    def _draw(self, factor: float, generator: torch.Generator) -> None:
        draw = PROJECTIONS[self.projections]
        if draw is None:
            return
        side = self.trunk.minimum_size
        features = self.trunk(next(self.trunk.parameters()).new_zeros(1, 3, side, side), self.taps)
        for tap, found in zip(self.taps, features, strict=True):
            channels = found.shape[1]
            self.register_buffer(f"onto_{tap}", draw(max(1, round(factor * channels)), channels, generator))

    def _projected(self, features: Tensor, tap: str) -> Tensor:
        return features if self.projections == "identity" else self.get_buffer(f"onto_{tap}") @ features


def wasserstein(one: Tensor, other: Tensor, p: float = 1.0) -> Tensor:
    """Wasserstein distance, to the power p, between as many values of two distributions along the last axis.

    Examples
    --------
    >>> wasserstein(torch.tensor([0.0, 1.0]), torch.tensor([3.0, 1.0]))
    tensor(1.5000)
    """
    return (one.sort(dim=-1).values - other.sort(dim=-1).values).abs().pow(p).mean(-1)
