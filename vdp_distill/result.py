"""What the metric gives: maps, numbers, stages by their names, and what is needed to repeat it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vdp_distill.pipeline import Cortex, Pair, Retina
from vdp_distill.settings import Settings
from vdp_distill.stages import STAGES
from vdp_distill.version import METRIC_VERSION, __version__

__all__ = ["Result", "as_arrays", "record", "stages_of", "stages_of_retinas"]


@dataclass(frozen=True)
class Result:
    """What the metric predicts for a batch of pairs.

    Attributes
    ----------
    P_map
        Probability that a difference is seen at each pixel, (N, 1, H, W).
    P_det
        Probability that a difference is seen anywhere, (N,).
    C_map, C_max
        Contrast in threshold units, (N, 1, H, W), and its peak, (N,); P = 1 - 0.5^C.
    Q
        Quality correlate of release 2.2.1, (N,): 100 for identical images.
    stages
        Every stage by its name in :data:`vdp_distill.stages.STAGES`, if kept; ``stages["achromatic"].test``.
    settings
        Everything needed to repeat the prediction, as plain data.

    For NumPy images the maps are (H, W), the numbers NumPy scalars, the stages (H, W) or (H, W, C).
    """

    P_map: Tensor | np.ndarray
    P_det: Tensor | np.floating
    C_map: Tensor | np.ndarray
    C_max: Tensor | np.floating
    Q: Tensor | np.floating
    stages: dict
    settings: dict


def stages_of_retinas(retinas: Pair) -> dict[str, Pair]:
    """The early stages of both images by their names."""
    return {name: Pair(*values) for name, *values in zip(Retina._fields, *retinas, strict=True)}


def stages_of(retinas: Pair, cortex: Cortex) -> dict:
    """Every stage of a pair by its name, in order."""
    stages = stages_of_retinas(retinas)
    cortical = {name: getattr(cortex, name) for name in ("pyramid", "baseband", "masked_difference", "contrast_map")}
    stages.update(cortical)
    return {stage.name: stages[stage.name] for stage in STAGES}


def record(settings: Settings, test: Tensor, engine: str) -> dict:
    """Everything needed to repeat a prediction, as plain data."""
    about = {"metric": METRIC_VERSION, "vdp_distill": __version__, "torch": torch.__version__, "dtype": str(test.dtype)}
    return {**about, "size": list(test.shape[-2:]), **settings.record(), "engine": engine}


def as_arrays(result: Result) -> Result:
    """A result of one pair as NumPy arrays and scalars."""
    stages = {name: _stage_arrays(value) for name, value in result.stages.items()}
    maps = {name: getattr(result, name)[0, 0].numpy(force=True) for name in ("P_map", "C_map")}
    scalars = {name: getattr(result, name)[0].numpy(force=True)[()] for name in ("P_det", "C_max", "Q")}
    return Result(**maps, **scalars, stages=stages, settings=result.settings)


def _stage_arrays(stage):
    if isinstance(stage, Pair):
        return Pair(*map(_stage_arrays, stage))
    if isinstance(stage, list):
        return [_stage_arrays(band) for band in stage]
    planes = stage[0].numpy(force=True)
    return planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)
