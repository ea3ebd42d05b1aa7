"""Who follows people best near the threshold: JND networks, the metrics, or a guess that knows the quality alone?

    python -m benchmarks.jnd --photographs FOLDER [FOLDER ...]        synthetic observers, 480x270
    python -m benchmarks.jnd --mcl-jci FOLDER [--height 0]            the measured set; 0 for full 1920x1080
    python -m benchmarks.jnd --labels FILE                            its labels alone: the quality-only row

Every row predicts sources that it never saw: folds are made of whole sources. Scores that are no share (PSNR, ...) are
mapped to one by a logistic curve fitted on the other folds. Writes ``results/jnd-<set>.csv``, its predictions and the
curves. A run that was stopped goes on where it was.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from benchmarks.jnd_curves import draw_curves
from benchmarks.jnd_statistics import MEASURES, agreement, intervals, noise_floor
from benchmarks.jnd_study import Study, quality_only
from benchmarks.machine import RESULTS
from vdp_distill.human_data import MCLJCI, SUBJECTS, SyntheticObservers, read_labels
from vdp_distill.io import READABLE
from vdp_distill.judgements import HumanData, Viewing, deal_folds

DRAWN = {
    "quality only": "quality only",
    "exact HDR-VDP P_det": "HDR-VDP P_det",
    "paper's network on exact": "paper's network",
    "ours on exact": "ours",
}
COLUMNS = ("set", "row", *(part for name in MEASURES for part in (name, f"{name}_low", f"{name}_high")), "note")


def measured(about: dict[str, str], predicted: np.ndarray, truth: tuple[np.ndarray, ...]) -> dict:
    """One line of the table; the truth is share, source and level of every judgement."""
    if not np.isfinite(predicted).all():
        return about | {name: "NaN" for name in MEASURES}
    line, bounds = dict(about), intervals(predicted, *truth)
    for name, value in agreement(predicted, *truth).items():
        low, high = bounds[name]
        line |= {name: f"{value:.4f}", f"{name}_low": f"{low:.4f}", f"{name}_high": f"{high:.4f}"}
    return line


def labels_alone(path: Path) -> dict:
    """The line of the quality-only row on labels without pictures."""
    shares = read_labels(path)[0]
    sources, levels = (np.array(part) for part in zip(*shares, strict=True))
    share = np.array(list(shares.values()))
    about = {"set": "MCL-JCI", "row": "quality only", "note": f"labels alone, {SUBJECTS} subjects, no pictures"}
    return measured(about, quality_only(sources, levels, share), (share, sources, levels))


def table(study: Study, predictions: dict[str, np.ndarray]) -> list[dict]:
    """A line a row, and the floor that no prediction can be expected to pass."""
    data, truth = study.data, (study.share, study.sources, study.levels)
    lines = []
    for row, values in predictions.items():
        about = {"set": data.name, "row": row, "note": study.notes.get(row, "")}
        lines.append(measured(about, values, truth))
    expected = data.expected() if isinstance(data, SyntheticObservers) else study.share
    floor = {"set": data.name, "row": "binomial noise floor", "rmse": f"{noise_floor(expected):.4f}"}
    return [*lines, floor | {"note": data.about}]


def write(path: Path, rows: list[dict], columns: tuple[str, ...]) -> None:
    """A table as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {path}")


def the_data(options: argparse.Namespace) -> HumanData:
    """The set that the options ask for."""
    viewing = Viewing(height=options.height or None)
    if options.mcl_jci:
        return MCLJCI(options.mcl_jci, options.labels, viewing=viewing, levels=options.levels)
    paths = [path for folder in options.photographs for path in sorted(Path(folder).rglob("*"))]
    paths = [path for path in paths if path.suffix.lower() in READABLE]
    data = SyntheticObservers(paths, levels=options.levels, cache=options.work / "cache", viewing=viewing)
    data.folds = deal_folds(list(data.sources), options.folds)
    return data


def main(arguments: list[str] | None = None) -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--photographs", nargs="+", type=Path, default=[], help="folders, judged by synthetic observers"
    )
    parser.add_argument("--mcl-jci", type=Path, help="the measured set, with its labels")
    parser.add_argument("--labels", type=Path, help="labels of MCL-JCI, alone or in place of those in its folder")
    parser.add_argument("--height", type=int, default=270, help="rows to reduce to; 0 for full resolution")
    parser.add_argument("--levels", nargs="+", type=int, default=list(range(5, 101, 5)), help="JPEG qualities")
    parser.add_argument("--folds", type=int, default=7, help="of synthetic sources; MCL-JCI has its own ten")
    parser.add_argument("--networks", nargs="*", help="rows to train, such as 'ours on exact'; all by default")
    parser.add_argument("--steps", type=int, help="of training, in place of the recipes'")
    parser.add_argument("--work", type=Path, default=Path("human-run"), help="folder of what is kept between runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if options.labels:
        write(options.out / "jnd-mcl-jci-labels.csv", [labels_alone(options.labels)], COLUMNS)
    if options.mcl_jci or options.photographs:
        study = Study(the_data(options), options.work)
        report(study, study.predictions(options.steps, options.networks), options.out)


def report(study: Study, predictions: dict[str, np.ndarray], out: Path) -> None:
    """Table, predictions and curves of a study."""
    name = "mcl-jci" if study.data.measured else "synthetic"
    lines = table(study, predictions)
    write(out / f"jnd-{name}.csv", lines, COLUMNS)
    columns = {"source": study.sources, "level": study.levels, "share": study.share, **predictions}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    write(out / f"jnd-{name}-predictions.csv", rows, tuple(columns))
    whole = {key for key, values in predictions.items() if np.isfinite(values).all()}
    drawn = {key: label for key, label in DRAWN.items() if key in whole}
    judged = "people" if study.data.measured else "synthetic observers"
    draw_curves(
        out / f"jnd-{name}.png", f"{study.data.name}: {len(study.data.sources)} sources", columns, drawn, judged
    )
    for line in lines:
        print(f"{line['row']:45} " + "  ".join(f"{key} {line.get(key, '')}" for key in MEASURES))


if __name__ == "__main__":
    main()
