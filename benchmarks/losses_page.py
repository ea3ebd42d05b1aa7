"""The page ``results/losses.md`` and its figures, made from the results files alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from benchmarks.following import LEARNING_RATE
from benchmarks.machine import RESULTS
from vdp_distill.losses import names

__all__ = ["strip", "write_page"]

STARTS = {"noise": "noise alone", "blur": "a blur of 3 pixels", "jpeg": "a JPEG of quality 10"}
CURVES = {"psnr_db": "PSNR, dB", "P_det": "P_det, exact", "C_max": "C_max, exact", "cvvdp_jod": "ColorVideoVDP, JOD"}
SHOWN = 128
"""Side in pixels of what a picture shows of each image: its middle."""


def strip(path: Path, images: Sequence[Tensor]) -> None:
    """Write the middles of images, (1, 3, H, W) each, side by side."""
    tiles = []
    for image in images:
        top, left = ((side - SHOWN) // 2 for side in image.shape[-2:])
        tile = image[0, :, max(top, 0) : max(top, 0) + SHOWN, max(left, 0) : max(left, 0) + SHOWN]
        tiles.append((tile.permute(1, 2, 0).numpy(force=True) * 255).round().astype(np.uint8))
        tiles.append(np.full((tiles[-1].shape[0], 4, 3), 255, np.uint8))
    Image.fromarray(np.concatenate(tiles[:-1], axis=1)).save(path, optimize=True)


def write_page(rows: Mapping[str, list[dict]]) -> None:
    """Write page and figures from the rows of the results files by name."""
    order = names()
    rows = {name: _in_order(found, order) for name, found in rows.items()}
    if rows["recovery"]:
        _draw_curves(rows["recovery"])
    if rows["gradients"]:
        _draw_gradients(rows["gradients"])
    parts = [HEAD, _recovery(rows), _gradients(rows), _ranking(rows), _speed(rows), _truth(rows), _absent(rows), TAIL]
    (RESULTS / "losses.md").write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _in_order(rows: list[dict], order: list[str]) -> list[dict]:
    known = {name: place for place, name in enumerate(order)}
    return sorted(rows, key=lambda row: known.get(row.get("loss", ""), -1))


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    marks = ["---" if number == 0 else "---:" for number in range(len(head))]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (head, marks, *lines))


def _recovery(rows: Mapping) -> str:
    found = rows["recovery"]
    if not found:
        return ""
    last = max(int(row["step"]) for row in found)
    lines, pictures = [], []
    for name in dict.fromkeys(row["loss"] for row in found):
        ends = {row["start"]: row for row in found if row["loss"] == name and int(row["step"]) == last}
        title = next(iter(ends.values()))["title"]
        cells = [f"{float(ends[s]['psnr_db']):.1f} / {_short(ends[s]['C_max'])}" for s in STARTS]
        lines.append([title, *cells, *(f"{float(ends[start]['cvvdp_jod']):.2f}" for start in STARTS)])
        pictures.append([title, f"![{title}](recovery/{name}.png)"])
    head = ["loss", *(f"from {s}: PSNR dB / C_max" for s in STARTS), *(f"from {s}: JOD" for s in STARTS)]
    return RECOVERY.format(
        steps=last,
        rate=LEARNING_RATE,
        table=_table(head, lines),
        pictures=_table(["loss", "from noise, from blur, from JPEG"], pictures),
    )


def _short(value: str) -> str:
    return f"{float(value):.3g}"


def _gradients(rows: Mapping) -> str:
    found = rows["gradients"]
    if not found:
        return ""
    distortions = list(dict.fromkeys(row["distortion"] for row in found))
    lines = []
    for name in dict.fromkeys(row["loss"] for row in found):
        own = {row["distortion"]: row for row in found if row["loss"] == name}
        cells = [f"{own[d]['rank']} ({_relative(own, d)})" for d in distortions]
        lines.append([own[distortions[0]]["title"], *cells])
    return GRADIENTS.format(psnr=float(found[0]["psnr_db"]), table=_table(["loss", *distortions], lines))


def _relative(own: Mapping, distortion: str) -> str:
    """Length of the gradient in lengths of that for noise."""
    ratio = float(own[distortion]["gradient"]) / float(own["noise"]["gradient"])
    return f"{ratio:.2g}" if np.isfinite(ratio) else "no gradient"


def _ranking(rows: Mapping) -> str:
    lines = [
        [row["title"], row["srocc_exact_metric"], f"{row['jpeg_steps_in_order']} of {row['jpeg_steps']}"]
        for row in rows["ranking"]
    ]
    if not lines:
        return ""
    head = ["loss", "rank correlation with the exact metric", "JPEG steps in order"]
    return RANKING.format(pairs=rows["ranking"][0]["pairs"], table=_table(head, lines))


def _speed(rows: Mapping) -> str:
    found = rows["speed"]
    if not found:
        return ""
    lines = [[row["title"], row["relative_speed"]] for row in found]
    return SPEED.format(**found[0], table=_table(["loss", "speed of training, L1 = 1"], lines))


def _truth(rows: Mapping) -> str:
    found = rows["truth"]
    if not found:
        return ""
    lines = []
    for metric in dict.fromkeys(row["metric"] for row in found):
        own = [row for row in found if row["metric"] == metric]
        worst = max(abs(float(row["difference"])) for row in own)
        cells = [f"{row['ours']} ({row['published']})" for row in own]
        lines.append([metric, *cells, f"{worst:.4f}"])
    pairs = [row["pair"] for row in found if row["metric"] == found[0]["metric"]]
    return TRUTH.format(table=_table(["metric", *pairs, "largest difference"], lines))


def _absent(rows: Mapping) -> str:
    absent = [f"{row['title']}: {row['problem']}" for row in rows["contenders"] if row["problem"]]
    return "## Not measured here\n\n" + "\n".join(f"- {line}" for line in absent) if absent else ""


def _draw_curves(found: list[dict]) -> None:
    figure = Figure(figsize=(13, 11), layout="constrained")
    axes = figure.subplots(len(CURVES), len(STARTS), squeeze=False)
    titles = dict.fromkeys(row["title"] for row in found)
    for row_axes, (measure, label) in zip(axes, CURVES.items(), strict=True):
        for ax, start in zip(row_axes, STARTS, strict=True):
            for number, title in enumerate(titles):
                own = [row for row in found if row["title"] == title and row["start"] == start]
                style = {"color": f"C{number % 10}", "linestyle": ("-", "--", ":")[number // 10]}
                ax.plot([int(row["step"]) for row in own], [float(row[measure]) for row in own], label=title, **style)
            if measure == "C_max":
                ax.set_yscale("symlog", linthresh=1)
            ax.grid(alpha=0.3)
            ax.set(title=f"from {STARTS[start]}" if measure == "psnr_db" else "", xlabel="step", ylabel=label)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(RESULTS / "losses-recovery.png", dpi=80)


def _draw_gradients(found: list[dict]) -> None:
    names = list(dict.fromkeys(row["loss"] for row in found))
    distortions = list(dict.fromkeys(row["distortion"] for row in found))
    by = {(row["loss"], row["distortion"]): row for row in found}
    shown = [name for name in names if np.isfinite(float(by[name, "noise"]["gradient"]))]
    lengths = np.array([[float(by[name, d]["gradient"]) for d in distortions] for name in shown])
    decades = np.log10(np.maximum(lengths / lengths[:, :1], 1e-4))
    figure = Figure(figsize=(8, 0.34 * len(shown) + 1.3), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(decades, cmap="RdBu_r", vmin=-2, vmax=2, aspect="auto")
    axes.set_xticks(range(len(distortions)), distortions)
    axes.set_yticks(range(len(shown)), [by[name, "noise"]["title"] for name in shown])
    figure.colorbar(picture, label="log10 of the gradient's length, noise = 0")
    figure.savefig(RESULTS / "losses-gradients.png", dpi=80)


HEAD = """# What losses want

Made by `python -m benchmarks.recovery`; every number is in a `losses-*.csv` beside this page. A loss is a teacher that
never speaks: a network does whatever lowers it. So the losses are asked what they want. "In-house trunk" is the small
network `models/trunk-v1`, which stands in for VGG16; papers' numbers do not carry over to it.

What the pictures and tables below say to someone who must choose:

- L1, L2 and Charbonnier come back to the reference from anywhere, and weigh every distortion of the same PSNR about
  alike: they cannot tell what is seen from what is not.
- SSIM and MS-SSIM hardly mind brightness and contrast, and what is of grey images only (MS-SSIM per pixel) not colour.
- VDPLoss pushes against what is seen: from a blur or a JPEG it comes near the threshold of visibility while PSNR stays
  low. Two things it must not be asked for: colour, for HDR-VDP-2 sees luminance alone and lets wrong colours be; and
  the way out of noise, where everything is far above the threshold. Begin with L1, or add it (`sum`).
- ColorVideoVDP minds colour, and is as lost in noise.
- A surrogate that orders pairs as the exact metric does need not lead where it leads: compare its C_max in the curves
  with that of VDPLoss, exact. Where the exact one does not fall, the image exploits the surrogate; `audit_every` shows
  it while a network trains."""

RECOVERY = """## The image it likes best

From three beginnings the image itself is moved down the loss's gradient ({steps} steps of Adam, learning rate {rate:g}
falling to 0, pixels kept in 0..1), towards a reference that the loss sees. All would be satisfied with the reference;
what they reach instead shows what they overlook. C_max is the contrast of the difference in units of its threshold, by
the exact HDR-VDP-2.2: at 1 it is seen half of the time. JOD is ColorVideoVDP's quality, 10 at best.

Beginnings, and the reference: ![beginnings](recovery/starts.png)

{table}

![curves](losses-recovery.png)

{pictures}"""

GRADIENTS = """## What it pushes against, at equal PSNR

Six distortions of one photograph, all at {psnr:g} dB. First the rank that the loss gives each (6 is the worst), then
the length of its gradient there, that for noise being 1. A loss of pixels can hardly tell them apart; where a gradient
is short, training will leave the distortion be.

{table}

![gradients](losses-gradients.png)"""

RANKING = """## The order it puts pairs in

{pairs} pairs: two photographs, the six distortions, 24 to 36 dB. The last column asks whether more JPEG is worse, over
neighbouring qualities from 5 to 95 of each photograph.

{table}"""

SPEED = """## What it costs

EDSR's baseline, enlarging by two to {side} x {side} pixels, batch {batch}: processor time of a step of training,
forward, backward and update, median of {rounds} interleaved rounds on {threads} thread(s) of {processor}; the load
average was {load_average} when it ended. Delbracio et al. 2021 report 0.53 to 0.57 for losses through VGG16 on their
machine.

{table}"""

TRUTH = """## Are ours the published ones?

Ours (published) for five pairs of TID2013. SSIM and MS-SSIM are of grey images as MATLAB rounds them; the library's
MS-SSIM halves an image otherwise than the original program does.

{table}"""

TAIL = """## How to repeat it

    python -m benchmarks.recovery
    python -m benchmarks.recovery --only vdp --parts recovery    # one loss again
    python -m benchmarks.recovery --weights FOLDER               # with vgg16.safetensors and alexnet.safetensors"""
