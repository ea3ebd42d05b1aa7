"""Samples themselves: recipes, scenes, distortions, displays, crops, aim, gradient."""

import hashlib
import json
from dataclasses import replace

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from small_sets import aim, make, small_recipe, targets, with_photographs, write_photographs

from data_gen import load_recipe, recipe_names
from data_gen.chance import generator_for
from data_gen.curves import encode, to_stored
from data_gen.distortions import DISTORTIONS, distort
from data_gen.photographs import Album, find_photographs, split_by_hash
from data_gen.reading import from_table
from data_gen.recipe import Distortions
from data_gen.sampling import Sampler
from data_gen.scenes import MADE, Stage
from data_gen.scenes import make as make_scene
from data_gen.viewing import draw_condition
from vdp_distill.dataset import ShardDataset
from vdp_distill.display import Display
from vdp_distill.packing import unpack_light
from vdp_distill.receptors import spectral_matrix
from vdp_distill.targets import exact_metric, predict


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.mark.parametrize(
    "table, words",
    [
        ({"name": "x", "cuont": 3}, "unknown key 'cuont'; did you mean 'count'"),
        (
            {"name": "x", "viewing": {"peak_cdm": [1, 2]}},
            r"\[viewing\]: unknown key 'peak_cdm'; did you mean 'peak_cdm2'",
        ),
        ({"name": "x", "distortions": {"kinds": {"jpg": 1}}}, "unknown 'jpg'; did you mean 'jpeg'"),
        ({"name": "x", "targets": {"stages": ["achromatics"]}}, "did you mean 'achromatic'"),
        ({"name": "x", "count": "many"}, "count must be int, got 'many'"),
        ({"name": "x", "count": 0}, "count must be at least 1"),
        ({"name": "x", "viewing": {"peak_cdm2": [100]}}, "range of two numbers"),
        ({"name": "x", "viewing": {"peak_cdm2": [100, 50]}}, "rising range"),
        ({"name": "x", "size_pixels": 16}, "at least 17"),
        ({"name": "x", "samples_per_shard": 10}, "multiple of samples_per_block"),
        ({"name": "x", "engine": "octave", "targets": {"maps": ["gradient"]}}, "no gradient"),
        ({"name": "x", "engine": "original"}, "gives no stages"),
        (
            {"name": "x", "engine": "original", "targets": {"stages": []}, "viewing": {"emission": {"blend": 1}}},
            "displays by name only",
        ),
        ({"name": "x", "viewing": {"spectra": {"oled": [[1, 2]]}}}, r"CSV file or a \(3, 4\) matrix"),
        ({"name": "x", "viewing": {"spectra": {"crt": [[1, 2, 3, 4]] * 3}}}, "none of crt"),
        ({"name": "x", "viewing": {"emission": {"oled": 1}}}, "unknown 'oled'"),
        ({"name": "x", "scenes": {"photographs": 0.5, "made": {}}}, "a share above 0"),
        ({"count": 3}, "name"),
    ],
)
def test_a_recipe_that_does_not_fit(table, words):
    with pytest.raises(ValueError, match=words):
        from_table(table, "recipe.toml")


def test_recipes_by_name_and_path(tmp_path):
    assert {"tiny", "paper-300k", "zoo-v1", "hdr"} <= set(recipe_names())
    hashes_ = {load_recipe(name).hash() for name in recipe_names()}
    assert len(hashes_) == len(recipe_names())
    assert load_recipe("paper-300k").count == 300_000
    with pytest.raises(FileNotFoundError, match="did you mean 'tiny'"):
        load_recipe("tinny")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(ValueError, match="not a TOML file"):
        load_recipe(tmp_path / "bad.toml")


def test_recipes_keep_their_names():
    """What a released model's card calls its data; a new key must not rename sets that do without it."""
    zoo = load_recipe("zoo-v1")
    first = replace(zoo, targets=replace(zoo.targets, compression="gzip"))
    assert first.hash().startswith("1f7b72c61b117782")


SPECTRA = """\
name = "own"
[viewing]
emission = { oled = 1, crt = 1 }
spectra = { oled = "oled.csv" }
"""


def write_spectra(path, peaks_nm=(460, 530, 620)) -> tuple[np.ndarray, np.ndarray]:
    """Narrow bands of blue, green and red, written as red, green, blue."""
    wavelengths = np.arange(390.0, 781, 10)
    spectra = np.exp(-(((wavelengths - np.array(peaks_nm)[::-1, None]) / 20) ** 2))
    lines = [
        f"{nm:.0f},{','.join(f'{value:.9g}' for value in row)}" for nm, row in zip(wavelengths, spectra.T, strict=True)
    ]
    path.write_text("wavelengths_nm,red,green,blue\n" + "\n".join(lines) + "\n")
    return wavelengths, spectra


def test_a_display_of_ones_own(tmp_path):
    pytest.importorskip("colour", reason="needs the extra spectra")
    wavelengths, spectra = write_spectra(tmp_path / "oled.csv")
    (tmp_path / "own.toml").write_text(SPECTRA)
    recipe = load_recipe(tmp_path / "own.toml")
    expected = spectral_matrix(wavelengths, spectra)
    np.testing.assert_allclose(recipe.viewing.spectra["oled"], expected, rtol=1e-6)
    assert expected[0, 0] > expected[2, 0], "red light excites L more than blue does"
    conditions = [draw_condition(recipe.viewing, generator_for(1, "viewing", number)) for number in range(20)]
    named = {condition.emission_name: condition.emission for condition in conditions}
    assert named.keys() == {"oled", "crt"}
    np.testing.assert_allclose(named["oled"], expected, rtol=1e-6)
    again = from_table(json.loads(json.dumps(recipe.identity())), "set.json")
    assert again.hash() == recipe.hash()
    write_spectra(tmp_path / "oled.csv", (455, 530, 620))
    assert load_recipe(tmp_path / "own.toml").hash() != recipe.hash()


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "no file"),
        ("", "first line must be"),
        ("nm,r,g\n400,1,2\n", "first line must be"),
        ("wavelengths_nm,red,green,blue\n400,1,2,x\n", "must hold 4 numbers"),
        ("wavelengths_nm,red,green,blue\n400,1,2,3\n", "at least two lines"),
        ("wavelengths_nm,red,green,blue\n500,1,2,3\n400,1,2,3\n", "must increase"),
        ("wavelengths_nm,red,green,blue\n400,1,2,3\n500,1,-2,3\n", "not negative"),
    ],
)
def test_spectra_that_do_not_fit(tmp_path, text, words):
    pytest.importorskip("colour", reason="needs the extra spectra")
    (tmp_path / "own.toml").write_text(SPECTRA)
    if text is not None:
        (tmp_path / "oled.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        load_recipe(tmp_path / "own.toml")


def test_aimed_samples_spread_evenly_over_P_det(tmp_path):
    make(small_recipe(count=48, aim=aim(1.0)), tmp_path / "aimed")
    data = ShardDataset(tmp_path / "aimed", ["P_det", "samples/aim_P_det", "samples/rescaled"])
    P_det, goal, factor = (
        np.array([float(sample[name]) for sample in map(data.__getitem__, range(48))]) for name in data.fields
    )
    hit = np.abs(P_det - goal) < 0.05
    assert hit.mean() > 0.8
    assert (hit | (factor > 10) | (P_det < 0.02)).mean() > 0.9, "who missed had no room left"
    quarters = np.histogram(P_det[hit], bins=4, range=(0, 1))[0]
    assert quarters.min() >= 4


@pytest.mark.parametrize("kind", list(DISTORTIONS))
def test_distortions_grow_with_their_strength_and_repeat(kind):
    code = np.random.default_rng(1).uniform(0.2, 0.8, (40, 40, 3)).astype(np.float32)
    code = torch.nn.functional.avg_pool2d(torch.from_numpy(code).permute(2, 0, 1), 5, 1, 2).permute(1, 2, 0).numpy()
    weak, strong, again = (distort(kind, code, s, generator_for(1, "test", 5), 40.0) for s in (0.1, 10, 10))
    np.testing.assert_array_equal(strong, again)
    assert strong.shape == code.shape and strong.dtype == np.float32 and strong.min() >= 0 and strong.max() <= 1
    changes = [float(np.abs(test - code).mean()) for test in (weak, strong)]
    assert changes[1] == 0 if kind == "none" else changes[1] > changes[0] and changes[1] > 1e-4


@pytest.mark.parametrize("kind", list(MADE))
def test_made_scenes_stay_on_the_display(kind):
    for number in range(3):
        stage = Stage(48, 30.0, 500.0, 0.01)
        light = make_scene(kind, stage, generator_for(1, kind, number))
        assert light.shape == (48, 48, 3) and np.isfinite(light).all()
        assert light.min() >= 0.00999 and light.max() <= 500.01


@pytest.mark.parametrize("colorspace", ["sRGB", "gamma-2.20", "BT.2020-PQ", "BT.2020-HLG", "BT.709-linear"])
def test_codes_bring_back_the_light(colorspace):
    display = Display(colorspace=colorspace, max_luminance=600, min_luminance=0.05, E_ambient=20, k_refl=0.01)
    light = np.random.default_rng(2).uniform(0.5, 500, (8, 8, 3))
    codes = torch.from_numpy(to_stored(encode(light, display), display).astype(np.float64))[None] / 65535
    shown = display.light(unpack_light(codes) if colorspace.endswith("linear") else codes)
    np.testing.assert_allclose(shown[0].permute(1, 2, 0).numpy(), light, rtol=2e-3, atol=0.05)


def test_splits_follow_the_picture_and_none_is_empty():
    names = [f"{value:064x}" for value in np.random.default_rng(0).integers(0, 2**62, 300)]
    names = [name[32:][::-1] + name[:32] for name in names]
    whole = split_by_hash(names)
    assert {split: list(whole.values()).count(split) > 15 for split in ("train", "val", "test")}
    assert all(split_by_hash(names[:200])[name] == whole[name] for name in names[:200])
    assert set(split_by_hash(names[:3]).values()) == {"train", "val", "test"}


def test_every_crop_of_a_photograph_is_in_its_split(photographs):
    recipe = with_photographs()
    sources, _ = find_photographs(photographs, recipe.size_pixels)
    sampler = Sampler(recipe, photographs, sources)
    splits = {source.sha256.encode(): source.split.encode() for source in sources}
    rows = [sampler.sample(number).row for number in range(40)]
    cut = [row for row in rows if row["scene"] == b"photograph"]
    assert len(cut) > 15 and all(row["split"] == splits[bytes(row["source"])] for row in cut)


def test_crops_stay_inside_and_keep_light(photographs):
    sources, _ = find_photographs(photographs, 32)
    album = Album(photographs, sources)
    for number, source in enumerate(sources):
        square, (top, left, side, _) = album.crop(number, 32, (0.3, 1.0), True, generator_for(1, "crop", number))
        assert square.shape == (32, 32, 3) and top + side <= source.height and left + side <= source.width
        assert source.kind == "light" or square.max() <= 1


def test_enlarged_crops_have_less_detail_and_the_same_light(tmp_path):
    picture = np.random.default_rng(0).integers(40, 200, (64, 48, 3), dtype=np.uint8)
    imageio.imwrite(tmp_path / "noise.png", picture)
    album = Album(tmp_path, find_photographs(tmp_path, 32)[0])
    square, (top, left, side, turn) = album.crop(0, 32, (4.0, 4.0), False, generator_for(1, "crop", 0))
    cut = picture[top : top + side, left : left + side] / 255
    assert (square.shape, side, turn) == ((32, 32, 3), 8, 0)
    # Bicubic weights sum to 1; the borders and what overshoots the brightest weigh a little otherwise.
    assert abs(square.mean() - cut.mean()) < 0.05 * cut.mean()
    # Four steps where one was, and a slope may overshoot.
    assert np.abs(np.diff(square, axis=0)).mean() < 0.5 * np.abs(np.diff(cut, axis=0)).mean()


@pytest.mark.parametrize("change", [{"distortions": Distortions(kinds={"none": 1})}])
def test_no_difference_gives_exactly_nothing(tmp_path, change):
    make(small_recipe(count=4, **change), tmp_path / "none")
    sample = ShardDataset(tmp_path / "none")[1]
    assert float(sample["P_det"]) == 0 and float(sample["Q"]) == 100 and float(sample["sum_S"]) == 0


def test_gradient_is_that_of_log_C(tmp_path):
    recipe = small_recipe(count=4, targets=replace(targets(maps=("P_map", "gradient")), dtype="float32"))
    make(recipe, tmp_path / "out")
    data = ShardDataset(tmp_path / "out")
    sample = max((data[index] for index in range(4)), key=lambda item: float(item["gradient"].abs().sum()))
    conditions = {name.split("/")[1]: value[None].double() for name, value in sample.items() if name.startswith("cond")}
    test, reference = (sample[f"light/{image}"][None].double() for image in ("test", "reference"))
    step = 1e-5 * sample["gradient"][None].double().sign() * test

    def log_C(light):
        return (
            predict(exact_metric(), light, reference, conditions, keep_stages=True).stages["contrast_map"].sum().log1p()
        )

    slope = float(log_C(test + step) - log_C(test - step)) / 2
    assert slope == pytest.approx(float((sample["gradient"].double() * step[0]).sum()), rel=2e-2)


def test_gradients_may_be_kept_whatever_the_recipe_names(tmp_path):
    for folder, is_kept in (("with", True), ("without", False)):
        make(small_recipe(count=4), tmp_path / folder, gradient=is_kept)
    kept, plain = ShardDataset(tmp_path / "with"), ShardDataset(tmp_path / "without")
    assert set(kept.fields) - set(plain.fields) == {"gradient"}
    assert bool(kept[1]["gradient"].any()) and torch.equal(kept[1]["P_map"], plain[1]["P_map"])


def test_a_gradient_that_is_not_stored_is_found_without_recording(tmp_path):
    """As a validation reads samples; what a set lacks is computed from its inputs."""
    make(small_recipe(count=4), tmp_path / "plain")
    data = ShardDataset(tmp_path / "plain", ["gradient", "P_map"])
    with torch.no_grad():
        found = data[1]["gradient"]
    assert bool(found.any()) and torch.equal(found, data[1]["gradient"])


def test_random_numbers_are_philoxs_own():
    """Key and counter as NumPy takes them directly; what a set holds hangs on it."""
    key = int.from_bytes(hashlib.sha256(b"5:scene").digest()[:16], "big")
    plain = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, 77]))
    assert np.array_equal(generator_for(5, "scene", 77).random(9), plain.random(9))
