"""Pictures of a data card: a contact sheet of samples with their stage maps, and histograms."""

from pathlib import Path

import numpy as np
from torch import Tensor

from data_gen.curves import srgb_code
from vdp_distill.dataset import ShardDataset
from vdp_distill.packing import PACKINGS
from vdp_distill.targets import IMAGES
from vdp_distill.visualize import contact_sheet, heatmap, histograms

__all__ = ["words", "histogram_sheet", "sample_sheet"]

SHEET_SAMPLES = 12
CELL_PIXELS = 104
LOGARITHMIC = ("pixels_per_degree", "max_luminance", "min_luminance", "mean surround", "strength", "rescaled (aimed)")
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def words(column: np.ndarray) -> np.ndarray:
    """A column of a shard's words as text."""
    return np.array([value.decode() for value in column])


def histogram_sheet(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Histograms of targets and conditions; uint8 (H, W, 3).

    Parameters
    ----------
    columns
        Of the whole set, by the last part of their path in a shard.
    """
    texts = {name: words(columns[name]) for name in ("distortion", "scene", "split", "rgb_display")}
    spaces = words(columns["colorspace"])
    texts["curve"] = np.array([name.split("-")[0] if name.startswith("gamma") else name for name in spaces])
    names = ("Q", "log_C", "pixels_per_degree", "max_luminance", "min_luminance", "strength")
    numbers = {name: columns[name] for name in names if name in columns}
    surround = {"mean surround": columns["surround_cdm2"].mean(axis=1)}
    return histograms(_aimed_apart(columns) | numbers | surround | texts, LOGARITHMIC)


def _aimed_apart(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if "P_det" not in columns:
        return {}
    aimed = np.isfinite(columns["aim_P_det"])
    if not aimed.any():
        return {"P_det": columns["P_det"]}
    return {
        "P_det (aimed)": columns["P_det"][aimed],
        "P_det (not aimed)": columns["P_det"][~aimed],
        "rescaled (aimed)": columns["rescaled"][aimed],
    }


def sample_sheet(folder: str | Path, samples: int = SHEET_SAMPLES) -> np.ndarray:
    """A contact sheet of samples spread over the set: both images, their difference, stage maps, heat map.

    Images are exposed as a camera would: white is the reference's own brightest light, so that a night scene and a
    bright display can both be looked at. The difference is that of the stored codes, grey where there is none, its
    largest value white or black.
    """
    data = ShardDataset(folder)
    data = ShardDataset(folder, (*data.fields, *(f"inputs/{image}" for image in IMAGES)))
    texts = {name: data.text(f"samples/{name}") for name in ("distortion", "scene", "split")}
    chosen = np.unique(np.linspace(0, len(data) - 1, samples).round().astype(int))
    rows = [_row(data[int(index)], {name: column[index] for name, column in texts.items()}) for index in chosen]
    return contact_sheet(rows, [title for title in rows[0] if title != "label"], CELL_PIXELS)


def _row(sample: dict, texts: dict[str, str]) -> dict:
    lights = {image: sample[f"light/{image}"].double().numpy().transpose(1, 2, 0) for image in IMAGES}
    white = max(float(np.percentile(lights["reference"] @ LUMINANCE, 99.5)), 1e-9)
    pictures = {image: srgb_code(np.clip(light / white, 0, 1)) for image, light in lights.items()}
    row = {"label": _label(sample, texts), **pictures}
    row["difference"] = _difference(sample["inputs/test"] - sample["inputs/reference"])
    for name, field in sample.items():
        if name.startswith("stages/") and field.ndim == 3 and "reference" not in name and not name[-1].isdigit():
            stage = name.removeprefix("stages/").replace("/test", "")
            row[_title(stage)] = _map(field, PACKINGS[stage].log10)
    if "P_map" in sample:
        row["P_map"] = heatmap(sample["P_map"], pictures["reference"], legend=False)
    return row


def _title(stage: str) -> str:
    """In two lines, for columns are narrow."""
    if not PACKINGS[stage].log10:
        return stage.replace("_", "\n")
    return f"log {stage}".replace("_" if "_" in stage else " ", "\n")


def _difference(codes: Tensor) -> np.ndarray:
    grey = codes.mean(dim=0).numpy()
    return np.rint(127.5 + 127.5 * grey / max(float(np.abs(grey).max()), 1e-9)).astype(np.uint8)[..., None].repeat(3, 2)


def _map(field: Tensor, logarithmic: bool) -> np.ndarray:
    plane = field[:3].mean(dim=0)
    return (plane.clamp(min=1e-8).log10() if logarithmic else plane).numpy()


def _label(sample: dict, texts: dict[str, str]) -> str:
    ppd, peak = float(sample["conditions/pixels_per_degree"]), float(sample["conditions/max_luminance"])
    lines = [f"#{int(sample['samples/index'])} {texts['distortion']}", f"{texts['scene']}, {texts['split']}"]
    lines.append(f"{ppd:.0f} ppd, {peak:.0f} cd/m2")
    if "P_det" in sample:
        lines.append(f"P_det {float(sample['P_det']):.2f}, Q {float(sample['Q']):.0f}")
    return "\n".join(lines)
