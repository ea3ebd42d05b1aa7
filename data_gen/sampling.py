"""Sample k of a recipe: scene, crop, distortion and viewing condition as a pure function of (recipe, pictures, k)."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from data_gen.chance import choose, generator_for, log_uniform
from data_gen.curves import decode_srgb, encode, to_stored
from data_gen.distortions import distort
from data_gen.photographs import SPLITS, Album, Source
from data_gen.recipe import Recipe
from data_gen.scenes import Stage, make
from data_gen.viewing import Condition, draw_condition
from vdp_distill.targets import light_of

__all__ = ["Sample", "Block", "Sampler", "codes_of"]

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


class Sample(NamedTuple):
    """One pair before it is stored: code values float32 (H, W, 3), its condition, and its row in the table."""

    test: np.ndarray
    reference: np.ndarray
    condition: Condition
    row: dict


@dataclass(frozen=True)
class Block:
    """Samples that are computed in one batch.

    Attributes
    ----------
    test, reference
        uint16 (N, 3, H, W), as stored.
    conditions, rows
        Columns of ``conditions/`` and ``samples/``, each with N entries.
    reference_cdm2
        Light of the reference, float32 (N, 3, H, W).
    """

    test: np.ndarray
    reference: np.ndarray
    conditions: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    reference_cdm2: torch.Tensor

    def lights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Light of test and reference, float32 (N, 3, H, W) in cd/m2."""
        return light_of(codes_of(self.test), self.conditions), self.reference_cdm2

    def take(self, chosen: np.ndarray) -> "Block":
        """Some of the samples."""
        conditions = {name: column[chosen] for name, column in self.conditions.items()}
        rows = {name: column[chosen] for name, column in self.rows.items()}
        return Block(self.test[chosen], self.reference[chosen], conditions, rows, self.reference_cdm2[chosen])

    def fields(self) -> dict[str, np.ndarray]:
        """The block as fields of a shard."""
        inputs = {"inputs/test": self.test, "inputs/reference": self.reference}
        conditions = {f"conditions/{name}": column for name, column in self.conditions.items()}
        return inputs | conditions | {f"samples/{name}": column for name, column in self.rows.items()}


class Sampler:
    """Samples of a recipe by number.

    Parameters
    ----------
    recipe
    images
        Folder of the photographs; None for scikit-image's.
    sources
        What :func:`data_gen.photographs.find_photographs` found there.
    """

    def __init__(self, recipe: Recipe, images: Path | None, sources: list[Source]):
        self.recipe = recipe
        self.album = Album(images, sources)

    def sample(self, number: int) -> Sample:
        """Sample ``number``, before aiming."""
        recipe = self.recipe
        condition = draw_condition(recipe.viewing, generator_for(recipe.seed, "viewing", number))
        reference, row = self._scene(number, condition)
        chance = generator_for(recipe.seed, "distortion", number)
        kind = choose(recipe.distortions.kinds, chance)
        strength = log_uniform(recipe.distortions.strength, chance)
        test = distort(kind, reference, strength, chance, condition.pixels_per_degree)
        row |= {"index": np.int64(number), "distortion": np.bytes_(kind), "strength": np.float32(strength)}
        return Sample(test, reference, condition, row | self._aim(number, kind))

    def _aim(self, number: int, kind: str) -> dict:
        aim, chance = self.recipe.aim, generator_for(self.recipe.seed, "aim", number)
        wanted, goal = chance.random() < aim.share and kind != "none", chance.uniform(*aim.P_det)
        return {"aim_P_det": np.float32(goal if wanted else np.nan), "rescaled": np.float32(1)}

    def _scene(self, number: int, condition: Condition) -> tuple[np.ndarray, dict]:
        recipe, chance = self.recipe, generator_for(self.recipe.seed, "scene", number)
        if chance.random() < recipe.scenes.photographs:
            return self._photograph(number, condition, chance)
        display = condition.display
        kind = choose(recipe.scenes.made, chance)
        white = display.max_luminance + display.reflection_cdm2
        black = display.black_cdm2 + display.reflection_cdm2
        stage = Stage(recipe.size_pixels, condition.pixels_per_degree, white, black)
        place = chance.random()
        split = next(name for name, end in SPLITS if place < end)
        code = encode(make(kind, stage, chance), display)
        return code, _row(kind, f"made/{recipe.seed}/{number}", split, (0, 0, recipe.size_pixels, 0))

    def _photograph(self, number: int, condition: Condition, chance) -> tuple[np.ndarray, dict]:
        scenes, size = self.recipe.scenes, self.recipe.size_pixels
        shard = number // self.recipe.samples_per_shard
        few = generator_for(self.recipe.seed, "shard", shard).integers(
            len(self.album), size=scenes.photographs_per_shard
        )
        chosen = int(chance.choice(few))
        source = self.album.sources[chosen]
        square, place = self.album.crop(chosen, size, scenes.zoom, scenes.flips, chance)
        code = _shown(square, source.kind, condition, scenes.hdr, chance)
        return code, _row("photograph", source.sha256, source.split, place)

    def block(self, number: int) -> Block:
        """Block ``number``: samples from ``number * samples_per_block`` on."""
        first = number * self.recipe.samples_per_block
        return stack([self.sample(first + place) for place in range(self.recipe.samples_per_block)])


def _row(scene: str, source: str, split: str, crop: tuple) -> dict:
    return {
        "scene": np.bytes_(scene),
        "source": np.bytes_(source),
        "split": np.bytes_(split),
        "crop": np.array(crop, np.int32),
    }


def _shown(square: np.ndarray, kind: str, condition: Condition, hdr: str, chance: np.random.Generator) -> np.ndarray:
    """A crop as code values of the sample's display."""
    display = condition.display
    exposure = log_uniform((0.3, 3), chance)
    if kind == "code" and display.curve not in ("PQ", "HLG", "linear"):
        return square
    if kind == "code":
        # White of a picture for ordinary displays: that of a print in the room, up to the display's own.
        white = log_uniform((min(100, display.max_luminance), display.max_luminance), chance)
        return encode(decode_srgb(square) * white + display.black_cdm2 + display.reflection_cdm2, display)
    if hdr == "absolute":
        return encode(square, display)
    bright = max(float(np.percentile(square @ LUMINANCE, 99.5)), 1e-6)
    return encode(square * (exposure * display.max_luminance / bright), display)


WIDTHS = {
    "scene": "S16",
    "source": "S64",
    "split": "S5",
    "distortion": "S20",
    "colorspace": "S20",
    "rgb_display": "S12",
    "surround": "S5",
}
"""Bytes of a column of words: fixed, so that every shard has the same."""


def _column(name: str, values: list) -> np.ndarray:
    return np.array(values, WIDTHS[name]) if name in WIDTHS else np.stack(values)


def stack(samples: list[Sample]) -> Block:
    """Samples as one block, in the codes that are stored; light around the image follows from the stored reference."""
    test, reference = (
        np.stack([to_stored(getattr(sample, image), sample.condition.display) for sample in samples])
        for image in ("test", "reference")
    )
    columns = [sample.condition.columns() for sample in samples]
    conditions = {name: _column(name, [row[name] for row in columns]) for name in columns[0]}
    rows = {name: _column(name, [sample.row[name] for sample in samples]) for name in samples[0].row}
    light = light_of(codes_of(reference), conditions)
    surrounds = [sample.condition.surround_of(one.numpy()) for sample, one in zip(samples, light, strict=True)]
    conditions["surround_cdm2"] = np.stack(surrounds)
    return Block(test, reference, conditions, rows, light)


def codes_of(stored: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Stored 16-bit codes as numbers in 0..1."""
    return torch.from_numpy(stored.astype(np.float32)).div_(65535).to(dtype)
