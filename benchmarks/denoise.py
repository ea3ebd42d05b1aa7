"""Does a denoiser that is trained with the metric leave errors that people see less?

    python -m benchmarks.denoise digits          the publication's own proof: an auto-encoder for noisy digits
    python -m benchmarks.denoise photographs     a small residual network for noisy photographs

Trains one network with each of ``--models`` (``mse``, ``l1``, ``exact``, released surrogates, folders of trained ones,
or ``l1:exact``, one after the other), all else the same, and lets the exact metric, ColorVideoVDP and PSNR judge
held-out images. Writes ``results/denoise-<study>.csv``, its figure and example pictures with the exact ``P_map`` of
what is left.
"""

import argparse
import csv
import re
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import imageio.v3 as imageio
import torch
from torch import Tensor, nn

from benchmarks.denoise_figures import NOISY, SCORES, gallery, plot_scores
from benchmarks.denoise_images import digits, photographs
from benchmarks.denoise_judges import judge
from benchmarks.denoise_networks import AutoEncoder
from benchmarks.denoise_training import STUDIES, Study, add_noise, check_models, train
from benchmarks.machine import RESULTS, versions
from vdp_distill.checkpoints import write_whole

SETTING = ("study", "images", "loss", "seed", "noise")
CONDITIONS = ("steps", "batch", "learning_rate", "held_out", "pixels_per_degree", "torch")
COLUMNS = (*SETTING, *SCORES, *CONDITIONS)

HELD_OUT_JUDGED = 64
PATCH, HELD_OUT_PATCH = 64, 128
PICTURES_SHOWN = 3
SHOWN_NOISE = 1
"""Which of a study's levels of noise the pictures show."""
CELL_PIXELS = {"digits": 110, "photographs": 140}


@dataclass
class Findings:
    """What the study has so far: rows of the table, and what its pictures show, by loss."""

    rows: list[dict] = field(default_factory=list)
    restored: dict[str, Tensor] = field(default_factory=dict)
    maps: dict[str, Tensor] = field(default_factory=dict)
    log10_C: dict[str, Tensor] = field(default_factory=dict)


def load_images(study: Study, folder: Path | None, held_out: int) -> tuple[Tensor, Tensor]:
    """Training images, and held-out ones of which a fixed handful is judged."""
    if study.name == "photographs":
        return photographs(folder, PATCH, HELD_OUT_PATCH, held_out)
    images, others = digits(folder)
    step = max(1, len(others) // held_out)
    return images, others[::step][:held_out]


def judge_network(
    findings: Findings, name: str, network: nn.Module, clean: Tensor, study: Study, settings: dict
) -> None:
    """Scores of one trained network at every level of noise, which is the same for every network."""
    generator = torch.Generator().manual_seed(0)
    for level, noise in enumerate(study.judged_noise):
        with torch.no_grad():
            restored = network(add_noise(clean, noise, generator))
        found = judge(restored, clean, study)
        means = {score: f"{float(found.scores[score].mean()):.4f}" if score in found.scores else "" for score in SCORES}
        findings.rows.append({**settings, "loss": name, "noise": f"{noise:.4f}", **means})
        if level == SHOWN_NOISE and name not in findings.restored:
            findings.restored[name] = study.shown(restored[:PICTURES_SHOWN])
            findings.maps[name] = found.P_map[:PICTURES_SHOWN]
            findings.log10_C[name] = found.scores["log10_C"][:PICTURES_SHOWN]


def label(model: str) -> str:
    """A loss in the table: folders of models by their own names.

    >>> label("l1:runs/my")
    'l1:my'
    """
    return "".join(part if part in ":+@" else Path(part).name for part in re.split("([:+@])", model))


def run(
    study: Study,
    models: list[str],
    seeds: int,
    steps: int,
    images: tuple[Tensor, Tensor],
    images_name: str,
    out: Path,
) -> Findings:
    """Train and judge every model with every seed; the files are written anew after each."""
    training, clean = images
    conditions = (steps, study.batch, study.learning_rate, len(clean), study.pixels_per_degree)
    settings = dict(zip(CONDITIONS, (*conditions, versions("torch")["torch"]), strict=True))
    settings |= {"study": study.name, "images": images_name, "seed": ""}
    names = [label(model) for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"losses are told apart by their names, and {', '.join(models)} share one; rename a folder")
    findings = Findings()
    judge_network(findings, NOISY, nn.Identity(), clean, study, settings)
    for seed in range(seeds):
        for model in models:
            network = train(model, study, training, steps, seed)
            judge_network(findings, label(model), network, clean, study, settings | {"seed": seed})
            print(*(f"{key} {findings.rows[-1][key]}" for key in (*SETTING, *SCORES)), sep=", ", flush=True)
            write(findings, clean, study, out)
    return findings


def write(findings: Findings, clean: Tensor, study: Study, out: Path) -> None:
    """Table, figure and pictures."""

    def table(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(findings.rows)

    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, table)
    imageio.imwrite(out.with_suffix(".png"), plot_scores(findings.rows))
    shown = study.shown(clean[:PICTURES_SHOWN])
    pictures = gallery(shown, findings.restored, findings.maps, findings.log10_C, CELL_PIXELS[study.name])
    imageio.imwrite(out.with_name(f"{out.stem}-pictures.png"), pictures)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--models", nargs="+", help="mse, l1, exact, released surrogates or folders of trained ones")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs of each, 3 by default")
    parser.add_argument("--steps", type=int, help="training steps, by default the study's own")
    parser.add_argument("--images", type=Path, help="MNIST's idx files, or photographs; bundled ones by default")
    parser.add_argument("--held-out", type=int, default=HELD_OUT_JUDGED, help="how many held-out images are judged")
    parser.add_argument("--ground", type=float, help="where the digits' sigmoid starts: 0; -2 for MNIST")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    if options.ground is not None and options.study != "digits":
        parser.error("--ground is of the digits' auto-encoder; leave it out for photographs")
    return options


def main() -> None:
    """Run one study."""
    options = arguments()
    study = STUDIES[options.study]
    if options.ground is not None:
        study = replace(study, network=partial(AutoEncoder, ground=options.ground))
    models = options.models or list(study.models)
    check_models(models, study)
    images = load_images(study, options.images, options.held_out)
    source = "bundled" if options.images is None else options.images.name
    suffix = "" if options.images is None else f"-{source}"
    path = options.out / f"denoise-{study.name}{suffix}.csv"
    run(study, models, options.seeds, options.steps or study.steps, images, source, path)
    print(f"wrote {path}, its figure and its pictures")


if __name__ == "__main__":
    main()
