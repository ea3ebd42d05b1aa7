"""The zoo: a trained folder loads and predicts; what was changed, cut off or is foreign is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_data import scenes
from safetensors.torch import save_file

from vdp_distill import zoo
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.display import Display
from vdp_distill.surrogates import Chain, ChainConfig
from vdp_distill.training.recipe import Recipe

NARROW = ChainConfig(scatter_widths=(4, 6, 6), receptor_width=6, masking_widths=(6, 4))
VIEWING = {"encoding": "sRGB-display", "pixels_per_degree": 30}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "narrow-v1"
    folder.mkdir()
    (folder / "recipe.toml").write_text(Recipe(NARROW).text())
    zoo.save_network(folder, Chain(NARROW))
    (folder / "README.md").write_text(
        f"SHA-256 of `model.safetensors`: `{zoo.file_hash(folder / 'model.safetensors')}`\n"
    )
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "narrow-v1")


@pytest.fixture(scope="module")
def images():
    reference = scenes(2, 40, seed=5)
    return (reference + 0.03).clamp(0, 1), reference


def test_it_is_called_like_the_metric(made, images):
    model = zoo.load(made)
    result = model(*images, **VIEWING, keep_stages=True)
    assert result.P_map.shape == (2, 1, 40, 40) and result.P_det.shape == (2,)
    assert result.stages["photoreceptors"].test.shape == (2, 4, 40, 40)
    assert result.settings["model"] == "narrow-v1"
    json.dumps(result.settings)
    at_once = zoo.load(made, **VIEWING)(*images)
    torch.testing.assert_close(at_once.C_map, result.C_map)


def test_arrays_and_double_precision(made, images):
    arrays = [image[0].permute(1, 2, 0).double().numpy() for image in images]
    result = zoo.load(made, **VIEWING)(*arrays)
    assert isinstance(result.P_map, np.ndarray) and result.P_map.dtype == np.float64 and result.P_map.shape == (40, 40)


def test_identical_images_are_exactly_alike(made, images):
    result = zoo.load(made, **VIEWING)(images[1], images[1])
    assert not result.C_max.any() and not result.P_map.any() and bool((result.Q == 100).all())


def test_later_stages_know_the_pixels_per_degree(made, images):
    model = zoo.load(made, encoding="sRGB-display", pixels_per_degree=torch.tensor([20.0, 60.0]))
    both = model(images[0], images[1]).C_max
    one = model(images[0][1:], images[1][1:], pixels_per_degree=60).C_max
    torch.testing.assert_close(both[1:], one, rtol=1e-3, atol=0)


def test_weights_are_frozen(made):
    assert not any(value.requires_grad for value in zoo.load(made).parameters())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"mtf": False}, "mtf=True"),
        ({"peak_sensitivity": 2.0}, "2.4"),
        ({"rgb_display": "crt"}, "rgb_display"),
        ({"engine": "octave"}, "engine"),
    ],
)
def test_what_a_chain_cannot_follow_is_refused(made, images, option, message):
    with pytest.raises(ValueError, match=message):
        zoo.load(made)(*images, **VIEWING, **option)


def test_wrong_channels(made):
    grey = torch.rand(1, 1, 32, 32)
    with pytest.raises(ValueError, match="takes light of 3 channel"):
        zoo.load(made)(grey, grey, encoding="luma-display", pixels_per_degree=30)


def test_units_are_required(made, images):
    with pytest.raises(ValueError, match="units are never guessed"):
        zoo.load(made)(*images, pixels_per_degree=30)


def test_names_without_a_folder():
    with pytest.raises(ValueError, match="model must be 'exact', a folder, or a released model"):
        zoo.load("vdp-fats")
    assert isinstance(zoo.names(), list)


def test_released_names_are_found(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "models" / "narrow-v1")
    monkeypatch.setattr(zoo, "models_folder", lambda: tmp_path / "models")
    assert zoo.names() == ["narrow-v1"]
    assert zoo.load("narrow-v1").name == zoo.load("narrow").name == "narrow-v1"


def test_cut_off_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        zoo.load(folder)


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="does not exist"):
        zoo.load(folder)


def test_foreign_weights(folder):
    save_file({"layer.weight": torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="holds no weights of this package"):
        zoo.load(folder)


def test_a_pickle_is_never_opened(folder):
    torch.save({"weight": torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        zoo.load(folder)


def test_a_changed_weight(folder):
    weights, metadata = read_tensors(folder / "model.safetensors")
    weights["photoreceptors.0.weight"][0] += 0.5
    write_tensors(folder / "model.safetensors", weights, metadata)
    with pytest.raises(ValueError, match="its card says"):
        zoo.load(folder)
    (folder / "README.md").unlink()
    with pytest.raises(ValueError, match="differ from golden"):
        zoo.load(folder)


def test_nan_weights(folder):
    weights, metadata = read_tensors(folder / "model.safetensors")
    weights["photoreceptors.0.weight"][0] = float("nan")
    write_tensors(folder / "model.safetensors", weights, metadata)
    with pytest.raises(ValueError, match="NaN"):
        zoo.load(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("receptor_width = 6", "receptor_width = 7", "another network than recipe.toml"),
        ('kind = "paper"', 'kind = "slow"', "does not know"),
        ("receptor_width", "receptor_widht", "did you mean 'receptor_width'"),
    ],
)
def test_a_recipe_of_another_network(folder, old, new, message):
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        zoo.load(folder)


def test_a_display_of_other_spectra_is_refused(made, images):
    with pytest.raises(ValueError, match="rgb_display"):
        zoo.load(made)(*images, display=Display(max_luminance=100, rgb_display="crt"), pixels_per_degree=30)


@pytest.mark.parametrize("name", zoo.names())
def test_what_torch_makes_new_tensors_of_changes_no_model(name):
    images = torch.rand(2, 1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = zoo.load(name, **VIEWING)(*images).C_max
    torch.set_default_dtype(torch.float64)
    try:
        found = zoo.load(name, **VIEWING)(*images).C_max
    finally:
        torch.set_default_dtype(torch.float32)
    # Some helper tensors are then of double precision, and so may the answer be.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0, check_dtype=False)


def test_a_name_that_a_trained_folder_has_too_is_no_guess(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename("vdp-fast")
    with pytest.raises(ValueError, match=r"'vdp-fast' is both a folder here .* write './vdp-fast' or 'vdp-fast-v1'"):
        zoo.load_network("vdp-fast")
    for own in ("./vdp-fast", Path("vdp-fast")):
        assert isinstance(zoo.load_network(own), Chain)
    assert not isinstance(zoo.load_network("vdp-fast-v1"), Chain)
