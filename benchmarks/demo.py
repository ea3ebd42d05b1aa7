"""What does the toolkit do? The whole main job on bundled photographs, in minutes: what ``make demo`` runs.

    python -m benchmarks.demo --out demo            about five minutes on two cores
    python -m benchmarks.demo --out demo --quick    a minute: the same steps on less data

It types the commands that a user would type, prints each, and says what each made. A chain trained for minutes is no
model to keep; it shows the way.
"""

import argparse
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import imageio.v3 as imageio
from PIL import Image
from skimage import data

JPEG_QUALITY = 25


def make_pair(folder: Path) -> tuple[Path, Path]:
    """A bundled photograph and the same after JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    photograph = Image.fromarray(data.astronaut())
    reference, test = folder / "reference.png", folder / "test.jpg"
    photograph.save(reference)
    photograph.save(test, quality=JPEG_QUALITY)
    return test, reference


def run(*words) -> None:
    """Print a command, then run it; a failing one ends the demo with its status."""
    command = ["vdp-distill", *map(str, words)]
    print(f"\n$ {shlex.join(command)}", flush=True)
    status = subprocess.run(command).returncode
    if status:
        sys.exit(f"the demo stopped: the command above ended with status {status}")


def short_recipe(folder: Path, steps: int) -> Path:
    """The shipped training recipe with fewer steps."""
    shipped = (Path(__file__).parent.parent / "models" / "recipes" / "tiny.toml").read_text(encoding="utf-8")
    steps_line = f"steps = {tomllib.loads(shipped)['training']['steps']}"
    path = folder / "quick.toml"
    path.write_text(shipped.replace(steps_line, f"steps = {steps}"), encoding="utf-8")
    return path


def show(picture: Path) -> None:
    """Say where the picture is and how large; a desktop opens it with a click."""
    height, width = imageio.imread(picture).shape[:2]
    print(f"\nWhere a person sees the difference: {picture.resolve()} ({width} x {height} pixels)")


def main() -> None:
    """Generate, train, benchmark, export, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything that the demo makes")
    parser.add_argument("--quick", action="store_true", help="less data, fewer steps")
    options = parser.parse_args()
    out = options.out
    test, reference = make_pair(out)
    less = ("--count", 64) if options.quick else ()
    recipe = short_recipe(out, 40) if options.quick else "tiny"
    run("generate", "tiny", "--out", out / "data", "--workers", 2, "--resume", *less)
    run("train", recipe, "--data", out / "data", "--out", out / "chain", "--resume")
    run("benchmark", "--model", out / "chain", "--size", "128x128", "--out", out / "benchmark.json")
    run("export", out / "chain", "--out", out / "loss.pt2", "--size", "128x128", "--encoding", "sRGB-display")
    heatmap = out / "heatmap.png"
    run("compare", test, reference, "--ppd", 45, "--encoding", "sRGB-display", "--heatmap", heatmap)
    show(heatmap)


if __name__ == "__main__":
    main()
