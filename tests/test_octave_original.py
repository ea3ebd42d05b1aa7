"""A user's own HDR-VDP folder meets the goldens once its faults are repaired, and is refused otherwise."""

import shutil
from pathlib import Path

import pytest
from make_original import make_original
from octave_calls import CASES, assert_meets, golden_call, needs_octave, small_call

from vdp_distill import octave
from vdp_distill.octave import bridge, original

pytestmark = needs_octave


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
