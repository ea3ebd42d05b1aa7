"""Figures: contact sheets, histograms, training curves, and pictures of arrays.

Matplotlib's object interface and its Agg canvas: nothing global changes, and no screen is needed.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

__all__ = ["contact_sheet", "drawn", "histograms", "plane", "plot_curve", "to_picture"]


def plane(values) -> np.ndarray:
    """A map as a float array (H, W)."""
    array = values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
    array = array.squeeze().astype(np.float64)
    if array.ndim != 2:
        raise ValueError(
            f"a map must be (H, W) or (1, 1, H, W), got {tuple(np.shape(values))}; give one image of a batch"
        )
    return array


def to_picture(image) -> np.ndarray:
    """Code values or light as a picture, float64 (H, W, 3) in 0..1.

    Parameters
    ----------
    image
        Tensor (3, H, W), (1, H, W) or with a batch axis of 1; array (H, W), (H, W, 1) or (H, W, 3). Values beyond 0..1
        are light: they are brought to 0..1 by their logarithm between the 1st and 99.5th percentile.
    """
    if isinstance(image, Tensor):
        image = image.numpy(force=True)
        image = image[0] if image.ndim == 4 else image
        image = image.transpose(1, 2, 0) if image.ndim == 3 else image
    array = np.asarray(image)
    array = array / np.iinfo(array.dtype).max if array.dtype.kind == "u" else array.astype(np.float64)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise ValueError(f"a picture must have 1 or 3 channels, got an array of shape {array.shape}")
    if array.max() > 1:
        array = _by_logarithm(array)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def _by_logarithm(light: np.ndarray) -> np.ndarray:
    floor = max(float(light[light > 0].min(initial=1.0)), 1e-6)
    logarithm = np.log(np.maximum(light, floor))
    low, high = np.percentile(logarithm, [1, 99.5])
    return np.clip((logarithm - low) / max(high - low, 0.1), 0, 1)


def drawn(figure: Figure) -> np.ndarray:
    """A figure as uint8 (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def contact_sheet(rows: Sequence[Mapping[str, object]], titles: Sequence[str], cell_pixels: int = 128) -> np.ndarray:
    """A table of small pictures: a row a sample, a column a kind of picture.

    Parameters
    ----------
    rows
        For each sample its pictures by title: uint8 (H, W, 3) as it is; a map (H, W), shown from its own least to its
        own largest value; anything else by :func:`to_picture`. The key ``"label"`` is text at the left.
    titles
        Columns, in order.
    cell_pixels
        Side of a cell.

    Returns
    -------
    ndarray
        uint8 (H, W, 3).
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one sample")
    inches = cell_pixels / 100
    figure = Figure(figsize=(inches * len(titles) + 1.9, inches * 1.04 * len(rows) + 0.4), dpi=100, facecolor="white")
    grid = figure.add_gridspec(len(rows), len(titles), left=1.9 / figure.get_figwidth(), right=1, bottom=0,
                               top=1 - 0.35 / figure.get_figheight(), wspace=0.03, hspace=0.04)  # fmt: skip
    for r, row in enumerate(rows):
        for c, title in enumerate(titles):
            axes = figure.add_subplot(grid[r, c])
            _show(axes, row[title])
            if r == 0:
                axes.set_title(title, fontsize=8, pad=3)
            if c == 0:
                axes.text(
                    -0.05, 0.5, str(row.get("label", "")), fontsize=7, ha="right", va="center", transform=axes.transAxes
                )
    return drawn(figure)


def _show(axes, picture) -> None:
    axes.set_axis_off()
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
        axes.imshow(picture)
    elif np.ndim(picture) == 2:
        axes.imshow(plane(picture), cmap="gray")
    else:
        axes.imshow(to_picture(picture))


def histograms(columns: Mapping[str, np.ndarray], logarithmic: Sequence[str] = (), bins: int = 40) -> np.ndarray:
    """Histograms of some numbers, side by side, three a row; uint8 (H, W, 3).

    Parameters
    ----------
    columns
        Values by name. Words are counted instead.
    logarithmic
        Names whose axis is logarithmic; values of 0 and below are left out there.
    """
    down = -(-len(columns) // 3)
    figure = Figure(figsize=(11, 2.6 * down), dpi=100, facecolor="white", layout="constrained")
    for place, (name, values) in enumerate(columns.items()):
        axes = figure.add_subplot(down, 3, place + 1)
        _histogram(axes, np.asarray(values), name in logarithmic, bins)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    return drawn(figure)


def _histogram(axes, values: np.ndarray, logarithmic: bool, bins: int) -> None:
    if values.dtype.kind in "SUO":
        names, counts = np.unique(values.astype(str), return_counts=True)
        axes.barh(names, counts, color="#31688e")
        return
    values = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
    if not len(values):
        return
    edges = np.geomspace(values.min(), values.max() * (1 + 1e-9), bins + 1) if logarithmic else bins
    if logarithmic and values.min() < values.max():
        axes.set_xscale("log")
        if values.max() < 30 * values.min():  # hardly a decade: its own marks, as plain numbers
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
    axes.hist(values, edges if values.min() < values.max() else 1, color="#31688e")


def plot_curve(
    csv_path: str | Path, png_path: str | Path, *, x: str | None = None, y: Sequence[str] | None = None
) -> None:
    """Draw columns of a CSV log against its first one.

    Parameters
    ----------
    csv_path
        A table with a line of names. Empty cells are left out, so that columns of different pace can share a log.
    png_path
        Picture to write.
    x, y
        Columns to draw; by default the first one, and all others that hold numbers.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or no numbers in it.
    """
    csv_path = Path(csv_path)
    if not csv_path.is_file():
        raise FileNotFoundError(f"no log {csv_path}")
    with open(csv_path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{csv_path} holds no rows yet")
    x = x or next(iter(rows[0]))
    names = list(y or [name for name in rows[0] if name != x])
    figure = Figure(figsize=(8, 4.5), dpi=110, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    for name in names:
        points = [(_number(row[x]), _number(row[name])) for row in rows]
        points = [point for point in points if np.isfinite(point).all()]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 40 else None)
    if not axes.lines:
        raise ValueError(f"{csv_path} holds no numbers in {', '.join(names)}")
    if all((line.get_ydata() > 0).all() for line in axes.lines):
        axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(png_path)


def _number(text: str | None) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
