"""The denoising studies: images split by source, runs that differ in the loss alone, judges that agree with theirs."""

import ast
import csv
import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from benchmarks.denoise import COLUMNS, run
from benchmarks.denoise_images import digits, photographs, read_idx
from benchmarks.denoise_judges import judge
from benchmarks.denoise_training import DIGITS, METRIC_WEIGHT, PHOTOGRAPHS, add_noise, check_models, losses, train
from vdp_distill import hdrvdp2
from vdp_distill.export import export_loss

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "train_with_exported_loss.py"


@pytest.fixture(scope="module")
def some_digits():
    training, held_out = digits()
    return training[:64], held_out[:3]


def idx_bytes(images: np.ndarray) -> bytes:
    """As MNIST's page describes the format: magic number, lengths of the axes, bytes."""
    return np.array([0x803, *images.shape], ">u4").tobytes() + images.astype(np.uint8).tobytes()


def test_bundled_digits_are_white_strokes_on_black_at_mnists_size():
    training, held_out = digits()
    assert training.shape[1:] == held_out.shape[1:] == (1, 28, 28)
    assert len(training) + len(held_out) == 1797  # scikit-learn's number
    assert training.min() == 0 and training.max() == 1
    # A stroke covers less than half of a digit's square, and the border is black.
    assert training.mean() < 0.5
    assert training[..., 0, :].mean() < training[..., 14, :].mean()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_packed_or_not(tmp_path, suffix):
    images = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256
    for part in ("train", "t10k"):
        content = idx_bytes(images)
        path = tmp_path / f"{part}-images-idx3-ubyte{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
    training, _ = digits(tmp_path)
    assert torch.equal((training[:, 0] * 255).round(), torch.from_numpy(images).float())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-5], "should hold 2 images"),
        (lambda content: b"\0\0\x08\x01" + content[4:], "must be an idx file of images"),
        (lambda content: b"", "must be an idx file of images"),
        (lambda content: gzip.compress(content)[:-20], "cut off or damaged"),
    ],
    ids=["short", "labels", "empty", "short gz"],
)
def test_damaged_idx_files_are_named(tmp_path, damage, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damage(idx_bytes(np.zeros((2, 28, 28)))))
    with pytest.raises(ValueError, match=message):
        read_idx(path)


def test_a_folder_without_mnist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        digits(tmp_path)


def test_photographs_are_split_by_photograph(tmp_path):
    for number in range(10):
        imageio.imwrite(tmp_path / f"{number:02}.png", np.full((70, 80, 3), 20 * number, np.uint8))
    training, held_out = photographs(tmp_path, 32, 64, 4)
    assert held_out.shape == (4, 3, 64, 64)
    levels = [set((part.unique() * 255 / 20).round().int().tolist()) for part in (training, held_out)]
    assert levels == [{0, 1, 2, 3, 5, 6, 7, 8}, {4, 9}]


def test_too_few_or_too_small_photographs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 5 photographs"):
        photographs(tmp_path, 32, 64, 4)
    for number in range(5):
        imageio.imwrite(tmp_path / f"{number}.png", np.zeros((40, 80, 3), np.uint8))
    with pytest.raises(ValueError, match="80 x 40 pixels holds no crop of 64"):
        photographs(tmp_path, 64, 64, 4)


def test_noise_has_its_standard_deviation():
    noise = add_noise(torch.zeros(64, 1, 32, 32), 0.3, torch.Generator().manual_seed(0))
    # 65,536 values: the deviation of a sample's standard deviation is 0.3 / sqrt(2 n), a thousandth.
    assert float(noise.std()) == pytest.approx(0.3, abs=0.005)


def test_the_seed_decides_everything_but_the_loss(some_digits):
    def weights(model, seed):
        network = train(model, DIGITS, some_digits[0], 2, seed)
        return torch.cat([weight.detach().flatten() for weight in network.parameters()])

    assert torch.equal(weights("mse", 1), weights("mse", 1))
    assert not torch.equal(weights("mse", 1), weights("mse", 2))
    # A first step of Adam moves each weight by the learning rate whatever the loss, so the runs start alike.
    steps = (weights("mse", 1) - weights("exact", 1)).abs()
    assert 0 < float(steps.max()) <= 2 * 2 * DIGITS.learning_rate * 1.01


def test_training_with_the_metric_lowers_what_is_seen(some_digits):
    training, held_out = some_digits
    noisy = add_noise(held_out, 0.3, torch.Generator().manual_seed(0))
    network = train("exact", replace(DIGITS, batch=8), training, 40, seed=0)
    with torch.no_grad():
        after = judge(network(noisy), held_out, DIGITS)
    before = judge(noisy, held_out, DIGITS)
    assert (after.scores["log10_C"] < before.scores["log10_C"] - 0.3).all()


def test_judges_agree_with_their_sources(some_digits):
    clean = some_digits[1]
    test = add_noise(clean, 0.02, torch.Generator().manual_seed(0)).clamp(0, 1)
    found = judge(test, clean, DIGITS)
    shown = [DIGITS.shown(image[:1]) for image in (test, clean)]
    result = hdrvdp2(*shown, encoding="sRGB-display", pixels_per_degree=DIGITS.pixels_per_degree)
    # float32, alone and in a batch: sums in another order.
    assert float(found.scores["P_det"][0]) == pytest.approx(float(result.P_det), abs=1e-5)
    assert float(found.scores["log10_C"][0]) == pytest.approx(float(result.C_max.log10()), abs=1e-5)
    assert float(found.scores["PSNR_dB"][0]) == pytest.approx(-10 * np.log10(float((test - clean)[0].square().mean())))
    assert shown[0].shape == (1, 3, 32, 32)


def test_judges_find_nothing_in_the_clean_image(some_digits):
    clean = some_digits[1]
    found = judge(clean, clean, DIGITS)
    # float32: in a batch, the transforms of equal planes may differ in their last bits, some 1e-29 after masking.
    assert (found.scores["P_det"] < 1e-20).all() and (found.P_map < 1e-20).all()
    assert not found.scores["visible_area"].any()
    assert torch.allclose(found.scores["JOD"], torch.tensor(10.0))


def test_unknown_models_are_refused_before_any_training():
    with pytest.raises(ValueError, match="model must be 'exact', a folder, or a released model, got 'sharp'"):
        check_models(["mse", "sharp"], DIGITS)
    with pytest.raises(ValueError, match="one loss, or two as in l1:exact, got 'l1:mse:exact'"):
        check_models(["l1:mse:exact"], DIGITS)


def test_two_losses_take_turns(some_digits):
    def weights(model, steps):
        return next(train(model, DIGITS, some_digits[0], steps, 0).parameters()).detach()

    # Of three steps the first is the first loss's; the later two differ from a run of that loss alone.
    assert torch.equal(weights("mse:l1", 1), weights("mse", 1))
    assert not torch.equal(weights("mse:l1", 3), weights("mse", 3))
    assert not torch.equal(weights("mse:l1", 3), weights("l1", 3))


def test_a_study_writes_its_table_figure_and_pictures(tmp_path):
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    study = replace(PHOTOGRAPHS, batch=2)
    path = tmp_path / "results" / "denoise-photographs.csv"
    run(study, ["l1", "exact"], 2, 2, (images, images[:3]), "made", path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    levels = len(study.judged_noise)
    assert [row["loss"] for row in rows] == ["noisy"] * levels + (["l1"] * levels + ["exact"] * levels) * 2
    assert all(0 <= float(row["P_det"]) <= 1 for row in rows)
    # White noise of a tenth of a code value has this PSNR, a little more where clipping takes some of it away.
    assert float(rows[1]["PSNR_dB"]) == pytest.approx(-20 * np.log10(float(rows[1]["noise"])), abs=0.5)
    for picture in ("denoise-photographs.png", "denoise-photographs-pictures.png"):
        assert imageio.imread(path.with_name(picture)).std() > 0


def test_a_sum_is_its_parts():
    test, reference = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).unbind(0)
    alone = [losses(name, PHOTOGRAPHS)[0](test, reference) for name in ("l1", "exact")]
    (together,) = losses("l1+exact", PHOTOGRAPHS)
    assert torch.allclose(together(test, reference), alone[0] + METRIC_WEIGHT * alone[1])
    with pytest.raises(ValueError, match="begins with one of mse, l1"):
        check_models(["exact+l1"], PHOTOGRAPHS)


def test_an_exported_loss_trains_a_network_with_torch_alone(tmp_path):
    path = export_loss("exact", tmp_path / "loss.pt2", height=32, width=32, encoding="sRGB-display", reduction="none")
    others = ("vdp_distill", "safetensors", "skimage", "scipy", "h5py", "imageio", "matplotlib")
    # None in the table of modules makes their import fail, as if they were not installed.
    alone = f"import sys, runpy; sys.modules.update(dict.fromkeys({others})); sys.argv.pop(0); "
    alone += "runpy.run_path(sys.argv[0])"
    done = subprocess.run([sys.executable, "-c", alone, SCRIPT, path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert losses[-1] < losses[0] - 0.5


def test_the_example_is_short_and_imports_torch_alone():
    text = SCRIPT.read_text(encoding="utf-8")
    modules = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in modules if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in modules if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} == {"json", "sys", "torch"}
