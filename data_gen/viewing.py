"""Viewing conditions: the display, the room, the distance, the light around."""

import math
from dataclasses import dataclass

import numpy as np

from data_gen.chance import choose, log_uniform
from data_gen.recipe import Viewing
from vdp_distill.display import Display
from vdp_distill.receptors import display_matrix

__all__ = ["Condition", "draw_condition"]

COLORSPACES = {"sRGB": "sRGB", "PQ": "BT.2020-PQ", "HLG": "BT.2020-HLG", "linear": "BT.709-linear"}
DARK_CDM2 = 1e-5
THREE = ("crt", "ccfl-lcd", "led-lcd")


@dataclass(frozen=True)
class Condition:
    """Under what one sample is seen.

    Attributes
    ----------
    display
        What turns code values into light.
    pixels_per_degree
    emission_name, emission
        Name of the emission (:class:`data_gen.recipe.Viewing`), and its matrix (3, 4) from light channels to receptors.
    surround
        ``dark``, ``mean`` or ``free``.
    surround_cdm2
        Light around the image where it is free.
    """

    display: Display
    pixels_per_degree: float
    emission_name: str
    emission: np.ndarray
    surround: str
    surround_cdm2: float

    def surround_of(self, reference_cdm2: np.ndarray) -> np.ndarray:
        """Light around the image a channel, (3,), for a reference (3, H, W)."""
        if self.surround == "mean":
            logarithm = np.log(np.maximum(reference_cdm2.astype(np.float64), DARK_CDM2))
            return np.exp(logarithm.mean(axis=(1, 2))).astype(np.float32)
        level = DARK_CDM2 if self.surround == "dark" else self.surround_cdm2
        return np.full(3, level, np.float32)

    def columns(self) -> dict:
        """The condition as one row of a shard's table."""
        display = self.display
        return {
            "pixels_per_degree": np.float32(self.pixels_per_degree),
            "colorspace": np.bytes_(display.colorspace),
            "max_luminance": np.float32(display.max_luminance),
            "min_luminance": np.float32(display.black_cdm2),
            "E_ambient": np.float32(display.E_ambient),
            "k_refl": np.float32(display.k_refl),
            "rgb_display": np.bytes_(self.emission_name),
            "emission": self.emission.astype(np.float32),
            "surround": np.bytes_(self.surround),
        }


def draw_condition(viewing: Viewing, generator: np.random.Generator) -> Condition:
    """A condition from the ranges of a recipe; the numbers are rounded to float32, as a shard keeps them."""
    curve = choose(viewing.curves, generator)
    peak, contrast = log_uniform(viewing.peak_cdm2, generator), log_uniform(viewing.contrast, generator)
    gamma = generator.uniform(*viewing.gamma)
    lit, lux = generator.random() < viewing.lit, log_uniform(viewing.ambient_lux, generator)
    display = Display(
        colorspace=COLORSPACES.get(curve) or f"gamma-{gamma:.3f}",
        max_luminance=_single(peak),
        min_luminance=_single(max(peak / contrast, DARK_CDM2)),
        E_ambient=_single(lux) if lit else 0.0,
        k_refl=_single(viewing.reflected),
    )
    name, matrix = _emission(choose(viewing.emission, generator), viewing.spectra, generator)
    surround = choose(viewing.surround, generator)
    surround_cdm2 = log_uniform(viewing.surround_cdm2, generator)
    ppd = _single(log_uniform(viewing.pixels_per_degree, generator))
    return Condition(display, ppd, name, matrix, surround, surround_cdm2)


def _single(value: float) -> float:
    """Rounded to six digits, then to float32."""
    digits = 5 - math.floor(math.log10(abs(value))) if value else 0
    return float(np.float32(round(value, digits)))


def _emission(name: str, spectra: dict[str, tuple], generator: np.random.Generator) -> tuple[str, np.ndarray]:
    weights = generator.dirichlet(np.ones(len(THREE)))
    if name in spectra:
        return name, np.array(spectra[name])
    if name != "blend":
        return name, display_matrix(name, 3)
    return name, sum(weight * display_matrix(each, 3) for weight, each in zip(weights, THREE, strict=True))
