"""Programs as black boxes: what they print is the score, and every way to fail is told."""

import sys

import numpy as np
import pytest

from vdp_distill.io import read_image
from vdp_distill.surrogates.forward import ForwardConfig
from vdp_distill.training.black_box import BlackBoxError, Command, ask
from vdp_distill.training.forward import ForwardModel
from vdp_distill.training.recipe import Recipe, Training

IMAGE = np.linspace(0, 1, 16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3)


@pytest.fixture
def script(tmp_path):
    def written(text):
        path = tmp_path / "metric.py"
        path.write_text(text)
        return [sys.executable, str(path)]

    return written


MEAN = """
import sys
import numpy as np
test, reference = (np.load(path) for path in sys.argv[1:3])
print("mean difference:", float(abs(test - reference).mean(dtype=float)))
"""


def test_the_last_word_printed_is_the_score(script):
    command = script(MEAN)
    assert Command(command)(IMAGE, 1 - IMAGE) == np.abs(IMAGE - (1 - IMAGE)).mean(dtype=float)


def test_the_paths_go_where_the_command_says(script):
    command = script("import sys; print('--test' in sys.argv[1], sys.argv[2:], 3)")
    assert Command([*command, "--test={test}", "-r", "{reference}"])(IMAGE, IMAGE) == 3


def test_a_png_keeps_sixteen_bits(script, tmp_path):
    kept = tmp_path / "kept.png"
    command = script(f"import shutil, sys; shutil.copy(sys.argv[1], {str(kept)!r}); print(0)")
    Command(command, suffix=".png")(IMAGE, IMAGE)
    # Half a step of 16 bits.
    np.testing.assert_allclose(read_image(kept).array, IMAGE, atol=0.5 / 65535 + 1e-7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('no licence')", "ended with code 1: no licence"),
        ("import sys; sys.exit(3)", "code 3: it said nothing"),
        ("print('fine')", "the score, got 'fine'"),
        ("pass", "the score, got ''"),
        ("import time; time.sleep(60)", "no answer within 0.5 s; raise timeout_s"),
    ],
)
def test_a_program_that_fails_is_told(script, text, message):
    with pytest.raises(BlackBoxError, match=message):
        Command(script(text), timeout_s=0.5 if "sleep" in text else 60)(IMAGE, IMAGE)


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ("python metric.py", {}, "a list of words"),
        (["no-such-program-here"], {}, "no program 'no-such-program-here'"),
        ([sys.executable], {"suffix": ".jpg"}, ".npy, .png"),
        ([sys.executable], {"timeout_s": 0}, "positive"),
    ],
)
def test_wrong_commands_are_refused(words, options, message):
    with pytest.raises(ValueError, match=message):
        Command(words, **options)


def test_a_forward_model_of_a_program(script, tmp_path):
    model = ForwardModel.from_command(script(MEAN), timeout_s=30, workers=2)
    pairs = [(np.clip(IMAGE + share, 0, 1), IMAGE) for share in (0, 0.1, 0.4)]
    training = Training(steps=2, validate_every=2, images_per_batch=4, accelerator="cpu")
    out = model.train(
        {"train": pairs, "val": pairs[1:]},
        tmp_path / "out",
        recipe=Recipe(ForwardConfig(width=4, levels=1), training),
        progress=False,
    )
    assert (out / "model.safetensors").is_file() and model.as_loss().network.config.output == "score"


def test_a_program_that_fails_names_the_pair(script, tmp_path):
    model = ForwardModel.from_command(script("raise MemoryError"))
    with pytest.raises(BlackBoxError, match="(?s)pair 0 of 'train': .* code 1.*MemoryError"):
        model.labeller.label([(IMAGE, IMAGE)], tmp_path, "train")


def test_an_answer_beyond_single_precision_is_not_finite():
    image = np.zeros((20, 20), np.float32)
    with pytest.raises(BlackBoxError, match="finite values"):
        ask(lambda test, reference: 1e39, image, image, "score")
