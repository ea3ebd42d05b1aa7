"""Display model and viewing geometry: code values to light in cd/m2, and pixels per degree.

A display is a curve (sRGB, gamma, PQ, HLG or linear), the light of its white and black, and the room's light that it
reflects: light = (peak - black) curve(code) + black + reflection. Names of fields and presets are those of
ColorVideoVDP's display files, so one file serves both. The metric's own encodings (section 3 of the HDR-VDP-2 manual:
``luma-display``, ``sRGB-display``) are displays of 100 cd/m2 with a black of 1 cd/m2.
"""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from numbers import Real

import torch
from torch import Tensor

from vdp_distill import transfer_curves

__all__ = ["Display", "display_pixels_per_degree", "keep_positive", "ENCODING_DISPLAYS", "LUMA"]

NUMBERS = (
    "max_luminance",
    "min_luminance",
    "contrast",
    "E_ambient",
    "k_refl",
    "diagonal_size_inches",
    "viewing_distance_meters",
    "viewing_distance_inches",
    "fov_diagonal",
    "pixels_per_degree",
)
"""Fields of a display that are one number each."""

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of the code values in the grey display of Ak and Le Callet 2019, section 2.1 (BT.709)."""

COLORSPACES = {
    "sRGB": ("sRGB", "bt709"),
    "BT.709": ("sRGB", "bt709"),
    "BT.709-linear": ("linear", "bt709"),
    "BT.2020-PQ": ("PQ", "bt2020"),
    "BT.2020-HLG": ("HLG", "bt2020"),
    "BT.2020-linear": ("linear", "bt2020"),
    "luminance": ("linear", "grey"),
}
"""Signal of a display: its curve and primaries. ``gamma-2.4`` and ``luma-2.2`` name a power curve, colour or grey."""

BT2020_TO_BT709 = (
    (1.6604910, -0.5876411, -0.0728499),
    (-0.1245505, 1.1328999, -0.0083494),
    (-0.0181508, -0.1005789, 1.1187297),
)
"""Linear light of BT.2020 primaries to BT.709 primaries (ITU-R BT.2087-0)."""


LEAST_BLACK_CDM2 = 1e-4
"""A display with less than this is taken to have no black to bend toward."""


def display_pixels_per_degree(resolution: tuple[int, int], diagonal_inches: float, distance_m: float) -> float:
    """Pixels per degree of visual angle at the centre of a display.

    Parameters
    ----------
    resolution
        Width and height in pixels.
    diagonal_inches, distance_m
        Size of the display in inches, distance of the eye in metres.

    Examples
    --------
    >>> round(display_pixels_per_degree((3840, 2160), 30, 0.7472), 1)
    75.4
    """
    if min(*resolution, diagonal_inches, distance_m) <= 0:
        raise ValueError(
            f"resolution, diagonal and distance must be positive, got {resolution, diagonal_inches, distance_m}"
        )
    pixel_m = diagonal_inches * 0.0254 / math.hypot(*resolution)
    return 1 / math.degrees(2 * math.atan(0.5 * pixel_m / distance_m))


@dataclass(frozen=True)
class Display:
    """A display and where it is seen from; fields as in ColorVideoVDP's display files.

    Parameters
    ----------
    name
        A sentence for people.
    colorspace
        ``sRGB``, ``BT.709``, ``BT.709-linear``, ``BT.2020-PQ``, ``BT.2020-HLG``, ``BT.2020-linear``, ``luminance``,
        ``gamma-G`` or ``luma-G`` with a number G. ``luma-G`` is grey: the luma of the code values to the power G.
    max_luminance, min_luminance, contrast
        White and black in cd/m2, or their ratio in place of the black.
    E_ambient, k_refl
        Light of the room in lux and the share of it that the screen reflects.
    resolution, diagonal_size_inches, viewing_distance_meters, viewing_distance_inches, fov_diagonal, pixels_per_degree
        Geometry: what gives the pixels per degree, or the number itself.
    rgb_display
        Emission: ``crt``, ``ccfl-lcd``, ``led-lcd``; None for the metric's default.
    """

    name: str = ""
    colorspace: str = "sRGB"
    max_luminance: float = 100.0
    min_luminance: float | None = None
    contrast: float | None = None
    E_ambient: float = 0.0
    k_refl: float = 0.005
    resolution: tuple[int, int] | None = None
    diagonal_size_inches: float | None = None
    viewing_distance_meters: float | None = None
    viewing_distance_inches: float | None = None
    fov_diagonal: float | None = None
    pixels_per_degree: float | None = None
    rgb_display: str | None = None
    source: str = "none"

    def __post_init__(self):
        for name in NUMBERS:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Real) and math.isfinite(value)):
                raise ValueError(f"{name} must be a finite number, got {value!r}")
        if self.resolution is not None:
            object.__setattr__(self, "resolution", tuple(self.resolution))  # hashable
        self._signal, self._tails  # noqa: B018 - refuses an unknown colorspace at once, and before any tracing
        if self.min_luminance is not None and self.contrast is not None:
            raise ValueError("give min_luminance or contrast, not both: each says where black lies")
        if not 0 <= self.black_cdm2 < self.max_luminance:
            raise ValueError(
                f"black must lie in [0, max_luminance), got {self.black_cdm2} and {self.max_luminance} cd/m2"
            )
        if self.E_ambient < 0 or not 0 <= self.k_refl <= 1:
            raise ValueError(
                f"E_ambient must be at least 0 lux and k_refl in 0..1, got {self.E_ambient} and {self.k_refl}"
            )

    @property
    def black_cdm2(self) -> float:
        """Light of code value 0, without reflections."""
        if self.min_luminance is not None:
            return float(self.min_luminance)
        return self.max_luminance / self.contrast if self.contrast else 0.0

    @property
    def reflection_cdm2(self) -> float:
        """Light of the room that the screen sends back (a diffuse surface)."""
        return self.E_ambient / math.pi * self.k_refl

    @property
    def curve(self) -> str:
        """``sRGB``, ``PQ``, ``HLG``, ``linear``, or the exponent of a power curve as text."""
        return self._signal[0]

    @property
    def primaries(self) -> str:
        """``bt709``, ``bt2020`` or ``grey``."""
        return self._signal[1]

    @property
    def channels(self) -> int:
        """Light channels that the display gives."""
        return 1 if self.primaries == "grey" else 3

    @cached_property
    def _signal(self) -> tuple[str, str]:
        kind, _, exponent = self.colorspace.partition("-")
        if self.colorspace in COLORSPACES:
            return COLORSPACES[self.colorspace]
        if kind in ("gamma", "luma") and exponent.replace(".", "", 1).isdecimal() and float(exponent) > 0:
            return exponent, "grey" if kind == "luma" else "bt709"
        raise ValueError(
            f"colorspace must be one of {', '.join(COLORSPACES)}, gamma-G or luma-G, got {self.colorspace!r}"
        )

    @cached_property
    def _tails(self) -> tuple[float, float]:
        return transfer_curves.tail_slopes(self.curve)

    @property
    def tail_slopes_cdm2(self) -> tuple[float, float]:
        """Light for a code value, below 0 and above 1, of curves relative to white: what ``extend`` goes on with."""
        return tuple((self.max_luminance - self.black_cdm2) * slope for slope in self._tails)

    def geometry_pixels_per_degree(self) -> float | None:
        """Pixels per degree that the geometry gives; None if it says nothing."""
        if self.pixels_per_degree is not None:
            return float(self.pixels_per_degree)
        distance_m = self.viewing_distance_meters or (self.viewing_distance_inches or 0) * 0.0254
        if self.fov_diagonal is not None and self.diagonal_size_inches is None:
            distance_m = distance_m or 1.0  # an angle is the same at any distance
        if self.resolution is None or not distance_m:
            return None
        diagonal_inches = self.diagonal_size_inches
        if diagonal_inches is None and self.fov_diagonal is not None:
            diagonal_inches = 2 * distance_m * math.tan(math.radians(self.fov_diagonal) / 2) / 0.0254
        return diagonal_inches and display_pixels_per_degree(self.resolution, diagonal_inches, distance_m)

    def light(self, code: Tensor, extend: bool = False) -> Tensor:
        """Light of an image of code values.

        Parameters
        ----------
        code
            (N, C, H, W): code values in 0..1, or cd/m2 where the curve is linear.
        extend
            Continue the curve linearly outside 0..1 instead of clipping. Under black the line bends at half of the
            black's light toward 0, so that light stays positive and every code value keeps a gradient.

        Returns
        -------
        Tensor
            (N, C, H, W) in cd/m2; (N, 1, H, W) for a grey display. A colour of BT.2020 that BT.709 has not is the
            nearest that it has, at the same luminance.
        """
        code = self.signal(code)
        # Colours outside a wide gamut are continued inside 0..1 too.
        extend = extend and (self.primaries == "bt2020" or not transfer_curves.is_inside(code, self.curve))
        tails = self._tails if extend else None
        emitted = transfer_curves.emitted(code, self.curve, self.max_luminance, self.black_cdm2, tails)
        if self.primaries == "bt2020":
            matrix = emitted.new_tensor(BT2020_TO_BT709)
            emitted = _in_gamut((matrix @ emitted.flatten(2)).unflatten(2, emitted.shape[2:]), extend)
        light = emitted + self.reflection_cdm2
        return keep_positive(light, self.black_cdm2 + self.reflection_cdm2) if extend else light

    def signal(self, code: Tensor) -> Tensor:
        """What the display's curve is applied to: the code values, or the luma of colours on a grey display."""
        if self.primaries != "grey" or code.shape[1] != 3:
            return code
        return (code * code.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)

    def relative_light(self, code: Tensor) -> Tensor:
        """Curve of the code values, 0 at black and 1 at white, continued linearly outside 0..1.

        For curves that do not depend on the peak; light is what :func:`keep_positive` makes of it between the two.
        """
        return transfer_curves.emitted(self.signal(code), self.curve, 1.0, 0.0, self._tails)

    def record(self) -> dict:
        """Every field as plain data, for a result's settings or a file."""
        return asdict(self)


def _in_gamut(wide: Tensor, extend: bool) -> Tensor:
    """Light of BT.709 for colours that may lie outside it: negative light becomes none, and the rest is dimmed by as
    much as keeps the luminance.
    """
    luma = wide.new_tensor(LUMA)[:, None, None]
    inside, is_outside = wide.clamp(min=0), wide.amin(dim=1, keepdim=True) < 0
    luminance, clipped = ((light * luma).sum(dim=1, keepdim=True) for light in (wide, inside))
    kept = (luminance / torch.where(is_outside & (clipped > 0), clipped, 1)).clamp(0, 1)
    kept = torch.where(is_outside, kept, 1)
    if not extend:
        return inside * kept
    # With `extend` the gradient passes, or colours outside the gamut could not come back.
    return torch.where(wide > 0, wide * kept.detach(), wide - wide.detach())


def keep_positive(light: Tensor, black_cdm2: float | Tensor) -> Tensor:
    """Bend a line that falls under half of the black toward 0; without a black it stops there, and has a gradient."""
    if isinstance(black_cdm2, Tensor):  # of a program: it is not known yet
        bent = _bent(light, black_cdm2.clamp(min=LEAST_BLACK_CDM2) / 2)
        return torch.where(black_cdm2 < LEAST_BLACK_CDM2, _stopped(light), bent)
    return _stopped(light) if black_cdm2 < LEAST_BLACK_CDM2 else _bent(light, black_cdm2 / 2)


def _stopped(light: Tensor) -> Tensor:
    return torch.where(light >= 0, light, light.clamp(min=0) + (light - light.detach()))


def _bent(light: Tensor, half: float | Tensor) -> Tensor:
    return torch.where(light > half, light, half * torch.exp((light.clamp(max=half) - half) / half))


ENCODING_DISPLAYS = {
    "luma-display": Display("HDR-VDP's grey display", "luma-2.2", max_luminance=100, min_luminance=1),
    "sRGB-display": Display("HDR-VDP's sRGB display", "sRGB", max_luminance=100, min_luminance=1),
}
"""The metric's own encodings of code values."""
