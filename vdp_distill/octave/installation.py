"""What Octave and oct2py are on this machine, and whether they are good enough."""

import contextlib
import importlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

MINIMUM_OCTAVE = (6, 1)
INSTALL = (
    "install GNU Octave with `apt-get install octave` or `conda install -c conda-forge octave`, "
    "or name the program in the environment variable OCTAVE_EXECUTABLE"
)
# --norc: a user's start-up files may change the path. --no-history: it is not the user's session.
CLI_OPTIONS = "--norc --no-history"
PROBE_LIMIT_S = 60.0

_versions: dict[tuple[str, ...], str] = {}


class OctaveError(RuntimeError):
    """Octave is missing, too old, failed, gave no number, or was ended after its time limit."""


def find_octave() -> list[str]:
    """Command of the Octave program: ``OCTAVE_EXECUTABLE``, else the first one on PATH.

    Returns
    -------
    The command, split into words.

    Raises
    ------
    OctaveError
        There is none; the message says how to install it.
    """
    named = os.environ.get("OCTAVE_EXECUTABLE", "")
    words = [named] if os.path.exists(named) else shlex.split(named)
    if words:
        if shutil.which(words[0]) is None:
            raise OctaveError(f"OCTAVE_EXECUTABLE={named!r} is no program that can be run; {INSTALL}")
        return words
    for name in ("octave-cli", "octave"):
        found = shutil.which(name)
        if found:
            return [found]
    raise OctaveError(f"Octave was not found on PATH; {INSTALL}")


def octave_version(command: list[str], limit_s: float = PROBE_LIMIT_S) -> str:
    """Version of Octave, at least :data:`MINIMUM_OCTAVE`. It is asked once a command.

    Parameters
    ----------
    command
        See :func:`find_octave`.
    limit_s
        Seconds after which it counts as hung.

    Raises
    ------
    OctaveError
        It does not start, does not answer, or is too old.
    """
    key = tuple(command)
    if key not in _versions:
        version, numbers = _asked_version(command, min(limit_s, PROBE_LIMIT_S))
        if numbers < MINIMUM_OCTAVE:
            needed = ".".join(map(str, MINIMUM_OCTAVE))
            raise OctaveError(f"Octave {needed} or newer is needed, {command[0]} is {version}; {INSTALL}")
        _versions[key] = version
    return _versions[key]


def _asked_version(command: list[str], limit_s: float) -> tuple[str, tuple[int, ...]]:
    try:
        process = subprocess.Popen(
            [*command, "--no-gui", "--quiet", *CLI_OPTIONS.split(), "--eval", "disp(version)"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise OctaveError(f"{command[0]} could not be started: {error}; {INSTALL}") from error
    try:
        said, complained = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.communicate()
        raise OctaveError(
            f"{command[0]} did not tell its version within {limit_s:g} s and was ended; {INSTALL}"
        ) from None
    try:
        version = said.strip().split()[-1]
        return version, tuple(int(part) for part in version.split(".")[:2])
    except (IndexError, ValueError):
        raise OctaveError(
            f"{command[0]} does not answer as Octave does (exit code {process.returncode}): "
            f"{(said + complained).strip()[-300:]!r}; {INSTALL}"
        ) from None


def import_oct2py() -> tuple[Any, str]:
    """The class ``Oct2Py`` and the version of oct2py, imported not before they are needed.

    Returns
    -------
    The class and the version.

    Raises
    ------
    OctaveError
        oct2py is not installed.

    Notes
    -----
    ``import oct2py`` starts an Octave of its own, without any limit of time. So its
    modules are imported past its ``__init__``, which a user may still import later.
    """
    try:
        with _package_without_init("oct2py"):
            core = importlib.import_module("oct2py.core")
            version = importlib.import_module("oct2py._version").__version__
    except ImportError as error:
        raise OctaveError(
            f'oct2py could not be imported ({error}); install it with `pip install "vdp-distill[octave]"`'
        ) from error
    return core.Oct2Py, version


@contextlib.contextmanager
def _package_without_init(name: str) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ImportError(f"No module named {name!r}")
    package = types.ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules[name] = package
    try:
        yield
    finally:
        del sys.modules[name]


def kill_group(pid: int) -> None:
    """End a process group at once, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
