"""How much of its speed does a training keep with each loss, against L1?

One thread, processor time, every loss in turn in each round: EDSR's baseline (Lim et al. 2017) trained for enlargement
by two, its output against a target. The median round counts, and the slowest and fastest are told beside it. VGG16 and
LPIPS without weights run with random ones, which take as long.
"""

import os
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.contenders import Contender
from vdp_distill.losses.features import FeatureLoss
from vdp_distill.losses.trunks import VGG16, AlexNet, Trunk

__all__ = ["EDSR", "random_weights", "speed_rows"]


class EDSR(nn.Module):
    """EDSR's baseline for enlargement by two: 16 blocks of 64 channels, without batch normalisation."""

    def __init__(self, blocks: int = 16, width: int = 64):
        super().__init__()
        self.head, self.body_end = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(blocks)
        )
        self.tail = nn.Sequential(
            nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(width, 3, 3, padding=1)
        )

    def forward(self, images: Tensor) -> Tensor:
        first = signal = self.head(images)
        for block in self.blocks:
            signal = signal + block(signal)
        return self.tail(first + self.body_end(signal))


class RandomLPIPS(FeatureLoss):
    """What LPIPS computes through a trunk, with random weights: five taps, for time alone."""

    def __init__(self, trunk: Trunk):
        super().__init__(trunk, taps=tuple(trunk.taps), norm="l2")


def random_weights() -> list[Contender]:
    """Stand-ins for losses whose weights are not here."""
    return [
        Contender("vgg", "VGG16 conv4_3 (random weights, for time alone)", FeatureLoss(VGG16())),
        Contender("lpips_alex", "AlexNet, five taps as LPIPS (random weights, for time alone)", RandomLPIPS(AlexNet())),
        Contender("lpips_vgg", "VGG16, five taps as LPIPS (random weights, for time alone)", RandomLPIPS(VGG16())),
    ]


def speed_rows(everyone: list[Contender], side: int, batch: int, rounds: int) -> list[dict]:
    """Relative speed of training, L1 being 1.

    Parameters
    ----------
    everyone
        Losses, L1 among them.
    side, batch
        Of the network's output.
    rounds
        How often everyone's turn comes; one more, unmeasured, goes before.
    """
    torch.manual_seed(0)
    network, low = EDSR(), torch.rand(batch, 3, side // 2, side // 2)
    target = F.interpolate(low, scale_factor=2, mode="bilinear").clamp(0, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    seconds: dict[str, list[float]] = {contender.title: [] for contender in everyone}
    for turn in range(rounds + 1):
        for contender in everyone:
            spent = _step(network, optimizer, contender.loss, low, target)
            if turn:
                seconds[contender.title].append(spent)
    about = {"side": side, "batch": batch, "rounds": rounds, "threads": torch.get_num_threads()}
    about["load_average"] = f"{os.getloadavg()[0]:.1f}"
    return [
        {
            "loss": contender.name,
            "title": contender.title,
            **_relative(seconds["L1"], seconds[contender.title]),
            **about,
        }
        for contender in everyone
    ]


def _relative(of_l1: list[float], own: list[float]) -> dict[str, str]:
    """Speed as a share of L1's: that of the median steps, and the least and largest within a round."""
    by_round = [before / after for before, after in zip(of_l1, own, strict=True)]
    median = statistics.median(of_l1) / statistics.median(own)
    speeds = {"relative_speed": median, "lowest": min(by_round), "highest": max(by_round)}
    return {name: f"{speed:.3f}" for name, speed in speeds.items()}


def _step(network: nn.Module, optimizer, loss, low: Tensor, target: Tensor) -> float:
    """Processor seconds of a step of training."""
    started = time.process_time()
    optimizer.zero_grad()
    loss(network(low), target).backward()
    optimizer.step()
    return time.process_time() - started
