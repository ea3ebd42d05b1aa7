"""Whole photographs of 1920x1080 with distortions of rising strength, and what the exact metric says of them."""

import io
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks.surrogates_errors import NEAR, cosine_rows, number_rows
from vdp_distill import zoo
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.losses import VDPLoss
from vdp_distill.metric import HDRVDP2

__all__ = ["DISTORTIONS", "HEIGHT", "WIDTH", "Large"]

HEIGHT, WIDTH = 1080, 1920
SETTINGS = {"encoding": "sRGB-display", "pixels_per_degree": 45.0}


def _noise(image: Tensor, strength: float) -> Tensor:
    return image + 0.002 * strength * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))


def _blur(image: Tensor, strength: float) -> Tensor:
    mean = F.avg_pool2d(F.pad(image, (2,) * 4, mode="reflect"), 5, 1)
    return torch.lerp(image, mean, min(1.0, 0.03 * strength))


def _jpeg(image: Tensor, strength: float) -> Tensor:
    buffer = io.BytesIO()
    pixels = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=max(5, round(100 - 2 * strength)))
    return torch.from_numpy(np.asarray(Image.open(buffer), np.float32) / 255).permute(2, 0, 1)[None]


def _patch(image: Tensor, strength: float) -> Tensor:
    darker = image.clone()
    darker[..., 400:520, 900:1100] -= 0.001 * strength
    return darker


def _colour(image: Tensor, strength: float) -> Tensor:
    return image + 0.0005 * strength * image.new_tensor([1.0, -0.4, 0.2]).view(1, 3, 1, 1)


def _banding(image: Tensor, strength: float) -> Tensor:
    levels = max(8, round(1024 / strength))
    return (image * levels).round() / levels


DISTORTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "JPEG": _jpeg,
    "a darker patch": _patch,
    "a change of colour": _colour,
    "banding": _banding,
}
"""Each takes (1, 3, HEIGHT, WIDTH) code values and a strength."""

STRENGTHS = (1.0, 2.5, 6.0, 15.0)


class Large:
    """Pairs of large photographs, sRGB at 45 pixels per degree, and the truth about them.

    Parameters
    ----------
    folder
        Photographs; scikit-image's otherwise.
    photographs
        How many of them; every distortion is put on each, at every strength.
    """

    def __init__(self, folder: Path | None, photographs: int = 3):
        self.references = [reference for _, reference in photograph_pairs(HEIGHT, WIDTH, folder, photographs)]
        self.truth = self._seen(HDRVDP2(**SETTINGS))
        self.gradients = list(self._gradients("exact"))

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        for change, strength, reference in product(DISTORTIONS.values(), STRENGTHS, self.references):
            yield change(reference, strength).clamp(0, 1), reference

    @torch.no_grad()
    def _seen(self, metric: HDRVDP2) -> dict[str, Tensor]:
        results = [metric(*pair) for pair in self._pairs()]
        names = ("P_map", "C_map", "P_det", "C_max", "Q")
        return {name: torch.cat([getattr(result, name) for result in results]) for name in names}

    def _gradients(self, model: str) -> Iterator[Tensor]:
        """Of a model's loss by code values, for the pairs near threshold."""
        loss = VDPLoss(model, **SETTINGS)
        for (test, reference), P_det in zip(self._pairs(), self.truth["P_det"], strict=True):
            if NEAR[0] < P_det < NEAR[1]:
                leaf = test.clone().requires_grad_()
                loss(leaf, reference).backward()
                yield leaf.grad.flatten()

    def rows(self, model: str) -> list[tuple[str, float, str, int]]:
        """Errors of a model."""
        count = len(self.truth["Q"])
        truth = {**self.truth, "sum_S": self.truth["C_max"]}
        truth["conditions/pixels_per_degree"] = torch.full((count,), SETTINGS["pixels_per_degree"])
        rows = number_rows(self._seen(zoo.load(model, **SETTINGS)), truth)
        pairs = zip(self._gradients(model), self.gradients, strict=True)
        rows += cosine_rows([torch.cosine_similarity(*pair, dim=0) for pair in pairs])
        return [(f"{WIDTH}x{HEIGHT}: {name}", *numbers) for name, *numbers in rows]
