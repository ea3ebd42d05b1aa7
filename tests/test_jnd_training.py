"""Training of JND networks: it learns, goes on as if never stopped, and refuses what does not fit."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data as photographs

from vdp_distill import zoo
from vdp_distill.checkpoints import read_tensors
from vdp_distill.human_data import SyntheticObservers
from vdp_distill.jnd import model as jnd_model
from vdp_distill.jnd.network import LOSSES, DifferenceConfig, DifferenceNetwork, PaperConfig
from vdp_distill.jnd.recipe import Data, Recipe, Training, read_recipe
from vdp_distill.jnd.responses import ResponseStore
from vdp_distill.jnd.training import begin, predict, train
from vdp_distill.judgements import Viewing
from vdp_distill.surrogates import Chain, ChainConfig
from vdp_distill.synthetic_observers import Observers
from vdp_distill.training.divergence import DivergedError

LEVELS = (5, 15, 30, 50, 80)
SIZE = (64, 96)
DATA = Data(size=SIZE, height=32, levels=LEVELS)
OURS = DifferenceConfig(scales=(0, 1), filters=2, field_pixels=32 * 48)


def recipe(network=OURS, data=DATA, **training):
    kind = {"loss": "binomial" if network.kind == "jnd" else "distance"}
    options = {"steps": 6, "validate_every": 3, "pairs_per_batch": 4, "learning_rate": 1e-2}
    return Recipe(network, data, Training(**(kind | options | training)))


@pytest.fixture(scope="module")
def judgements():
    cuts = {f"cut{n}": photographs.astronaut()[60 * n : 60 * n + SIZE[0], 150 : 150 + SIZE[1]] for n in range(4)}
    observers = Observers(300.0, 0.4)
    return SyntheticObservers(cuts, levels=LEVELS, size=SIZE, observers=observers, viewing=Viewing(height=32))


@pytest.fixture(scope="module")
def store(judgements):
    return ResponseStore(judgements)


def test_shipped_recipes_read_back(tmp_path):
    for name in ("jnd", "jnd-mcl-jci", "jnd-achromatic", "jnd-paper", "jnd-paper-contrastive"):
        shipped = read_recipe(name)
        (tmp_path / "again.toml").write_text(shipped.text())
        assert read_recipe(tmp_path / "again.toml") == shipped
        assert shipped.data.trained_pixels_per_degree() == 22.5
    assert read_recipe("jnd-paper").training.learning_rate == 5e-4  # the paper's
    assert read_recipe("jnd-paper").training.pairs_per_batch == 8


def test_misspelt_keys(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('[network]\nkind = "jnd"\n[training]\nstep = 3\n')
    with pytest.raises(ValueError, match="no key 'step'; did you mean 'steps'"):
        read_recipe(path)
    path.write_text('[network]\nkind = "paper"\n')
    with pytest.raises(ValueError, match="is of a network 'paper', not of a JND network"):
        read_recipe(path)


def test_the_beginning_fits_sensitivity_and_slope(store):
    network, everything = DifferenceNetwork(OURS), list(range(len(store)))
    share = np.array([row.share for row in store.data.judgements])
    before = np.abs(predict(network, store, everything).numpy() - share).mean()
    begin(network, store, everything)
    after = np.abs(predict(network, store, everything).numpy() - share).mean()
    # The observers see what the metric says, so two numbers nearly do; 20 shares of 30 observers scatter by 0.06.
    assert after < 0.06 < before


def test_training_learns_and_can_be_loaded(store, tmp_path):
    network = replace(OURS, contrast=False)
    out = train(recipe(network, steps=40, validate_every=20, fold=1), store, tmp_path / "run", progress=False)
    with (out / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [20, 40]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    held_out = store.data.split(1)[1]
    found = predict(jnd_model.load_network(out), store, held_out).numpy()
    share = np.array([store.data.judgements[index].share for index in held_out])
    assert np.sqrt(np.mean((found - share) ** 2)) == pytest.approx(float(rows[1]["held_out_rmse"]), abs=1e-5)
    card = (out / "README.md").read_text()
    assert "synthetic observers, not people" in card and "No person judged these pictures" in card


@pytest.mark.parametrize("network", [OURS, PaperConfig(widths=(2, 4), kernels=(5, 3), strides=(2, 1))])
def test_a_stopped_run_goes_on_as_if_it_had_not(store, tmp_path, monkeypatch, network):
    whole = train(recipe(network), store, tmp_path / "whole", progress=False)
    monkeypatch.setattr("vdp_distill.jnd.training.save_state", _killed_after_saving(3))
    with pytest.raises(KeyboardInterrupt):
        train(recipe(network), store, tmp_path / "killed", progress=False)
    monkeypatch.undo()
    again = train(recipe(network), store, tmp_path / "killed", resume=True, progress=False)
    first, second = (read_tensors(folder / "model.safetensors")[0] for folder in (whole, again))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert (whole / "log.csv").read_text() == (again / "log.csv").read_text()


def _killed_after_saving(step):
    from vdp_distill.checkpoints import save_state

    def save(path, network, optimizer, position):
        save_state(path, network, optimizer, position)
        if position["step"] == step:
            raise KeyboardInterrupt

    return save


def test_no_fold_trains_on_all(store, tmp_path):
    out = train(recipe(fold=0, steps=2, validate_every=2), store, tmp_path / "all", progress=False)
    assert "held_out" not in (out / "log.csv").read_text()
    assert "nothing was held out" in (out / "README.md").read_text()


def test_from_a_folder_of_photographs(tmp_path):
    from PIL import Image

    for number in range(2):
        cut = photographs.coffee()[100 * number : 100 * number + SIZE[0], : SIZE[1]]
        (tmp_path / "photographs").mkdir(exist_ok=True)
        Image.fromarray(cut).save(tmp_path / "photographs" / f"{number}.png")
    own = replace(DATA, levels=(1, 30, 60, 100), keep="disk")
    out = train(recipe(data=own, steps=1, validate_every=1), tmp_path / "photographs", tmp_path / "run", progress=False)
    assert list((out / "cache").glob("responses-*/*.safetensors"))


def test_on_a_chain(judgements, tmp_path):
    from vdp_distill.training.recipe import Recipe as ChainRecipe

    narrow = ChainConfig(scatter_widths=(4, 4, 4), receptor_width=4, masking_widths=(4, 4))
    chain = tmp_path / "chain"
    chain.mkdir()
    (chain / "recipe.toml").write_text(ChainRecipe(narrow).text())
    zoo.save_network(chain, Chain(narrow))
    store = ResponseStore(judgements, chain)
    found = store[0]
    assert found.test.shape == (1, 1, 32, 48) and found.contrast.shape == (1, 1, 32, 48)
    assert not torch.equal(found.test, ResponseStore(judgements)[0].test)


@pytest.mark.parametrize("keep", ["disk", "recompute"])
def test_responses_are_the_same_wherever_kept(judgements, store, tmp_path, keep):
    other = ResponseStore(judgements, keep=keep, folder=tmp_path)
    for _ in range(2):
        assert all(torch.equal(*pair) for pair in zip(other[3], store[3], strict=True))
    assert other.bytes() == (2 * 20 + 4) * 32 * 48 * 4  # test and contrast of 20 pairs, 4 references, float32


def test_a_disk_that_is_too_small(judgements, tmp_path, monkeypatch):
    monkeypatch.setattr("vdp_distill.jnd.responses.shutil.disk_usage", lambda _: type("Usage", (), {"free": 0})())
    with pytest.raises(ValueError, match="GB more for the responses.*keep='recompute'"):
        ResponseStore(judgements, keep="disk", folder=tmp_path)
    with pytest.raises(ValueError, match="needs a folder"):
        ResponseStore(judgements, keep="disk")


def test_runs_that_do_not_fit(store, tmp_path):
    out = train(recipe(steps=1, validate_every=1), store, tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match="already holds a training run"):
        train(recipe(steps=1), store, out, progress=False)
    with pytest.raises(ValueError, match="run of another recipe"):
        train(recipe(steps=2), store, out, resume=True, progress=False)
    with pytest.raises(ValueError, match=r"\[data\] says .1080, 1920. and 90"):
        train(recipe(data=replace(DATA, size=(1080, 1920), height=0)), store, tmp_path / "other", progress=False)
    with pytest.raises(ValueError, match="fold must be 0 or one of"):
        train(recipe(fold=99), store, tmp_path / "other", progress=False)


def test_a_gradient_that_diverges_reaches_no_weight(store, tmp_path, monkeypatch):
    """A square root has a value at 0, but no slope."""
    monkeypatch.setitem(LOSSES, "distance", lambda probability, *_: (probability - probability.detach()).sqrt())
    small = PaperConfig(widths=(2,), kernels=(3,), strides=(2,))
    with pytest.raises(DivergedError, match="its gradient became NaN or infinite at step 0"):
        train(recipe(small), store, tmp_path / "run", progress=False)


def test_a_card_that_cannot_be_written_leaves_the_last_validation_whole(store, tmp_path, monkeypatch):
    small, out = PaperConfig(widths=(2,), kernels=(3,), strides=(2,)), tmp_path / "run"
    train(recipe(small, steps=3), store, out, progress=False)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    (out / "recipe.toml").write_text(recipe(small).text())

    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("vdp_distill.jnd.report._card", full)
    with pytest.raises(OSError, match="disk full"):
        train(recipe(small), store, out, resume=True, progress=False)
    after = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert after | {"recipe.toml": b""} == before | {"recipe.toml": b""}
    jnd_model.load_network(out)  # weights and card agree


def test_a_loss_that_diverges(store, tmp_path, monkeypatch):
    bad = lambda *_: torch.full((4,), float("nan"), requires_grad=True)  # noqa: E731 - one line says it
    monkeypatch.setitem(LOSSES, "distance", bad)
    small = PaperConfig(widths=(2,), kernels=(3,), strides=(2,))
    with pytest.raises(DivergedError, match="NaN or infinite at step 0, with the pairs cut"):
        train(recipe(small), store, tmp_path / "run", progress=False)
