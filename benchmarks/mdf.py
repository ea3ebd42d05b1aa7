"""Which distortions does MDF punish at equal PSNR, and what do its features tell apart?

    python -m benchmarks.mdf [--images DIR] [--released DIR]

The paper's claims (Mustafa et al., WACV 2022, supplement): the loss punishes what matters for its task (section 6:
super-resolution blur, denoising blur and noise, JPEG contrast and the mixture), and its features set JPEG apart from
originals, but neither blur nor scrambled pictures (section 1). Measured on crops of photographs (scikit-image's, or
``--images``); with ``--released`` on the authors' arrays beside ours. Writes ``results/mdf-equal-psnr.csv`` and
``.png``, ``results/mdf-manifold.csv`` and ``.png``.
"""

import argparse
import csv
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.machine import RESULTS, versions
from benchmarks.mdf_distortions import DISTORTIONS, KINDS, at_psnr
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.losses.mdf import MDFLoss

OURS = {"ours, sr": "mdf-sr-v1", "ours, denoise": "mdf-denoise-v1", "ours, jpeg": "mdf-jpeg-v1"}
RELEASED = {"authors', sr = denoise": "mdf_Ds_SISR.npz", "authors', jpeg": "mdf_Ds_JPEG.npz"}
LEVELS_DB = (20.0, 25.0, 30.0, 35.0, 40.0)
PICTURE_PX, CROP_PX = 256, 64
"""Photographs are scaled to the first; their middle is cut out."""
COMPARED = 3
"""Photographs of the equal-PSNR study; the manifold takes all."""
BUNDLED, MOST = 3, 40
"""Photographs: those of scikit-image, or at most so many of a folder."""
PRINTED_DB = 30.0


def losses(released: Path | None) -> dict[str, MDFLoss]:
    """The losses by the names of the tables."""
    found = {name: MDFLoss(model, reduction="none") for name, model in OURS.items()}
    if released is not None:
        found |= {name: MDFLoss(released / file, reduction="none") for name, file in RELEASED.items()}
    return found


def photographs(folder: Path | None) -> list[Tensor]:
    """Middles of photographs, (1, 3, 64, 64), each once."""
    margin = (PICTURE_PX - CROP_PX) // 2
    middle = slice(margin, margin + CROP_PX)
    pairs = photograph_pairs(PICTURE_PX, PICTURE_PX, folder, BUNDLED if folder is None else MOST)
    images = [reference[..., middle, middle] for _, reference in pairs]
    # A short folder is gone through again by photograph_pairs.
    return [image for number, image in enumerate(images) if not any(image.equal(other) for other in images[:number])]


def equal_psnr_values(found: dict[str, MDFLoss], images: list[Tensor]) -> dict[tuple, dict[int, float]]:
    """By (loss, distortion, PSNR) the loss of each photograph, by its number, that can be distorted so far."""
    values = {}
    for distortion in DISTORTIONS:
        for level in LEVELS_DB:
            tests = {number: at_psnr(distortion, image, level) for number, image in enumerate(images)}
            for name, loss in found.items():
                values[name, distortion, level] = {
                    number: float(loss(test, images[number])) for number, test in tests.items() if test is not None
                }
    return values


def equal_psnr_rows(found: dict[str, MDFLoss], images: list[Tensor]) -> list[dict]:
    """Mean loss of each distortion at each PSNR, and that as a multiple of noise's on the same photographs."""
    values, rows = equal_psnr_values(found, images), []
    for (name, distortion, level), each in values.items():
        if not each:
            continue
        mean = sum(each.values()) / len(each)
        noise = sum(values[name, "noise", level][number] for number in each) / len(each)
        row = {"loss": name, "distortion": distortion, "psnr_db": level, "images": len(each)}
        rows.append(row | {"value": f"{mean:.4g}", "times_noise": f"{mean / noise:.3g}"})
    return rows


def equal_psnr_figure(rows: list[dict], names: list[str]) -> Figure:
    """A panel a loss: its value over the PSNR, a line a distortion."""
    figure = Figure(figsize=(3.2 * len(names), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for distortion in DISTORTIONS:
            line = [row for row in rows if (row["loss"], row["distortion"]) == (name, distortion)]
            axes.plot([row["psnr_db"] for row in line], [float(row["value"]) for row in line], ".-", label=distortion)
        axes.set(title=f"MDF ({name})", xlabel="PSNR, dB", yscale="log")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("loss")
    figure.axes[0].legend()
    return figure


def feature_vectors(loss: MDFLoss, images: list[Tensor]) -> dict[str, Tensor]:
    """For each kind of picture the means of all feature planes, (photographs, planes)."""
    vectors = {}
    for kind, change in KINDS.items():
        generator = torch.Generator().manual_seed(0)
        changed = [change(image, generator).clamp(0, 1) for image in images]
        taps = [torch.cat([tap.mean(dim=(2, 3)) for tap in loss.features(image)], dim=1) for image in changed]
        vectors[kind] = torch.cat(taps)
    return vectors


def principal_components(vectors: dict[str, Tensor], count: int = 3) -> dict[str, Tensor]:
    """Coordinates on the first components of all vectors, each plane scaled to unit deviation."""
    everything = torch.cat(list(vectors.values())).double()
    scaled = (everything - everything.mean(dim=0)) / everything.std(dim=0).clamp(min=1e-12)
    *_, axes = torch.linalg.svd(scaled, full_matrices=False)
    return dict(zip(vectors, (scaled @ axes[:count].T).split(len(vectors["original"])), strict=True))


def told_apart(points: dict[str, Tensor], kind: str) -> float:
    """Share of photographs whose original and changed version each lie nearer to their own kind's centre.

    The centres are those of the other photographs; 0.5 is chance.
    """
    right = 0
    for left_out in range(len(points["original"])):
        others = torch.arange(len(points["original"])) != left_out
        centres = torch.stack([points[name][others].mean(dim=0) for name in ("original", kind)])
        for number, name in enumerate(("original", kind)):
            distances = (points[name][left_out] - centres).norm(dim=1)
            right += int(distances.argmin()) == number
    return right / (2 * len(points["original"]))


def manifold_rows(points: dict[str, dict[str, Tensor]]) -> list[dict]:
    """How well each kind is told from the originals on three components."""
    kinds = [kind for kind in KINDS if kind != "original"]
    return [
        {"loss": name, "kind": kind, "photographs": len(found[kind]), "told_apart": f"{told_apart(found, kind):.3f}"}
        for name, found in points.items()
        for kind in kinds
    ]


def manifold_figure(points: dict[str, dict[str, Tensor]]) -> Figure:
    """A panel a loss: the first two components, a colour a kind."""
    figure = Figure(figsize=(4 * len(points), 3.8), layout="constrained")
    for axes, (name, found) in zip(figure.subplots(1, len(points), squeeze=False)[0], points.items(), strict=True):
        for kind, coordinates in found.items():
            axes.plot(coordinates[:, 0], coordinates[:, 1], "o", markersize=4, alpha=0.7, label=kind)
        axes.set(title=f"features of MDF ({name})", xlabel="first component", ylabel="second")
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    return figure


def write(name: str, rows: list[dict], figure: Figure) -> None:
    """A table and its figure."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    figure.savefig(RESULTS / f"{name}.png", dpi=100)
    print(f"wrote {RESULTS / name}.csv and .png")


@torch.no_grad()
def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of photographs; scikit-image's otherwise")
    parser.add_argument("--released", type=Path, help="folder of the authors' arrays as .npz")
    options = parser.parse_args()
    found, images = losses(options.released), photographs(options.images)
    about = {"pictures": options.images.name if options.images else "scikit-image", **versions("vdp-distill", "torch")}
    rows = equal_psnr_rows(found, images[:COMPARED])
    write("mdf-equal-psnr", [row | about for row in rows], equal_psnr_figure(rows, list(found)))
    points = {name: principal_components(feature_vectors(loss, images)) for name, loss in found.items()}
    apart = manifold_rows(points)
    write("mdf-manifold", [row | about for row in apart], manifold_figure(points))
    for row in rows:
        if row["psnr_db"] == PRINTED_DB:
            print(f"{row['loss']:24} {row['distortion']:10} at 30 dB: {row['times_noise']} times noise")
    for row in apart:
        print(f"{row['loss']:24} {row['kind']:10} told from originals: {row['told_apart']}")


if __name__ == "__main__":
    main()
