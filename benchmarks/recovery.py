"""What does a loss really want? From noise, a blur and a JPEG its gradient is followed to the image it likes best.

    python -m benchmarks.recovery                       # everything; about 20 minutes of one thread
    python -m benchmarks.recovery --only vdp l1         # some losses anew; the others keep their rows
    python -m benchmarks.recovery --parts page          # the page alone, from the files
    python -m benchmarks.recovery --truth FOLDER        # against published values too: reference and distorted pairs

Writes ``results/losses-*.csv``, a picture a loss in ``results/recovery/``, and the page ``results/losses.md``. Losses
and released surrogates are found by name, so a new one needs no change here.
"""

import argparse
import csv
import os
from pathlib import Path

import torch

from benchmarks.contenders import contenders
from benchmarks.following import follow, measures, photograph, starts
from benchmarks.loss_gradients import gradient_rows, ranking_rows
from benchmarks.loss_speed import random_weights, speed_rows
from benchmarks.loss_truth import agreement_rows, truth_rows
from benchmarks.losses_figures import strip
from benchmarks.losses_page import write_page
from benchmarks.machine import RESULTS, describe

PARTS = ("recovery", "gradients", "ranking", "speed", "truth", "page")
FILES = ("contenders", "recovery", "gradients", "ranking", "agreement", "speed", "truth")
SAME_PLACE = ("psnr", "flip")
"""Not followed: PSNR leads where L2 does, and FLIP has no gradient."""


def recovery(everyone: list, side: int, steps: int, every: int) -> None:
    """The ways of every loss; each is written as soon as it is done."""
    reference = photograph(side)
    beginnings = starts(reference)
    strip(RESULTS / "recovery" / "starts.png", [*beginnings.values(), reference])
    lpips = next((c.loss for c in everyone if c.name == "lpips_alex"), None)
    measure = measures(lpips)
    for contender in everyone:
        if contender.name in SAME_PLACE or not contender.loss.is_differentiable:
            continue
        rows, ends = [], []
        for start, image in beginnings.items():
            end, way = follow(contender.loss, image, reference, steps, every, measure)
            ends.append(end)
            rows += [{"loss": contender.name, "title": contender.title, "start": start, **row} for row in way]
        strip(RESULTS / "recovery" / f"{contender.name}.png", ends)
        keep("recovery", rows, ("loss",))
        print(contender.title, {row["start"]: row["psnr_db"] for row in rows if row["step"] == steps}, flush=True)


def gradients(everyone: list, side: int) -> None:
    """Value and gradient by distortion."""
    for contender in everyone:
        keep("gradients", gradient_rows(contender, side), ("loss",))


def ranking(everyone: list, side: int) -> None:
    """Order of pairs."""
    for row in ranking_rows(everyone, side):
        keep("ranking", [row], ("loss",))


def truth(everyone: list, folder: Path) -> None:
    """Published values, and the order of their pairs."""
    keep("truth", truth_rows(folder, everyone), ("metric", "pair"))
    for contender in everyone:
        if contender.loss is not None:
            keep("agreement", agreement_rows(folder, contender), ("loss",))


def speed(everyone: list, side: int, batch: int, rounds: int) -> None:
    """Relative speed of training; every loss in one run, or the ratios would not be of one machine's hour."""
    fast = [c for c in everyone if c.loss is not None and c.loss.is_differentiable]
    missing = {c.name for c in everyone if c.loss is None}
    fast += [stand_in for stand_in in random_weights() if stand_in.name in missing]
    about = {"processor": describe()["processor"]}
    keep("speed", [{**row, **about} for row in speed_rows(fast, side, batch, rounds)], ())


def keep(name: str, rows: list[dict], keys: tuple[str, ...]) -> None:
    """Write rows into ``losses-NAME.csv``, in place of those with the same keys."""
    path = RESULTS / f"losses-{name}.csv"
    new = {tuple(row[key] for key in keys) for row in rows}
    old = [row for row in read(name) if tuple(row.get(key) for key in keys) not in new] if keys else []
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(old + rows)
    os.replace(partial, path)


def read(name: str) -> list[dict]:
    """Rows of a results file; none if there is no such file yet."""
    path = RESULTS / f"losses-{name}.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="LOSS", help="names of losses")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[part for part in PARTS if part != "truth"])
    parser.add_argument("--side", type=int, default=176, help="pixels; MS-SSIM takes no less than 161")
    parser.add_argument("--steps", type=int, default=60, help="of the way")
    parser.add_argument("--every", type=int, default=10, help="steps between measurements")
    parser.add_argument("--speed-side", type=int, default=256, help="pixels of the network's output")
    parser.add_argument("--speed-batch", type=int, default=4)
    parser.add_argument("--speed-rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--weights", type=Path, help="folder of vgg16.safetensors, alexnet.safetensors, niqe_pris_params.npz"
    )
    parser.add_argument("--truth", type=Path, help="folder of pairs with published values")
    given = parser.parse_args()
    if "truth" in given.parts and given.truth is None:
        parser.error("the part truth needs --truth FOLDER")
    return given


def main() -> None:
    """Measure, write, and put the page together."""
    given = arguments()
    torch.set_num_threads(given.threads)
    (RESULTS / "recovery").mkdir(parents=True, exist_ok=True)
    everyone = contenders(given.only, given.weights) if set(given.parts) - {"page"} else []
    if everyone:
        keep("contenders", [{"loss": c.name, "title": c.title, "problem": c.problem} for c in everyone], ("loss",))
    # NIQE counts blocks of 96 pixels, and there are too few at this size.
    fitting = [c for c in everyone if c.loss is not None and c.loss.minimum_size <= given.side]
    if "gradients" in given.parts:
        gradients(fitting, given.side)
    if "ranking" in given.parts:
        ranking(fitting, given.side)
    if "speed" in given.parts and not given.only:
        speed(everyone, given.speed_side, given.speed_batch, given.speed_rounds)
    if "recovery" in given.parts:
        recovery(fitting, given.side, given.steps, given.every)
    if given.truth is not None:
        truth(everyone, given.truth)
    write_page({name: read(name) for name in FILES})
    print(f"wrote {RESULTS / 'losses.md'}")


if __name__ == "__main__":
    main()
