"""Follow a loss's gradient from a spoilt image to the image that it likes best, and measure on the way."""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from benchmarks.contenders import OPTIONS, PIXELS_PER_DEGREE
from vdp_distill import HDRVDP2
from vdp_distill.losses import create
from vdp_distill.losses.windows import window_mean

__all__ = ["LEARNING_RATE", "MEASURES", "follow", "jpeg", "measures", "photograph", "starts"]

LEARNING_RATE = 0.04
"""Of Adam, in code values; it falls to 0 along half a cosine."""

MEASURES = ("psnr_db", "P_det", "C_max", "cvvdp_jod", "lpips")


def photograph(side: int, name: str = "astronaut") -> Tensor:
    """The middle of a bundled photograph at half its size, (1, 3, side, side) in 0..1."""
    image = Image.fromarray(getattr(data, name)())
    scale = max(1.3 * side / min(image.size), 0.5)
    image = image.resize([round(length * scale) for length in image.size], Image.Resampling.LANCZOS)
    left, top = ((length - side) // 2 for length in image.size)
    pixels = np.asarray(image.crop((left, top, left + side, top + side)), dtype=np.float32) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Through Pillow's JPEG and back."""
    pixels = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(packed)).copy()).permute(2, 0, 1)[None].float() / 255


def starts(reference: Tensor) -> dict[str, Tensor]:
    """Where the way begins: an image of noise alone, a blurred one, a JPEG of quality 10."""
    generator = torch.Generator().manual_seed(0)
    return {
        "noise": torch.rand(reference.shape, generator=generator),
        "blur": window_mean(reference, 3.0, 9).clamp(0, 1),
        "jpeg": jpeg(reference, 10),
    }


def measures(lpips) -> Callable[[Tensor, Tensor], dict]:
    """A function of a pair that gives :data:`MEASURES`; LPIPS only if its loss is given."""
    exact = HDRVDP2(encoding=OPTIONS["encoding"], pixels_per_degree=PIXELS_PER_DEGREE)
    jod = create("cvvdp", pixels_per_degree=PIXELS_PER_DEGREE)

    @torch.no_grad()
    def measure(test: Tensor, reference: Tensor) -> dict:
        result = exact(test, reference)
        error = float((test - reference).square().mean())
        return {
            "psnr_db": round(-10 * math.log10(max(error, 1e-10)), 3),
            "P_det": round(float(result.P_det), 5),
            "C_max": float(f"{float(result.C_max):.4g}"),
            "cvvdp_jod": round(10 - float(jod(test, reference)), 4),
            "lpips": round(float(lpips(test, reference)), 5) if lpips is not None else "",
        }

    return measure


def follow(
    loss, start: Tensor, reference: Tensor, steps: int, every: int, measure: Callable
) -> tuple[Tensor, list[dict]]:
    """The image at the end of the way, and what was measured at every so many steps of it."""
    image = start.clone().requires_grad_()
    optimizer, rows = torch.optim.Adam([image], lr=LEARNING_RATE), []
    for step in range(steps + 1):
        value = loss(image, reference)
        if step % every == 0 or step == steps:
            rows.append({"step": step, "loss_value": float(f"{float(value.detach()):.6g}")})
            rows[-1].update(measure(image.detach(), reference))
        if step == steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
    return image.detach(), rows
