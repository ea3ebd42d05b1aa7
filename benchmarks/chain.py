"""How far are the stages of the conditioned chain from the metric's own?

    python -m benchmarks.chain --data FOLDER [--large FOLDER] [--model vdp-chain-v1] [--samples 512]
                               [--about TEXT]

Takes samples of a set whose photographs no model was trained on, and whole 1080p pairs; and the transfer of single
points of light at several pixels per degree, against the metric's filter. Truth is the metric in float64. Writes
``results/chain.csv``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.machine import RESULTS
from benchmarks.surrogates import write
from vdp_distill import zoo
from vdp_distill.dataset import ShardDataset
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.pipeline import Pair
from vdp_distill.settings import Settings, light_of, matrix_of, surround_of
from vdp_distill.surrogates.conditioned import ConditionedChain
from vdp_distill.training.conditioned import FIELDS, exact_retina
from vdp_distill.training.cortex import network_inputs

PIXELS_PER_DEGREE = (30.0, 45.0, 60.0, 90.0, 120.0)
BOUNDS_CPD = (0.1, 30.0)
SIDE = 512
LARGE_PPD = 45.0
DARK_CDM2 = 1e-5
STAGES = ("light_scatter", "photoreceptors")

Inputs = tuple[Pair, Tensor, Tensor, Tensor]


def stored(folder: Path, count: int) -> Iterator[Inputs]:
    """Samples of a set in float64, one at a time, as the chain takes them."""
    found = ShardDataset(folder, FIELDS)
    for k in torch.linspace(0, len(found) - 1, min(count, len(found))).round().long().unique().tolist():
        batch = default_collate([found[k]])
        light, *viewing = network_inputs({name: value.double() for name, value in batch.items()})
        yield light, *viewing


def large(folder: Path | None) -> Iterator[Inputs]:
    """Whole 1080p pairs on an sRGB display."""
    settings = Settings.create(encoding="sRGB-display", pixels_per_degree=LARGE_PPD)
    matrix = torch.as_tensor(matrix_of(settings, 3)).double().reshape(-1, 3, 4)
    for pair in photograph_pairs(1080, 1920, folder, 6):
        light = Pair(*(light_of(image.double(), settings) for image in pair))
        yield light, matrix, surround_of(settings, light.reference), torch.tensor([LARGE_PPD]).double()


@torch.no_grad()
def stage_errors(chain: ConditionedChain, inputs: Iterator[Inputs]) -> dict[str, list[float]]:
    """Root mean square errors of every pair."""
    errors = {}
    for given in inputs:
        found, exact = chain(*given, keep_stages=True), exact_retina(*given)
        for stage in STAGES:
            true = getattr(exact.test, stage)
            wrong = getattr(found.test, stage) - true
            errors.setdefault(f"{stage}, of its rms", []).append(_share(wrong, true))
            errors.setdefault(f"{stage}, pixel by pixel", []).append(_share(wrong / true, torch.ones_like(true)))
        true, seen = (retina.test.achromatic - retina.reference.achromatic for retina in (exact, found))
        if true.abs().max() > 0:
            errors.setdefault("difference of achromatic, of its rms", []).append(_share(seen - true, true))
    return errors


def _share(wrong: Tensor, true: Tensor) -> float:
    return float((wrong.square().mean() / true.square().mean()).sqrt())


@torch.no_grad()
def transfer_errors(chain: ConditionedChain, ppd: float) -> dict[str, float]:
    """Largest errors of what a grating becomes, relative to what it is in the metric.

    A point of light on each pixel of 2 x 2 tells it: the mean of their spectra is the transfer, and with a sign that
    changes from column to column it is what half resolution makes of a grating beside it, another one.
    """
    degree, matrix = torch.tensor([ppd]).double(), torch.ones(1, 1, 4).double()
    dark, found, false, true = torch.full((1, 1, 1, 1), DARK_CDM2).double(), 0, 0, 0
    for shift in range(4):
        place = SIDE // 2 + shift // 2, SIDE // 2 + shift % 2
        light = torch.full((1, 1, SIDE, SIDE), DARK_CDM2).double()
        light[0, 0, *place] = 1e6
        given = Pair(light, light), matrix, dark, degree
        seen = _spectrum(chain.scatter(*given[:1], *given[2:]).test, place)
        found, false = found + seen, false + (-1) ** shift * seen
        true = true + _spectrum(exact_retina(*given).test.light_scatter, place).real
    frequency, half = torch.arange(SIDE // 2) * ppd / SIDE, slice(SIDE // 2)
    error, alias = ((found - true) / true).abs(), _shifted(false).abs() / true
    along, across = _within(frequency), _within(frequency * 2**0.5)
    return {
        "transfer along rows and columns": float(error[0, half][along].max()),
        "transfer along diagonals": float(error.diagonal()[half][across].max()),
        "false grating beside one along rows": float(alias[0, half][along].max()),
    }


def _spectrum(light: Tensor, place: tuple[int, int]) -> Tensor:
    return torch.fft.fft2(torch.roll(light[0, 0], (-place[0], -place[1]), (0, 1)))


def _shifted(spectrum: Tensor) -> Tensor:
    """At each frequency what is found half of the sampling frequency away, along rows."""
    return spectrum.roll(spectrum.shape[1] // 2, 1)


def _within(frequency: Tensor) -> Tensor:
    return (frequency >= BOUNDS_CPD[0]) & (frequency <= BOUNDS_CPD[1])


def rows_of(model: str, about: str, errors: dict[str, list[float]]) -> list[dict]:
    """Rows of a set."""
    rows = []
    for quantity, values in errors.items():
        found = torch.tensor(values).double()
        numbers = {
            "rms": float(found.square().mean().sqrt()),
            "median": float(found.median()),
            "worst": float(found.max()),
        }
        shown = {name: f"{value:.3g}" for name, value in numbers.items()}
        rows.append({"model": model, "quantity": quantity, **shown, "pairs": len(values), "data": about})
    return rows


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--large", type=Path, help="photographs for whole images; scikit-image's otherwise")
    parser.add_argument("--model", default="vdp-chain-v1")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--about", help="the set in words, for the results file")
    options = parser.parse_args()
    chain, name = zoo.load_network(options.model).double(), Path(options.model).name
    rows = rows_of(name, options.about or options.data.name, stage_errors(chain, stored(options.data, options.samples)))
    rows += rows_of(name, "whole images of 1920x1080", stage_errors(chain, large(options.large)))
    for ppd in PIXELS_PER_DEGREE:
        for what, error in transfer_errors(chain, ppd).items():
            quantity, number = f"{what}, 0.1 to 30 cycles/degree, of the metric's", f"{error:.3g}"
            about = f"points of light, {ppd:g} pixels per degree"
            blank = {"rms": "", "median": ""}
            rows.append({"model": name, "quantity": quantity, **blank, "worst": number, "pairs": 4, "data": about})
    write(RESULTS / "chain.csv", rows)
    for row in rows:
        print(" | ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()
