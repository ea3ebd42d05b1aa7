"""The criterion of people: from the contrast that the metric sees to the share of people who say that they see it.

HDR-VDP's P_det is that of somebody who searches every pixel: it adds up the whole image, so that a larger picture is
more visible for its size alone, and its threshold is that of faint patterns on a uniform ground. People who look at
photographs judge what is before their eye, and stop seeing above that threshold. The criterion adds contrast up over
areas of the fovea's size, takes a power mean over them, and puts one sensitivity and one slope after it:

    P = 1 - 0.5^((V / threshold)^slope)

which at ``threshold=1, slope=1`` and without areas is P_det itself.

From the viewing distance that a threshold was fitted at to others: what people want above the threshold of detection is
a contrast on the screen, not a multiple of that threshold (the law of Kulikowski 1976, Vision Research 16, 1419: seen
contrast is contrast less its threshold). In units of the threshold it grows where the eye is keener, nearer by.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.display import Display
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.recipes import from_table, models_folder, nearest, read_toml
from vdp_distill.result import Result

__all__ = [
    "Criterion",
    "FITTED_DISPLAY",
    "PEOPLE",
    "STRICT",
    "contrast_of",
    "criterion_names",
    "load_criterion",
]

PEOPLE = "people-v1"
"""The released criterion."""

FITTED_DISPLAY = Display(
    "300 cd/m2 in a dark room, as the criterion of people was fitted", "gamma-2.2", max_luminance=300, min_luminance=0.1
)

SLOPE_OF_CONTRAST = DEFAULT_PARAMETERS.psychometric_slope
"""V grows with this power of contrast, as the metric's S does."""

STEPS_PER_AREA = 4
"""Areas overlap: each begins a quarter of its side after the one before."""


@dataclass(frozen=True)
class Criterion:
    """What people add to the metric.

    Parameters
    ----------
    threshold
        Visibility V at which half of the people see a difference at ``fitted_ppd``.
    slope
        Of log V to probability: how much people differ.
    area_deg
        Side of the square areas that contrast is summed over, in degrees of visual angle; 0 for the whole image and no
        power mean: V is C_max.
    exponent
        Of the power mean over areas: 1 for the mean, infinity for the worst.
    fitted_ppd, growth
        Pixels per degree of the fit, and the power of their ratio that the contrast wanted above the threshold of
        detection grows with; 0 for one threshold at every distance.
    name
        For records.

    Examples
    --------
    >>> STRICT.probability(torch.tensor([1.0]), pixels_per_degree=60)
    tensor([0.5000])
    """

    threshold: float = 1.0
    slope: float = 1.0
    area_deg: float = 0.0
    exponent: float = 1.0
    fitted_ppd: float = 90.0
    growth: float = 0.0
    name: str = "strict"

    def __post_init__(self):
        if not min(self.threshold, self.slope) > 0 or not self.area_deg >= 0 or not self.exponent >= 1:
            raise ValueError(
                "a criterion needs a positive threshold and slope, area_deg of at least 0 and an exponent of at least "
                f"1, got {self.threshold}, {self.slope}, {self.area_deg} and {self.exponent}"
            )

    def energy(self, contrast: Tensor, pixels_per_degree: float, pixels: int | None = None) -> Tensor:
        """Mean of what is pooled, (N,): that of an image is the mean of its parts', weighted by their pixels.

        Parameters
        ----------
        contrast
            :func:`contrast_of` an image or of a part of one.
        pixels_per_degree
            That the images are seen at.
        pixels
            Of the whole image, where ``contrast`` is a part of it.
        """
        if self.area_deg == 0:
            return contrast.mean(dim=(1, 2, 3)) * (pixels or contrast[0].numel())
        return (areas(contrast, pixels_per_degree, self.area_deg) ** self.exponent).mean(dim=(1, 2, 3))

    def visibility(self, energy: Tensor) -> Tensor:
        """V of an image from its :meth:`energy`."""
        return energy ** (1 / self.exponent)

    def threshold_at(self, pixels_per_degree: float) -> float:
        """V at which half of the people see a difference, at other pixels per degree."""
        above = self.threshold ** (1 / SLOPE_OF_CONTRAST) - 1
        if above <= 0:
            return self.threshold
        return (1 + above * (self.fitted_ppd / pixels_per_degree) ** self.growth) ** SLOPE_OF_CONTRAST

    def probability(self, visibility: Tensor, pixels_per_degree: float) -> Tensor:
        """Share of people who see a difference, from its visibility V."""
        ratio = visibility / self.threshold_at(pixels_per_degree)
        return -torch.expm1(-math.log(2) * ratio**self.slope)

    def visibility_at(self, p: float, pixels_per_degree: float) -> float:
        """V at which a share ``p`` of the people sees a difference."""
        return self.threshold_at(pixels_per_degree) * (-math.log2(1 - p)) ** (1 / self.slope)

    def judge(self, result: Result, pixels_per_degree: float) -> Tensor:
        """Share of people who see a difference, (N,), from a whole image's result."""
        visibility = self.visibility(self.energy(contrast_of(result), pixels_per_degree))
        return self.probability(visibility, pixels_per_degree)


STRICT = Criterion()
"""The metric's own: P_det."""


def contrast_of(result: Result) -> Tensor:
    """Contrast before the metric's own pooling, S, (N, 1, H, W), whose sum over the image is C_max."""
    found, peak = torch.as_tensor(result.C_map), torch.as_tensor(result.C_max)
    found = found.reshape(-1, 1, *found.shape[-2:])
    total = found.sum(dim=(1, 2, 3), keepdim=True)
    return found * (peak.reshape(-1, 1, 1, 1) / total.clamp(min=torch.finfo(total.dtype).tiny))


def areas(contrast: Tensor, pixels_per_degree: float, area_deg: float) -> Tensor:
    """Contrast summed over overlapping square areas, (N, 1, rows, columns); 1 is the threshold of what lies in one.

    The last areas of a row or column reach beyond the image by less than a step, so that every pixel lies in one.
    """
    step = max(1, round(area_deg * pixels_per_degree / STEPS_PER_AREA))
    rows, columns = (-length % step for length in contrast.shape[2:])
    # Areas share the squares between their starts: a pixel is summed once, not once for each area that it lies in.
    squares = F.avg_pool2d(F.pad(contrast, (0, columns, 0, rows)), step, divisor_override=1)
    window = [min(STEPS_PER_AREA, count) for count in squares.shape[2:]]
    return F.avg_pool2d(squares, window, 1, divisor_override=1)


def criterion_names() -> list[str]:
    """Released criteria."""
    return sorted(path.parent.name for path in models_folder().glob("*/criterion.toml"))


def load_criterion(name: str | Path) -> Criterion:
    """A criterion by name, or from a file.

    Parameters
    ----------
    name
        ``"strict"``, a released one (:func:`criterion_names`), a folder that holds ``criterion.toml``, or such a file.

    Raises
    ------
    ValueError
        For a name or file that is none.

    Examples
    --------
    >>> load_criterion("strict") == STRICT
    True
    """
    if str(name) == STRICT.name:
        return STRICT
    released = {found: models_folder() / found for found in criterion_names()}
    path = released.get(str(name), Path(name))
    path = path / "criterion.toml" if path.is_dir() else path
    if not path.is_file():
        hint = nearest(str(name), ["strict", *released])
        raise ValueError(f"criterion must be 'strict', a released one, or a criterion.toml, got {str(name)!r}; {hint}")
    return from_table(Criterion, read_toml(path).get("criterion", {}), f"{path}, [criterion]")
