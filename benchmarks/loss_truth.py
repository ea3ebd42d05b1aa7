"""Do our values meet those that others published for the same pairs, and do the losses order the pairs as they do?

The folder holds ``ref_dir`` and ``dist_dir`` with files of the same names, and ``results_official.csv``: a line a
metric, a column a file. Five pairs of TID2013 with the official programs' values are in the repository
chaofengc/IQA-PyTorch.
"""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from benchmarks.contenders import Contender
from vdp_distill.losses import create

__all__ = ["agreement_rows", "truth_rows"]

RGB2GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)
"""MATLAB's: the official SSIM and MS-SSIM are of grey images, rounded to 8 bit."""

JUDGES = {"dists": 1, "lpips": 1, "gmsd": 1, "mad": 1, "nlpd": 1, "cw_ssim": -1, "fsim": -1, "vif": -1, "vsi": -1}
"""Published full-reference metrics that are none of our losses; -1 where more is better."""


def truth_rows(folder: Path, everyone: list[Contender]) -> list[dict]:
    """Published and own values, a row a metric and pair."""
    published, made = _published(folder), {contender.name: contender.loss for contender in everyone}
    measures = {
        "psnr": (create("psnr", ceiling=200.0), _same, lambda value: -value),
        "ssim": (create("ssim"), _grey, lambda value: 1 - value),
        "ms_ssim": (create("ms_ssim"), _grey, lambda value: 1 - value),
        "niqe": (made.get("niqe"), _same, lambda value: value),
        "lpips": (made.get("lpips_alex"), _same, lambda value: value),
    }
    rows = []
    for name, (loss, prepare, to_score) in measures.items():
        for file, value in published[name].items() if loss is not None else ():
            ours = to_score(float(loss(*(prepare(image) for image in _pair(folder, file)))))
            row = {"metric": name, "pair": file, "published": f"{float(value):.6g}", "ours": f"{ours:.4f}"}
            rows.append({**row, "difference": f"{ours - float(value):+.4f}"})
    return rows


@torch.no_grad()
def agreement_rows(folder: Path, contender: Contender) -> list[dict]:
    """Rank correlation of a loss with the mean rank that the published judges give each pair: a row."""
    published = _published(folder)
    files = list(published["psnr"])
    ranks = [rankdata([sign * float(published[name][file]) for file in files]) for name, sign in JUDGES.items()]
    values = [float(contender.loss(*_pair(folder, file, torch.float32))) for file in files]
    agreement = spearmanr(values, np.mean(ranks, axis=0)).statistic
    row = {"loss": contender.name, "title": contender.title, "pairs": len(files)}
    return [{**row, "srocc_published": f"{agreement:.2f}"}]


def _published(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "results_official.csv").open(newline="", encoding="utf-8") as file:
        return {row.pop("Method"): row for row in csv.DictReader(file)}


def _pair(folder: Path, file: str, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [_read(folder / side / file).to(dtype) for side in ("dist_dir", "ref_dir")]


def _read(path: Path) -> Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


def _same(image: Tensor) -> Tensor:
    return image


def _grey(image: Tensor) -> Tensor:
    weights = torch.tensor(RGB2GRAY, dtype=image.dtype)[:, None, None]
    return ((image * weights).sum(1, keepdim=True) * 255).round() / 255
