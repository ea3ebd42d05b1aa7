"""Do the numbers of the README and of its pages agree with the results files? This writes their tables from them.

    python -m benchmarks.readme_tables

Each table stands between two comments that name the file it comes from; a test fails when one is out of date.
"""

import csv
import re
from functools import partial
from pathlib import Path
from statistics import fmean

from benchmarks.machine import RESULTS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = (README, ROOT / "models/README.md", ROOT / "vdp_distill/jnd/README.md", ROOT / "vdp_distill/losses/README.md")
IN_SHORT = ", in short"
DENOISED = ("denoise-digits.csv", "denoise-digits-mnist.csv", "denoise-photographs.csv")
SIDES = {
    "octave": "this project's Octave program, float64",
    "original": "the original HDR-VDP in Octave",
    "exact-float64": "exact, float64",
    "exact-float32": "**exact, float32**",
    "cvvdp": "ColorVideoVDP",
    "ms-ssim": "MS-SSIM (pytorch-msssim)",
    "lpips-random": "LPIPS-Alex (random weights, for time)",
    "flip": "FLIP (C++)",
}


SURROGATE_ROWS = (
    "log10 C_max, RMSE",
    "log10 C_max, median error",
    "log10 C_max, p99 error",
    "log10 C_max, worst error",
    "log10 C_max, SROCC",
    "P_det near threshold, MAE",
    "P_det near threshold, worst error",
    "P_map, MAE",
    "peak of the map within 0.25 degrees",
    "exact contrast at the model's peak, of the exact peak's, lowest tenth",
    "Q, RMSE",
    "Q, worst error",
    "1920x1080: log10 C_max, RMSE",
    "1920x1080: log10 C_max, SROCC",
    "1920x1080: P_det near threshold, MAE",
    "1920x1080: P_map, MAE",
    "1920x1080: peak of the map within 0.25 degrees",
    "1920x1080: exact contrast at the model's peak, of the exact peak's, lowest tenth",
    "1920x1080: Q, RMSE",
    "1920x1080: gradient of log C near threshold, median cosine",
    "unseen distortions: log10 C_max, RMSE",
    "unseen distortions: P_det near threshold, MAE",
    "unseen viewing: log10 C_max, RMSE",
    "unseen viewing: P_det near threshold, MAE",
    "gradient of log C near threshold, median cosine",
    "gradient of log C near threshold, lowest tenth",
    "Gabor thresholds, largest difference",
    "C_max of identical images",
)
"""Those of the results file that the page of the models shows; the cards show all."""

GOALS = {
    "log10 C_max, RMSE": ("<", 0.05, 0.10, 0.20, 0.20, 0.20),
    "log10 C_max, SROCC": (">", None, 0.995, 0.99, 0.99, 0.99),
    "P_det near threshold, MAE": ("<", 0.02, 0.03, 0.06, 0.06, 0.06),
    "P_map, MAE": ("<", None, 0.02, 0.02, 0.02, 0.02),
    "peak of the map within 0.25 degrees": (">", None, 0.95, 0.95, 0.95, 0.95),
    "Q, RMSE": ("<", None, 1.0, 1.0, 1.0, 1.0),
    "gradient of log C near threshold, median cosine": (">", None, 0.95, 0.90, 0.90, 0.90),
    "Gabor thresholds, largest difference": ("<", 0.1, 0.1, 0.1, 0.1, 0.1),
    "C_max of identical images": ("<", 0, 0, 0, 0, 0),
}
"""What each model was to reach, set before any was trained; of glance and swift, which came later, as of fast."""

MODELS = ("vdp-chain-v1", "vdp-cortex-v1", "vdp-fast-v1", "vdp-glance-v1", "vdp-swift-v1")

SHORT_ROWS = (
    "log10 C_max, RMSE",
    "log10 C_max, SROCC",
    "P_det near threshold, MAE",
    "P_map, MAE",
    "Q, RMSE",
    "gradient of log C near threshold, median cosine",
    "1920x1080: log10 C_max, RMSE",
)
"""And those that the README shows."""


def read(path: Path) -> list[dict]:
    """Rows of a results file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def truth_table() -> str:
    """Largest error of each quantity, one column a precision."""
    rows = read(RESULTS / "fidelity.csv")
    found = {(row["truth"], row["ours"], row["quantity"]): row for row in rows}
    lines = ["| quantity | float64 | float32 | error is |", "|---|---|---|---|"]
    for truth, ours, quantity in found:
        if truth != "original metric" or ours != "float64":
            continue
        single = found[truth, "float32", quantity]
        exact = found[truth, ours, quantity]
        lines.append(f"| `{quantity}` | {exact['largest_error']} | {single['largest_error']} | {exact['meaning']} |")
    octave = ", ".join(f"`{q}` {r['largest_error']}" for (t, _, q), r in found.items() if t == "Octave program")
    return "\n".join([*lines, "", f"Against the Octave program, on pairs that no golden holds, float64: {octave}."])


def speed_table(path: Path) -> str:
    """Ratios at 1080p, and the spread of the rounds."""
    rows = [row for row in read(path) if (row["height"], row["width"]) == ("1080", "1920")]
    found = {(row["side"], row["direction"]): row for row in rows}
    octave = float(found["octave", "forward"]["times_exact_float32"])
    lines = [
        "| 1920 x 1080 sRGB pair | forward | forward + backward | peak memory, GB | Octave's time over its |",
        "|---|---|---|---|---|",
    ]
    others = {side: f"`{side}`" for side, _ in found if side not in SIDES}
    for side, name in {**SIDES, **others}.items():
        if (side, "forward") not in found:
            continue
        cells = [cell(found.get((side, direction))) for direction in ("forward", "forward+backward")]
        peaks = [found[side, d]["peak_memory_gb"] for d in ("forward", "forward+backward") if (side, d) in found]
        times = octave / float(found[side, "forward"]["times_exact_float32"])
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {' / '.join(peaks)} | {times:.3g} |")
    first = rows[0]
    about = f"{first['processor']}, {first['threads']} threads, {first['rounds']} rounds"
    return "\n".join(
        [
            *lines,
            "",
            "Times are multiples of exact float32's in the same run: median (lowest to highest). Forward is the metric "
            "with all its answers; with backward, the loss. The last column is how often a forward pass fits into that "
            f"of the Octave program. {about}.",
        ]
    )


def surrogate_table(quantities: tuple[str, ...] = SURROGATE_ROWS) -> str:
    """Errors of the released models against the exact metric, a column a model."""
    rows = read(RESULTS / "surrogates.csv")
    models = list(dict.fromkeys(row["model"] for row in rows))
    found = {(row["model"], row["quantity"]): row for row in rows}
    lines = [f"| | {' | '.join(f'`{model}`' for model in models)} | goal |", f"|---|{'---|' * (len(models) + 1)}"]
    for quantity in quantities:
        cells = [judged_cell(model, quantity, found[model, quantity]["value"]) for model in models]
        lines.append(f"| {quantity} | {' | '.join(cells)} | {goal_cell(quantity)} |")
    samples = found[models[0], "Q, RMSE"]["samples"]
    about = f"{samples} pairs of {rows[0]['data']}; truth is the exact metric. In italics: what misses its goal."
    return "\n".join([*lines, "", about])


def goals_of(quantity: str) -> tuple:
    """Which side of the goals is good, and the goal of each model: the same on crops and on whole images."""
    return GOALS.get(quantity.removeprefix("1920x1080: "), ("<", *(None,) * len(MODELS)))


def goal_cell(quantity: str) -> str:
    """The goals of a row, one where all models have the same."""
    _, *goals = goals_of(quantity)
    shown = [f"{goal:g}" if goal is not None else "-" for goal in goals]
    return "" if set(shown) == {"-"} else shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def judged_cell(model: str, quantity: str, value: str) -> str:
    """A value, in italics where it misses its model's goal."""
    side, *goals = goals_of(quantity)
    goal = dict(zip(MODELS, goals, strict=True)).get(model)
    misses = goal is not None and (float(value) > goal if side == "<" else float(value) < goal)
    return f"*{value}*" if misses else value


def short_surrogate_table() -> str:
    """The few that say what a model is good for."""
    return surrogate_table(SHORT_ROWS)


def denoise_table(name: str) -> str:
    """Means over the seeds at each noise, a row a loss."""
    rows = read(RESULTS / name)
    levels = list(dict.fromkeys(row["noise"] for row in rows))
    shown = " / ".join(f"{float(level):g}" for level in levels)
    lines = [f"| trained with | log10 C at noise {shown} | visible area | JOD | PSNR, dB |", "|---|---|---|---|---|"]
    for loss in dict.fromkeys(row["loss"] for row in rows):
        cells = []
        for column, digits in (("log10_C", 2), ("visible_area", 2), ("JOD", 2), ("PSNR_dB", 1)):
            own = {
                level: [float(r[column]) for r in rows if (r["loss"], r["noise"]) == (loss, level)] for level in levels
            }
            cells.append(" / ".join(f"{fmean(values):.{digits}f}" for values in own.values()))
        lines.append(f"| {'nothing: the noisy image' if loss == 'noisy' else f'`{loss}`'} | {' | '.join(cells)} |")
    seeds = len({row["seed"] for row in rows if row["loss"] != "noisy"})
    about = f"Means of {seeds} seeds" if seeds > 1 else "One seed"
    return "\n".join([*lines, "", f"{about}, {rows[0]['held_out']} held-out images."])


def jnd_table() -> str:
    """Every row of the study on synthetic observers."""
    rows = read(RESULTS / "jnd-synthetic.csv")
    lines = ["| synthetic observers | RMSE | PLCC | SROCC | error of the 50 % quality |", "|---|---|---|---|---|"]
    for row in rows:
        values = (row[name] for name in ("rmse", "plcc", "srocc", "half_quality_error"))
        cells = (f"{float(value):.3g}" if value else "-" for value in values)
        lines.append(f"| {row['row']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(row: dict | None) -> str:
    """One ratio with its spread."""
    return f"{row['times_exact_float32']} ({row['low']} to {row['high']})" if row else "-"


def tables() -> dict[str, str]:
    """Every table by the file that it comes from."""
    found = {"fidelity.csv": truth_table()}
    makers = {
        "surrogates.csv": surrogate_table,
        f"surrogates.csv{IN_SHORT}": short_surrogate_table,
        **{name: partial(denoise_table, name) for name in DENOISED},
        "jnd-synthetic.csv": jnd_table,
    }
    for name, make in makers.items():
        if (RESULTS / name.removesuffix(IN_SHORT)).is_file():
            found[name] = make()
    for path in sorted(RESULTS.glob("speed-*.csv")):
        found[path.name] = speed_table(path)
    return {f"benchmarks/results/{name}": table for name, table in found.items()}


def with_tables(texts: dict[Path, str]) -> dict[Path, str]:
    """The text of every page with its tables made anew."""
    for source, table in tables().items():
        pattern = re.compile(rf"(<!-- from {re.escape(source)} -->)\n.*?(<!-- end -->)", re.DOTALL)
        places = [page for page, text in texts.items() if pattern.search(text)]
        if not places:
            raise ValueError(f"no page has a place for {source}: add <!-- from {source} --> and <!-- end -->")
        for page in places:
            texts = texts | {page: pattern.sub(lambda found, t=table: f"{found[1]}\n{t}\n{found[2]}", texts[page])}
    return texts


def pages() -> dict[Path, str]:
    """The text of every page as it is."""
    return {page: page.read_text(encoding="utf-8") for page in PAGES}


def main() -> None:
    """Rewrite the pages."""
    for page, text in with_tables(pages()).items():
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
