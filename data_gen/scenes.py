"""Made scenes: what the models of the eye need and photographs lack.

A scene takes a :class:`Stage` (size, pixels per degree, the display's white and black) and a generator, and gives light
in cd/m2, (H, W) grey or (H, W, 3), which the display then shows as far as it can.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from data_gen.chance import log_uniform

__all__ = ["MADE", "Stage", "make"]

WORDS = ("contrast", "light", "edge", "of", "vision", "noise", "grating", "0123456789", "retina", "cone", "threshold")


class Stage(NamedTuple):
    """What a scene is made for."""

    size: int
    pixels_per_degree: float
    white_cdm2: float
    black_cdm2: float

    def level(self, generator: np.random.Generator) -> float:
        """A luminance that the display can show, each factor equally likely."""
        return log_uniform((self.black_cdm2, self.white_cdm2), generator)

    def frequency(self, generator: np.random.Generator) -> float:
        """Cycles per pixel of 0.25 to 40 cycles per degree, as far as the pixels can carry it."""
        high = min(40.0, 0.45 * self.pixels_per_degree)
        return log_uniform((0.25, high), generator) / self.pixels_per_degree


def make(kind: str, stage: Stage, generator: np.random.Generator) -> np.ndarray:
    """One scene: float32 (size, size, 3) in cd/m2."""
    light = np.asarray(MADE[kind](stage, generator), np.float32)
    light = light if light.ndim == 3 else np.repeat(light[..., None], 3, axis=2)
    return np.clip(light, stage.black_cdm2, stage.white_cdm2)


def _plane(stage: Stage, generator) -> np.ndarray:
    """Position along a random direction, in pixels from the centre."""
    angle = generator.uniform(0, 2 * math.pi)
    line = np.arange(stage.size) - (stage.size - 1) / 2
    return line[:, None] * math.sin(angle) + line * math.cos(angle)


def _grating(stage: Stage, generator):
    phase, contrast = generator.uniform(0, 2 * math.pi), log_uniform((0.003, 1), generator)
    wave = np.sin(2 * math.pi * stage.frequency(generator) * _plane(stage, generator) + phase)
    return stage.level(generator) * (1 + contrast * wave)


def _gabor(stage: Stage, generator):
    level = stage.level(generator)
    light = np.full((stage.size, stage.size), level)
    for _ in range(int(generator.integers(1, 7))):
        contrast, phase = log_uniform((0.003, 1), generator), generator.uniform(0, 2 * math.pi)
        row, column = generator.uniform(0, stage.size, 2)
        sigma = log_uniform((3, stage.size / 4), generator)
        y, x = np.ogrid[: stage.size, : stage.size]
        window = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
        wave = np.sin(2 * math.pi * stage.frequency(generator) * _plane(stage, generator) + phase)
        light = light + level * contrast * window * wave
    return light


def _ramp(stage: Stage, generator):
    """Over up to eight decades, as many as the display has."""
    low, high = math.log(max(stage.black_cdm2, stage.white_cdm2 * 1e-8)), math.log(stage.white_cdm2)
    start, stop = generator.uniform(low, high, 2)
    if generator.random() < 0.5:
        start, stop = low, high
    line = _plane(stage, generator)
    share = (line - line.min()) / (line.max() - line.min())
    return np.exp(start + (stop - start) * share)


def _edge(stage: Stage, generator):
    first, second = stage.level(generator), stage.level(generator)
    softness = log_uniform((0.2, 10), generator)
    place = generator.uniform(-0.25, 0.25) * stage.size
    share = 0.5 * (1 + np.tanh((_plane(stage, generator) - place) / softness))
    return first + (second - first) * share


def _colour(stage: Stage, generator) -> np.ndarray:
    """A light with some colour."""
    colour = generator.dirichlet(np.ones(3) * 2) * 3
    return stage.level(generator) * (0.4 * colour + 0.6)


def _mondrian(stage: Stage, generator):
    light = np.empty((stage.size, stage.size, 3))
    light[:] = _colour(stage, generator)
    for _ in range(int(generator.integers(8, 40))):
        top, left = generator.integers(-8, stage.size, 2)
        height, width = generator.integers(6, stage.size // 2 + 7, 2)
        light[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = _colour(stage, generator)
    return light


def _leaves(stage: Stage, generator):
    """Dead leaves: discs that hide one another, sizes falling with the third power."""
    light = np.zeros((stage.size, stage.size, 3))
    free = np.ones((stage.size, stage.size), bool)
    y, x = np.ogrid[: stage.size, : stage.size]
    for _ in range(400):
        row, column = generator.uniform(-8, stage.size + 8, 2)
        radius = 2 / math.sqrt(generator.uniform((2 / (stage.size / 3)) ** 2, 1))
        near = _around(row, radius), _around(column, radius)
        disc = free[near] & ((y[near[0]] - row) ** 2 + (x[:, near[1]] - column) ** 2 < radius**2)
        light[near][disc] = _colour(stage, generator)
        free[near] &= ~disc
        if not free.any():
            break
    light[free] = _colour(stage, generator)
    return light


def _around(centre: float, radius: float) -> slice:
    """Pixels that a disc may touch along one axis."""
    return slice(max(math.floor(centre - radius), 0), max(math.ceil(centre + radius) + 1, 0))


def _noise(stage: Stage, generator):
    """1/f^a noise of log luminance, a from 0.5 to 2, a little of it coloured."""
    slope, contrast = generator.uniform(0.5, 2), log_uniform((0.02, 1.5), generator)
    rows, columns = np.fft.fftfreq(stage.size), np.fft.rfftfreq(stage.size)
    amplitude = np.maximum(np.hypot(rows[:, None], columns), 1 / stage.size) ** -slope
    amplitude[0, 0] = 0
    white = generator.standard_normal((4, stage.size, stage.size))
    shaped = np.fft.irfft2(np.fft.rfft2(white) * amplitude, (stage.size, stage.size))
    shaped /= shaped.std(axis=(1, 2), keepdims=True)
    planes = shaped[0] + generator.uniform(0, 0.5) * shaped[1:]
    return stage.level(generator) * np.exp(contrast * planes).transpose(1, 2, 0)


def _text(stage: Stage, generator):
    picture = Image.new("L", (stage.size, stage.size), 0)
    draw, size = ImageDraw.Draw(picture), int(generator.integers(8, 33))
    font = ImageFont.load_default(size)
    for row in range(int(generator.integers(0, size)) - size, stage.size, round(size * 1.25)):
        line = " ".join(generator.permutation(WORDS))
        draw.text((-float(generator.uniform(0, 40)), row), line, fill=255, font=font)
    ink = np.asarray(picture, np.float32)[..., None] / 255
    return _colour(stage, generator) * (1 - ink) + _colour(stage, generator) * ink


def _stars(stage: Stage, generator):
    """Points of light on a dark sky, a little blurred."""
    sky = log_uniform((stage.black_cdm2, math.sqrt(stage.black_cdm2 * stage.white_cdm2)), generator)
    light = np.zeros((stage.size, stage.size))
    count = int(generator.integers(3, 150))
    places = generator.integers(0, stage.size, (count, 2))
    np.add.at(light, tuple(places.T), np.exp(generator.uniform(math.log(sky), math.log(stage.white_cdm2), count)))
    sigma = generator.uniform(0.4, 1.2)
    return sky + ndimage.gaussian_filter(light, sigma) * (2 * math.pi * sigma**2)


def _uniform(stage: Stage, generator):
    return np.ones((stage.size, stage.size, 1)) * _colour(stage, generator)


MADE: dict[str, Callable] = {
    "grating": _grating,
    "gabor": _gabor,
    "ramp": _ramp,
    "edge": _edge,
    "mondrian": _mondrian,
    "leaves": _leaves,
    "noise": _noise,
    "text": _text,
    "stars": _stars,
    "uniform": _uniform,
}
"""Name and function of every made scene."""
