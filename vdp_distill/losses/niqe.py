"""NIQE: how far the statistics of a picture lie from those of good photographs. It needs no reference.

Mittal, Soundararajan, Bovik 2013: divided by their local contrast, the pixels of a natural photograph follow
asymmetric generalised Gaussians. Their parameters, 36 numbers a block, make a normal distribution of the blocks of a
picture, which is compared with that of many pristine photographs.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.io import loadmat
from scipy.special import gamma
from torch import Tensor
from torch.nn import functional as F

from vdp_distill.losses.contract import ImageLoss, MissingWeights, WeightsFile
from vdp_distill.losses.weights import read_arrays
from vdp_distill.losses.windows import gaussian
from vdp_distill.resize import resize

__all__ = ["NIQE", "Pristine", "block_features", "fit_pristine", "read_pristine"]

BLOCK = 96
"""Side in pixels; at the second scale, half the size, it is half of it."""
FEATURES = 36
"""Numbers of a block: 18 at each of two scales."""
WINDOW_SIGMA, WINDOW_RADIUS = 7 / 6, 3
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""From a pixel to the neighbours that it is multiplied with: rows, columns."""
ROUNDING = 1e-9
"""Under it a normalised pixel of a flat place is 0: its sign, which the fits count, is that of a rounding error."""
RGB2GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)
"""MATLAB's: the published program takes grey pictures of 8 bit."""
MEANS, COVARIANCES = ("mu_prisparam", "mu_pris_param", "pop_mu"), ("cov_prisparam", "cov_pris_param", "pop_cov")
"""Names of the two arrays in the files that go round."""

RELEASED = WeightsFile(
    name="niqe_pris_params.npz",
    address="https://raw.githubusercontent.com/XPixelGroup/BasicSR/8d56e3a045f9/basicsr/metrics/niqe_pris_params.npz",
    licence="NIQE Software Release, Laboratory for Image and Video Engineering, University of Texas at Austin",
    substitute="model=fit_pristine(photographs) of your own, whose scores are not to be compared with published ones",
)


class Pristine(NamedTuple):
    """Distribution of the features of good photographs.

    Attributes
    ----------
    mean
        (36,) float64.
    covariance
        (36, 36) float64.
    """

    mean: Tensor
    covariance: Tensor


class NIQE(ImageLoss):
    """The natural image quality evaluator of the test image; the reference is not looked at. Lower is better.

    A judge, not a teacher: its fits are looked up in a table, so it has no gradient. Blocks of 96 x 96 pixels from the
    upper left corner count, and what is left over at the right and below does not. As the published program does, it
    makes the image grey and rounds it to 8 bit. Where a picture is flat that program counts the signs of rounding
    errors; here flat is 0, so that processors agree.

    Parameters
    ----------
    model
        A file with the published model (``.npz``, ``.mat`` or ``.safetensors``), or a :class:`Pristine`.
    **checks
        As for :class:`ImageLoss`.

    Raises
    ------
    MissingWeights
        Without a model.
    ValueError
        For a file that holds none, and for an image with texture in fewer than two blocks.

    Examples
    --------
    >>> pictures = torch.rand(2, 3, 192, 288, generator=torch.Generator().manual_seed(0))
    >>> measure = NIQE(fit_pristine(pictures))
    >>> bool(measure(pictures[:1], pictures[:1]) < measure(0.1 * pictures[:1], pictures[:1]))
    True
    """

    paper = "Mittal, Soundararajan, Bovik 2013, Making a completely blind image quality analyzer"
    is_differentiable = False
    is_zero_at_identical = False
    minimum_size = 2 * BLOCK
    weights = (RELEASED,)

    def __init__(self, model: str | Path | Pristine | None = None, **checks):
        super().__init__(**checks)
        if model is None:
            raise MissingWeights(
                f"NIQE needs its model of pristine photographs: fetch {RELEASED.address} and pass its path as model=; "
                f"without it, use {RELEASED.substitute}"
            )
        self.model = model if isinstance(model, Pristine) else read_pristine(model)

    @torch.no_grad()
    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        scores = [_distance(block_features(image), self.model, number) for number, image in enumerate(test)]
        return torch.stack(scores).to(test)


def read_pristine(path: str | Path) -> Pristine:
    """A model of pristine photographs from a file.

    Raises
    ------
    MissingWeights
        If there is no such file.
    ValueError
        If it is cut off, or holds no mean (36) with a covariance (36, 36).
    """
    arrays = _read_mat(Path(path)) if Path(path).suffix == ".mat" and Path(path).is_file() else read_arrays(path)
    none = torch.empty(0)
    mean, covariance = (
        next((arrays[name] for name in names if name in arrays), none) for names in (MEANS, COVARIANCES)
    )
    if mean.numel() != FEATURES or covariance.shape != (FEATURES, FEATURES):
        shapes = {name: tuple(value.shape) for name, value in arrays.items()}
        raise ValueError(
            f"{path} holds no model of NIQE: expected {MEANS[0]} (1, 36) and {COVARIANCES[0]} (36, 36), got {shapes}"
        )
    return Pristine(mean.reshape(FEATURES).double(), covariance.double())


def _read_mat(path: Path) -> dict[str, Tensor]:
    try:
        arrays = loadmat(path)
    except Exception as error:  # scipy has no error of its own for every way of being broken
        raise ValueError(f"{path} is not a whole .mat file: {error}") from error
    found = {name: arrays[name] for name in MEANS + COVARIANCES if name in arrays}
    return {name: torch.from_numpy(value.astype(float)) for name, value in found.items()}


def fit_pristine(pictures: Tensor) -> Pristine:
    """A model from pictures of your own, (N, C, H, W) in 0..1: mean and covariance over all their blocks.

    The published model takes only the sharpest blocks of 125 photographs; here every block counts.
    """
    return Pristine(*_moments(torch.cat([block_features(image) for image in pictures])))


def _distance(features: Tensor, pristine: Pristine, number: int) -> Tensor:
    """Between two normal distributions: the paper's equation 10."""
    if len(features) < 2:
        raise ValueError(
            f"test image {number} has texture in {len(features)} blocks of {BLOCK} x {BLOCK} pixels, NIQE needs 2: "
            "give a larger image, or one that is not flat"
        )
    mean, covariance = _moments(features)
    off = pristine.mean.to(mean) - mean
    inverse = torch.linalg.pinv((pristine.covariance.to(mean) + covariance) / 2)
    return (off @ inverse @ off).sqrt()


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.mean(dim=0), torch.cov(features.T)


def block_features(image: Tensor) -> Tensor:
    """Features of the blocks of an image (C, H, W) in 0..1, (blocks, 36) float64; those of flat blocks are left out."""
    weights = torch.tensor(RGB2GRAY if len(image) == 3 else (1.0,), dtype=torch.float64, device=image.device)
    grey = (255 * (image.double() * weights[:, None, None]).sum(dim=0)).round().clamp(0, 255)
    height, width = (side - side % BLOCK for side in grey.shape)
    grey, parts = grey[:height, :width], []
    for side in (BLOCK, BLOCK // 2):
        blocks = _normalised(grey).unfold(0, side, side).unfold(1, side, side).reshape(-1, side, side)
        parts.append(_features(blocks))
        grey = resize(grey[None, None], grey.shape[0] // 2, grey.shape[1] // 2)[0, 0]
    features = torch.cat(parts, dim=1)
    return features[features.isfinite().all(dim=1)]


def _normalised(grey: Tensor) -> Tensor:
    """Pixels less their local mean, in units of their local spread: equation 1."""
    window = torch.from_numpy(gaussian(WINDOW_SIGMA, WINDOW_RADIUS)).to(grey)
    kernel = torch.outer(window, window)[None, None]

    def local(plane: Tensor) -> Tensor:
        return F.conv2d(F.pad(plane[None, None], (WINDOW_RADIUS,) * 4, mode="replicate"), kernel)[0, 0]

    mean = local(grey)
    spread = (local(grey.square()) - mean.square()).abs().sqrt()
    normalised = (grey - mean) / (spread + 1)
    return normalised.masked_fill(normalised.abs() < ROUNDING, 0)


def _features(blocks: Tensor) -> Tensor:
    """18 numbers of each block, (B, side, side) -> (B, 18): its own fit, and those of four products of neighbours."""
    shape, left, right = _fit(blocks)
    found = [shape, (left + right) / 2]
    for shift in SHIFTS:
        shape, left, right = _fit(blocks * blocks.roll(shift, dims=(1, 2)))
        mean = (right - left) * ((2 / shape).lgamma() - (1 / shape).lgamma()).exp()
        found += [shape, mean, left, right]
    return torch.stack(found, dim=1)


def _fit(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shape, left and right scale of an asymmetric generalised Gaussian, (B,) each: the moments' estimate."""
    values = blocks.flatten(1)
    left, right = (_root_mean_square(values, side) for side in (values < 0, values > 0))
    ratio = left / right
    moments = values.abs().mean(dim=1).square() / values.square().mean(dim=1)
    wanted = moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1).square()
    shapes, ratios = (torch.from_numpy(table).to(blocks) for table in _table())
    shape = shapes[(ratios - wanted[:, None]).square().nan_to_num(torch.inf).argmin(dim=1)]
    scale = (((1 / shape).lgamma() - (3 / shape).lgamma()) / 2).exp()
    return shape, left * scale, right * scale


def _root_mean_square(values: Tensor, chosen: Tensor) -> Tensor:
    """Of the chosen values of each row; NaN where there are none."""
    return ((values.square() * chosen).sum(dim=1) / chosen.sum(dim=1)).sqrt()


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Shapes from 0.2 to 10, and the ratio of moments that each gives."""
    shapes = np.arange(200, 10_001) / 1000
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
