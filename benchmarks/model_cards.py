"""The cards of the small visual systems in ``models/``, from the results files.

    python -m benchmarks.model_cards [--run FOLDER --name vdp-fast-v1 --recipe vdp-fast --data FOLDER --minutes 20]

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

from benchmarks.card_texts import ABOUT, CARD, STAGES, START, TAKES, THEN, UNSEEN, WEAKNESS
from benchmarks.hard_pairs import hard_pairs
from benchmarks.machine import RESULTS
from benchmarks.readme_tables import read
from benchmarks.surrogates_errors import JUDGED, NEAR
from vdp_distill import HDRVDP2, zoo
from vdp_distill.io import file_hash
from vdp_distill.recipes import models_folder, read_toml

VIEWING = {"encoding": "sRGB-display", "pixels_per_degree": 45.0}
SHOWN, LEAST_CONTRAST = 4, 0.3
"""Pairs in a card's picture, and the exact C_max that they must have at least."""

RELEASED = ("model.safetensors", "golden.safetensors", "recipe.toml", "log.csv", "curve.png")


def release(run: Path, name: str, recipe: str, data: Path, minutes: float) -> None:
    """Copy a run into the zoo, and note how it was made: after the steps before it, if it went on from the model."""
    folder = models_folder() / name
    folder.mkdir(exist_ok=True)
    (folder / "README.md").unlink(missing_ok=True)  # the card of other weights
    for part in RELEASED:
        shutil.copy(run / part, folder / part)
    start = read_toml(run / "recipe.toml")["training"]["start"]
    made = folder / "training.json"
    before = json.loads(made.read_text())["steps"] if start == name and made.is_file() else []
    step = {"recipe": recipe, **training_data(data), "minutes": minutes, "pairs": pairs_seen(folder)}
    made.write_text(json.dumps({"steps": [*before, step]}, indent=1) + "\n")


def pairs_seen(folder: Path) -> int:
    """Pairs that the training looked at, some more than once, until its best validation: those weights are kept."""
    best = min(read(folder / "log.csv"), key=lambda row: float(row["val_loss"]))
    return int(best["images"]) // 2


def training_data(data: Path) -> dict:
    """Identity of a set: its recipes and hashes."""
    manifest = json.loads((data / "set.json").read_text(encoding="utf-8"))
    recipes = [
        {"name": recipe["name"], "samples": recipe["count"], "gradient": "gradient" in recipe["targets"]["maps"]}
        for recipe in manifest["recipes"]
    ]
    return {"recipes": recipes, "sets": manifest["sets"], "manifest_sha256": file_hash(data / "set.json")}


@torch.no_grad()
def failures(name: str, path: Path) -> list[str]:
    """Picture of the pairs that a model is most wrong about, with the exact map and its own; a line for each."""
    from matplotlib.figure import Figure

    exact, model = HDRVDP2(**VIEWING), zoo.load(name, **VIEWING)
    judged = {about: (pair, exact(*pair), model(*pair)) for about, pair in hard_pairs().items()}
    seen = {about: found for about, found in judged.items() if float(found[1].C_max) > LEAST_CONTRAST}
    worst = sorted(seen, key=lambda about: -abs(float((seen[about][2].C_max / seen[about][1].C_max).log10())))
    figure = Figure(figsize=(9, 2.4 * SHOWN), layout="constrained")
    lines = []
    for row, about in zip(figure.subplots(SHOWN, 3), worst, strict=False):
        (test, _), theirs, ours = seen[about]
        row[0].imshow(test[0].permute(1, 2, 0))
        row[0].set_title(textwrap.fill(about, 28))
        for axes, result, label in ((row[1], theirs, "exact"), (row[2], ours, name)):
            axes.imshow(result.P_map[0, 0], vmin=0, vmax=1, cmap="magma")
            axes.set_title(f"P_map, {label}\nC_max {float(result.C_max):.3g}")
        for axes in row:
            axes.axis("off")
        lines.append(f"| {about} | {float(theirs.C_max):.3g} | {float(ours.C_max):.3g} |")
    figure.savefig(path, dpi=80)
    return lines


def speed_lines(name: str) -> list[str]:
    """Times relative to the exact metric, of a large image and of a training crop, from all that have the model."""
    lines = []
    for path in sorted(RESULTS.glob("speed-*.csv")):
        for row in read(path):
            if row["side"] == name and row["height"] in ("1080", "128"):
                about = f"{row['processor']}, {row['threads']} threads"
                size = f"{row['width']}x{row['height']}"
                lines.append(f"| {row['direction']}, one pair of {size} | {row['times_exact_float32']} | {about} |")
    return lines


def stage_lines(name: str) -> str:
    """The table of the stages, for a model that has them."""
    rows = [row for row in read(RESULTS / "chain.csv") if row["model"] == name]
    if not rows:
        return ""
    lines = [
        f"| {row['quantity']} | {row['rms']} | {row['median']} | {row['worst']} | {row['pairs']} | {row['data']} |"
        for row in rows
    ]
    return "\n".join(["", STAGES, *lines, ""])


def error_lines(name: str) -> list[str]:
    """Rows of the error table."""
    rows = [row for row in read(RESULTS / "surrogates.csv") if row["model"] == name]
    return [f"| {row['quantity']} | {row['value']} | {row['unit']} | {row['samples']} |" for row in rows]


def judged_on(name: str) -> str:
    """What the numbers were measured on."""
    row = next(row for row in read(RESULTS / "surrogates.csv") if row["model"] == name)
    return (
        f"128x128 pairs: {row['data']}; no training sample was cut from these photographs. Contrast is judged where "
        f"the exact C_max is {JUDGED[0]:g} to {JUDGED[1]:g}; near threshold is a P_det of {NEAR[0]:g} to {NEAR[1]:g}; "
        f"an error of P_map is the mean over the pixels of a pair, and a peak is looked for where P_det is over "
        f"{NEAR[0]:g}. Whole images of 1920x1080: "
        "noise, blur, JPEG, a darker patch, a change of colour and banding, at four strengths, on each of three "
        "photographs that no training sample was cut from, at 45 pixels per degree. Gradients are by code values of "
        "the sample's display. `python -m benchmarks.surrogates`; "
        "truth is the exact metric."
    )


def step_lines(steps: list[dict]) -> list[str]:
    """Rows of the table of trainings, each of which goes on where the one before it ended."""
    lines = []
    for number, step in enumerate(steps, start=1):
        sets = [
            f"{part['samples']:,} of `{part['name']}`{', with gradients' * part['gradient']}"
            for part in step["recipes"]
        ]
        about = (f"`{step['recipe']}`", "; ".join(sets), f"{step['pairs']:,}", step.get("minutes", "not noted"))
        lines.append(f"| {number} | {' | '.join(map(str, about))} | `{step['manifest_sha256']}` |")
    return lines


def command_lines(steps: list[dict]) -> list[str]:
    """What makes the sets and trains on them, step by step."""
    lines = []
    for number, step in enumerate(steps, start=1):
        parts = []
        for part in step["recipes"]:
            parts.append(f"{part['name']}-{number}")
            kept = " --gradient" * part["gradient"]
            count = f"--count {part['samples']}{kept}"
            lines.append(f"vdp-distill generate {part['name']} {count} --images FOLDER --out {parts[-1]}")
        data = parts[0]
        if len(parts) > 1:
            data = f"data-{number}"
            lines.append(f"vdp-distill data merge {' '.join(parts)} --out {data}")
        start = f" --start step-{number - 1}" if number > 1 else ""
        lines.append(f"vdp-distill train {step['recipe']} --data {data}{start} --out step-{number}")
    return [f"    {line}" for line in lines]


def worst_lines(name: str) -> list[str]:
    """Rows of the table of the judged pairs that the model is most wrong about."""
    rows = [row for row in read(RESULTS / "surrogates-worst.csv") if row["model"] == name]
    columns = ("distortion", "pixels_per_degree", "C_max_exact", "C_max")
    return [f"| {' | '.join(row[column] for column in columns)} |" for row in rows]


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
    steps = json.loads((folder / "training.json").read_text())["steps"]
    domain = [f"| {what} | {low:g} | {high:g} |" for what, (low, high) in zoo.load(name).domain.items()]
    return CARD.format(
        name=name,
        about=textwrap.fill(ABOUT[kind], 120),
        errors="\n".join(error_lines(name)),
        stages=stage_lines(name),
        takes=TAKES[kind],
        distortions="\n".join(distortion_lines(name)),
        failures="\n".join(failures(name, folder / "failures.png")),
        speed="\n".join(speed_lines(name)) or "| not measured | | |",
        domain="\n".join(domain),
        parameters=sum(value.numel() for value in network.parameters()),
        digest=file_hash(folder / "model.safetensors"),
        commands="\n".join(command_lines(steps)),
        steps="\n".join(step_lines(steps)),
        worst="\n".join(worst_lines(name)),
        then="\n" + textwrap.fill(THEN[kind], 120, break_on_hyphens=False) + "\n" if kind in THEN else "",
        start=START[kind],
        weakness=textwrap.fill(WEAKNESS[kind], 120),
        judged=textwrap.fill(f"{judged_on(name)} {UNSEEN}", 120),
    )


def main() -> None:
    """Release a run if asked to, then write all cards."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--name")
    parser.add_argument("--recipe")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--minutes", type=float)
    options = parser.parse_args()
    if options.run:
        release(options.run, options.name, options.recipe, options.data, options.minutes)
        return
    for name in zoo.names():
        path = models_folder() / name / "README.md"
        path.write_text(card(name), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
