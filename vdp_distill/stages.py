"""The stages of HDR-VDP 2.2 in order: the one vocabulary of results, shards, tables and model cards."""

from typing import NamedTuple

__all__ = ["STAGES", "Stage"]


class Stage(NamedTuple):
    """A row of the vocabulary."""

    name: str
    module: str
    shape: str
    unit: str
    per_image: bool


STAGES = (
    Stage("light_scatter", "optics", "(N,C,H,W)", "cd/m2", True),
    Stage("photoreceptors", "receptors", "(N,4,H,W) L, M, S, rod", "cd/m2", True),
    Stage("adapting_luminance", "adaptation", "(N,1,H,W)", "cd/m2", True),
    Stage("luminance_masking", "adaptation", "(N,3,H,W) L, M, rod", "JND", True),
    Stage("achromatic", "adaptation", "(N,1,H,W)", "JND", True),
    Stage("pyramid", "pyramid", "list of (N,O,h,w)", "JND", True),
    Stage("baseband", "csf", "(N,1,h,w)", "JND", True),
    Stage("masked_difference", "masking", "list of (N,O,h,w)", "threshold", False),
    Stage("contrast_map", "detection", "(N,1,H,W)", "threshold", False),
)
"""Name, module, shape, unit, and whether the stage exists for each image or for the pair."""
