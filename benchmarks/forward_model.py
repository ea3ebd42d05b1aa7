"""Can a metric without a gradient be made a loss? FLIP, a compiled program, learnt from its answers.

    python -m benchmarks.forward_model [--out FOLDER]

The black box is LDR-FLIP of flip-evaluator (Andersson et al. 2020) at its default viewing distance: pictures in, map
out. Pairs are crops of scikit-image's photographs and our degradations of them (:mod:`benchmarks.forward_pairs`). Then,
on photographs that were not trained on: how near are scores and maps, for degradations of the kinds trained on and of
others? What does a call cost? And does going downhill on the loss lower what FLIP itself says, more than L1 does?

Writes ``results/forward-model.csv`` and ``results/forward-model.png``. Times are processor seconds of one thread, both
sides in turn. About ten minutes; ``--out`` keeps the run, which goes on where it was stopped.
"""

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from benchmarks import forward_pairs
from benchmarks.forward_figure import draw
from benchmarks.machine import RESULTS, describe
from vdp_distill.losses.forward import ForwardLoss
from vdp_distill.losses.mdf_tasks import jpeg
from vdp_distill.losses.registry import create
from vdp_distill.training.forward import ForwardModel

CROP_PX, HELD_OUT_PX, TIMED_PX = 64, 256, 512
TRAINING_PAIRS, VALIDATION_PAIRS, HELD_OUT_PAIRS = 4000, 192, 90
ROUNDS = 7
STEPS, RATE = 100, 2e-3
SHOWN_STEPS = (0, 10, 25, 50, STEPS)


def flip(test: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Map of LDR-FLIP."""
    from flip_evaluator import evaluate

    return evaluate(reference, test, "LDR", applyMagma=False)[0][..., 0]


def flip_of(test: Tensor, reference: Tensor) -> np.ndarray:
    """The same of tensors (1, 3, H, W), of code values that a file can hold."""
    arrays = ((image[0].detach().clamp(0, 1) * 255).round().div(255).permute(1, 2, 0) for image in (test, reference))
    return flip(*(np.ascontiguousarray(array.numpy()) for array in arrays))


def agreement(name: str, loss: ForwardLoss, pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[dict], np.ndarray]:
    """How near scores and maps are; and the scores, (pairs, 2): FLIP's and ours."""
    maps = []
    for test, reference in pairs:
        with torch.no_grad():
            maps.append((flip_of(test, reference), loss.judge(test, reference).map[0, 0].numpy()))
    scores = np.array([[found.mean() for found in pair] for pair in maps], np.float64)
    true, found = (np.concatenate([pair[side].ravel()[::7] for pair in maps]) for side in (0, 1))
    varied = [pair for pair in maps if all(np.ptp(side) > 0 for side in pair)]  # an even map correlates with nothing
    each = [pearsonr(*(side.ravel() for side in pair)).statistic for pair in varied]
    values = {
        "score, PLCC": pearsonr(*scores.T).statistic,
        "score, SROCC": spearmanr(*scores.T).statistic,
        "score, RMSE": np.sqrt(np.square(scores[:, 1] - scores[:, 0]).mean()),
        "score, mean of FLIP's": scores[:, 0].mean(),
        "map, PLCC over all pixels": pearsonr(true, found).statistic,
        "map, PLCC within a picture, median": np.median(each),
        "map, RMSE": np.sqrt(np.square(found - true).mean()),
    }
    return [_row(name, what, value, len(pairs)) for what, value in values.items()], scores


def cost(loss: ForwardLoss) -> list[dict]:
    """Processor seconds of a pair, by FLIP and by the network, in turn; medians, and their ratio."""
    ((test, reference),) = forward_pairs.held_out(1, TIMED_PX)
    moving = test.clone().requires_grad_()
    sides = {
        "FLIP (flip-evaluator)": lambda: flip_of(test, reference),
        "forward model": lambda: loss.judge(test, reference),
        "forward model with gradient": lambda: torch.autograd.grad(loss(moving, reference), moving),
    }
    spent: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(ROUNDS + 1):
        for side, call in sides.items():
            started = time.process_time()
            with torch.set_grad_enabled("gradient" in side):
                call()
            if turn:
                spent[side].append(time.process_time() - started)
    medians = {side: statistics.median(times) for side, times in spent.items()}
    black_box, *own = medians.items()
    size = f"{TIMED_PX} x {TIMED_PX}"
    rows = [_row(size, f"processor seconds, {side}", seconds, ROUNDS) for side, seconds in medians.items()]
    return rows + [_row(size, f"{black_box[0]} over {side}", black_box[1] / seconds, ROUNDS) for side, seconds in own]


def descent(start: str, test: Tensor, reference: Tensor, loss: Callable) -> list[dict]:
    """Go downhill from a distorted picture on a loss by Adam; FLIP's own score, and the PSNR, on the way."""
    moving = test.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=RATE)
    rows = []
    for step in range(STEPS + 1):
        if step in SHOWN_STEPS:
            error = (moving.detach().clamp(0, 1) - reference).square().mean()
            values = {"FLIP": flip_of(moving, reference).mean(), "PSNR, dB": -10 * float(error.log10())}
            name = "forward model" if isinstance(loss, ForwardLoss) else "L1"
            rows += [_row(f"{start}, downhill on {name}", f"{what} at step {step}", values[what], 1) for what in values]
        optimizer.zero_grad()
        loss(moving, reference).backward()
        optimizer.step()
    return rows


def starts() -> dict[str, tuple[Tensor, Tensor]]:
    """Distorted copies of a photograph that was not trained on."""
    reference = forward_pairs.photographs(forward_pairs.HELD_OUT)[0][:, :, :HELD_OUT_PX, 100 : 100 + HELD_OUT_PX]
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0))
    blurred = forward_pairs.degrade(reference, "blur", 0.5, torch.Generator())
    tests = {"noise": reference + 0.06 * noise, "blur": blurred, "JPEG": (jpeg(2 * reference - 1, 15) + 1) / 2}
    return {name: (test.clamp(0, 1), reference) for name, test in tests.items()}


def _row(name: str, quantity: str, value: float, count: int) -> dict:
    return {"set": name, "quantity": quantity, "value": f"{value:.4g}", "count": count}


def _progress(name: str, done: int, total: int) -> None:
    print(f"\rasked about {done} of {total} pairs of {name!r}", end="" if done < total else "\n", flush=True)


def train(out: Path) -> ForwardLoss:
    """Ask FLIP, and learn its answers."""
    model = ForwardModel(flip, output="map")
    train, val = (
        forward_pairs.training(count, CROP_PX, seed) for seed, count in enumerate((TRAINING_PAIRS, VALIDATION_PAIRS))
    )
    started = time.process_time()
    model.train({"train": train, "val": val}, out, resume=True, report=_progress)
    print(f"asked and trained in {time.process_time() - started:.0f} processor seconds")
    return model.as_loss()


def main() -> None:
    """Train, then measure on photographs that were not trained on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the run; a temporary one by default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        loss = train(options.out or Path(folder))
    rows, scores = [], {}
    for name, kinds in (("kinds trained on", forward_pairs.TRAINED), ("other kinds", forward_pairs.OTHERS)):
        name = f"held-out photographs, {name}"
        own, scores[name] = agreement(name, loss, forward_pairs.held_out(HELD_OUT_PAIRS, HELD_OUT_PX, kinds))
        rows += own
    rows += cost(loss)
    for start, pair in starts().items():
        rows += descent(start, *pair, loss) + descent(start, *pair, create("l1"))
    with (RESULTS / "forward-model.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], *describe()])
        writer.writeheader()
        writer.writerows(row | describe() for row in rows)
    draw(scores, rows, starts()["blur"], loss, flip_of, RESULTS / "forward-model.png")
    for row in rows:
        print(f"{row['set']:44} {row['quantity']:44} {row['value']}")


if __name__ == "__main__":
    main()
