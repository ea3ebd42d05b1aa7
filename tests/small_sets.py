"""Small recipes and sets for the tests of data: 32 x 32 pixels, made scenes, a few seconds to make."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from data_gen import Recipe, generate
from data_gen.recipe import Aim, Distortions, Scenes, Targets, Viewing
from vdp_distill.io import file_hash, write_image
from vdp_distill.shards import shard_paths
from vdp_distill.stages import STAGES

EVERY_STAGE = tuple(stage.name for stage in STAGES)


def small_recipe(**changes) -> Recipe:
    """Three shards of 8 samples, the last one ragged."""
    recipe = Recipe(
        name="small",
        count=20,
        size_pixels=32,
        samples_per_block=4,
        samples_per_shard=8,
        scenes=Scenes(photographs=0, made={"gabor": 1, "mondrian": 1, "noise": 1}),
        distortions=Distortions(kinds={"gaussian_noise": 2, "blur": 1, "grating": 1}),
        viewing=Viewing(curves={"sRGB": 1, "PQ": 1, "linear": 1}),
        targets=Targets(stages=("achromatic",), audit_every=5),
    )
    return replace(recipe, **changes)


def make(recipe: Recipe, out, **options):
    """Make a set without a bar."""
    return generate(recipe, out, progress=False, **options)


def hashes(folder) -> list[str]:
    """SHA-256 of every shard file."""
    return [file_hash(path) for path in shard_paths(folder)]


def targets(**changes) -> Targets:
    """Targets of the small recipe, some changed."""
    return replace(Targets(stages=("achromatic",), audit_every=5), **changes)


def aim(share: float) -> Aim:
    """Some samples re-scaled to threshold."""
    return Aim(share=share, steps=8)


def with_photographs(**changes) -> Recipe:
    """The small recipe, with photographs in seven samples of ten."""
    return small_recipe(scenes=Scenes(photographs=0.7, made={"edge": 1}), **changes)


def write_photographs(folder: Path) -> Path:
    """Six smooth pictures in several formats, one of them HDR, and a licence."""
    rng = np.random.default_rng(0)
    (folder / "sub").mkdir()
    for number, name in enumerate(("a.png", "b.jpg", "c.tif", "sub/d.png", "e.webp")):
        coarse = torch.from_numpy(rng.random((1, 3, 6, 8)))
        smooth = torch.nn.functional.interpolate(coarse, (60, 80 + number))[0].permute(1, 2, 0).numpy()
        write_image(folder / name, smooth, bits=16 if name == "a.png" else 8)
    write_image(folder / "f.hdr", 10 ** rng.uniform(-2, 3, (50, 50, 3)).astype(np.float32))
    (folder / "LICENSE.txt").write_text("Free to all\n")
    return folder


def make_whole(out):
    """A set with every stage and map in float16."""
    maps = ("P_map", "C_map", "gradient")
    make(small_recipe(targets=targets(stages=EVERY_STAGE, maps=maps)), out)
    return out
