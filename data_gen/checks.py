"""Checks of a recipe's values, each with what came and what to do."""

from data_gen.distortions import DISTORTIONS
from data_gen.scenes import MADE
from vdp_distill.checks import SMALLEST_SIDE
from vdp_distill.chunks import COMPRESSIONS
from vdp_distill.recipes import nearest
from vdp_distill.settings import ENGINES
from vdp_distill.stages import STAGES
from vdp_distill.targets import MAPS

__all__ = ["check_recipe"]

CURVES = ("sRGB", "gamma", "PQ", "HLG", "linear")
EMISSIONS = ("crt", "ccfl-lcd", "led-lcd", "blend")
SURROUNDS = ("dark", "mean", "free")
LONGEST_NAME = 12
"""Of a display, as a shard's column holds it."""

MOST_ENLARGED = 8
"""Crops are enlarged by at most so much: more shows single pixels."""


def check_recipe(recipe) -> None:
    """Refuse a recipe with a value that cannot be.

    Raises
    ------
    ValueError
        Naming the key, what came and what is known.
    """
    _check_numbers(recipe)
    _check_words(recipe)
    _check_ranges(recipe)


def _check_numbers(recipe) -> None:
    for name in ("count", "samples_per_block", "samples_per_shard"):
        if getattr(recipe, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(recipe, name)}")
    if recipe.size_pixels < SMALLEST_SIDE:
        raise ValueError(f"size_pixels must be at least {SMALLEST_SIDE}, got {recipe.size_pixels}")
    if recipe.samples_per_shard % recipe.samples_per_block:
        raise ValueError(
            f"samples_per_shard must be a multiple of samples_per_block, got {recipe.samples_per_shard} and "
            f"{recipe.samples_per_block}"
        )
    if recipe.scenes.photographs_per_shard < 1 or recipe.aim.steps < 1 or recipe.targets.audit_every < 0:
        raise ValueError("photographs_per_shard and aim.steps must be at least 1, audit_every at least 0")
    shares = {"scenes.photographs": recipe.scenes.photographs, "viewing.lit": recipe.viewing.lit}
    for name, share in {**shares, "aim.share": recipe.aim.share}.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must lie in 0..1, got {share}")


def _check_words(recipe) -> None:
    targets, viewing = recipe.targets, recipe.viewing
    _known([recipe.engine], ENGINES, "engine")
    _known([recipe.scenes.hdr], ("relative", "absolute"), "scenes.hdr")
    _known([targets.store], ("all", "inputs"), "targets.store")
    _known([targets.dtype], ("float16", "float32"), "targets.dtype")
    _known([targets.compression], COMPRESSIONS, "targets.compression")
    _known(targets.stages, [stage.name for stage in STAGES], "targets.stages")
    _known(targets.maps, MAPS, "targets.maps")
    if recipe.engine != "torch" and "gradient" in targets.maps:
        raise ValueError(f"targets.maps: the engine {recipe.engine!r} has no gradient; use engine = 'torch'")
    if recipe.engine == "original" and targets.stages:
        raise ValueError("targets.stages: the engine 'original' gives no stages; set stages = []")
    _check_displays(recipe.engine, viewing)
    shares = {
        "distortions.kinds": (recipe.distortions.kinds, DISTORTIONS),
        "viewing.curves": (viewing.curves, CURVES),
        "viewing.emission": (viewing.emission, (*EMISSIONS, *viewing.spectra)),
        "viewing.surround": (viewing.surround, SURROUNDS),
    }
    if recipe.scenes.photographs < 1:
        shares["scenes.made"] = (recipe.scenes.made, MADE)
    for name, (given, known) in shares.items():
        _known(given, known, name)
        if sum(given.values()) <= 0:
            raise ValueError(f"{name} must give something a share above 0, got {given}")


def _check_displays(engine: str, viewing) -> None:
    """Names of the user's own displays; the original knows no display but its own."""
    for name in viewing.spectra:
        if name in EMISSIONS or not name.isascii() or not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(
                f"viewing.spectra: a display's name must be 1 to {LONGEST_NAME} ASCII letters and none of "
                f"{', '.join(EMISSIONS)}, got {name!r}"
            )
    unknown = [name for name in viewing.emission if name == "blend" or name in viewing.spectra]
    if engine == "original" and unknown:
        raise ValueError(f"viewing.emission: engine 'original' knows displays by name only; leave out {unknown}")


def _known(words, choices, where: str) -> None:
    for word in words:
        if word not in choices:
            raise ValueError(f"{where}: unknown {word!r}; {nearest(str(word), choices)}")


def _check_ranges(recipe) -> None:
    viewing = recipe.viewing
    names = ("pixels_per_degree", "peak_cdm2", "contrast", "ambient_lux", "gamma", "surround_cdm2")
    ranges = {f"viewing.{name}": getattr(viewing, name) for name in names}
    ranges |= {"distortions.strength": recipe.distortions.strength, "scenes.zoom": recipe.scenes.zoom}
    ranges |= {"aim.P_det": recipe.aim.P_det}
    for name, (low, high) in ranges.items():
        if not 0 < low <= high:
            raise ValueError(f"{name} must be a rising range of positive numbers, got {[low, high]}")
    if viewing.contrast[0] < 2:
        raise ValueError(f"viewing.contrast must be at least 2, got {viewing.contrast[0]}")
    if recipe.scenes.zoom[1] > MOST_ENLARGED:
        raise ValueError(f"scenes.zoom must end at {MOST_ENLARGED} at most, got {list(recipe.scenes.zoom)}")
    if recipe.aim.P_det[1] >= 1:
        raise ValueError(f"aim.P_det must end under 1, got {list(recipe.aim.P_det)}")
