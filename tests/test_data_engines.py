"""Shards filled by Octave and by the user's own HDR-VDP hold what torch puts there."""

import shutil

import pytest
import torch
from make_original import make_original
from small_sets import make, small_recipe, targets

from data_gen import card
from data_gen.recipe import Viewing
from vdp_distill import dataset
from vdp_distill.dataset import ShardDataset
from vdp_distill.shards import shard_paths


def test_octave_fills_a_shard(tmp_path):
    if not shutil.which("octave-cli") and not shutil.which("octave"):
        pytest.skip("needs Octave")
    recipe = small_recipe(count=4, samples_per_block=2)
    make(recipe, tmp_path / "octave", engine="octave")
    make(recipe, tmp_path / "torch")
    there, here = ShardDataset(tmp_path / "octave"), ShardDataset(tmp_path / "torch")
    for index in range(4):
        assert torch.equal(there[index]["light/test"], here[index]["light/test"])
        torch.testing.assert_close(there[index]["C_max"], here[index]["C_max"], rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(there[index]["P_map"], here[index]["P_map"], rtol=0, atol=2e-3)


def test_the_users_own_hdrvdp_fills_a_shard(tmp_path):
    """The stand-in computes what the package's Octave program does, so that torch is its truth, display by display."""
    if not shutil.which("octave-cli") and not shutil.which("octave"):
        pytest.skip("needs Octave")
    viewing = Viewing(curves={"sRGB": 1, "PQ": 1}, emission={"crt": 1, "led-lcd": 1})
    recipe = small_recipe(count=4, samples_per_block=2, viewing=viewing, targets=targets(stages=()))
    folder = make_original(tmp_path / "hdrvdp")
    make(recipe, tmp_path / "original", engine="original", hdrvdp_dir=folder)
    make(recipe, tmp_path / "torch")
    there, here = ShardDataset(tmp_path / "original"), ShardDataset(tmp_path / "torch")
    assert set(here.text("conditions/rgb_display")) == {"crt", "led-lcd"}
    for index in range(4):
        assert torch.equal(there[index]["light/test"], here[index]["light/test"])
        torch.testing.assert_close(there[index]["C_max"], here[index]["C_max"], rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(there[index]["P_map"], here[index]["P_map"], rtol=0, atol=2e-3)
    assert dataset.verify(tmp_path / "original").ok
    assert "engine: original" in card.show(tmp_path / "original")


def test_no_folder_of_the_users_hdrvdp(tmp_path, monkeypatch):
    monkeypatch.delenv("VDP_DISTILL_HDRVDP", raising=False)
    recipe = small_recipe(count=1, targets=targets(stages=()))
    with pytest.raises((ValueError, RuntimeError), match="hdrvdp_dir"):
        make(recipe, tmp_path / "out", engine="original")
    assert not shard_paths(tmp_path / "out")
