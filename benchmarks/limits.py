"""Where does the time of a 1080p pair go, and how little could it be? Steps of the fast models, from the first on.

    python -m benchmarks.limits [--rounds 5] [--sizes NAME=RUN ...]

Every step includes those before it, on one pair of sRGB photographs, in one process, in turn, round after round: times
are ratios to the exact metric in float32, forward or forward with backward. Beside them what was asked of the models: a
share of the Octave program's time, and of MS-SSIM's; and whole models of your own, ``RUN`` being what ``vdp-distill
train`` made. Writes ``results/limits.csv``.
"""

import argparse
import csv
import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.machine import RESULTS, describe, photograph_pair
from benchmarks.sides import SIDES, VIEWING, both_ways
from benchmarks.speed import rounded, rounds_of
from vdp_distill import VDPLoss, keep_freed_memory, zoo
from vdp_distill.pipeline import Pair
from vdp_distill.settings import Settings, light_of, matrix_of, pixels_per_degree_of, surround_of
from vdp_distill.surrogates.curves import light_polynomial, polynomial_light
from vdp_distill.surrogates.planes import Planes, light_planes
from vdp_distill.surrogates.viewing import Viewing, mix, receptor_shares
from vdp_distill.tiles import in_tiles

SIZE = (1080, 1920)
EXACT, OCTAVE, MS_SSIM = "exact-float32", "octave", "ms-ssim"
ASKED = {
    "a 60th of the Octave program's": (OCTAVE, "forward", 60),
    "a 120th of the Octave program's": (OCTAVE, "forward", 120),
    "a 300th of the Octave program's": (OCTAVE, "forward", 300),
    "an eighth of MS-SSIM's": (MS_SSIM, "forward+backward", 8),
}
"""Whose time, which way, what part of it."""


def swift_steps(test: Tensor, reference: Tensor) -> dict[str, Callable[[Tensor], object]]:
    """What ``vdp-swift-v1`` does one after the other, as functions of the test image."""
    model = zoo.load("vdp-swift-v1", **VIEWING)
    network, viewing = model.network, seen(reference, model.settings)
    weight, fitted = viewing.shares.plane[:, :, None, None], light_polynomial(model.settings.code_display())

    def to_light(codes: Tensor) -> Tensor:
        return polynomial_light(codes, fitted)

    def in_one_plane(image: Tensor) -> Tensor:
        return in_tiles(lambda pixels, weight: mix(to_light(pixels), weight), image, weight)

    def sights(test: Tensor) -> Pair:
        return Pair(*(network.look_at(image, to_light, viewing) for image in (test, reference)))

    def found(test: Tensor) -> list[Tensor]:
        return network.fine.responses(Pair(*(sight.cells for sight in sights(test))))

    return {
        "copy both images": lambda test: (test.clone(), reference.clone()),
        "weighted sum of code values": lambda test: [mix(image, weight) for image in (test, reference)],
        "light in one plane": lambda test: [in_one_plane(image) for image in (test, reference)],
        "swift: optics and retina": sights,
        "swift: filters of the fine octaves": found,
        "swift: everything": lambda test: model(test, reference),
    }


def fast_steps(test: Tensor, reference: Tensor) -> dict[str, Callable[[Tensor], object]]:
    """What ``vdp-fast-v1`` does."""
    model = zoo.load("vdp-fast-v1", **VIEWING)
    viewing = seen(reference, model.settings)

    def planes(test: Tensor) -> Planes:
        return light_planes(Pair(test, reference), viewing, lambda pixels: light_of(pixels, model.settings))

    return {
        "fast: light in planes": planes,
        "fast: optics and retina": lambda test: model.network.retina(planes(test), viewing),
        "fast: everything": lambda test: model(test, reference),
    }


def seen(reference: Tensor, settings: Settings) -> Viewing:
    """How the pair is looked at."""
    light = light_of(reference, settings)
    matrix = torch.as_tensor(matrix_of(settings, light.shape[1])).to(light).reshape(-1, light.shape[1], 4)
    degree = pixels_per_degree_of(settings, light.shape[0], light)
    return Viewing(receptor_shares(light, matrix), surround_of(settings, light), degree)


def timed(rounds: int, sizes: dict[str, str]) -> dict[str, dict[str, float]]:
    """Medians over the rounds, over exact's, by direction; ``sizes`` are folders of models by name."""
    pair = photograph_pair(*SIZE)
    test, reference = (image.float() for image in pair)
    steps = swift_steps(test, reference) | fast_steps(test, reference)
    calls = {"forward": {}, "forward+backward": {}}
    for name, step in steps.items():
        calls["forward"][name] = torch.no_grad()(lambda step=step: step(test))
    for side in SIDES:
        if side.name in (EXACT, OCTAVE, MS_SSIM):
            forward, backward = side.prepare(*pair)
            calls["forward"][side.name] = forward
            calls["forward+backward"] |= {side.name: backward} if backward else {}
    for name in ("light in one plane", "swift: optics and retina"):
        calls["forward+backward"][name] = _with_backward(steps[name], test)
    for name, run in sizes.items():
        whole, loss = zoo.load(run, **VIEWING), VDPLoss(run, **VIEWING)
        forward, backward = both_ways(whole, test, reference)[0], both_ways(loss, test, reference)[1]
        calls["forward"][f"{name}: everything"], calls["forward+backward"][f"{name}: everything"] = forward, backward
    found = {}
    for direction, functions in calls.items():
        taken = {name: statistics.median(times) for name, times in rounds_of(functions, rounds).items()}
        found[direction] = {name: seconds / taken[EXACT] for name, seconds in taken.items()}
    return found


def _with_backward(step: Callable[[Tensor], object], test: Tensor) -> Callable[[], None]:
    """The step with the gradient of the sum of what it finds in the test image."""

    def run() -> None:
        leaf = test.clone().requires_grad_()
        first = step(leaf)[0]
        (first if isinstance(first, Tensor) else first.cells).sum().backward()

    return run


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=[], metavar="NAME=RUN", help="trained folders to put beside")
    options = parser.parse_args()
    keep_freed_memory()
    found, machine = timed(options.rounds, dict(size.split("=", 1) for size in options.sizes)), describe()
    on = {"rounds": options.rounds, "machine": f"{machine['processor']}, {machine['threads']} threads"}
    asked = [
        {"direction": direction, "step": f"asked: {name}", "time_over_exact": rounded(found[direction][side] / part)}
        for name, (side, direction, part) in ASKED.items()
    ]
    measured = [
        {"direction": direction, "step": name, "time_over_exact": rounded(ratio)}
        for direction, ratios in found.items()
        for name, ratio in ratios.items()
    ]
    rows = [row | on for row in measured + asked]
    with (RESULTS / "limits.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(f"{row['direction']:17} {row['step']:45} {row['time_over_exact']:>8} of exact")


if __name__ == "__main__":
    main()
