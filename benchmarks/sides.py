"""The sides of the speed study: what each computes, and how it is called on a pair of sRGB images.

A side takes test and reference, (1, 3, H, W) float64 in 0..1, once to prepare, and gives a function without arguments
that runs it forward, and another that runs it forward and backward, or None where it gives no gradient. Of HDR-VDP and
its surrogates, forward is the metric with all that it answers (maps, P_det, C_max, Q), and with backward the loss.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vdp_distill import HDRVDP2, VDPLoss, octave, zoo

__all__ = ["SIDES", "Side", "available"]

PIXELS_PER_DEGREE = 45.0
VIEWING = {"encoding": "sRGB-display", "pixels_per_degree": PIXELS_PER_DEGREE}


@dataclass(frozen=True)
class Side:
    """One contestant."""

    name: str
    computes: str
    prepare: Callable[[Tensor, Tensor], tuple[Callable, Callable | None]]
    packages: tuple[str, ...] = ()
    largest: int = 3840 * 2160
    largest_backward: int = 1920 * 1080


def both_ways(loss: Callable, test: Tensor, reference: Tensor):
    """Forward without a graph, and forward with the gradient to the test image."""

    def forward() -> None:
        with torch.no_grad():
            loss(test, reference)

    def backward() -> None:
        leaf = test.clone().requires_grad_()
        loss(leaf, reference).backward()

    return forward, backward


def metric_and_loss(name: str, dtype: torch.dtype = torch.float32):
    """The exact metric or a released model."""

    def prepare(test, reference):
        metric = HDRVDP2(**VIEWING) if name == "exact" else zoo.load(name, **VIEWING)
        pair = test.to(dtype), reference.to(dtype)
        return both_ways(metric, *pair)[0], both_ways(VDPLoss(name, **VIEWING), *pair)[1]

    return prepare


def elsewhere(engine: str):
    def prepare(test, reference):
        metric = HDRVDP2(**VIEWING, engine=engine)
        return lambda: metric(test, reference), None

    return prepare


def color_video_vdp(test, reference):
    import pycvvdp

    geometry = pycvvdp.vvdp_display_geometry([3840, 2160], ppd=PIXELS_PER_DEGREE)
    metric = pycvvdp.cvvdp(
        display_name="standard_4k", display_geometry=geometry, device=torch.device("cpu"), quiet=True
    )
    return both_ways(lambda t, r: metric.loss(t, r, dim_order="BCHW").sum(), test.float(), reference.float())


def ms_ssim(test, reference):
    from pytorch_msssim import MS_SSIM

    metric = MS_SSIM(data_range=1.0)
    return both_ways(lambda t, r: 1 - metric(t, r), test.float(), reference.float())


def lpips_random(test, reference):
    import warnings

    with warnings.catch_warnings():  # the package still calls torchvision by its old names
        warnings.simplefilter("ignore")
        import lpips

        metric = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False).eval()
    return both_ways(lambda t, r: metric(2 * t - 1, 2 * r - 1).sum(), test.float(), reference.float())


def flip(test, reference):
    import flip_evaluator

    arrays = [image[0].permute(1, 2, 0).float().contiguous().numpy() for image in (reference, test)]
    parameters = {"ppd": PIXELS_PER_DEGREE}
    return lambda: flip_evaluator.evaluate(*arrays, "LDR", applyMagma=False, parameters=parameters), None


SIDES = (
    Side(
        "octave", "HDR-VDP 2.2, float64, this project's Octave program", elsewhere("octave"), ("oct2py",), 1920 * 1080
    ),
    Side(
        "original",
        "HDR-VDP 2.2.x, float64, the user's folder in Octave",
        elsewhere("original"),
        ("oct2py",),
        1920 * 1080,
    ),
    Side("exact-float64", "HDR-VDP 2.2, float64", metric_and_loss("exact", torch.float64)),
    Side("exact-float32", "HDR-VDP 2.2, float32", metric_and_loss("exact")),
    *(Side(name, "a released surrogate of HDR-VDP 2.2, float32", metric_and_loss(name)) for name in zoo.names()),
    Side("cvvdp", "ColorVideoVDP of a still image: JOD", color_video_vdp, ("cvvdp",)),
    Side("ms-ssim", "MS-SSIM of RGB, five scales: no light, no distance", ms_ssim, ("pytorch-msssim",)),
    Side("lpips-random", "LPIPS's AlexNet with random weights: for time alone", lpips_random, ("lpips", "torchvision")),
    Side("flip", "LDR-FLIP map, C++", flip, ("flip-evaluator",)),
)


def available(side: Side) -> str:
    """Empty, or why a side cannot run here."""
    from benchmarks.machine import versions

    missing = set(side.packages) - set(versions(*side.packages))
    if missing:
        return f"not installed: {', '.join(sorted(missing))}"
    if side.name in ("octave", "original") and not octave.octave_available():
        return octave.octave_problem()
    if side.name == "original" and not os.environ.get("VDP_DISTILL_HDRVDP"):
        return "VDP_DISTILL_HDRVDP names no HDR-VDP folder"
    return ""
