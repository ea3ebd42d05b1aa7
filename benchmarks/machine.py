"""Which machine a result was measured on, and pairs of photographs to measure with."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

RESULTS = Path(__file__).with_name("results")

__all__ = ["RESULTS", "describe", "machine_name", "photograph_pair", "versions"]


def processor() -> str:
    """The processor's own name for itself."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def machine_name() -> str:
    """A short name for result files: cores and processor, or the GPU."""
    on_gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if on_gpu else f"{os.cpu_count()}-core {processor()}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def versions(*packages: str) -> dict[str, str]:
    """Versions of installed packages; missing ones are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, str]:
    """Processor, threads and versions, for every row of a result."""
    return {
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
        **versions("vdp-distill", "torch", "numpy", "scipy"),
    }


def photograph_pair(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A bundled photograph at a size, and the same with JPEG and a little noise: (1, 3, H, W) float64 in 0..1."""
    photograph = Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.BICUBIC)
    reference = np.asarray(photograph, dtype=np.float64) / 255
    noise = np.random.default_rng(seed).normal(0, 2 / 255, reference.shape)
    test = np.clip(np.round((reference + noise) * 64) / 64, 0, 1)
    return tuple(torch.from_numpy(image.transpose(2, 0, 1).copy())[None] for image in (test, reference))
