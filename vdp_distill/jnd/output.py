"""What ``jnd`` leaves behind: the file, never over an original, and the curve of P as a table and a picture."""

import importlib
from pathlib import Path
from threading import Thread

from vdp_distill.checkpoints import write_whole
from vdp_distill.jnd.codecs import CODECS, codec_named
from vdp_distill.jnd.smallest import JND

__all__ = ["check_free", "check_out", "default_out", "describe", "load_plotting", "plot_curve", "save"]


def default_out(source: str | Path, codec: str) -> Path:
    """``NAME-jnd.SUFFIX`` beside the original."""
    source = Path(source)
    return source.with_name(f"{source.stem}-jnd{codec_named(codec).suffix}")


def save(found: JND, out: str | Path, *, replace: bool = False) -> Path:
    """Write the file that was found; over another one only if it is to be replaced.

    Raises
    ------
    FileExistsError
        If something stands there already.
    """
    out = Path(out)
    if not replace:
        check_free(out)
    write_whole(out, lambda partial: partial.write_bytes(found.data))
    return out


def check_free(out: Path, option: str = "--out") -> None:
    """Refuse to write over anything."""
    if out.exists() or out.is_symlink():
        raise FileExistsError(f"{out} exists already, and jnd writes over nothing; name another file with {option}")


def check_out(out: Path, codec: str) -> None:
    """Refuse a name that says another codec than the file will hold."""
    own, others = codec_named(codec).suffix, {known.suffix: name for name, known in CODECS.items()}
    suffix = {".jpeg": ".jpg"}.get(out.suffix.lower(), out.suffix.lower())
    if suffix != own and suffix in others:
        raise ValueError(f"{out} would hold {codec}; name it {out.stem}{own}, or pass --codec {others[suffix]}")


def describe(found: JND, original_bytes: int | None = None) -> str:
    """The curve as a table, and what was found, in words."""
    lines = ["quality      bytes   P seen"]
    for point in found.curve:
        mark = " <-" if point.quality == found.quality else "" if point.whole else "  (from some of its tiles)"
        lines.append(f"{point.quality:7d} {point.bytes:10d}   {point.P:.3f}{mark}")
    about = found.settings
    saved = f", {len(found.data) / original_bytes:.1%} of the original's" if original_bytes else ""
    lines.append(f"{found.codec} at quality {found.quality}: {len(found.data)} bytes{saved}")
    who = "chance that the metric's observer sees" if about["model"] == "exact" else "of people see"
    share = f"{found.P:.2f} {who} a difference (at most {about['p']:g} may)"
    lines.append(f"{share}, says {about['model']} at {about['pixels_per_degree']:g} pixels per degree")
    if not found.falls:
        lines.append("note: P does not fall with every step of quality; nothing above the one found was seen")
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def load_plotting() -> None:
    """Load what :func:`plot_curve` needs while something else is computed."""
    Thread(target=importlib.import_module, args=("matplotlib.backends.backend_agg",), daemon=True).start()


def plot_curve(found: JND, path: str | Path, title: str = "") -> Path:
    """Draw P against quality, and against the size of the file, as a PNG."""
    from matplotlib.figure import Figure  # here, for whoever draws nothing need not wait for it

    path = Path(path)
    figure = Figure(figsize=(9, 3.6), dpi=110, facecolor="white")
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.15, top=0.89, wspace=0.2)
    columns = (("quality", "quality", 1), ("bytes", "kilobytes of the file", 1000))
    for place, (key, label, unit) in enumerate(columns, start=1):
        axes = figure.add_subplot(1, 2, place)
        points = sorted((getattr(point, key) / unit, point.P) for point in found.curve)
        axes.plot(*zip(*points, strict=True), marker="o", color="#31688e")
        chosen = found.quality if key == "quality" else len(found.data) / unit
        axes.plot([chosen], [found.P], marker="o", markersize=11, mfc="none", color="#c1272d")
        axes.axhline(found.settings["p"], color="grey", linestyle="--", linewidth=1)
        axes.set(xlabel=label, ylabel="share of people who see it", ylim=(-0.03, 1.03))
        axes.grid(True, alpha=0.3)
    figure.suptitle(f"{title}: {found.codec} at quality {found.quality}" if title else found.codec, fontsize=10)
    write_whole(path, lambda partial: figure.savefig(partial, format="png"))
    return path
