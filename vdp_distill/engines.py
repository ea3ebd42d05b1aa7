"""The reference run by another program: this package's Octave metric, or the user's own HDR-VDP folder.

Both take the same images and settings as the torch pipeline and give the same :class:`vdp_distill.Result`, one pair
at a time, in float64, without a gradient.
"""

import numpy as np
import torch
from torch import Tensor

from vdp_distill import octave
from vdp_distill.pipeline import Pair
from vdp_distill.result import Result, as_arrays, record
from vdp_distill.settings import Settings, matrix_of, pixels_per_degree_of, surround_of, to_light
from vdp_distill.stages import STAGES

__all__ = ["predict_elsewhere"]

OWN_ENCODINGS = ("luminance", "luma-display", "sRGB-display", "rgb-bt.709", "XYZ")
"""Encodings that the other programs turn into light themselves; everything else reaches them as light."""


def predict_elsewhere(test: Tensor, reference: Tensor, settings: Settings, is_array: bool) -> Result:
    """Predict a batch of pairs with ``settings.engine``.

    Raises
    ------
    ValueError
        If a gradient is asked for, or the engine cannot take a setting.
    vdp_distill.octave.OctaveError
        If Octave or the folder cannot be used, crashes, hangs, or returns NaN.
    """
    if torch.is_grad_enabled() and (test.requires_grad or reference.requires_grad):
        raise ValueError(f"engine={settings.engine!r} gives no gradient; use engine='torch', or torch.no_grad()")
    pairs = ((test[i : i + 1], reference[i : i + 1], settings.of_pair(i, len(test))) for i in range(len(test)))
    runs = [_run(*pair) for pair in pairs]
    maps = {name: _stacked([run[name] for run in runs], test)[:, None] for name in ("P_map", "C_map")}
    scalars = {name: _stacked([np.asarray(run[name]) for run in runs], test) for name in ("P_det", "C_max", "Q")}
    stages = _stages([run["stages"] for run in runs], test) if runs[0].get("stages") else {}
    about = {**record(settings, test, settings.engine), "versions": runs[0]["versions"]}
    result = Result(**maps, **scalars, stages=stages, settings=about)
    return as_arrays(result) if is_array else result


def _run(test: Tensor, reference: Tensor, settings: Settings) -> dict:
    """One pair through the bridge."""
    lights = [to_light(image, settings, name) for image, name in ((test, "test"), (reference, "reference"))]
    keywords = {
        "pixels_per_degree": pixels_per_degree_of(settings, 1, test).item(),
        "surround_l": surround_of(settings, lights[1])[0].flatten().double().tolist(),
        "peak_sensitivity": settings.peak_sensitivity,
        "masking": settings.masking,
        "mtf": settings.mtf,
        "engine": settings.engine,
        "hdrvdp_dir": settings.hdrvdp_dir,
        "keep_stages": settings.keep_stages and settings.engine == "octave",
    }
    images, meaning = (lights, _light_encoding(settings, lights[0].shape[1]))
    if settings.encoding in OWN_ENCODINGS and settings.emission is None:
        images, meaning = (test, reference), {"encoding": settings.encoding, "rgb_display": settings.rgb_display}
    arrays = (image[0].permute(1, 2, 0).double().numpy(force=True) for image in images)
    return octave.run(*arrays, **meaning, **keywords)


def _light_encoding(settings: Settings, channels: int) -> dict:
    """How light of a display or of a generic encoding is handed over."""
    if settings.emission is None:
        encoding = "luminance" if channels == 1 else "rgb-bt.709"
        return {"encoding": encoding, "rgb_display": settings.display_name()}
    if settings.engine == "original":
        raise ValueError("engine='original' takes displays by name only; emission= needs engine='torch' or 'octave'")
    matrix = torch.as_tensor(matrix_of(settings, channels)).double().cpu().reshape(channels, 4)
    return {"encoding": "generic", "spectral_matrix": matrix.numpy()}


def _stacked(arrays: list[np.ndarray], like: Tensor) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).to(like)


def _stages(runs: list[dict], like: Tensor) -> dict:
    """Stages of every pair in the torch pipeline's shapes."""
    stages = {}
    for stage in STAGES:
        found = [run[stage.name] for run in runs]
        if stage.name == "adapting_luminance":
            cones = [run["photoreceptors"] for run in runs]
            found = [{side: lms[side][..., 0] + lms[side][..., 1] for side in ("test", "reference")} for lms in cones]
        if stage.per_image:
            stages[stage.name] = Pair(*(_planes([run[side] for run in found], like) for side in ("test", "reference")))
        else:
            stages[stage.name] = _planes(found, like)
    return stages


def _planes(images: list, like: Tensor):
    """(H, W[, C]) arrays of a batch as (N, C, H, W); a list of bands, each a list of orientations, stays a list."""
    if isinstance(images[0], list):
        bands = zip(*images, strict=True)
        return [_planes([np.stack(orientations, axis=-1) for orientations in band], like) for band in bands]
    return _stacked([np.atleast_3d(image).transpose(2, 0, 1) for image in images], like)
