"""The Octave program meets the goldens, and its bridge survives what can go wrong."""

import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from make_original import make_original

from vdp_distill import octave
from vdp_distill.octave import bridge, original

GOLDEN = Path(__file__).resolve().parent / "golden"
CASES = sorted(file.stem for file in GOLDEN.glob("*.npz"))
PROBLEM = octave.octave_problem()
pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM or "Octave is here")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

# Rounding only: both sides compute in float64; the faintest case (a contrast of 1e-4 of the
# threshold) differs most, by 1.4e-11.
MAP_TOLERANCE = 1e-10
SCALAR_TOLERANCE = 1e-9


def golden_call(name: str) -> tuple[dict, dict]:
    """A golden case and the keyword arguments of the call that made it."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        golden = dict(file)
    meta = json.loads(str(golden["meta"]))
    names = {"do_masking": "masking", "do_mtf": "mtf"}
    options = {names.get(key, key): value for key, value in meta["options"].items()}
    images = [golden[f"input.{side}"] for side in ("test", "reference")]
    images = [image / 255.0 if image.dtype == np.uint8 else image for image in images]
    call = {"encoding": meta["encoding"], "pixels_per_degree": meta["ppd"], **options}
    return golden, {"test": images[0], "reference": images[1], **call}


def small_call() -> dict:
    """A call that takes a few hundredths of a second."""
    rows = np.linspace(0.1, 0.9, 40)[:, None] * np.ones((1, 36))
    test = rows + 0.02 * np.sin(np.arange(36.0))
    return {"test": test, "reference": rows, "encoding": "luma-display", "pixels_per_degree": 30.0}


def flatten(bands: list[list[np.ndarray]]) -> np.ndarray:
    """A pyramid as the goldens hold it: every band column-major."""
    return np.concatenate([band.ravel(order="F") for level in bands for band in level])


def stage_array(result: dict, key: str) -> np.ndarray:
    """What the golden calls ``key``: a map, ``STAGE`` or ``test.STAGE``."""
    if key in ("C_map", "P_map"):
        return result[key]
    side, _, stage = key.rpartition(".")
    found = result["stages"][stage]
    found = found[side] if side else found
    return flatten(found) if isinstance(found, list) else found


def assert_meets(result: dict, golden: dict, keys: list[str]) -> None:
    for key in keys:
        found = stage_array(result, key)
        value = golden[f"{key}@value"]
        largest = max(np.abs(value).max(), 1e-300)
        deviation = np.abs(found.ravel()[golden[f"{key}@index"]] - value).max() / largest
        assert deviation <= MAP_TOLERANCE, f"{key} deviates by {deviation:.1e} of its maximum"
        assert np.linalg.norm(found) == pytest.approx(float(golden[f"{key}@norm"]), rel=1e-9), key
    for name in ("C_max", "P_det"):
        assert result[name] == pytest.approx(float(golden[name]), rel=SCALAR_TOLERANCE, abs=0), name
    assert result["Q"] == pytest.approx(float(golden["Q"]), abs=1e-7)


def golden_stages(golden: dict) -> list[str]:
    keys = [key.removesuffix("@index") for key in golden if key.endswith("@index")]
    return [key for key in keys if not key.startswith("photoreceptor_lut")]


@pytest.mark.parametrize("name", CASES)
def test_program_meets_golden(name):
    golden, call = golden_call(name)
    result = octave.run(**call, keep_stages=True)
    assert len(golden_stages(golden)) >= 16
    assert_meets(result, golden, golden_stages(golden))


def test_stages_are_absent_unless_asked():
    assert set(octave.run(**small_call())) == {"P_map", "C_map", "P_det", "C_max", "Q", "versions"}


def test_identical_images_give_exactly_zero():
    call = small_call()
    result = octave.run(**{**call, "test": call["reference"]})
    assert (result["P_det"], result["C_max"], result["Q"]) == (0.0, 0.0, 100.0)


def test_generic_encoding_with_the_displays_matrix_is_that_display():
    golden, call = golden_call("bt709_hdr_noise_128")
    expected = octave.run(**call)
    call["encoding"] = "generic"
    result = octave.run(**call, spectral_matrix=golden["spectral_matrix"])
    assert result["C_max"] == pytest.approx(expected["C_max"], rel=1e-12)


def test_surround_one_a_channel():
    _, call = golden_call("srgb_noise_117x131")
    expected = octave.run(**{**call, "surround_l": 20.0})
    result = octave.run(**{**call, "surround_l": [20.0, 20.0, 20.0]})
    assert result["C_max"] == expected["C_max"]
    assert octave.run(**{**call, "surround_l": [20.0, 20.0, 90.0]})["C_max"] != expected["C_max"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "srgb"}, "encoding must be one of"),
        ({"encoding": "sRGB-display"}, "has 3 channels, got 1"),
        ({"test": np.ones((4, 4))}, "one shape"),
        ({"test": np.full((40, 36), np.nan)}, "finite"),
        ({"pixels_per_degree": 0.0}, "positive"),
        ({"engine": "matlab"}, "engine must be"),
        ({"encoding": "generic"}, "needs spectral_matrix"),
        ({"spectral_matrix": np.ones((3, 4))}, r"shape \(1, 4\)"),
        ({"engine": "original", "keep_stages": True}, "no keep_stages"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        octave.run(**{**small_call(), **change})


def test_error_inside_octave_leaves_the_session_alive():
    octave.run(**small_call())
    session = bridge._sessions["octave"][1]
    with pytest.raises(octave.OctaveError, match='unknown rgb_display "plasma"'):
        octave.run(**small_call(), rgb_display="plasma")
    assert octave.run(**small_call())["C_max"] > 0
    assert bridge._sessions["octave"][1] is session


def planted(folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of the program in which one text is replaced."""
    target = Path(shutil.copytree(bridge.PROGRAM_DIR, folder / "program ä copy"))
    text = (target / file).read_text(encoding="utf-8")
    assert old in text
    (target / file).write_text(text.replace(old, new), encoding="utf-8")
    return target


def test_planted_error_is_seen_and_forgotten(tmp_path):
    expected = octave.run(**small_call())
    program = planted(tmp_path, "vdp_contrast_masking.m", "0.49576", "0.49577")
    changed = octave.run(**small_call(), program_dir=program)
    assert changed["C_max"] != pytest.approx(expected["C_max"], rel=1e-9)
    assert octave.run(**small_call())["C_max"] == expected["C_max"]


def test_nan_from_octave(tmp_path):
    program = planted(tmp_path, "vdp_signed_power.m", "y = sign", "y = NaN * sign")
    with pytest.raises(octave.OctaveError, match="NaN or infinity in P_map, C_map"):
        octave.run(**small_call(), program_dir=program)


def test_hung_octave_is_ended_and_the_next_call_is_fresh(tmp_path):
    octave.run(**small_call())
    session = bridge._sessions["octave"][1]
    program = planted(tmp_path, "vdp_signed_power.m", "y = sign", "while (true), end\n  y = sign")
    begin = time.monotonic()
    with pytest.raises(octave.OctaveError, match=r"took longer than the limit of 1\.5 s"):
        octave.run(**small_call(), program_dir=program, time_limit_s=1.5)
    assert time.monotonic() - begin < 6
    assert not session._home.exists()
    assert octave.run(**small_call())["C_max"] > 0


def test_crashing_octave(tmp_path):
    crash = "system (sprintf ('kill -SEGV %d', getpid ())); pause (5); y = sign"
    program = planted(tmp_path, "vdp_signed_power.m", "y = sign", crash)
    with pytest.raises(octave.OctaveError, match=r"(?s)Octave crashed .*apt-get install octave"):
        octave.run(**small_call(), program_dir=program)
    assert octave.run(**small_call())["C_max"] > 0


def test_octave_that_ended_between_two_calls():
    octave.run(**small_call())
    session = bridge._sessions["octave"][1]
    os.kill(int((session._home / "launcher.pid").read_text()), signal.SIGTERM)
    assert wait_until(lambda: not session.usable())
    assert octave.run(**small_call())["C_max"] > 0
    assert bridge._sessions["octave"][1] is not session


def fake_octave(folder: Path, text: str) -> Path:
    file = folder / "fake octave"
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo 5.2.0", "Octave 6.1 or newer is needed, .* is 5.2.0.*conda-forge"),
        ("echo broken library >&2; exit 3", "exit code 3.*broken library.*apt-get install octave"),
        ('case "$*" in *--eval*) echo 7.3.0;; *) exit 1;; esac', "could not be started"),
        ('case "$*" in *--eval*) echo 7.3.0;; *) sleep 60;; esac', "longer than the limit of 2 s"),
        ("sleep 60", "did not tell its version within 2 s"),
    ],
    ids=["too old", "broken", "crashes", "hangs", "hangs at once"],
)
def test_unusable_octave(tmp_path, monkeypatch, text, message):
    octave.close()
    monkeypatch.setenv("OCTAVE_EXECUTABLE", str(fake_octave(tmp_path, text)))
    begin = time.monotonic()
    with pytest.raises(octave.OctaveError, match=f"(?s){message}"):
        octave.run(**small_call(), time_limit_s=2)
    assert time.monotonic() - begin < 8


def test_missing_octave(monkeypatch):
    octave.close()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("OCTAVE_EXECUTABLE", raising=False)
    assert not octave.octave_available()
    with pytest.raises(octave.OctaveError, match="not found on PATH; install .*apt-get install octave"):
        octave.run(**small_call())
    monkeypatch.setenv("OCTAVE_EXECUTABLE", "/nowhere/octave")
    assert "no program that can be run" in octave.octave_problem()


def test_missing_oct2py(monkeypatch):
    monkeypatch.setitem(sys.modules, "oct2py", None)
    monkeypatch.setitem(sys.modules, "oct2py.core", None)
    assert "pip install" in octave.octave_problem()


@pytest.fixture(scope="module")
def original_folder(tmp_path_factory):
    return make_original(tmp_path_factory.mktemp("original") / "my HDR-VDP ü" / "hdrvdp")


@pytest.mark.parametrize("name", CASES)
def test_original_meets_golden(name, original_folder):
    golden, call = golden_call(name)
    result = octave.run(**call, engine="original", hdrvdp_dir=original_folder)
    assert_meets(result, golden, ["C_map", "P_map"])
    assert result["versions"]["hdrvdp"] == "2.2.1"


def test_original_from_the_environment_one_folder_up(original_folder, monkeypatch):
    monkeypatch.setenv("VDP_DISTILL_HDRVDP", str(original_folder.parent))
    result = octave.run(**small_call(), engine="original")
    assert result["C_max"] == pytest.approx(octave.run(**small_call())["C_max"], rel=1e-10)


def test_original_without_reconstruction_repair_is_refused(original_folder, tmp_path, monkeypatch):
    repairs = Path(shutil.copytree(bridge.REPAIRS_DIR, tmp_path / "repairs"))
    for name in ("reconSpyr.m", "reconSpyrLevs.m"):
        (repairs / name).unlink()
    monkeypatch.setattr(bridge, "REPAIRS_DIR", repairs)
    folder = make_original(tmp_path / "unrepaired")
    with pytest.raises(octave.OctaveError, match=r"round trip of noise returned 0\.\d+ of its energy"):
        octave.run(**small_call(), engine="original", hdrvdp_dir=folder)


@pytest.mark.parametrize("name", ["ifft2.m", "fileparts.m", "imresize.m"])
def test_original_needs_each_repair(name, tmp_path, monkeypatch):
    repairs = Path(shutil.copytree(bridge.REPAIRS_DIR, tmp_path / "repairs"))
    (repairs / name).unlink()
    monkeypatch.setattr(bridge, "REPAIRS_DIR", repairs)
    with pytest.raises(octave.OctaveError, match="failed in Octave"):
        octave.run(**small_call(), engine="original", hdrvdp_dir=make_original(tmp_path / "here"))


def test_original_folder_that_is_none(tmp_path, monkeypatch):
    monkeypatch.delenv("VDP_DISTILL_HDRVDP", raising=False)
    with pytest.raises(octave.OctaveError, match="pass hdrvdp_dir=PATH or set VDP_DISTILL_HDRVDP"):
        octave.run(**small_call(), engine="original")
    with pytest.raises(octave.OctaveError, match=r"expected hdrvdp\.m .* found none"):
        octave.run(**small_call(), engine="original", hdrvdp_dir=tmp_path)
    folder = make_original(tmp_path / "three", release="3.0.7")
    with pytest.raises(octave.OctaveError, match=r"holds HDR-VDP 3\.0\.7"):
        octave.run(**small_call(), engine="original", hdrvdp_dir=folder)


def test_folders_on_the_path(original_folder):
    tools = original_folder / "matlabPyrTools_1.4_fixed"
    (tools / "MEX").mkdir(exist_ok=True)
    (tools / "MEX" / "readme.mex").touch()  # no function has this name, so nobody calls it
    folders = [Path(folder) for folder in original.path_folders(original_folder)]
    shutil.rmtree(tools / "MEX")
    assert folders[:2] == [tools / "MEX", original_folder]
    assert {folder.name for folder in folders[2:]} == {"data", "utils", tools.name}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"ChangeLog.txt": "9 May HDR-VDP 2.2.2\n1 May HDR-VDP 2.2.10\n"}, "2.2.10"),
        ({"hdrvdp_version.m": "function ver = hdrvdp_version()\nver = 2.2;\n"}, "2.2"),
        ({}, "2.2.0"),
    ],
)
def test_release_is_told(files, expected, tmp_path):
    folder = tmp_path / "hdrvdp-2.2.0"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert original.release(folder) == expected


def c_max_of_small_call(locale: str) -> float:
    """In another process: the locale and a trap in the working folder must not matter."""
    os.environ.update(LC_ALL=locale, LANG=locale)
    return octave.run(**small_call())["C_max"]


def test_two_workers_at_once_with_other_locales(tmp_path, monkeypatch):
    expected = octave.run(**small_call())["C_max"]
    (tmp_path / "vdp_resize.m").write_text("error ('a stray file was called');\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        found = workers.map(c_max_of_small_call, ["de_DE.UTF-8", "C"], chunksize=1)
    assert found == [expected, expected]


SCRIPT = """
import os, sys, time
from test_octave import small_call
from vdp_distill import octave
from vdp_distill.octave import bridge
octave.run(**small_call())
home = bridge._sessions["octave"][1]._home
print(home, (home / "launcher.pid").read_text(), flush=True)
{then}
"""


def start_script(then: str) -> tuple[subprocess.Popen, Path, int]:
    """A Python with an Octave session: its process, the session's folder and process group."""
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(then=then)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    home, group = process.stdout.readline().split()
    return process, Path(home), int(group)


def living_in_group(group: int) -> list[str]:
    """Processes of a group that have not ended."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, owner = file.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(owner) == group and state not in "ZX":
            found.append(file.parent.name)
    return found


def wait_until(condition, limit_s: float = 8.0) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@on_linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphan_after_a_signal_in_mid_call(number, tmp_path):
    program = planted(tmp_path, "vdp_signed_power.m", "y = sign", "while (true), end\n  y = sign")
    process, home, group = start_script(f"octave.run(**small_call(), program_dir={str(program)!r})")
    with process:
        assert len(living_in_group(group)) == 2  # the launcher and Octave
        time.sleep(0.3)
        process.send_signal(number)
        assert process.wait(timeout=10) == -number  # Ctrl-C too reaches Python
        assert wait_until(lambda: not living_in_group(group))
        assert wait_until(lambda: not home.exists())


FORK = """
child = os.fork()
if child == 0:
    assert not bridge._sessions
    octave.run(**small_call())
    assert bridge._sessions["octave"][1]._home != home
    octave.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
octave.run(**small_call())
assert bridge._sessions["octave"][1]._home == home
"""


@on_linux
def test_a_forked_child_does_not_share_the_session():
    process, home, group = start_script(FORK)
    with process:
        assert process.wait() == 0
    assert not living_in_group(group)
    assert not home.exists()
