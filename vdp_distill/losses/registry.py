"""Losses by name, a line each; nothing is imported before it is asked for."""

import importlib
from types import MappingProxyType
from typing import NamedTuple

from torch import nn

from vdp_distill import zoo
from vdp_distill.recipes import nearest

__all__ = ["LOSSES", "Entry", "create", "loss_class", "names"]


class Entry(NamedTuple):
    """Where a loss is, and what makes it this one."""

    place: str
    options: dict


def _entry(place: str, **options) -> Entry:
    return Entry(place, options)


LOSSES = MappingProxyType(
    {
        "l1": _entry("pixel:L1"),
        "l2": _entry("pixel:L2"),
        "charbonnier": _entry("pixel:Charbonnier"),
        "psnr": _entry("pixel:PSNR"),
        "ssim": _entry("structural:SSIM"),
        "ms_ssim": _entry("structural:MSSSIM"),
        "ms_ssim_per_pixel": _entry("structural:PerPixelMSSSIM"),
        "ms_ssim_l1": _entry("structural:MSSSIML1"),
        "features": _entry("features:FeatureLoss"),
        "vgg": _entry("features:FeatureLoss", trunk="vgg16"),
        "lpips_alex": _entry("features:LPIPS", trunk="alexnet"),
        "lpips_vgg": _entry("features:LPIPS", trunk="vgg16"),
        "pdl": _entry("distribution:ProjectedDistribution"),
        "contextual": _entry("contextual:Contextual"),
        "contextual_l2": _entry("contextual:Contextual", distance="l2"),
        "mdf": _entry("mdf:MDFLoss"),
        "nima_hybrid": _entry("nima:HybridLoss"),
        "cvvdp": _entry("rivals:ColorVideoVDP"),
        "flip": _entry("rivals:FLIP"),
        "niqe": _entry("niqe:NIQE"),
        "vdp": _entry("vdp:VDPLoss"),
        "sum": _entry("combined:WeightedSum"),
    }
)
"""Every loss but the surrogates of the metric, which :func:`vdp_distill.zoo.names` finds."""


def names() -> list[str]:
    """Names that :func:`create` takes: the losses, then the released surrogates of the metric.

    Examples
    --------
    >>> names()[:3]
    ['l1', 'l2', 'charbonnier']
    """
    return [*LOSSES, *zoo.names()]


def loss_class(name: str) -> type[nn.Module]:
    """Class of a loss, with what it declares.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest one.

    Examples
    --------
    >>> loss_class("l1").minimum_size
    1
    """
    module, _, attribute = _found(name).place.partition(":")
    return getattr(importlib.import_module(f"vdp_distill.losses.{module}"), attribute)


def create(name: str, **options) -> nn.Module:
    """A loss by name.

    Parameters
    ----------
    name
        One of :func:`names`.
    **options
        As its class takes them; ``reduction="mean" | "sum" | "none"`` for every one.

    Raises
    ------
    ValueError
        For an unknown name, and for wrong options.
    ImportError
        If the loss needs a package that is not installed.
    MissingWeights
        If it needs weights that are not here.

    Examples
    --------
    >>> create("charbonnier", epsilon=0.01)
    Charbonnier(reduction='mean')
    """
    return loss_class(name)(**{**_found(name).options, **options})


def _found(name: str) -> Entry:
    if name in LOSSES:
        return LOSSES[name]
    if name in zoo.names():
        return _entry("vdp:VDPLoss", model=name)
    raise ValueError(f"there is no loss {name!r}; {nearest(name, names())}")
