"""The cards of the small visual systems in ``models/``, from the results files.

    python -m benchmarks.model_cards [--run FOLDER --name vdp-fast-v1 --data FOLDER --minutes 20]

With ``--run`` the folder of a training run is released first: weights, golden values and recipe are copied to
``models/NAME``. Without it each card is written anew from the files ``surrogates*.csv`` and ``speed-*.csv`` in
``results``, with a picture of pairs that the model is weak at, made from bundled photographs.
"""

import argparse
import json
import shutil
import textwrap
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import RESULTS
from benchmarks.readme_tables import read
from vdp_distill import HDRVDP2, zoo
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.io import file_hash
from vdp_distill.recipes import models_folder, read_toml
from vdp_distill.surrogates.vision import DOMAIN

VIEWING = {"encoding": "sRGB-display", "pixels_per_degree": 45.0}
RELEASED = ("model.safetensors", "golden.safetensors", "recipe.toml", "log.csv", "curve.png")
ABOUT = {
    "cortex": "Optics and retina in one plane of light at full resolution; in the finest level the masking is computed "
    "at every second pixel, the difference at every one.",
    "fast": "As `vdp-cortex-v1`, but in the finest level the difference too is computed at every second pixel of each "
    "axis, with filters of 13 taps for 17, and the wide part of light scatter at half resolution.",
    "swift": "Blocks of 4 x 4 pixels: 32 filters of 8 x 8 at every fourth pixel stand for the metric's high-pass "
    "residual and three octaves of its pyramid, and again for the three below in larger images; the base band is the "
    "metric's own. Curves of displays with a standard range are read as polynomials. For loops that count "
    "milliseconds.",
}
WEAKNESS = {
    "cortex": "One plane of light stands for all receptors, so changes of colour far from the reference's mean colour "
    "are misjudged; single pixels are masked by what lies beside them.",
    "fast": "Single pixels fall between the places where it looks, and its gradient, which looks there alone, leads "
    "elsewhere in detail. One plane of light stands for all receptors, so changes of colour in places far from the "
    "reference's mean colour are misjudged.",
    "swift": "One plane of light, of one colour for the whole image, stands for all receptors, so changes of colour "
    "are misjudged in images with much light and dark; detail within a block, and the frame, are seen coarsely.",
}

UNSEEN = {"zoo-v2": "Motion blur and demosaicing were not in its training."}
"""What a set leaves out, for the models that were trained on it to be judged on."""

START = {
    "cortex": "the metric's own filters",
    "fast": "the metric's own filters",
    "swift": "Gabor filters and the metric's masking weights",
}


def release(run: Path, name: str, data: Path, minutes: float) -> None:
    """Copy a run into the zoo, and note what it was trained on."""
    folder = models_folder() / name
    folder.mkdir(exist_ok=True)
    (folder / "README.md").unlink(missing_ok=True)  # the card of other weights
    for part in RELEASED:
        shutil.copy(run / part, folder / part)
    (folder / "training.json").write_text(json.dumps(training_data(data) | {"minutes": minutes}, indent=1) + "\n")


def training_data(data: Path) -> dict:
    """Identity of a set: its recipe, sources and hash."""
    manifest = json.loads((data / "set.json").read_text(encoding="utf-8"))
    return {
        "recipe": manifest["recipes"][0]["name"],
        "set": manifest["sets"][0],
        "manifest_sha256": file_hash(data / "set.json"),
        "samples": manifest["recipes"][0]["count"],
    }


def failure_pairs() -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of what the small systems are weak at: single pixels, colour alone, the frame; and plain noise."""
    _, reference = photograph_pairs(192, 256)[0]
    generator = torch.Generator().manual_seed(0)
    isolated = torch.where(torch.rand(1, 1, 192, 256, generator=generator) < 5e-4, 1 - reference, reference)
    shift = torch.tensor([0.03, -0.012, 0.0]).view(1, 3, 1, 1)
    framed = reference.clone()
    framed[..., [0, 1, -2, -1], :] *= 0.97
    framed[..., [0, 1, -2, -1]] *= 0.97
    noise = reference + 0.02 * torch.randn(reference.shape, generator=generator)
    return {
        "isolated pixels": (isolated, reference),
        "a change of colour alone": ((reference + shift).clamp(0, 1), reference),
        "a darker frame, 2 pixels wide": (framed, reference),
        "noise": (noise.clamp(0, 1), reference),
    }


@torch.no_grad()
def failures(name: str, path: Path) -> list[str]:
    """Picture of the pairs with the exact map and the model's; a line of the card for each."""
    from matplotlib.figure import Figure

    exact, model = HDRVDP2(**VIEWING), zoo.load(name, **VIEWING)
    pairs = failure_pairs()
    figure = Figure(figsize=(9, 2.4 * len(pairs)), layout="constrained")
    lines = []
    for row, (about, (test, reference)) in zip(figure.subplots(len(pairs), 3), pairs.items(), strict=True):
        theirs, ours = exact(test, reference), model(test, reference)
        row[0].imshow(test[0].permute(1, 2, 0))
        row[0].set_title(about)
        for axes, result, label in ((row[1], theirs, "exact"), (row[2], ours, name)):
            axes.imshow(result.P_map[0, 0], vmin=0, vmax=1, cmap="magma")
            axes.set_title(f"P_map, {label}: C_max {float(result.C_max):.3g}")
        for axes in row:
            axes.axis("off")
        lines.append(f"| {about} | {float(theirs.C_max):.3g} | {float(ours.C_max):.3g} |")
    figure.savefig(path, dpi=80)
    return lines


def speed_lines(name: str) -> list[str]:
    """Times at 1080p relative to the exact metric, from every speed file that has the model."""
    lines = []
    for path in sorted(RESULTS.glob("speed-*.csv")):
        for row in read(path):
            if row["side"] == name and (row["height"], row["width"]) == ("1080", "1920"):
                about = f"{row['processor']}, {row['threads']} threads"
                lines.append(f"| {row['direction']}, 1080p | {row['times_exact_float32']} | {about} |")
    return lines


def error_lines(name: str) -> list[str]:
    """Rows of the error table."""
    rows = [row for row in read(RESULTS / "surrogates.csv") if row["model"] == name]
    return [f"| {row['quantity']} | {row['value']} | {row['unit']} | {row['samples']} |" for row in rows]


def judged_on(name: str) -> str:
    """What the numbers were measured on."""
    row = next(row for row in read(RESULTS / "surrogates.csv") if row["model"] == name)
    return (
        f"128x128 pairs: {row['data']}; no training sample was cut from these photographs. Whole images of 1920x1080: "
        "noise and blur of rising strength on large photographs that no training sample was cut from, at 45 pixels per "
        "degree. `python -m benchmarks.surrogates`; "
        "truth is the exact metric."
    )


def distortion_lines(name: str) -> list[str]:
    """Rows of the table by distortion, worst first."""
    rows = [row for row in read(RESULTS / "surrogates-distortions.csv") if row["model"] == name]
    rows.sort(key=lambda row: -float(row["rmse_log10"]))
    return [f"| {row['distortion']} | {row['samples']} | {row['bias_log10']} | {row['rmse_log10']} |" for row in rows]


def card(name: str) -> str:
    """The card of a model."""
    folder = models_folder() / name
    kind = read_toml(folder / "recipe.toml")["network"]["kind"]
    network = zoo.load_network(name)
    training = json.loads((folder / "training.json").read_text())
    domain = [f"| {what} | {low:g} | {high:g} |" for what, (low, high) in DOMAIN.items()]
    return CARD.format(
        name=name,
        about=textwrap.fill(ABOUT[kind], 120),
        errors="\n".join(error_lines(name)),
        distortions="\n".join(distortion_lines(name)),
        failures="\n".join(failures(name, folder / "failures.png")),
        speed="\n".join(speed_lines(name)) or "| not measured | | |",
        domain="\n".join(domain),
        parameters=sum(value.numel() for value in network.parameters()),
        digest=file_hash(folder / "model.safetensors"),
        data_hash=training["manifest_sha256"],
        set=training["recipe"],
        samples=training["samples"],
        start=START[kind],
        weakness=textwrap.fill(WEAKNESS[kind], 120),
        judged=textwrap.fill(f"{judged_on(name)} {UNSEEN.get(training['recipe'], '')}".strip(), 120),
        minutes=training["minutes"],
        recipe=f"vdp-{kind}",
    )


CARD = """# {name}

Predicts what HDR-VDP 2.2 predicts for a pair of images: the contrast map and its peak C_max (threshold units), P_map
and P_det (probabilities), Q.

{about}

{parameters} parameters, started from {start}.

    from vdp_distill.zoo import load
    model = load("{name}", encoding="sRGB-display", pixels_per_degree=45)
    result = model(test, reference)          # or VDPLoss("{name}", ...), vdp-distill compare --model {name}

## How far it is from the metric

| | value | unit | samples |
|---|---|---|---|
{errors}

{judged}

| distortion | samples | bias, log10 C_max | RMSE, log10 C_max |
|---|---|---|---|
{distortions}

## Where it fails

{weakness}

![test, exact map, map of the model](failures.png)

| pair, 45 pixels per degree | C_max, exact | C_max, {name} |
|---|---|---|
{failures}

## Where it is valid

| | least | largest |
|---|---|---|
{domain}

Encodings and displays of all kinds, their spectra and the surround are inputs; pixels per degree too. It takes
`mtf=True`, `masking=True` and `peak_sensitivity=2.4` only, and keeps no stages. Input outside these bounds warns once;
`load(name, strict=True)` raises.

## Speed

| | time over that of exact float32 | machine |
|---|---|---|
{speed}

## Made

Trained on {samples:,} samples of the recipe `{set}` (`vdp-distill generate {set} --count {samples} --images FOLDER`).
SHA-256 of the set's manifest: `{data_hash}`.
Sources: photographs of Kodak, CLIC 2025, CID22 and KonJND-1k, wallpapers of Pop!_OS, and openly licensed HDR pictures,
each under its own licence, and scenes that the recipe draws. By `vdp-distill train {recipe} --data DIR --out OUT`, on
one thread of two shared cores in {minutes:g} minutes.

SHA-256 of `model.safetensors`: `{digest}`

Licence: that of this project.
"""


def main() -> None:
    """Release a run if asked to, then write all cards."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--name")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--minutes", type=float)
    options = parser.parse_args()
    if options.run:
        release(options.run, options.name, options.data, options.minutes)
        return
    for name in zoo.names():
        path = models_folder() / name / "README.md"
        path.write_text(card(name), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
