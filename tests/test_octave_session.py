"""A session with Octave survives what can go wrong: errors, crashes, hangs, signals, forks, other locales."""

import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from octave_calls import needs_octave, on_linux, small_call

from vdp_distill import octave
from vdp_distill.octave import bridge

pytestmark = needs_octave


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
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started deaf to it
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
        try:
            assert len(living_in_group(group)) == 2  # the launcher and Octave
            time.sleep(0.3)
            process.send_signal(number)
            assert process.wait(timeout=40) == -number  # Ctrl-C too reaches Python
            assert wait_until(lambda: not living_in_group(group))
            assert wait_until(lambda: not home.exists())
        finally:
            process.kill()  # a failure must not wait for it


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
