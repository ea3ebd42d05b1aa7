"""The list of what is released, against the folder of models and the lists that options take."""

from pathlib import Path

import pytest

from vdp_distill import zoo
from vdp_distill.criterion import criterion_names, load_criterion
from vdp_distill.jnd import model as jnd_model
from vdp_distill.listing import listed, released
from vdp_distill.recipes import models_folder


def test_every_folder_of_a_model_is_listed_once():
    folders = {path.name for path in models_folder().iterdir() if (path / "README.md").is_file()}
    names = [model.name for model in released()]
    assert set(names) == folders and len(names) == len(folders)


def test_each_says_how_large_it_is_and_has_a_card():
    for model in released():
        assert model.numbers > 0 and Path(model.card).is_file() and "kind '" not in model.what
    numbers = {model.name: model.numbers for model in released()}
    assert numbers["jnd-v1"] == sum(value.numel() for value in jnd_model.load_network("jnd-v1").state_dict().values())
    assert numbers["people-v1"] == 6  # its card says six


def test_the_kinds_are_told_apart():
    what = {model.name: model.what for model in released()}
    assert "criterion" in what["people-v1"] and "network" in what["jnd-v1"] and "losses" in what["trunk-v1"]
    assert all(what[name].startswith("surrogate") for name in zoo.names())


def test_the_lists_that_options_take_hold_only_what_they_load():
    """jnd-v1 and people-v1 are listed, but are no surrogates."""
    assert not {"jnd-v1", "people-v1"} & set(zoo.names())
    assert all(load_criterion(name).name == name for name in criterion_names())
    for name in ("jnd-v1", "people-v1", "trunk-v1"):
        with pytest.raises(ValueError, match="released model"):
            zoo.load(name, encoding="sRGB-display", pixels_per_degree=60)


def test_lines():
    lines = listed()
    assert lines[0].startswith("exact ") and len(lines) == 1 + len(released())
    assert any(line.startswith("people-v1 ") and "README.md" in line for line in lines)


def test_statistics_of_normalisation_are_no_parameters():
    counts = {model.name: model.numbers for model in released()}
    assert counts["mdf-sr-v1"] == 39_176  # as on its card
