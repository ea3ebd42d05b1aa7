"""The page ``results/losses.md``, made from the results files alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.following import LEARNING_RATE
from benchmarks.losses_figures import STARTS, draw_curves, draw_gradients
from benchmarks.machine import RESULTS
from vdp_distill.losses import names

__all__ = ["write_page"]


def write_page(rows: Mapping[str, list[dict]]) -> None:
    """Write page and figures from the rows of the results files by name."""
    order = names()
    rows = {name: _in_order(found, order) for name, found in rows.items()}
    if rows["recovery"]:
        draw_curves(rows["recovery"])
    if rows["gradients"]:
        draw_gradients(rows["gradients"])
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
    lines, pictures = [["(the beginnings themselves)", *_measured(found, found[0]["loss"], 0)]], []
    for name, title in {row["loss"]: row["title"] for row in found}.items():
        lines.append([title, *_measured(found, name, last)])
        pictures.append([title, f"![{title}](recovery/{name}.png)"])
    head = ["loss", *(f"from {s}: PSNR dB / C_max" for s in STARTS), *(f"from {s}: JOD" for s in STARTS)]
    return RECOVERY.format(
        steps=last,
        rate=LEARNING_RATE,
        table=_table(head, lines),
        pictures=_table(["loss", "from noise, from blur, from JPEG"], pictures),
    )


def _measured(found: list[dict], name: str, step: int) -> list[str]:
    """What was measured of a loss's three images at a step."""
    at = {row["start"]: row for row in found if row["loss"] == name and int(row["step"]) == step}
    cells = [f"{float(at[start]['psnr_db']):.1f} / {_short(at[start]['C_max'])}" for start in STARTS]
    return [*cells, *(f"{float(at[start]['cvvdp_jod']):.2f}" for start in STARTS)]


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
    own, published = ({row["loss"]: row for row in rows[name]} for name in ("ranking", "agreement"))
    if not own:
        return ""
    lines = []
    for name, row in sorted({**published, **own}.items(), key=lambda item: names().index(item[0])):
        steps = f"{row['jpeg_steps_in_order']} of {row['jpeg_steps']}" if name in own else "-"
        agreement = published[name]["srocc_published"] if name in published else "-"
        lines.append([row["title"], row.get("srocc_exact_metric", "-"), agreement, steps])
    head = ["loss", "with the exact metric, 48 pairs", "with nine published metrics, 5 pairs", "JPEG steps in order"]
    return RANKING.format(table=_table(head, lines))


def _speed(rows: Mapping) -> str:
    found = rows["speed"]
    if not found:
        return ""
    lines = [[row["title"], row["relative_speed"], f"{row['lowest']} to {row['highest']}"] for row in found]
    return SPEED.format(**found[0], table=_table(["loss", "speed of training, L1 = 1", "within a round"], lines))


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


HEAD = """# What losses want

Made by `python -m benchmarks.recovery`; every number is in a `losses-*.csv` beside this page. A loss is a teacher that
never speaks: a network does whatever lowers it. So the losses are asked what they want. "In-house trunk" is the small
network `models/trunk-v1`, which stands in for VGG16; papers' numbers do not carry over to it.

What the pictures and tables below say to someone who must choose:

- L1 and Charbonnier come back to the reference from anywhere, L2 more slowly. At the same PSNR they push against every
  distortion about alike: they cannot tell what is seen from what is not.
- SSIM and MS-SSIM push little against brightness and contrast, and what is of grey images only (MS-SSIM per pixel) not
  against wrong colours.
- Features through the in-house trunk lead from a blur and a JPEG to something better, though not back, and nowhere from
  noise. PDL and the contextual losses through it ask which features there are and not where. Followed alone, PDL falls
  while the image gets worse than it began, in PSNR, C_max and JOD; so do the contextual losses from a blur, and from a
  JPEG, at this size of step, they do not even fall. Put them beside another loss. What VGG16's weights do in the
  trunk's place is not measured here.
- MDF, with our small discriminators, comes back from a blur and a JPEG, and part of the way from noise.
- The NIMA hybrid is L2 with a pull of its own: it stops where L2 goes on. Its score is uncalibrated.
- VDPLoss pushes against what is seen: from a blur or a JPEG it comes near the threshold of visibility while PSNR stays
  low. Two things it must not be asked for: colour, for HDR-VDP-2 sees luminance alone and lets wrong colours be; and
  the way out of noise, where everything is far above the threshold. Begin with L1, or add it (`sum`).
- ColorVideoVDP minds colour, and is as lost in noise.
- VDPLoss costs a training less than a loss through VGG16 does; the table is below.
- A surrogate that orders pairs as the exact metric does need not lead where it leads: compare its C_max in the curves
  with that of VDPLoss, exact. Where the exact one does not fall, the image exploits the surrogate; `audit_every` shows
  it while a network trains."""

RECOVERY = """## The image it likes best

From three beginnings the image itself is moved down the loss's gradient ({steps} steps of Adam, learning rate {rate:g}
falling to 0, pixels kept in 0..1), towards a reference that the loss sees. All but the NIMA hybrid would be satisfied
with the reference; what they reach instead shows what they overlook. C_max is the contrast of the difference in units
of its threshold, by the exact HDR-VDP-2.2: at 1 it is seen half of the time. JOD is ColorVideoVDP's quality, 10 at
best.

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

Rank correlations. First with the exact metric, over 48 pairs: two photographs, the six distortions, 24 to 36 dB. Then
with the mean rank that published values of nine metrics (CW-SSIM, DISTS, FSIM, GMSD, LPIPS, MAD, NLPD, VIF, VSI) give
five pairs of TID2013: few, so read no more than coarse steps in it. The last column asks whether more JPEG is worse,
over neighbouring qualities from 5 to 95 of each photograph. NIQE needs larger pictures than those of the 48 pairs.

{table}"""

SPEED = """## What it costs

EDSR's baseline, enlarging by two to {side} x {side} pixels, batch {batch}: processor time of a step of training,
forward, backward and update, median of {rounds} interleaved rounds on {threads} thread(s) of {processor} (load average
{load_average} when it ended). The last column is the least and the largest ratio within a round: nothing is faster
than L1, so differences of a twentieth mean nothing. Delbracio et al. 2021 report 0.53 to 0.57 for losses through VGG16
on their machine, with a batch of 4.

VDPLoss, with a released surrogate and with the exact metric, keeps more speed than the loss through VGG16 and than what
LPIPS computes through VGG16. LPIPS through the small AlexNet cannot be told from them.

{table}"""

TRUTH = """## Are ours the published ones?

Ours (published) for five pairs of TID2013. SSIM, MS-SSIM and NIQE are of grey images as MATLAB rounds them; the
library's MS-SSIM halves an image otherwise than the original program does. NIQE, with the published model, is of the
distorted image alone. It counts signs of pixels less their local mean, and where an image is flat these are the signs
of rounding errors, which ours takes for 0. I04, without such places, agrees in all digits. LPIPS would need AlexNet's
weights.

{table}"""

TAIL = """## How to repeat it

    python -m benchmarks.recovery
    python -m benchmarks.recovery --only vdp --parts recovery    # one loss again
    python -m benchmarks.recovery --weights FOLDER               # vgg16.safetensors, alexnet.safetensors, NIQE's model
    python -m benchmarks.recovery --parts truth --weights FOLDER --truth PAIRS"""
