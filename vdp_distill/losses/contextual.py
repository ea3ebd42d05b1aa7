"""Contextual loss: for every feature of the reference, how like it is the likest feature of the test image."""

from pathlib import Path

import torch
from torch import Tensor

from vdp_distill.losses.contract import chosen
from vdp_distill.losses.features import TrunkLoss
from vdp_distill.losses.trunks import IN_HOUSE, Trunk

__all__ = ["Contextual", "DISTANCES", "contextual_similarity"]

EPSILON = 1e-5
"""Mechrez et al. 2018, equation 2."""


def _cosine(test: Tensor, reference: Tensor) -> Tensor:
    """1 - cosine between features, from the reference's mean; (N, C, P), (N, C, Q) -> (N, P, Q)."""
    mean = reference.mean(2, keepdim=True)
    units = [_unit(features - mean) for features in (test, reference)]
    return (1 - units[0].transpose(1, 2) @ units[1]).clamp(min=0)


def _squared(test: Tensor, reference: Tensor) -> Tensor:
    """Squared length of the difference; (N, C, P), (N, C, Q) -> (N, P, Q)."""
    lengths = [features.square().sum(1) for features in (test, reference)]
    product = test.transpose(1, 2) @ reference
    return (lengths[0][:, :, None] + lengths[1][:, None, :] - 2 * product).clamp(min=0)


DISTANCES = {"dot": _cosine, "l2": _squared}
"""The two that the Projected Distribution Loss was compared with: CTXDP and CTXL2."""


class Contextual(TrunkLoss):
    """Minus the logarithm of the contextual similarity of features, mean over taps.

    Parameters
    ----------
    trunk
        As for :class:`TrunkLoss`. Papers have ``"vgg16"``.
    distance
        ``"dot"``: 1 - cosine from the reference's mean feature; ``"l2"``: squared length of the difference.
    bandwidth
        h of equation 3; smaller asks for a clearer match.
    positions
        At most so many places of a tap, evenly spread: every one is compared with every other.
    **options
        As for :class:`TrunkLoss`.

    Examples
    --------
    >>> from vdp_distill.losses.trunks import InHouseTrunk
    >>> image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> _ = torch.manual_seed(0)  # an untrained trunk draws its weights
    >>> loss = Contextual(InHouseTrunk((4, 4)))
    >>> loss(image, image).item() < loss(1 - image, image).item()
    True
    """

    paper = "Mechrez et al. 2018, The contextual loss for image transformation with non-aligned data"
    is_zero_at_identical = False

    def __init__(
        self,
        trunk: str | Path | Trunk = IN_HOUSE,
        *,
        distance: str = "dot",
        bandwidth: float = 0.5,
        positions: int = 1024,
        **options,
    ):
        super().__init__(trunk, **options)
        self.distance = chosen(distance, DISTANCES, "distance")
        if not bandwidth > 0:
            raise ValueError(f"bandwidth must be positive, got {bandwidth!r}")
        if not isinstance(positions, int) or positions < 1:
            raise ValueError(f"positions must be a positive whole number, got {positions!r}")
        self.bandwidth, self.positions = bandwidth, positions

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        losses = []
        for pair in self.feature_pairs(test, reference):
            clouds = (self._spread(features.flatten(2)) for features in pair)  # (N, C, h, w) -> (N, C, P)
            distances = DISTANCES[self.distance](*clouds)
            losses.append(-contextual_similarity(distances, self.bandwidth).log())
        return torch.stack(losses).mean(0)

    def _spread(self, features: Tensor) -> Tensor:
        count = features.shape[2]
        if count <= self.positions:
            return features
        return features[..., torch.linspace(0, count - 1, self.positions).round().long().to(features.device)]


def contextual_similarity(distances: Tensor, bandwidth: float) -> Tensor:
    """Similarity of two sets of features, (N,), from the distances between them, (N, P, Q) for P of the test.

    Mechrez et al. 2018, equations 2 to 5: distances in units of the nearest, turned into weights that sum to 1 over
    the reference's features, of which the largest is taken for each.

    Examples
    --------
    >>> contextual_similarity(1 - torch.eye(3)[None], 0.5)
    tensor([1.])
    """
    relative = distances / (distances.amin(2, keepdim=True) + EPSILON)
    weights = ((1 - relative) / bandwidth).softmax(2)
    return weights.amax(1).mean(1)


def _unit(features: Tensor) -> Tensor:
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPSILON)
