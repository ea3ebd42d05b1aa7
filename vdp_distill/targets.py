"""From a sample's codes and viewing condition to light, and from light to what a surrogate learns.

The data generator fills shards with this; a reader of a set that holds inputs alone completes its batches with it.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vdp_distill.detection import log_contrast
from vdp_distill.display import Display
from vdp_distill.metric import HDRVDP2
from vdp_distill.packing import unpack_light
from vdp_distill.pipeline import Pair, full_precision
from vdp_distill.pyramid import pyramid_sizes
from vdp_distill.result import Result, stages_of_retinas
from vdp_distill.settings import to_light
from vdp_distill.stages import STAGES

__all__ = [
    "IMAGES",
    "MAPS",
    "NUMBERS",
    "UNITS",
    "exact_metric",
    "light_of",
    "predict",
    "complete",
    "early_stages",
    "target_keys",
    "as_numpy",
]

IMAGES = ("test", "reference")
MAPS = ("P_map", "C_map", "gradient")
NUMBERS = ("P_det", "C_max", "log_C", "sum_S", "Q")
UNITS = {stage.name: stage.unit for stage in STAGES} | {
    "P_map": "probability",
    "C_map": "threshold",
    "gradient": "d log(1 + sum S) / d test light, 1/(cd/m2)",
    "P_det": "probability",
    "C_max": "threshold",
    "log_C": "log(1 + sum S)",
    "sum_S": "sum of the contrast map S",
    "Q": "quality correlate",
}


def exact_metric(engine: str = "torch", hdrvdp_dir=None) -> HDRVDP2:
    """The metric as shards are filled with it: linear BT.709 light, settings given with every batch."""
    return HDRVDP2(
        encoding="rgb-bt.709", pixels_per_degree=30.0, check_values=False, engine=engine, hdrvdp_dir=hdrvdp_dir
    )


@lru_cache(maxsize=256)
def _display(colorspace: str, peak: float, black: float, ambient_lux: float, reflected: float) -> Display:
    return Display(
        colorspace=colorspace, max_luminance=peak, min_luminance=black, E_ambient=ambient_lux, k_refl=reflected
    )


def display_of(conditions: dict, sample: int) -> Display:
    """The display that shows one sample."""
    colorspace = conditions["colorspace"][sample]
    numbers = (float(conditions[name][sample]) for name in ("max_luminance", "min_luminance", "E_ambient", "k_refl"))
    return _display(colorspace.decode() if isinstance(colorspace, bytes) else str(colorspace), *numbers)


def light_of(codes: Tensor, conditions: dict) -> Tensor:
    """Light of stored images on their displays.

    Parameters
    ----------
    codes
        (N, 3, H, W), floating point: stored 16-bit codes divided by 65535.
    conditions
        ``colorspace``, ``max_luminance``, ``min_luminance``, ``E_ambient``, ``k_refl``, each with N entries.

    Returns
    -------
    Tensor
        (N, 3, H, W) in cd/m2, BT.709 primaries, same dtype.
    """
    lights = []
    for sample, code in enumerate(codes):
        display = display_of(conditions, sample)
        signal = unpack_light(code) if display.curve == "linear" else code
        lights.append(display.light(signal[None]))
    return torch.cat(lights)


def predict(metric: HDRVDP2, test_cdm2: Tensor, reference_cdm2: Tensor, conditions: dict, **overrides) -> Result:
    """The exact metric on a batch of light, each sample under its own condition.

    Parameters
    ----------
    conditions
        ``pixels_per_degree`` (N,), ``surround_cdm2`` (N, 3) and ``emission`` (N, 3, 4), arrays or tensors.
    """
    if metric.settings.engine == "torch":
        return metric(test_cdm2, reference_cdm2, **_settings(conditions, test_cdm2), **overrides)
    results = []
    for sample in range(len(test_cdm2)):
        one = slice(sample, sample + 1)
        own = _settings({name: column[one] for name, column in conditions.items()}, test_cdm2)
        if metric.settings.engine == "original":
            own = own | {"emission": None, "rgb_display": _display_name(conditions["rgb_display"][sample])}
        results.append(metric(test_cdm2[one], reference_cdm2[one], **own, **overrides))
    return _joined(results)


def _settings(conditions: dict, like: Tensor) -> dict[str, Tensor]:
    named = {"pixels_per_degree": "pixels_per_degree", "surround_l": "surround_cdm2", "emission": "emission"}
    return {setting: torch.as_tensor(conditions[column]).to(like) for setting, column in named.items()}


def _display_name(name: bytes) -> str:
    if name == b"blend":
        raise ValueError("engine='original' knows displays by name only; leave 'blend' out of viewing.emission")
    return name.decode()


def _joined(results: list[Result]) -> Result:
    """Results of single pairs as one of a batch."""

    def cat(values):
        if isinstance(values[0], Tensor):
            return torch.cat(values)
        parts = [cat(part) for part in zip(*values, strict=True)]
        return Pair(*parts) if isinstance(values[0], Pair) else parts

    fields = {
        name: torch.cat([getattr(r, name) for r in results]) for name in ("P_map", "P_det", "C_map", "C_max", "Q")
    }
    stages = {name: cat([result.stages[name] for result in results]) for name in results[0].stages}
    return Result(**fields, stages=stages, settings=results[0].settings)


def _numbers(result: Result) -> dict[str, Tensor]:
    if "contrast_map" not in result.stages:
        # The user's own HDR-VDP keeps no stage; C_max is sum S but for the pooling's epsilon.
        sum_S, log_C = result.C_max, result.C_max.log1p()
    else:
        contrast = result.stages["contrast_map"]
        sum_S, log_C = contrast.sum(dim=(1, 2, 3)), log_contrast(contrast)
    return {"P_det": result.P_det, "C_max": result.C_max, "log_C": log_C, "sum_S": sum_S, "Q": result.Q}


def _flatten(name: str, stage) -> dict[str, Tensor]:
    """A stage as fields by their path in a shard."""
    if isinstance(stage, Pair):
        parts = [_flatten(f"{name}/{image}", value) for image, value in zip(IMAGES, stage, strict=True)]
        return {key: value for part in parts for key, value in part.items()}
    if isinstance(stage, list):
        return {f"{name}/{band}": value for band, value in enumerate(stage)}
    return {name: stage}


def complete(
    metric: HDRVDP2,
    test_cdm2: Tensor,
    reference_cdm2: Tensor,
    conditions: dict,
    stages: tuple[str, ...] = (),
    maps: tuple[str, ...] = ("P_map",),
) -> dict[str, Tensor]:
    """What a surrogate learns from a batch: fields by their path in a shard.

    Parameters
    ----------
    metric
        :func:`exact_metric`, or any :class:`HDRVDP2` for BT.709 light.
    test_cdm2, reference_cdm2
        (N, 3, H, W) light.
    conditions
        As for :func:`predict`.
    stages
        Names in :data:`vdp_distill.stages.STAGES`.
    maps
        Of :data:`MAPS`; ``"gradient"`` takes a backward pass.

    Returns
    -------
    dict
        ``stages/achromatic/test`` and so on, ``P_map``, ..., and the numbers ``P_det``, ``C_max``, ``log_C``,
        ``sum_S`` and ``Q``, each (N,).
    """
    with_gradient = "gradient" in maps
    test = test_cdm2.detach().requires_grad_(with_gradient)
    with torch.set_grad_enabled(with_gradient):
        result = predict(metric, test, reference_cdm2, conditions, keep_stages=True)
        numbers = _numbers(result)
        total = numbers["log_C"].sum()  # here, for a validation reads its samples where no gradient is recorded
    fields = {}
    for name in stages:
        fields |= {f"stages/{key}": value for key, value in _flatten(name, result.stages[name]).items()}
    fields |= {name: getattr(result, name) for name in maps if name != "gradient"}
    if with_gradient:
        (fields["gradient"],) = torch.autograd.grad(total, test)
    return {key: value.detach() for key, value in (fields | numbers).items()}


def early_stages(
    metric: HDRVDP2, test_cdm2: Tensor, reference_cdm2: Tensor, conditions: dict, stages: tuple[str, ...]
) -> dict[str, Tensor]:
    """What :func:`complete` gives of stages before the cortex, found without one.

    Parameters
    ----------
    metric, test_cdm2, reference_cdm2, conditions
        As for :func:`complete`.
    stages
        Fields of :class:`vdp_distill.pipeline.Retina`.
    """
    settings = metric.settings_for(keep_stages=True, **_settings(conditions, test_cdm2))
    with torch.no_grad(), full_precision(test_cdm2.device):
        lights = Pair(to_light(test_cdm2, settings, "test"), to_light(reference_cdm2, settings, "reference"))
        found = stages_of_retinas(metric.retina(lights, settings))
    parts = [_flatten(name, found[name]) for name in stages]
    return {f"stages/{key}": value for part in parts for key, value in part.items()}


def target_keys(size: int, stages: tuple[str, ...], maps: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of the fields that :func:`complete` makes for images of ``size`` pixels, numbers last."""
    bands = range(len(pyramid_sizes(size, size)))
    keys = []
    for stage in STAGES:
        if stage.name in stages:
            own = f"stages/{stage.name}"
            names = [f"{own}/{image}" for image in IMAGES] if stage.per_image else [own]
            listed = stage.shape.startswith("list")
            keys += [f"{name}/{band}" for name in names for band in bands] if listed else names
    return (*keys, *maps, *NUMBERS)


def as_numpy(fields: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Fields as float32 arrays on the CPU."""
    return {key: value.float().numpy(force=True) for key, value in fields.items()}
