"""The command line: each command on real files, and every user error as one line with exit status 2."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vdp_distill import hdrvdp2
from vdp_distill.cli import app
from vdp_distill.io import read_image, write_image

PPD = ["--ppd", "40"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A photograph's crop, the same with noise, grey, smaller, HDR, and things that are no images."""
    from skimage import data

    folder = tmp_path_factory.mktemp("files")
    reference = data.astronaut()[80:160, 180:276].astype(np.float32) / 255
    noise = np.random.default_rng(0).normal(0, 0.05, reference.shape).astype(np.float32)
    test = np.clip(reference + noise, 0, 1)
    write_image(folder / "reference.png", reference)
    write_image(folder / "test.png", test)
    write_image(folder / "grey.png", reference.mean(axis=2, keepdims=True))
    write_image(folder / "small.png", reference[:40, :40])
    write_image(folder / "tiny.png", reference[:16, :16])
    write_image(folder / "reference.hdr", 200 * reference)
    write_image(folder / "test.hdr", 200 * test)
    (folder / "text.png").write_text("no image")
    (folder / "cut.png").write_bytes((folder / "test.png").read_bytes()[:500])
    (folder / "display.json").write_text('{"colorspace": "sRGB", "max_luminance": 200, "contrast": 1000, "gamut": 1}')
    return folder


@pytest.fixture
def run(files, monkeypatch):
    monkeypatch.chdir(files)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_compare_is_the_metric(run, files):
    done = run("compare", "test.png", "reference.png", *PPD, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    pair = [read_image(files / name).array.astype(np.float64) for name in ("test.png", "reference.png")]
    expected = hdrvdp2(*pair, encoding="sRGB-display", pixels_per_degree=40)
    for name in ("P_det", "C_max", "Q"):
        assert record[name] == pytest.approx(float(getattr(expected, name)), rel=1e-9)
    assert record["settings"]["encoding"] == "sRGB-display" and record["settings"]["vdp_distill"]
    assert record["files"]["test"]["name"] == "test.png" and len(record["files"]["test"]["sha256"]) == 64
    assert record["verdict_by"] == "people-v1" and 0.5 < record["P_people"] < record["P_det"]
    assert record["verdict"].startswith("visible")
    strict = json.loads(run("compare", "test.png", "reference.png", *PPD, "--json", "--model", "exact").stdout)
    assert strict["verdict_by"] == "strict" and "clearly visible" in strict["verdict"]
    assert strict["P_det"] == record["P_det"] and strict["P_people"] == record["P_people"]


def test_compare_in_words(run):
    done = run("compare", "reference.png", "reference.png", *PPD)
    assert (
        done.exit_code == 0
        and "invisible" in done.stdout
        and "P_det 0.0000" in done.stdout
        and "Q     100.00" in done.stdout
    )


@pytest.mark.parametrize("palette", ["trichromatic", "safe"])
def test_heatmap(run, palette, tmp_path):
    picture = tmp_path / "heat.png"
    assert run("compare", "test.png", "reference.png", *PPD, "--heatmap", picture, "--palette", palette).exit_code == 0
    array = read_image(picture).array
    assert array.shape[2] == 3 and array.std() > 0.02


@pytest.mark.parametrize(
    ("arguments", "encoding"),
    [
        (("grey.png", "grey.png"), "luma-display"),
        (("grey.png", "reference.png"), "sRGB-display"),
        (("test.hdr", "reference.hdr"), "rgb-bt.709"),
    ],
)
def test_encoding_follows_the_files(run, arguments, encoding):
    done = run("compare", *arguments, *PPD, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["settings"]["encoding"] == encoding


def test_displays(run):
    listed = run("compare", "--display", "?")
    assert listed.exit_code == 0 and "standard_4k" in listed.stdout
    done = run("compare", "test.png", "reference.png", "--display", "standard_4k", "--json")
    settings = json.loads(done.stdout)["settings"]
    assert settings["display"]["max_luminance"] == 200 and settings["pixels_per_degree"] == pytest.approx(75.4, abs=0.1)


def test_benchmark_on_a_display(run, tmp_path):
    assert "standard_4k" in run("benchmark", "--display", "?").stdout
    options = ["--size", "40x48", "--repeats", "1", "--display", "standard_4k", "--out", tmp_path / "b.json"]
    assert run("benchmark", *options).exit_code == 0
    settings = json.loads((tmp_path / "b.json").read_text())["about"]["settings"]
    assert float(settings["pixels_per_degree"]) == pytest.approx(75.4, abs=0.1)


def test_what_was_computed_is_told_before_a_picture_fails(run, tmp_path):
    done = run("compare", "test.png", "reference.png", *PPD, "--heatmap", "text.png/h.png")
    assert done.exit_code == 2 and "P_det" in done.stdout
    made = tmp_path / "smallest.jpg"
    done = run("jnd", "small.png", "--ppd", "60", "--quiet", "--out", made, "--plot", "text.png/curve.png")
    assert done.exit_code == 2 and "text.png" in done.stderr
    assert read_image(made).array.shape == (40, 40, 3)


def test_options_reach_the_record(run):
    options = ["--surround", "-1", "--peak-sensitivity", "2.2", "--no-masking", "--no-mtf", "--rgb-display", "crt"]
    settings = json.loads(run("compare", "test.png", "reference.png", *PPD, "--json", *options).stdout)["settings"]
    assert (settings["surround_l"], settings["peak_sensitivity"], settings["rgb_display"]) == (-1, 2.2, "crt")
    assert settings["masking"] is False and settings["mtf"] is False


BAD = {
    "no files": (["compare", *PPD], "two image files"),
    "missing file": (["compare", "none.png", "reference.png", *PPD], "none.png"),
    "no image": (["compare", "text.png", "reference.png", *PPD], "text.png"),
    "cut short": (["compare", "cut.png", "reference.png", *PPD], "cut.png"),
    "sizes": (["compare", "small.png", "reference.png", *PPD], "of one size"),
    "too small": (["compare", "tiny.png", "tiny.png", *PPD], "at least 17"),
    "kinds": (["compare", "test.png", "reference.hdr", *PPD], "one kind"),
    "no ppd": (["compare", "test.png", "reference.png"], "pixels_per_degree is required"),
    "ppd": (["compare", "test.png", "reference.png", "--ppd", "0"], "must be positive"),
    "encoding": (["compare", "test.png", "reference.png", *PPD, "--encoding", "sRGB"], "encoding must be one of"),
    "light as codes": (["compare", "test.png", "reference.png", *PPD, "--encoding", "rgb-bt.709"], "sRGB-display"),
    "codes as light": (["compare", "test.hdr", "reference.hdr", *PPD, "--encoding", "sRGB-display"], "0..1"),
    "display": (["compare", "test.png", "reference.png", "--display", "standard_4"], "did you mean 'standard_4k'"),
    "display field": (["compare", "test.png", "reference.png", *PPD, "--display", "display.json"], "no field 'gamut'"),
    "surround": (["compare", "test.png", "reference.png", *PPD, "--surround", "0"], "surround_l must be positive"),
    "palette": (["compare", "test.png", "reference.png", *PPD, "--heatmap", "h.png", "--palette", "x"], "palette"),
    "unwritable": (["compare", "test.png", "reference.png", *PPD, "--heatmap", "text.png/h.png"], "text.png"),
    "model": (["compare", "test.png", "reference.png", *PPD, "--model", "vdp-fats"], "released model"),
    "engine": (["compare", "test.png", "reference.png", *PPD, "--engine", "matlab"], "engine must be one of"),
    "folder": (["compare", "test.png", "reference.png", *PPD, "--engine", "original", "--hdrvdp-dir", "none"], ""),
    "train recipe": (["train", "papre", "--data", ".", "--out", "run"], "recipe must be"),
    "train data": (["train", "tiny", "--data", ".", "--out", "run"], "no shards"),
    "export size": (["export", "exact", "--out", "l.pt2", "--size", "big", "--encoding", "luminance"], "HEIGHTxWIDTH"),
    "export encoding": (["export", "exact", "--out", "l.pt2", "--size", "32x32"], "units are never guessed"),
    "export name": (["export", "exact", "--out", "l.pt", "--size", "32x32", "--encoding", "luminance"], ".pt2"),
    "benchmark": (["benchmark", "--images", ".none"], "no images"),
    "generate": (["generate", "tinny", "--out", "data"], "tinny"),
    "verify": (["data", "verify", "."], "no data set"),
    "jnd": (["jnd"], "takes a picture or a folder"),
    "jnd codec": (["jnd", "test.png", "--codec", "gif"], "codec must be one of"),
    "jnd folder": (["jnd", "."], "needs --out FOLDER"),
    "jnd original": (["jnd", "test.png", "--out", "reference.png"], "writes over nothing"),
    "jnd name": (["jnd", "test.png", "--ppd", "60", "--out", "a.webp"], "would hold jpeg; name it a.jpg"),
    "jnd two names": (["jnd", "test.png", "--ppd", "60", "--out", "a.jpg", "--plot", "a.jpg"], "name two files"),
    "heatmap": (["compare", "test.png", "reference.png", *PPD, "--heatmap", "reference.png"], "is one of the pictures"),
    "device": (["compare", "test.png", "reference.png", *PPD, "--device", "cuda:7"], "torch finds no device cuda:7"),
    "jnd device": (["jnd", "test.png", "--ppd", "60", "--device", "cuda:7"], "torch finds no device cuda:7"),
    "benchmark device": (["benchmark", "--size", "40x48", "--device", "cuda:7"], "torch finds no device cuda:7"),
    "device name": (["compare", "test.png", "reference.png", *PPD, "--device", "gpu"], "device must be cpu or cuda"),
    "units": (["compare", "test.png", "reference.png", *PPD, "--cdm2-per-unit", "2"], "is for files that hold light"),
    "jnd share": (["jnd", "test.png", "--p", "50"], "between 0 and 1"),
    "jnd folder's plot": (["jnd", ".", "--out", "smaller", "--plot", "curve.png"], "--plot is of one picture"),
    "train images": (
        ["train", "tiny", "--data", ".", "--images", ".", "--out", "run"],
        "is of --data online:RECIPE",
    ),
    "train start": (["train", "jnd", "--data", ".", "--start", "run", "--out", "j"], "starts from no other weights"),
    "benchmark names": (["benchmark", "--model", "a/run", "--model", "b/run", "--size", "40x48"], "share a name"),
    "benchmark folder": (["benchmark", "--size", "40x48", "--hdrvdp-dir", "."], "is of engine='original'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_user_error_is_one_line_and_status_2(case, run):
    arguments, message = BAD[case]
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["compare", "none.png", "reference.png", "--ppd", "40"], 2),
        (["compare", "test.png", "reference.png", "--ppd", "forty"], 2),
        (["compare", "test.png", "reference.png", "--ppt", "40"], 2),
        (["compaer"], 2),
        (["models"], 0),
    ],
)
def test_as_a_program(arguments, status, files):
    done = subprocess.run(
        [sys.executable, "-m", "vdp_distill.cli", *arguments], cwd=files, capture_output=True, text=True
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_control_c_gives_130(run, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vdp_distill.compare.compare", stopped)
    done = run("compare", "test.png", "reference.png", *PPD)
    assert done.exit_code == 130 and "Traceback" not in done.output


def test_benchmark(run, tmp_path):
    done = run("benchmark", "--size", "40x48", "--repeats", "2", "--out", tmp_path / "b.json")
    assert done.exit_code == 0, done.output
    assert "exact float64" in done.stdout and "2 threads" in done.stdout or "threads" in done.stdout
    measured = json.loads((tmp_path / "b.json").read_text())
    single = measured["rows"][1]
    assert single["side"] == "exact float32" and single["time"] == 1
    assert single["log10_C_max"] < 1e-3 and single["achromatic"] < 1e-3 and single["P_det"] < 1e-3
    assert len(single["seconds"]["forward"]) == 2


def test_the_main_job(run, tmp_path):
    """Generate, verify, train, compare with what was trained: as a newcomer types it, made very small."""
    recipe = tmp_path / "short.toml"
    recipe.write_text(
        "[network]\nscatter_widths = [4, 4, 4]\nreceptor_width = 4\nmasking_widths = [4, 4]\n"
        "[training]\nsteps = 4\nvalidate_every = 2\nimages_per_batch = 4\nvalidation_pairs = 4\n"
    )
    steps = [
        ["generate", "tiny", "--out", tmp_path / "data", "--count", "32", "--quiet"],
        ["data", "verify", tmp_path / "data"],
        ["train", recipe, "--data", tmp_path / "data", "--out", tmp_path / "model", "--quiet"],
        ["train", recipe, "--data", tmp_path / "data", "--out", tmp_path / "model", "--quiet", "--resume"],
        ["compare", "test.png", "reference.png", *PPD, "--model", tmp_path / "model"],
    ]
    for step in steps:
        done = run(*step)
        assert done.exit_code == 0, (step, done.output)
    again = run(*steps[2])
    assert again.exit_code == 2 and "--resume" in again.stderr


def notes(run, *arguments):
    done = run("compare", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["notes"]


def test_notes_tell_what_no_number_tells(run, files):
    planes = read_image(files / "reference.png").array
    write_image(files / "swapped.png", planes[..., ::-1])
    assert any("HDR-VDP sees luminance alone" in note for note in notes(run, "swapped.png", "reference.png", *PPD))
    assert not any("luminance alone" in note for note in notes(run, "test.png", "reference.png", *PPD))
    near, far = (notes(run, "test.png", "reference.png", "--ppd", ppd, "--display", "mcl-jci") for ppd in ("80", "30"))
    assert not near and any("fitted to JPEG at 90" in note and "30 pixels per degree" in note for note in far)
    light = notes(run, "test.hdr", "reference.hdr", *PPD, "--cdm2-per-unit", "0.5")
    assert any(note.startswith("numbers x 0.5 are taken as cd/m2: median ") for note in light)


def test_a_model_outside_its_domain_says_so_in_the_record(run):
    found = notes(run, "test.png", "reference.png", "--ppd", "5", "--model", "vdp-fast-v1")
    assert any("trained on pixels_per_degree 15 to 120, got 5" in note for note in found)


def test_notes_name_their_file(run, files):
    planes = (255 * read_image(files / "reference.png").array).astype(np.uint8)
    palette = Image.fromarray(planes).quantize(16)
    palette.save(files / "palette.png", transparency=3)
    assert "test: alpha dropped" in notes(run, "palette.png", "reference.png", *PPD)


@pytest.mark.parametrize("model", ["vdp-fast-v1", "vdp-swift-v1", "vdp-glance-v1"])
def test_benchmark_of_a_model_without_stages(model, run):
    done = run("benchmark", "--model", model, "--size", "40x48", "--repeats", "1")
    assert done.exit_code == 0 and model in done.stdout, done.output
