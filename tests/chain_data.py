"""A small data set in memory, as shards would give it: random scenes, distorted, run through the exact metric."""

import torch
from torch.nn import functional as F

from vdp_distill import HDRVDP2

SURROUND_CDM2 = 1e-2


def scenes(count: int, side: int, seed: int) -> torch.Tensor:
    """Smooth random pictures as code values, (count, 3, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = F.interpolate(coarse, size=(side, side), mode="bilinear")
    return (smooth + 0.05 * torch.rand(count, 3, side, side, generator=generator)).clamp(0, 1)


def pairs(count: int, side: int = 32, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """Samples with the fields that training asks for."""
    reference = scenes(count, side, seed)
    test = F.avg_pool2d(F.pad(reference, (1, 1, 1, 1), mode="replicate"), 3, 1)
    light = {"test": 99 * test**2.2 + 1, "reference": 99 * reference**2.2 + 1}
    metric = HDRVDP2(encoding="rgb-bt.709", pixels_per_degree=30, surround_l=SURROUND_CDM2, keep_stages=True)
    stages = metric(light["test"], light["reference"]).stages
    samples = []
    for index in range(count):
        sample = {f"light/{image}": light[image][index] for image in light}
        for name in ("light_scatter", "photoreceptors", "luminance_masking"):
            sample |= {f"stages/{name}/{image}": getattr(stages[name], image)[index] for image in light}
        samples.append(
            sample
            | {"conditions/surround_cdm2": torch.full((3,), SURROUND_CDM2), "samples/index": torch.tensor(index + 100)}
        )
    return samples
