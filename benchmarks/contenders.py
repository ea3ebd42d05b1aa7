"""The losses of the studies: what each is called in tables, how it is made, and why one cannot run here."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from vdp_distill import zoo
from vdp_distill.losses import MissingWeights, create, loss_class, names

__all__ = ["Contender", "PIXELS_PER_DEGREE", "contenders"]

PIXELS_PER_DEGREE = 30.0
OPTIONS = {
    "encoding": "sRGB-display",
    "pixels_per_degree": PIXELS_PER_DEGREE,
    "terms": [
        {"loss": "l1"},
        {"loss": "vdp", "weight": 0.01, "options": {"encoding": "sRGB-display", "pixels_per_degree": 30.0}},
    ],
}
"""What the losses that have no default for it are given."""

TITLES = {
    "l1": "L1",
    "l2": "L2",
    "charbonnier": "Charbonnier",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "ms_ssim_per_pixel": "MS-SSIM per pixel",
    "ms_ssim_l1": "MS-SSIM + L1",
    "features": "Features L1 (in-house trunk)",
    "vgg": "Features L1 (VGG16)",
    "lpips_alex": "LPIPS (AlexNet)",
    "lpips_vgg": "LPIPS (VGG16)",
    "pdl": "PDL (in-house trunk)",
    "contextual": "Contextual, dot product (in-house trunk)",
    "contextual_l2": "Contextual, L2 (in-house trunk)",
    "mdf": "MDF (ours)",
    "nima_hybrid": "NIMA hybrid (ours, uncalibrated)",
    "cvvdp": "ColorVideoVDP",
    "flip": "FLIP",
    "niqe": "NIQE",
    "vdp": "VDPLoss, exact",
    "sum": "L1 + 0.01 VDPLoss",
}


@dataclass(frozen=True)
class Contender:
    """A loss in a study: made, or the reason why not."""

    name: str
    title: str
    loss: nn.Module | None
    problem: str = ""


def contenders(only: list[str] | None = None, weights: Path | None = None) -> list[Contender]:
    """Every registered loss and released surrogate, in the registry's order.

    Parameters
    ----------
    only
        Names to take; all otherwise.
    weights
        Folder with ``vgg16`` and ``alexnet`` weights as ``.safetensors``, fetched otherwise; and with
        ``niqe_pris_params.npz``.
    """
    wanted = [name for name in names() if not only or name in only]
    unknown = set(only or ()) - set(wanted)
    if unknown:
        raise ValueError(f"no loss {', '.join(sorted(unknown))}; known: {', '.join(names())}")
    return [_made(name, weights) for name in wanted]


def _made(name: str, weights: Path | None) -> Contender:
    title = TITLES.get(name, f"VDPLoss, {name}")
    needed = ("encoding", "pixels_per_degree") if name in zoo.names() else loss_class(name).required_options
    options = {option: OPTIONS[option] for option in needed}
    trunk = {"vgg": "vgg16", "lpips_alex": "alexnet", "lpips_vgg": "vgg16"}.get(name)
    if trunk and weights is not None:
        options["trunk_weights"] = weights / f"{trunk}.safetensors"
    if name == "niqe" and weights is not None:
        options["model"] = weights / "niqe_pris_params.npz"
    try:
        return Contender(name, title, create(name, **options))
    except MissingWeights:
        return Contender(name, title, None, "weights not supplied")
    except ValueError as problem:
        return Contender(name, title, None, str(problem))
    except ImportError as error:
        return Contender(name, title, None, f"not installed: {error.__cause__}")
