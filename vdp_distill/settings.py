"""Everything that decides a prediction besides the images: encoding or display, geometry, surround, options."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vdp_distill import checks, receptors
from vdp_distill.display import ENCODING_DISPLAYS, Display
from vdp_distill.display_files import load_display
from vdp_distill.tiles import in_tiles

__all__ = [
    "ENCODINGS",
    "ENGINES",
    "Settings",
    "check_image",
    "light_of",
    "matrix_of",
    "pixels_per_degree_of",
    "surround_of",
    "to_light",
]

ENCODINGS = ("luminance", "luma-display", "sRGB-display", "rgb-bt.709", "XYZ", "generic")
"""What the numbers of an image mean, as the original metric names them; required, never guessed."""

ENGINES = ("torch", "octave", "original")
"""What runs the reference metric: this package, its Octave program, or the user's own HDR-VDP folder."""

XYZ_TO_RGB = (
    (3.240708, -1.537259, -0.498570),
    (-0.969257, 1.875995, 0.041555),
    (0.055636, -0.203996, 1.057069),
)
"""CIE XYZ to linear BT.709 light, the release's digits."""


@dataclass(frozen=True)
class Settings:
    """Checked settings of :func:`vdp_distill.hdrvdp2`, where each is described."""

    encoding: str | None = None
    display: str | Path | Display | None = None
    pixels_per_degree: float | Tensor | None = None
    rgb_display: str | None = None
    surround_l: float | Sequence[float] | Tensor = 1e-5
    peak_sensitivity: float = 2.4
    masking: bool = True
    mtf: bool = True
    emission: object = None
    keep_stages: bool = False
    check_values: bool = True
    out_of_range: str = "raise"
    engine: str = "torch"
    hdrvdp_dir: str | Path | None = None

    def __post_init__(self):
        if (self.encoding is None) == (self.display is None):
            raise ValueError(
                f"give encoding= (one of {', '.join(ENCODINGS)}) or display= (a preset, file or Display), not "
                f"{'both' if self.display is not None else 'neither'}: units are never guessed"
            )
        self._set("encoding", _known(self.encoding, ENCODINGS, "encoding"))
        self._set("engine", _known(self.engine, ENGINES, "engine"))
        self._set("out_of_range", _known(self.out_of_range, ("raise", "extend"), "out_of_range"))
        if self.display is not None:
            self._set("display", load_display(self.display))
        if (self.encoding == "generic") and self.emission is None:
            raise ValueError('encoding="generic" needs emission=(wavelengths_nm, spectra) or a (C, 4) matrix')
        if self.emission is not None and self.rgb_display is not None:
            raise ValueError("give rgb_display= or emission=, not both: each says what the channels emit")
        if isinstance(self.emission, list):
            self._set("emission", np.asarray(self.emission, np.float64))
        if isinstance(self.emission, np.ndarray) and self.emission.ndim == 3:
            self._set("emission", torch.from_numpy(self.emission))
        if self.pixels_per_degree is None:
            self._set("pixels_per_degree", self._from_geometry())
        if isinstance(self.pixels_per_degree, Sequence | np.ndarray):
            self._set("pixels_per_degree", torch.as_tensor(np.asarray(self.pixels_per_degree, np.float64)))
        pixels_per_degree_of(self, torch.as_tensor(self.pixels_per_degree).numel(), torch.ones(()))
        if not np.isfinite(self.peak_sensitivity):
            raise ValueError(f"peak_sensitivity must be a finite log10 sensitivity, got {self.peak_sensitivity}")

    def _set(self, name: str, value) -> None:
        object.__setattr__(self, name, value)

    def _from_geometry(self) -> float:
        found = self.display.geometry_pixels_per_degree() if self.display is not None else None
        if not found:
            raise ValueError(
                "pixels_per_degree is required: what fits in one degree of the eye's view; a desktop monitor has about "
                "30 to 60, display_pixels_per_degree((width, height), diagonal_inches, distance_m) computes it"
            )
        return found

    @classmethod
    def create(cls, **values) -> "Settings":
        """Settings from keywords; an unknown one is refused with the nearest known."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                raise TypeError(f"unknown option {key!r}; {hint}")
        return cls(**values)

    def override(self, **values) -> "Settings":
        """These settings with some replaced; an encoding replaces a display and the other way round."""
        if values.get("encoding") is not None:
            values.setdefault("display", None)
        if values.get("display") is not None:
            values.setdefault("encoding", None)
            if values.get("pixels_per_degree") is None:
                geometry = load_display(values["display"]).geometry_pixels_per_degree()
                values["pixels_per_degree"] = geometry or self.pixels_per_degree
        current = {field.name: getattr(self, field.name) for field in fields(self)}
        return Settings.create(**{**current, **values})

    def of_pair(self, index: int, batch: int) -> "Settings":
        """Settings of one pair of a batch, where some are given for each pair as tensors."""
        given = {name: getattr(self, name) for name in ("pixels_per_degree", "surround_l", "emission")}
        each = {name: value for name, value in given.items() if isinstance(value, Tensor) and value.ndim}
        if not _batched(self.emission):
            each.pop("emission", None)
        own = {name: value[index : index + 1] for name, value in each.items() if value.shape[0] == batch}
        return replace(self, **own)

    def record(self) -> dict:
        """All of it as plain data, for JSON."""
        plain = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        plain["rgb_display"] = None if self.emission is not None else self.display_name()
        return plain

    def display_name(self) -> str | None:
        """Emission by name; None where the metric's default for the channels applies."""
        return self.rgb_display or (self.display.rgb_display if self.display is not None else None)

    def code_display(self) -> Display | None:
        """The display that turns code values into light; None where the images are light."""
        return self.display if self.display is not None else ENCODING_DISPLAYS.get(self.encoding)


def _known(value: str | None, choices: tuple[str, ...], name: str) -> str | None:
    if value is None:
        return None
    names = {choice.lower(): choice for choice in choices}
    if str(value).lower() in names:
        return names[str(value).lower()]
    near = get_close_matches(str(value).lower(), names, n=1)
    hint = f"; did you mean {names[near[0]]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}{hint}")


def _plain(value):
    if isinstance(value, Display):
        return value.record()
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def check_image(image: Tensor, settings: Settings, name: str) -> None:
    """Refuse an image that is not what its encoding or display says.

    Raises
    ------
    ValueError
        For a wrong number of channels, a wrong range, NaN or infinity.
    """
    display = settings.code_display()
    encoding = settings.encoding or display.colorspace
    checks.check_channels(image, channels_of(settings), encoding)
    if not settings.check_values or settings.out_of_range == "extend":
        return
    if takes_codes(settings):
        checks.check_codes(image, name)
    else:
        checks.check_light(image, name, encoding, may_be_negative=settings.encoding == "XYZ")


def takes_codes(settings: Settings) -> bool:
    """Whether the images are code values, not light."""
    display = settings.code_display()
    return display is not None and display.curve != "linear"


def channels_of(settings: Settings) -> tuple[int, ...]:
    """Numbers of channels that the images may have."""
    display = settings.code_display()
    if settings.encoding == "generic":
        return (matrix_of(settings, 0).shape[-2],)
    if display is None:
        return (1,) if settings.encoding == "luminance" else (3,)
    if display.primaries != "grey":
        return (3,)
    return (1, 3) if settings.encoding is None and takes_codes(settings) else (1,)


def to_light(image: Tensor, settings: Settings, name: str) -> Tensor:
    """Light of an image in cd/m2, (N, C, H, W), after :func:`check_image`."""
    check_image(image, settings, name)
    return light_of(image, settings)


def light_of(image: Tensor, settings: Settings) -> Tensor:
    """Light of an image in cd/m2, (N, C, H, W), unchecked."""
    display, extend = settings.code_display(), settings.out_of_range == "extend"
    if display is not None:
        return in_tiles(lambda light: display.light(light, extend), image)
    if settings.encoding == "XYZ":
        return receptors.photoreceptors(image, image.new_tensor(XYZ_TO_RGB).mT)
    return image + (image.clamp(min=1e-5) - image).detach() if extend else image


def surround_of(settings: Settings, reference_light: Tensor) -> Tensor:
    """Light around the image, broadcast against (N, C, 1, 1), in cd/m2.

    Raises
    ------
    ValueError
        For a surround that is not positive, has a wrong shape, or is -1 with zeros in the reference.
    """
    batch, channels = reference_light.shape[:2]
    surround = settings.surround_l
    if not isinstance(surround, Tensor) and np.ndim(surround) == 0 and surround == -1:
        low = reference_light.detach().amin() if settings.check_values else reference_light.new_ones(())
        checks.check_positive(low, "reference", "surround_l=-1 takes its geometric mean, which needs light everywhere")
        return reference_light.log().mean(dim=(2, 3), keepdim=True).exp()
    values = torch.as_tensor(surround, dtype=reference_light.dtype, device=reference_light.device)
    per_image = isinstance(surround, Tensor) and values.ndim == 1
    shape = (-1, 1) if per_image else values.shape if values.ndim == 2 else (1, -1)
    values = values.reshape(shape)
    if values.shape[0] not in (1, batch) or values.shape[1] not in (1, channels):
        raise ValueError(
            f"surround_l must be a number, -1, one a channel ({channels}), or a tensor ({batch},) or "
            f"({batch}, {channels}), got shape {tuple(values.shape)}"
        )
    checks.check_positive(values, "surround_l", "in cd/m2; use 1e-5 for a dark room, -1 for the mean of the reference")
    return values[..., None, None]


def pixels_per_degree_of(settings: Settings, batch: int, like: Tensor) -> Tensor:
    """Pixels per degree as (1,) or (N,), checked."""
    values = torch.as_tensor(settings.pixels_per_degree, dtype=like.dtype, device=like.device).reshape(-1)
    if values.numel() not in (1, batch):
        raise ValueError(f"pixels_per_degree must be a number or one for each of {batch} images, got {values.numel()}")
    checks.check_positive(values, "pixels_per_degree", "a desktop monitor has about 30 to 60")
    return values


def _batched(emission) -> bool:
    return isinstance(emission, Tensor) and emission.ndim == 3


def matrix_of(settings: Settings, channels: int) -> np.ndarray | Tensor:
    """Matrix from light channels to receptors, (C, 4), or (N, C, 4) for one a sample."""
    emission = settings.emission
    if emission is None:
        return receptors.display_matrix(settings.display_name(), channels)
    if isinstance(emission, tuple) and len(emission) == 2:
        emission = receptors.spectral_matrix(*emission)
    if emission.ndim not in (2, 3) or emission.shape[-1] != 4 or (channels and emission.shape[-2] != channels):
        raise ValueError(
            f"emission must be (wavelengths_nm, spectra) or a ({channels}, 4) matrix, got {tuple(emission.shape)}"
        )
    return emission
