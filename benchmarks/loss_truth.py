"""Do our PSNR, SSIM, MS-SSIM and LPIPS give the values that others published for the same pairs?

The folder holds ``ref_dir`` and ``dist_dir`` with files of the same names, and ``results_official.csv``: a line a
metric, a column a file. Five pairs of TID2013 with the official programs' values are in the repository
chaofengc/IQA-PyTorch.
"""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vdp_distill.losses import MissingWeights, create

__all__ = ["truth_rows"]

RGB2GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)
"""MATLAB's: the official SSIM and MS-SSIM are of grey images, rounded to 8 bit."""


def truth_rows(folder: Path) -> list[dict]:
    """Published and own values, a row a metric and pair."""
    with (folder / "results_official.csv").open(newline="", encoding="utf-8") as file:
        published = {row.pop("Method"): row for row in csv.DictReader(file)}
    measures = {
        "psnr": (create("psnr", ceiling=200.0), _same, lambda value: -value),
        "ssim": (create("ssim"), _grey, lambda value: 1 - value),
        "ms_ssim": (create("ms_ssim"), _grey, lambda value: 1 - value),
    }
    try:
        measures["lpips"] = (create("lpips_alex"), _same, lambda value: value)
    except (MissingWeights, ImportError) as problem:
        print(f"no LPIPS rows: {problem}")
    rows = []
    for name, (loss, prepare, to_score) in measures.items():
        for file, value in published[name].items():
            pair = (prepare(_read(folder / side / file)) for side in ("dist_dir", "ref_dir"))
            ours = to_score(float(loss(*pair)))
            row = {"metric": name, "pair": file, "published": value, "ours": f"{ours:.4f}"}
            rows.append({**row, "difference": f"{ours - float(value):+.4f}"})
    return rows


def _read(path: Path) -> Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


def _same(image: Tensor) -> Tensor:
    return image


def _grey(image: Tensor) -> Tensor:
    weights = torch.tensor(RGB2GRAY, dtype=image.dtype)[:, None, None]
    return ((image * weights).sum(1, keepdim=True) * 255).round() / 255
