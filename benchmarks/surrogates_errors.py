"""Errors of a model on pairs whose exact answer is known: numbers, maps, peaks, gradients, by distortion."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from vdp_distill.display import Display
from vdp_distill.losses import VDPLoss

__all__ = [
    "JUDGED",
    "NEAR",
    "cosine_rows",
    "distortion_rows",
    "gradient_rows",
    "number_rows",
    "settings_of",
    "unseen_rows",
    "worst_rows",
]

Row = tuple[str, float, str, int]
"""Quantity, value, unit, samples."""

CONDITIONS = {"pixels_per_degree": "pixels_per_degree", "surround_l": "surround_cdm2", "emission": "emission"}
NEAR = (0.02, 0.98)
JUDGED = (1e-2, 1e5)
PEAK_DEG = 0.25
"""The map's peak counts as found within this angle."""

AT_PEAK = "exact contrast at the model's peak, of the exact peak's"

CODES = 4096
"""Nodes of the table from light to code values."""

WORST = 3
"""Pairs that a card names, of those that its model is most wrong about."""


def settings_of(samples: dict[str, Tensor], rows: slice) -> dict:
    """Viewing conditions of some samples, as the metric takes them."""
    return {setting: samples[f"conditions/{name}"][rows] for setting, name in CONDITIONS.items()}


def number_rows(found: dict[str, Tensor], samples: dict[str, Tensor]) -> list[Row]:
    """Errors of the numbers and of the maps."""
    exact, seen = samples["sum_S"].double(), found["C_max"].double().clamp(min=1e-9)
    judged = (exact > JUDGED[0]) & (exact < JUDGED[1])
    near = (samples["P_det"] > NEAR[0]) & (samples["P_det"] < NEAR[1])
    error = (seen[judged] / exact[judged]).log10().abs()
    maps = (found["P_map"] - samples["P_map"]).abs().mean(dim=(1, 2, 3))
    offset, height = peak_offset(found["C_map"], samples), peak_height(found["C_map"], samples)
    return [
        *_spread("log10 C_max", error, "log10", "RMSE"),
        ("log10 C_max, SROCC", float(spearmanr(seen[judged], exact[judged]).statistic), "", len(error)),
        *_spread("P_det near threshold", (found["P_det"] - samples["P_det"]).abs()[near], "probability", "MAE"),
        *_spread("P_map", maps, "probability", "MAE"),
        (
            f"peak of the map within {PEAK_DEG} degrees",
            float((offset < PEAK_DEG).double().mean()),
            "share",
            len(offset),
        ),
        (f"{AT_PEAK}, median", float(height.median()), "share", len(height)),
        (f"{AT_PEAK}, lowest tenth", float(height.quantile(0.1)), "share", len(height)),
        *_spread("Q", (found["Q"] - samples["Q"]).abs(), "Q", "RMSE"),
    ]


def _spread(name: str, error: Tensor, unit: str, mean: str) -> list[Row]:
    """Mean (RMSE or MAE), median, 99th percentile and worst of absolute errors."""
    error = error.double()
    middle = error.square().mean().sqrt() if mean == "RMSE" else error.mean()
    values = {
        mean: middle,
        "median error": error.median(),
        "p99 error": error.quantile(0.99),
        "worst error": error.max(),
    }
    return [(f"{name}, {what}", float(value), unit, len(error)) for what, value in values.items()]


def peak_offset(contrast: Tensor, samples: dict[str, Tensor]) -> Tensor:
    """Angle in degrees between the peaks of two maps, where P_det is over 0.02."""
    seen, width = samples["P_det"] > NEAR[0], contrast.shape[-1]
    places = [values[seen].flatten(1).argmax(dim=1) for values in (contrast, samples["C_map"])]
    rows, columns = (places[0] // width - places[1] // width), (places[0] % width - places[1] % width)
    return torch.hypot(rows.double(), columns.double()) / samples["conditions/pixels_per_degree"][seen]


def peak_height(contrast: Tensor, samples: dict[str, Tensor]) -> Tensor:
    """Exact contrast where a map has its peak, over the exact peak: near 1 where several places are about alike."""
    seen = samples["P_det"] > NEAR[0]
    exact, place = samples["C_map"][seen].flatten(1), contrast[seen].flatten(1).argmax(dim=1, keepdim=True)
    return (exact.gather(1, place)[:, 0] / exact.amax(dim=1)).double()


def gradient_rows(model: str, samples: dict[str, Tensor], count: int) -> list[Row]:
    """Cosine of d log C / d test of model and exact metric, by code values, of pairs near threshold."""
    near = ((samples["P_det"] > NEAR[0]) & (samples["P_det"] < NEAR[1])).nonzero()[:, 0]
    chosen = near[torch.linspace(0, len(near) - 1, min(count, len(near))).round().long().unique()].tolist()
    losses = [
        VDPLoss(name, encoding="sRGB-display", pixels_per_degree=30.0, check_values=False) for name in (model, "exact")
    ]
    return cosine_rows([_cosine(losses, samples, slice(row, row + 1)) for row in chosen])


def cosine_rows(found: Sequence[Tensor]) -> list[Row]:
    """How cosines between gradients lie."""
    cosines = torch.stack(tuple(found)).double()
    values = {"median cosine": cosines.median(), "lowest tenth": cosines.quantile(0.1), "least cosine": cosines.min()}
    name = "gradient of log C near threshold"
    return [(f"{name}, {what}", float(value), "", len(cosines)) for what, value in values.items()]


def _cosine(losses: Sequence[VDPLoss], samples: dict[str, Tensor], rows: slice) -> Tensor:
    """Of the gradients of two losses, at the code values of a display with the sample's white and black."""
    reflected = samples["conditions/E_ambient"][rows] * samples["conditions/k_refl"][rows] / torch.pi
    white, black = (float(samples[f"conditions/{end}_luminance"][rows] + reflected) for end in ("max", "min"))
    display = Display(max_luminance=white, min_luminance=black)
    test, reference = (_codes(samples[f"light/{image}"][rows], display) for image in ("test", "reference"))
    gradients = []
    for loss in losses:
        leaf = test.clone().requires_grad_()
        loss(leaf, reference, encoding=None, display=display, **settings_of(samples, rows)).backward()
        gradients.append(leaf.grad.flatten())
    return torch.cosine_similarity(*gradients, dim=0)


def _codes(light_cdm2: Tensor, display: Display) -> Tensor:
    """Code values that make this light on a display, those beyond its white and black clipped."""
    code = torch.linspace(0, 1, CODES, dtype=torch.float64)
    light = display.light(code.view(1, 1, 1, -1)).flatten()
    found = np.interp(light_cdm2.double().numpy(), light.numpy(), code.numpy())
    return torch.from_numpy(found).to(light_cdm2)


def unseen_rows(
    what: str, found: dict[str, Tensor], samples: dict[str, Tensor], chosen: list[int] | slice = slice(None)
) -> list[Row]:
    """Errors of some samples, of a kind that was never trained on."""
    if not len(samples["Q"][chosen]):
        return []
    rows = number_rows(*({name: values[chosen] for name, values in part.items()} for part in (found, samples)))
    return [(f"unseen {what}: {name}", *numbers) for name, *numbers in rows]


def distortion_rows(model: str, found: dict[str, Tensor], samples: dict[str, Tensor], kinds: list[str]) -> list[dict]:
    """Error of log10 C_max by distortion."""
    exact, seen = samples["sum_S"].double(), found["C_max"].double().clamp(min=1e-9)
    rows = []
    for kind in sorted(set(kinds)):
        own = torch.tensor([other == kind for other in kinds]) & (exact > JUDGED[0]) & (exact < JUDGED[1])
        if own.any():
            error = (seen[own] / exact[own]).log10()
            numbers = {"bias_log10": error.mean(), "rmse_log10": error.square().mean().sqrt()}
            shown = {name: f"{float(value):.3f}" for name, value in numbers.items()}
            rows.append({"model": model, "distortion": kind, "samples": int(own.sum()), **shown})
    return rows


def worst_rows(model: str, found: dict[str, Tensor], samples: dict[str, Tensor], kinds: list[str]) -> list[dict]:
    """The pairs whose log10 C_max is farthest off, the worst first."""
    exact, seen = samples["sum_S"].double(), found["C_max"].double().clamp(min=1e-9)
    error = torch.where((exact > JUDGED[0]) & (exact < JUDGED[1]), (seen / exact).log10().abs(), -1.0)
    degree = samples["conditions/pixels_per_degree"].flatten()
    return [
        {
            "model": model,
            "distortion": kinds[row],
            "pixels_per_degree": f"{float(degree[row]):.3g}",
            "C_max_exact": f"{float(exact[row]):.3g}",
            "C_max": f"{float(seen[row]):.3g}",
        }
        for row in error.topk(min(WORST, len(error))).indices.tolist()
    ]
