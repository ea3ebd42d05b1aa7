"""The small visual systems called like the metric: one plane of light, and what they were trained on."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vdp_distill import pipeline
from vdp_distill.display import Display
from vdp_distill.metric import Result
from vdp_distill.pipeline import Pair, Retina
from vdp_distill.settings import Settings, check_image, light_of, matrix_of, pixels_per_degree_of, surround_of
from vdp_distill.surrogate_metric import OutOfDomainWarning, SurrogateVDP
from vdp_distill.surrogates import grey
from vdp_distill.surrogates.curves import light_polynomial, polynomial_light
from vdp_distill.surrogates.vision import DOMAIN, SmallVision

__all__ = ["OutOfDomainWarning", "SmallVDP", "SwiftVDP"]

SAMPLE_EVERY = 8
"""Every so many pixels of each axis of the reference say what the receptors' shares are."""


class SmallVDP(SurrogateVDP):
    """A small visual system in place of the metric's: one plane of light, a cortex at a fraction of the cost.

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

    def __init__(self, network: SmallVision, name: str = "small", *, strict: bool = False, **settings):
        super().__init__(network, name, strict=strict, **settings)

    def _predict(self, test: Tensor, reference: Tensor, settings: Settings) -> Result:
        """In the precision of the weights, after the images were checked whole: tiles and samples of them mislead."""
        dtype = next(self.network.parameters()).dtype
        images = Pair(test.to(dtype), reference.to(dtype))
        for name, image in zip(Pair._fields, images, strict=True):
            check_image(image, settings, name)
        return super()._predict(*images, settings)

    def respond(self, test: Tensor, reference: Tensor, settings: Settings) -> tuple[None, pipeline.Cortex]:
        """What the small cortex sees of a pair; no retina is kept."""
        pixels_per_degree = pixels_per_degree_of(settings, test.shape[0], test)
        planes, shares, surround = self._planes(test, reference, settings)
        self._check_domain(settings, planes.reference, pixels_per_degree, test.shape[-2:])
        seen = self.network.see(planes, shares, surround, pixels_per_degree)
        return None, pipeline.Cortex(None, None, None, seen.contrast_map, seen.quality)

    def retina(self, lights: Pair, settings: Settings) -> Pair:
        """The one plane's response of both images; no other stage."""
        shares = grey.receptor_shares(lights.reference, self._matrix(lights.reference, settings))
        planes = grey.light_plane(lights, shares)
        pixels_per_degree = pixels_per_degree_of(settings, lights.test.shape[0], lights.test)
        surround = surround_of(settings, lights.reference)
        achromatic, luminance = self.network.retina(planes, shares, surround, pixels_per_degree)
        return Pair(*(Retina(None, None, *seen) for seen in zip(luminance, (None, None), achromatic, strict=True)))

    def _planes(self, test: Tensor, reference: Tensor, settings: Settings) -> tuple[Pair, grey.Shares, Tensor]:
        """One plane of light of each image, the receptors' shares in it, and the surround."""
        sample = self._sample(reference, settings)
        shares = grey.receptor_shares(sample, self._matrix(sample, settings))
        planes = grey.light_plane(Pair(test, reference), shares, lambda pixels: light_of(pixels, settings))
        return planes, shares, surround_of(settings, sample)

    def _sample(self, reference: Tensor, settings: Settings) -> Tensor:
        """Light of some pixels of the reference, or of all where the surround is their mean."""
        surround = settings.surround_l
        takes_mean = not isinstance(surround, Tensor) and np.ndim(surround) == 0 and surround == -1
        sample = reference if takes_mean else reference[..., ::SAMPLE_EVERY, ::SAMPLE_EVERY]
        return light_of(sample, settings)

    def _matrix(self, light_cdm2: Tensor, settings: Settings) -> Tensor:
        channels = light_cdm2.shape[1]
        return torch.as_tensor(matrix_of(settings, channels)).to(light_cdm2).reshape(-1, channels, 4)

    def _check_domain(self, settings: Settings, reference_cdm2: Tensor, degree: Tensor, size: torch.Size) -> None:
        side = torch.tensor(min(size))
        self.check_domain(settings, pixels_per_degree=degree, luminance_cdm2=reference_cdm2, side_pixels=side)


class SwiftVDP(SmallVDP):
    """A block-wise visual system in place of the metric's, for loops that count milliseconds.

    The call is that of :class:`SmallVDP`. Curves of displays with a standard range are read as polynomials
    (:mod:`vdp_distill.surrogates.curves`).

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

    def respond(self, test: Tensor, reference: Tensor, settings: Settings) -> tuple[None, pipeline.Cortex]:
        """What the blocks see of a pair."""
        images, sample = Pair(test, reference), self._sample(reference, settings)
        to_luminance = self._luminance_of(images, settings)
        shares = grey.receptor_shares(sample, self._matrix(sample, settings))
        pixels_per_degree = pixels_per_degree_of(settings, test.shape[0], test)
        luminance = grey.mix(sample, shares.luminance[:, :, None, None])
        self._check_domain(settings, luminance, pixels_per_degree, test.shape[-2:])
        surround = surround_of(settings, sample)
        seen = self.network.look(images, to_luminance, shares, surround, pixels_per_degree)
        return None, pipeline.Cortex(None, None, None, seen.contrast_map, seen.quality)

    def retina(self, lights: Pair, settings: Settings) -> Pair:
        """Blocks have none."""
        raise ValueError(f"{self.name} looks at blocks and gives no retina; use 'exact' or 'vdp-cortex-v1'")

    def _luminance_of(self, images: Pair, settings: Settings) -> Callable[[Tensor, Tensor], Tensor]:
        """What makes luminance of pixels."""
        display = settings.code_display()
        fitted = light_polynomial(display) if display is not None else None
        if fitted is None or images.reference.shape[1] != display.channels:
            return lambda pixels, weight: grey.mix(light_of(pixels, settings), weight)
        if self._within(images, settings):
            return lambda codes, weight: grey.mix(polynomial_light(codes, fitted), weight)
        return lambda codes, weight: grey.mix(_with_tails(codes, fitted, display), weight)

    def _within(self, images: Pair, settings: Settings) -> bool:
        """Whether all code values are known to lie in 0..1, where the polynomial holds."""
        if torch.compiler.is_compiling():
            return False
        if settings.out_of_range != "extend" and settings.check_values:
            return True
        ends = torch.stack([torch.stack(image.detach().aminmax()) for image in images])
        return bool((ends >= 0).all() and (ends <= 1).all())


def _with_tails(codes: Tensor, fitted: tuple[float, ...], display: Display) -> Tensor:
    """The polynomial in 0..1, continued as the display's curve is."""
    inside = codes.clamp(0, 1)
    return polynomial_light(inside, fitted) + display.light(codes, extend=True) - display.light(inside)
