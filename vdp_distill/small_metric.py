"""The small visual systems called like the metric: one plane of light, and what they were trained on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vdp_distill import checks, pipeline
from vdp_distill.display import keep_positive
from vdp_distill.metric import HDRVDP2
from vdp_distill.pipeline import Pair, Retina
from vdp_distill.result import Result, as_arrays
from vdp_distill.settings import Settings, check_image, light_of, matrix_of, pixels_per_degree_of, surround_of
from vdp_distill.surrogate_metric import OutOfDomainWarning, SurrogateVDP
from vdp_distill.surrogates.curves import continued_light, light_polynomial, polynomial_light
from vdp_distill.surrogates.glimpse import Glimpse
from vdp_distill.surrogates.planes import light_planes
from vdp_distill.surrogates.sight import Sight
from vdp_distill.surrogates.viewing import Viewing, receptor_shares
from vdp_distill.surrogates.vision import DOMAIN, SmallVision
from vdp_distill.uncompiled import uncompiled

__all__ = ["GlanceVDP", "OutOfDomainWarning", "Remembered", "SmallVDP", "SwiftVDP"]

SAMPLE_EVERY = 8
"""Every so many pixels of each axis of the reference say what the receptors' shares are."""


class SmallVDP(SurrogateVDP):
    """A small visual system in place of the metric's: one plane of light, and a cortex.

    The call is that of :class:`vdp_distill.HDRVDP2`; it keeps no stages. It follows the pixels per degree, the display,
    its spectra and the surround.

    Parameters
    ----------
    network, name, strict, **settings
        As for :class:`vdp_distill.surrogate_metric.SurrogateVDP`.

    Examples
    --------
    >>> from vdp_distill.surrogates.cortex import CortexConfig
    >>> model = SmallVDP(SmallVision(CortexConfig()))
    >>> grey = torch.full((1, 3, 40, 40), 0.5)
    >>> float(model(grey, grey, encoding="sRGB-display", pixels_per_degree=30).P_det)
    0.0
    """

    fixed = SurrogateVDP.fixed | {"masking": True, "keep_stages": False}
    domain = DOMAIN

    @property
    def takes_any_side(self) -> bool:
        """Whether a program of it can take images of any size of an octave: not where the metric's own cortex looks."""
        return not self.network.has_metric_cortex

    def __init__(self, network: SmallVision, name: str = "small", *, strict: bool = False, **settings):
        super().__init__(network, name, strict=strict, **settings)

    def _predict(self, test: Tensor, reference: Tensor, settings: Settings) -> Result:
        """In the precision of the weights."""
        dtype = next(self.network.parameters()).dtype
        return super()._predict(test.to(dtype), reference.to(dtype), settings)

    def respond(
        self, test: Tensor, reference: Tensor, settings: Settings, wants_quality: bool = True
    ) -> tuple[None, pipeline.Cortex]:
        """What the small cortex sees of a pair; no retina is kept."""
        for name, image in zip(Pair._fields, (test, reference), strict=True):
            check_image(image, settings, name)  # whole: tiles and samples of them mislead
        viewing = self._viewing(self._sample(reference, settings), settings)
        self._check_viewing(settings, viewing.pixels_per_degree, test.shape[-2:])
        planes = light_planes(Pair(test, reference), viewing, lambda pixels: light_of(pixels, settings), wants_quality)
        self.check_domain(settings, luminance_cdm2=planes.ends_cdm2)
        seen = self.network.see(planes, viewing)
        return None, pipeline.Cortex(None, None, None, seen.contrast_map, seen.quality)

    def retina(self, lights: Pair, settings: Settings) -> Pair:
        """The one plane's response of both images; no other stage."""
        viewing = self._viewing(lights.reference, settings)
        achromatic, luminance = self.network.retina(light_planes(lights, viewing, wants_changed=False), viewing)
        return Pair(*(Retina(None, None, *seen) for seen in zip(luminance, (None, None), achromatic, strict=True)))

    def _viewing(self, light_cdm2: Tensor, settings: Settings) -> Viewing:
        """How a pair is looked at, from light of the reference or a sample of it."""
        shares = receptor_shares(light_cdm2, self._matrix(light_cdm2, settings))
        degree = pixels_per_degree_of(settings, light_cdm2.shape[0], light_cdm2)
        return Viewing(shares, surround_of(settings, light_cdm2), degree)

    def _sample(self, reference: Tensor, settings: Settings) -> Tensor:
        """Light of some pixels of the reference, or of all where the surround is their mean."""
        surround = settings.surround_l
        takes_mean = not isinstance(surround, Tensor) and np.ndim(surround) == 0 and surround == -1
        sample = reference if takes_mean else reference[..., ::SAMPLE_EVERY, ::SAMPLE_EVERY]
        return light_of(sample, settings)

    def _matrix(self, light_cdm2: Tensor, settings: Settings) -> Tensor:
        channels = light_cdm2.shape[1]
        matrix = torch.as_tensor(matrix_of(settings, channels)).to(light_cdm2).reshape(-1, channels, 4)
        if matrix.requires_grad:
            raise ValueError(f"{self.name} gives no gradient to emission, which exact does; detach it")
        return matrix

    def _check_viewing(self, settings: Settings, pixels_per_degree: Tensor, size: torch.Size) -> None:
        self.check_domain(settings, pixels_per_degree=pixels_per_degree, side_pixels=torch.tensor(min(size)))


@dataclass(frozen=True)
class Remembered:
    """A reference that was looked at, and how."""

    sight: Sight
    viewing: Viewing
    settings: Settings
    shape: torch.Size


class SwiftVDP(SmallVDP):
    """A block-wise visual system in place of the metric's, for loops that count milliseconds.

    The call is that of :class:`SmallVDP`. Curves of displays with a standard range are read as polynomials
    (:mod:`vdp_distill.surrogates.curves`). What one reference is to the eye can be kept for many tests
    (:meth:`remember`).

    Parameters
    ----------
    network, name, strict, **settings
        As for :class:`SmallVDP`.

    Examples
    --------
    >>> from vdp_distill.surrogates.swift import SwiftConfig, SwiftVision
    >>> model = SwiftVDP(SwiftVision(SwiftConfig()))
    >>> grey = torch.full((1, 3, 40, 40), 0.5)
    >>> float(model(grey, grey, encoding="sRGB-display", pixels_per_degree=30).P_det)
    0.0
    """

    has_retina = False
    takes_any_side = True

    def remember(self, reference, **overrides) -> Remembered:
        """Look at a reference once, for all tests that are compared with it; pass what comes out in its place.

        Parameters
        ----------
        reference, **overrides
            As for a call.

        Raises
        ------
        ValueError
            For what a call refuses.

        Examples
        --------
        >>> from vdp_distill.surrogates.swift import SwiftConfig, SwiftVision
        >>> model = SwiftVDP(SwiftVision(SwiftConfig()), encoding="sRGB-display", pixels_per_degree=30)
        >>> grey = torch.full((1, 3, 40, 40), 0.5)
        >>> kept = model.remember(grey)
        >>> test = grey + 0.1 * torch.rand(grey.shape)
        >>> torch.equal(model(test, kept).C_map, model(test, grey).C_map)
        True
        """
        settings = self.settings_for(**overrides)
        reference, _ = checks.as_images(reference, "reference")
        checks.check_pair(reference, reference)
        reference = reference.to(next(self.network.parameters()).dtype)
        has_gradient = torch.is_grad_enabled()  # not in inference mode, but what is kept must serve a training later
        with (
            torch.inference_mode(False),
            torch.set_grad_enabled(has_gradient),
            pipeline.full_precision(reference.device),
        ):
            return self._remembered(reference, settings)

    @uncompiled
    def forward(self, test, reference, **overrides) -> Result:
        """Predict for a pair or a batch of pairs; the reference may be what :meth:`remember` gave."""
        if not isinstance(reference, Remembered):
            return super().forward(test, reference, **overrides)
        if overrides:
            raise ValueError(f"a remembered reference has its settings; give {', '.join(overrides)} to remember()")
        test, is_array = checks.as_images(test, "test")
        if test.shape != reference.shape:
            raise ValueError(
                f"test must have the remembered reference's shape {tuple(reference.shape)}, got {tuple(test.shape)}"
            )
        with pipeline.full_precision(test.device):
            result = self._predict(test, reference, reference.settings)
        result = replace(result, settings={**result.settings, "model": self.name})
        return as_arrays(result) if is_array else result

    def _predict(self, test: Tensor, reference: Tensor | Remembered, settings: Settings) -> Result:
        if not isinstance(reference, Remembered):
            return super()._predict(test, reference, settings)
        return HDRVDP2._predict(self, test.to(next(self.network.parameters()).dtype), reference, settings)

    def respond(
        self, test: Tensor, reference: Tensor | Remembered, settings: Settings, wants_quality: bool = True
    ) -> tuple[None, pipeline.Cortex]:
        """What the blocks see of a pair."""
        check_image(test, settings, "test")
        known = reference if isinstance(reference, Remembered) else self._remembered(reference, settings)
        sight = self._look_at(test, settings, known.viewing)
        self.check_domain(settings, luminance_cdm2=sight.ends_cdm2)
        seen = self.network.compare(sight, known.sight, known.viewing.pixels_per_degree, wants_quality)
        return None, pipeline.Cortex(None, None, None, seen.contrast_map, seen.quality)

    def _remembered(self, reference: Tensor, settings: Settings) -> Remembered:
        check_image(reference, settings, "reference")
        viewing = self._viewing(self._sample(reference, settings), settings)
        self._check_viewing(settings, viewing.pixels_per_degree, reference.shape[-2:])
        sight = self._look_at(reference, settings, viewing)
        self.check_domain(settings, luminance_cdm2=sight.ends_cdm2)
        return Remembered(sight, viewing, settings, reference.shape)

    def _look_at(self, image: Tensor, settings: Settings, viewing: Viewing) -> Sight:
        return self.network.look_at(image, self._light_of(image, settings), viewing)

    def retina(self, lights: Pair, settings: Settings) -> Pair:
        """Blocks have none."""
        raise ValueError(f"{self.name} looks at blocks and gives no retina; use 'exact' or 'vdp-cortex-v1'")

    def _light_of(self, image: Tensor, settings: Settings) -> Callable[[Tensor], Tensor]:
        """What makes light of an image's pixels."""
        return self._curve_of(image, settings) or (lambda pixels: light_of(pixels, settings))

    def _curve_of(self, image: Tensor, settings: Settings) -> Callable[[Tensor], Tensor] | None:
        """The display's curve as a polynomial, for any shape of code values; None where it has none."""
        display = settings.code_display()
        fitted = light_polynomial(display) if display is not None else None
        if fitted is None or image.shape[1] != display.channels:
            return None
        if self._within(image, settings):
            return lambda codes: polynomial_light(codes, fitted)
        black = display.black_cdm2 + display.reflection_cdm2
        return lambda codes: keep_positive(continued_light(codes, fitted, display), black)

    def _within(self, image: Tensor, settings: Settings) -> bool:
        """Whether all code values are known to lie in 0..1, where the polynomial holds."""
        if torch.compiler.is_compiling():
            return False
        if settings.out_of_range != "extend" and settings.check_values:
            return True
        low, high = image.detach().aminmax()
        return bool((low >= 0) & (high <= 1))


class GlanceVDP(SwiftVDP):
    """The block-wise visual system in a hurry, in place of the metric's; the call is that of :class:`SwiftVDP`.

    Parameters
    ----------
    network, name, strict, **settings
        As for :class:`SmallVDP`.

    Examples
    --------
    >>> from vdp_distill.surrogates.glance import GlanceConfig, GlanceVision
    >>> model = GlanceVDP(GlanceVision(GlanceConfig()))
    >>> grey = torch.full((1, 3, 40, 40), 0.5)
    >>> float(model(grey, grey, encoding="sRGB-display", pixels_per_degree=30).P_det)
    0.0
    """

    def _look_at(self, image: Tensor, settings: Settings, viewing: Viewing) -> Glimpse:
        curve = self._curve_of(image, settings)
        return self.network.look_at(light_of(image, settings) if curve is None else image, curve, viewing)
