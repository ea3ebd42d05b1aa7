"""How long does the smallest file that few can tell apart take to find, for a photograph of 12 megapixels?

    python -m benchmarks.jnd_speed [--photograph FILE] [--codec jpeg ...] [--model vdp-fast-v1 ...] [--threads 2]

Every search stands beside one forward pass of the exact metric in float32 on a 1080p pair, taken just before and just
after it: the ratio of the two is what is written, by the clock and by processor time (which a busy machine bends less).
So is the whole command, ``vdp-distill jnd``, on the same as a file (JPEG of quality 95): start, file and plot are in
it, and its ratio, by the clock alone, is to the mean of both forward passes too. The seconds are printed. Without a
photograph a bundled one is enlarged; that is smoother than a camera's.
Writes ``results/jnd-speed-<machine>.csv``; a search that is measured again replaces its own row.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from skimage import data

from benchmarks.machine import RESULTS, describe, machine_name, photograph_pair
from vdp_distill import HDRVDP2
from vdp_distill.jnd import find_jnd
from vdp_distill.jnd.codecs import CODECS

SIZE = (4000, 3000)
PIXELS_PER_DEGREE = 60
KEY = ("photograph", "codec", "model", "threads")
MODELS = ("vdp-swift-v1", "vdp-fast-v1")
CAMERA_QUALITY = 95


def photograph(path: Path | None) -> tuple[str, Image.Image]:
    """Name and 12 megapixels: the middle of a photograph, enlarged if it is smaller."""
    image = Image.open(path).convert("RGB") if path else Image.fromarray(data.astronaut())
    scale = max(1, *(wanted / side for wanted, side in zip(SIZE, image.size, strict=True)))
    if scale > 1:
        image = image.resize([max(round(side * scale), w) for side, w in zip(image.size, SIZE, strict=True)])
    left, top = ((side - wanted) // 2 for side, wanted in zip(image.size, SIZE, strict=True))
    name = path.stem if path else "astronaut"
    return f"{name}, enlarged" if scale > 1 else name, image.crop((left, top, left + SIZE[0], top + SIZE[1]))


def timed(work: Callable[[], object]) -> tuple[float, float, object]:
    """Seconds by the clock, seconds of the processor, and what came out."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - clock, time.process_time() - processor, found


class ExactForward:
    """One forward pass of the exact metric in float32 on a 1080p pair."""

    def __init__(self):
        self.pair = [image.float() for image in photograph_pair(1080, 1920)]
        self.metric = HDRVDP2(encoding="sRGB-display", pixels_per_degree=PIXELS_PER_DEGREE)
        self()

    def __call__(self) -> tuple[float, float]:
        """Seconds by the clock and of the processor."""
        with torch.no_grad():
            return timed(lambda: self.metric(*self.pair))[:2]


def command_seconds(image: Image.Image, codec: str, model: str) -> float:
    """By the clock, of the whole command on a file."""
    with tempfile.TemporaryDirectory() as folder:
        image.save(Path(folder, "photograph.jpg"), quality=CAMERA_QUALITY, subsampling=0)
        command = [sys.executable, "-m", "vdp_distill.cli", "jnd", "photograph.jpg", "--codec", codec]
        command += ["--model", model, "--ppd", str(PIXELS_PER_DEGREE)]
        paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        here = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": str(torch.get_num_threads())}

        def run():
            return subprocess.run(command, cwd=folder, env={**os.environ, **here}, check=True, capture_output=True)

        return timed(run)[0]


def measured(name: str, image: Image.Image, codec: str, model: str, exact: ExactForward) -> dict:
    """One row."""
    before = exact()
    clock, processor, found = timed(lambda: find_jnd(image, codec, PIXELS_PER_DEGREE, model=model))
    command, after = command_seconds(image, codec, model), exact()
    unit_clock, unit_processor = (sum(pair) / 2 for pair in zip(before, after, strict=True))
    whole = sum(point.whole for point in found.curve)
    print(
        f"{name}, {codec}, {model}: {clock:.1f} s by the clock, {processor:.1f} s of the processor, the whole command "
        f"{command:.1f} s by the clock; quality {found.quality}, {len(found.data)} bytes; exact 1080p forward "
        f"{unit_clock:.2f} s, {unit_processor:.2f} s",
        flush=True,
    )
    key = dict(zip(KEY, (name, codec, model, str(torch.get_num_threads())), strict=True))
    looks = {"quality": found.quality, "P": f"{found.P:.3f}", "whole_looks": whole, "looks": len(found.curve)}
    ratios = {"clock_ratio": f"{clock / unit_clock:.2f}", "processor_ratio": f"{processor / unit_processor:.2f}"}
    ratios["command_clock_ratio"] = f"{command / unit_clock:.2f}"
    return key | looks | ratios | {key: value for key, value in describe().items() if key != "threads"}


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photograph", type=Path, help="an 8 bit photograph of at least 4000 x 3000 pixels")
    parser.add_argument("--codec", action="append", choices=list(CODECS), help="may be repeated; by default all")
    parser.add_argument("--model", action="append", help=f"may be repeated; {' and '.join(MODELS)} by default")
    parser.add_argument("--threads", type=int, help="of the processor; all cores by default")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    name, image = photograph(given.photograph)
    path, exact = RESULTS / f"jnd-speed-{machine_name()}.csv", ExactForward()
    rows = list(csv.DictReader(path.open(newline=""))) if path.is_file() else []
    for model in given.model or MODELS:
        for codec in given.codec or list(CODECS):
            row = measured(name, image, codec, model, exact)
            rows = [other for other in rows if any(other[part] != row[part] for part in KEY)] + [row]
            write(path, rows)
    print(f"wrote {path}")


def write(path: Path, rows: list[dict]) -> None:
    """A table."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[-1], restval="")  # the newest has every column
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
