"""The metric as a function and as a module: images in, :class:`vdp_distill.result.Result` out."""

from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from vdp_distill import checks, detection, pipeline
from vdp_distill.display_files import load_display
from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.pipeline import Geometry, Pair
from vdp_distill.result import Result, as_arrays, record, stages_of
from vdp_distill.settings import Settings, matrix_of, pixels_per_degree_of, surround_of, to_light
from vdp_distill.uncompiled import uncompiled

__all__ = ["HDRVDP2", "hdrvdp2"]

SIZES_REMEMBERED = 4
"""How many image sizes an :class:`HDRVDP2` keeps filters for."""

PREPARING = Lock()
"""One thread at a time makes or forgets filters: those of :func:`hdrvdp2` are shared by all."""


class HDRVDP2(nn.Module):
    """HDR-VDP 2.2 that remembers its settings and the filters of the sizes it met.

    Parameters
    ----------
    parameters
        The fitted numbers; other ones make another metric.
    **settings
        As for :func:`hdrvdp2`. Each may be overridden at a call.

    Examples
    --------
    >>> metric = HDRVDP2(encoding="luminance", pixels_per_degree=30)
    >>> grey = torch.full((1, 1, 32, 32), 50.0)
    >>> float(metric(grey, grey).P_det)
    0.0
    """

    takes_any_side = False
    """Whether an exported program takes every side of an octave; this one's takes sides in steps."""

    def __init__(self, *, parameters: Parameters = DEFAULT_PARAMETERS, **settings):
        super().__init__()
        self.fitted = parameters
        self.settings = Settings.create(**settings)
        self.geometries = nn.ModuleDict()

    def _apply(self, fn, recurse=True):
        # Filters are made in the dtype that computes; casting them would keep float32's rounding in float64.
        self.geometries.clear()
        return super()._apply(fn, recurse)

    def prepare(self, height: int, width: int, like: Tensor) -> Geometry:
        """Filters of a size, made on the first call for it."""
        if not isinstance(height, int) or not isinstance(width, int):  # of an exported program that takes many sizes
            return Geometry(height, width, like)
        key = f"{height}x{width}-{like.dtype}-{like.device}".replace(".", "_")
        with PREPARING:
            if key not in self.geometries:
                while len(self.geometries) >= SIZES_REMEMBERED:
                    del self.geometries[next(iter(self.geometries))]
                with torch.inference_mode(False):  # what is remembered must serve a training later
                    self.geometries[key] = Geometry(height, width, like)
            return self.geometries[key]

    def settings_for(self, **overrides) -> Settings:
        """The settings of a call."""
        return self.settings.override(**overrides) if overrides else self.settings

    @uncompiled
    def forward(self, test, reference, **overrides) -> Result:
        """Predict for a pair or a batch of pairs; see :func:`hdrvdp2`."""
        settings = self.settings_for(**overrides)
        test, is_array = checks.as_images(test, "test")
        reference, _ = checks.as_images(reference, "reference")
        checks.check_pair(test, reference)
        if settings.engine != "torch":
            from vdp_distill.engines import predict_elsewhere

            return predict_elsewhere(test, reference, settings, is_array)
        with pipeline.full_precision(test.device):
            result = self._predict(test, reference, settings)
        return as_arrays(result) if is_array else result

    def _predict(self, test: Tensor, reference: Tensor, settings: Settings) -> Result:
        retinas, cortex = self.respond(test, reference, settings)
        contrast = detection.pool_contrast(cortex.contrast_map, self.fitted)
        probability = detection.probability(contrast)
        stages = stages_of(retinas, cortex) if settings.keep_stages else {}
        return Result(
            P_map=probability,
            P_det=probability.amax(dim=(1, 2, 3)),
            C_map=contrast,
            C_max=contrast.amax(dim=(1, 2, 3)),
            Q=cortex.quality,
            stages=stages,
            settings=record(settings, test, "torch"),
        )

    def respond(
        self, test: Tensor, reference: Tensor, settings: Settings, wants_quality: bool = True
    ) -> tuple[Pair, pipeline.Cortex]:
        """Retinas of both images, and the cortex of the pair; without the quality correlate where it is not wanted."""
        lights = Pair(to_light(test, settings, "test"), to_light(reference, settings, "reference"))
        retinas = self.retina(lights, settings)
        cortex = pipeline.cortex(
            Pair(*(image.achromatic for image in retinas)),
            Pair(*(image.adapting_luminance for image in retinas)),
            detection.changed_light(*lights, self.fitted) if wants_quality else None,
            pixels_per_degree_of(settings, test.shape[0], test),
            self.prepare(*test.shape[-2:], test),
            settings.masking,
            settings.keep_stages,
            self.fitted,
        )
        return retinas, cortex

    def retina(self, lights: Pair, settings: Settings) -> Pair:
        """Optics and retina of both images, a :class:`vdp_distill.pipeline.Retina` each."""
        light = lights.reference
        channels = light.shape[1]
        surround = surround_of(settings, light)
        matrix = torch.as_tensor(matrix_of(settings, channels), dtype=light.dtype, device=light.device)
        transfer = self._transfer(light, settings) if settings.mtf else None
        tables = pipeline.response_tables(settings.peak_sensitivity, self.fitted, light.device)
        matrix = matrix.reshape(-1, channels, 4)
        return pipeline.retina(lights, surround, transfer, matrix, tables, settings.keep_stages, self.fitted)

    def _transfer(self, light: Tensor, settings: Settings) -> Tensor:
        values = settings.pixels_per_degree
        scalar = None if isinstance(values, Tensor | np.ndarray) else float(values)
        pixels_per_degree = pixels_per_degree_of(settings, light.shape[0], light)
        return self.prepare(*light.shape[-2:], light).eye_transfer(pixels_per_degree, scalar, self.fitted)


def hdrvdp2(test, reference, *, parameters: Parameters = DEFAULT_PARAMETERS, **settings) -> Result:
    """Predict where and how likely a person sees a difference between two images.

    HDR-VDP 2.2 of Mantiuk et al. 2011 with the refit of release 2.2; Q as in release 2.2.1.

    Parameters
    ----------
    test, reference
        Tensors (N, C, H, W), or arrays (H, W) or (H, W, C), which give arrays back. float64 is computed in float64,
        everything shorter in float32.
    encoding
        What the numbers are: ``"luminance"`` (1 channel, cd/m2), ``"luma-display"`` (1 channel, 0..1),
        ``"sRGB-display"`` (3 channels, 0..1), ``"rgb-bt.709"`` (3 channels, cd/m2), ``"XYZ"`` (3 channels, Y in cd/m2),
        ``"generic"`` (any channels, cd/m2, with ``emission``). Any case. Required, unless ``display`` is given.
    display
        A preset's name, a JSON file, or a :class:`vdp_distill.display.Display`, in place of ``encoding``.
    pixels_per_degree
        Number, or (N,) tensor. A display with geometry gives its own.
    rgb_display
        Emission by name: ``"crt"``, ``"ccfl-lcd"`` (default for three channels), ``"led-lcd"``, ``"D65"`` (default for
        one channel).
    emission
        The user's own: ``(wavelengths_nm, spectra)``, or an integrated (C, 4) or (N, C, 4) matrix.
    surround_l
        Light around the image in cd/m2: number, one a channel, (N,) or (N, C) tensor, or -1 for the geometric mean of
        the reference.
    peak_sensitivity
        log10 of the peak contrast sensitivity.
    masking, mtf
        Switch contrast masking, or the optics of the eye, off.
    keep_stages
        Keep every stage in the result.
    check_values
        Read the values to refuse wrong ranges.
    out_of_range
        ``"raise"``, or ``"extend"`` to continue display curves outside 0..1.
    engine
        ``"torch"``, ``"octave"`` (this package's Octave program) or ``"original"`` (the user's HDR-VDP folder).
    hdrvdp_dir
        That folder; the environment variable ``VDP_DISTILL_HDRVDP`` otherwise.
    parameters
        The fitted numbers.

    Returns
    -------
    Result

    Raises
    ------
    ValueError, TypeError
        For images or settings that do not fit, with what came and what to do.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> reference = torch.rand(1, 3, 64, 64, generator=generator)
    >>> test = (reference + 0.1).clamp(0, 1)
    >>> result = hdrvdp2(test, reference, encoding="sRGB-display", pixels_per_degree=30)
    >>> bool(result.P_det > 0.99)
    True
    """
    if settings.get("display") is not None:  # read anew at each call: the file behind a name may change
        settings["display"] = load_display(settings["display"])
    constant = {name: value for name, value in settings.items() if _hashable(value)}
    varying = {name: value for name, value in settings.items() if name not in constant}
    if {"emission", "pixels_per_degree"} & varying.keys() or not {"pixels_per_degree", "display"} & constant.keys():
        return HDRVDP2(parameters=parameters, **settings)(test, reference)
    return _remembered(parameters, tuple(sorted(constant.items())))(test, reference, **varying)


@lru_cache(maxsize=4)
def _remembered(parameters: Parameters, settings: tuple) -> HDRVDP2:
    return HDRVDP2(parameters=parameters, **dict(settings))


def _hashable(value) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return not isinstance(value, Tensor)
