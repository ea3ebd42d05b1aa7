"""Training without a file: samples by number are those of the recipe, and a run on them is one like any other."""

import re
from dataclasses import replace

import pytest
import torch
from small_sets import make, small_recipe, targets, write_photographs
from typer.testing import CliRunner

from data_gen.online import OnlineDataset
from data_gen.online_sets import VALIDATION_START, OnlineSamples, OnlineSets
from data_gen.recipe import Scenes
from vdp_distill.cli import app
from vdp_distill.dataset import ShardDataset
from vdp_distill.distill import DivergedError, train
from vdp_distill.surrogates import ChainConfig
from vdp_distill.training.chain import FIELDS, LEARNT_STAGES
from vdp_distill.training.recipe import Recipe, Training

NARROW = ChainConfig(scatter_widths=(4, 4, 4), receptor_width=4, masking_widths=(4, 4))
SHORT = Recipe(NARROW, Training(steps=3, validate_every=3, images_per_batch=8, validation_pairs=4, accelerator="cpu"))
MADE = small_recipe(targets=targets(stages=LEARNT_STAGES, maps=()))


def samples(recipe=MADE, images=None, **options):
    return OnlineSamples(recipe, images, fields=FIELDS, device="cpu", **options)


def test_sample_k_is_sample_k_of_the_recipe():
    block = OnlineDataset(MADE).block(2)
    for row, sample in enumerate(samples()[number] for number in range(8, 12)):
        assert sample.keys() == set(FIELDS) and int(sample["samples/index"]) == 8 + row
        assert all(torch.equal(sample[name], block[name][row]) for name in FIELDS)


def test_a_block_is_computed_once_where_samples_are_read_in_order(monkeypatch):
    made, compute = [], OnlineDataset.block
    monkeypatch.setattr(OnlineDataset, "block", lambda self, number: made.append(number) or compute(self, number))
    data = samples()
    for number in (0, 1, 2, 3, 4, 3, 5):
        data[number]
    assert made == [0, 1]


def test_photographs_of_other_splits_are_never_seen(tmp_path):
    images = write_photographs(tmp_path)
    recipe = replace(MADE, scenes=Scenes(photographs=1.0))
    seen = {split: set() for split in ("train", "val")}
    for split, found in seen.items():
        try:
            data = samples(recipe, images, split=split)
        except ValueError as error:  # six photographs need not fill every split
            assert "more photographs" in str(error)
            continue
        found |= {source.sha256 for source in data.online.sampler.album.sources}
        assert {source.split for source in data.online.sampler.album.sources} == {split}
    assert seen["train"] and not seen["train"] & seen["val"]


def test_made_scenes_of_validation_are_not_those_of_training():
    sets = OnlineSets(MADE)(FIELDS, SHORT.training, "cpu")
    assert int(sets["val"][0]["samples/index"]) == VALIDATION_START and len(sets["val"]) == 4
    assert len(sets["train"]) > 2 * 10**9


def test_online_training_is_training_on_those_samples_in_order(tmp_path):
    class Kept(list):
        in_order = True

    online = OnlineSets(MADE)(FIELDS, SHORT.training, "cpu")
    kept = {
        "train": Kept(online["train"][number] for number in range(12)),
        "val": [*map(online["val"].__getitem__, range(4))],
    }
    runs = {"online": OnlineSets(MADE), "kept": kept}
    out = {name: train(SHORT, data, tmp_path / name, progress=False) for name, data in runs.items()}
    weights = [(folder / "model.safetensors").read_bytes() for folder in out.values()]
    assert weights[0] == weights[1]


def test_a_bad_sample_can_be_made_again_from_what_the_message_says(tmp_path):
    """One sample of a set on disk is spoilt; recipe and index of the message give the sample as it was."""
    folder = tmp_path / "set"
    make(MADE, folder)
    read = ShardDataset(folder, FIELDS)
    spoilt = [read[number] for number in range(len(read))]
    light = spoilt[13]["light/test"]
    spoilt[13] = {**spoilt[13], "stages/light_scatter/test": torch.full_like(light, float("nan"))}

    class FromDisk(list):
        pass

    data = FromDisk(spoilt)
    data.folder = folder
    recipe = replace(SHORT, training=replace(SHORT.training, steps=10, validate_every=10))
    with pytest.raises(DivergedError, match="recipe 'small'") as stopped:
        train(recipe, {"train": data, "val": spoilt[:4]}, tmp_path / "run", progress=False)
    (index,) = re.search(r"index \[(\d+)\]", str(stopped.value)).groups()
    block, row = divmod(int(index), MADE.samples_per_block)
    again = OnlineDataset(MADE).block(block)["light/test"][row]
    torch.testing.assert_close(again, light, rtol=0, atol=0)


def test_what_the_recipe_does_not_make():
    data = OnlineSamples(small_recipe(), None, fields=("light/test", "stages/photoreceptors/test"), device="cpu")
    with pytest.raises(ValueError, match=r"'small' makes no stages/photoreceptors/test; name them in its \[targets\]"):
        data[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "pass --data FOLDER"), (["--data", "online:tyni"], "tiny"), (["--data", "nowhere"], "no shards in nowhere")],
)
def test_what_the_command_line_says(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["train", "tiny", "--out", "run", *arguments])
    assert done.exit_code == 2 and message in done.stderr and "Traceback" not in done.output
    assert not (tmp_path / "run").exists()
