"""Losses of the difference between features of a trunk, place by place: plain, and LPIPS."""

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from vdp_distill.losses.contract import ImageLoss, chosen, package
from vdp_distill.losses.trunks import IN_HOUSE, TORCHVISION, Trunk, load_trunk
from vdp_distill.losses.weights import read_arrays
from vdp_distill.recipes import nearest

__all__ = ["FeatureLoss", "LPIPS", "TrunkLoss"]

NORMS = {"l1": torch.abs, "l2": torch.square}
LPIPS_NAMES = {"alexnet": "alex", "vgg16": "vgg"}
HEAD_CHANNELS = {"alexnet": (64, 192, 384, 256, 256), "vgg16": (64, 128, 256, 512, 512)}


class TrunkLoss(ImageLoss):
    """A loss that looks through a trunk; see :func:`vdp_distill.losses.trunks.load_trunk`.

    Parameters
    ----------
    trunk
        ``"trunk-v1"``, our own, which ships; ``"vgg16"`` or ``"alexnet"``; a folder; or a :class:`Trunk`.
    taps
        Places to look at; None for the trunk's own choice.
    trunk_weights
        File with the trunk's weights; None takes torchvision's from where torch keeps them, or fetches them there.
    **checks
        As for :class:`ImageLoss`.
    """

    channels = (3,)

    def __init__(
        self,
        trunk: str | Path | Trunk = IN_HOUSE,
        *,
        taps: Sequence[str] | None = None,
        trunk_weights: str | Path | None = None,
        **checks,
    ):
        super().__init__(**checks)
        self.trunk = trunk if isinstance(trunk, Trunk) else load_trunk(trunk, trunk_weights)
        self.trunk.eval().requires_grad_(False)
        self.taps = tuple(taps or self.trunk.default_taps)
        for tap in self.taps:
            if tap not in self.trunk.taps:
                raise ValueError(f"{type(self.trunk).__name__} has no tap {tap!r}; {nearest(tap, self.trunk.taps)}")
        self.minimum_size = self.trunk.minimum_size
        self.weights = (self.trunk.weights,) if self.trunk.weights else ()

    def feature_pairs(self, test: Tensor, reference: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Features of both images at every tap, (N, C, h, w) each."""
        return list(zip(self.trunk(test, self.taps), self.trunk(reference, self.taps), strict=True))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, taps={self.taps}"


class FeatureLoss(TrunkLoss):
    """Mean difference between features, over channels and places, then over taps: the perceptual loss.

    Parameters
    ----------
    trunk
        As for :class:`TrunkLoss`. Papers have ``"vgg16"``, whose tap conv4_3 is the choice here.
    norm
        ``"l1"`` or ``"l2"``.
    **options
        As for :class:`TrunkLoss`.

    Examples
    --------
    >>> from vdp_distill.losses.trunks import InHouseTrunk
    >>> grey = torch.full((1, 3, 32, 32), 0.5)
    >>> FeatureLoss(InHouseTrunk((4, 4)), norm="l2")(grey, grey).item()
    0.0
    """

    paper = "Johnson et al. 2016, Perceptual losses for real-time style transfer and super-resolution"

    def __init__(self, trunk: str | Path | Trunk = IN_HOUSE, *, norm: str = "l1", **options):
        super().__init__(trunk, **options)
        self.norm = chosen(norm, NORMS, "norm")

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        pairs = self.feature_pairs(test, reference)
        return torch.stack([NORMS[self.norm](one - other).mean((1, 2, 3)) for one, other in pairs]).mean(0)


class LPIPS(TrunkLoss):
    """Learned perceptual image patch similarity, version 0.1, with its released heads.

    Parameters
    ----------
    trunk
        ``"alexnet"`` or ``"vgg16"``, whose weights torchvision released.
    heads
        File with the heads' arrays ``lin0`` to ``lin4``, ``.npz`` or ``.safetensors``; None takes those that the
        package lpips carries.
    trunk_weights, **checks
        As for :class:`TrunkLoss`.

    Notes
    -----
    Where all features of a place are 0 the original's gradient is NaN; here it is 0.
    """

    paper = "Zhang et al. 2018, The unreasonable effectiveness of deep features as a perceptual metric"
    packages = ("lpips", "torchvision")

    def __init__(
        self,
        trunk: str = "alexnet",
        *,
        heads: str | Path | None = None,
        trunk_weights: str | Path | None = None,
        **checks,
    ):
        chosen(trunk, LPIPS_NAMES, "trunk")
        super().__init__(trunk, taps=tuple(TORCHVISION[trunk].taps), trunk_weights=trunk_weights, **checks)
        arrays = _packaged_heads(LPIPS_NAMES[trunk]) if heads is None else read_arrays(heads)
        for name, head in _checked_heads(arrays, trunk, heads).items():
            self.register_buffer(name, head)

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        total = test.new_zeros(test.shape[0])
        for number, pair in enumerate(self.feature_pairs(test, reference)):
            one, other = (_unit(features) for features in pair)
            head = self.get_buffer(f"lin{number}")
            total = total + ((one - other).square() * head).sum(1).mean((1, 2))
        return total


@cache
def _packaged_heads(name: str) -> dict[str, Tensor]:
    """The heads in the package lpips, read by its own code."""
    lpips = package("lpips", "lpips")
    with (
        torch.inference_mode(False),
        warnings.catch_warnings(),
    ):  # kept for trainings too; it calls torchvision by names that are going away
        warnings.simplefilter("ignore")
        model = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    return {f"lin{number}": head.model[-1].weight.detach().clone() for number, head in enumerate(model.lins)}


def _checked_heads(arrays: dict[str, Tensor], trunk: str, heads: str | Path | None) -> dict[str, Tensor]:
    """Heads by name, (C, 1, 1) each, refused if they are another trunk's."""
    found = {name.partition(".")[0]: value for name, value in arrays.items()}
    wanted = {f"lin{number}": channels for number, channels in enumerate(HEAD_CHANNELS[trunk])}
    sizes = {name: value.numel() for name, value in found.items()}
    if sizes != wanted:
        raise ValueError(f"{heads} holds no heads of LPIPS for {trunk}: expected channels {wanted}, got {sizes}")
    return {name: value.reshape(-1, 1, 1).float() for name, value in found.items()}


def _unit(features: Tensor) -> Tensor:
    """Features of every place divided by their length; a place without any stays 0, with a gradient of 0."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)
