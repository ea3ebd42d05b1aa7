"""One Octave process: started through oct2py, called, and ended in time."""

import contextlib
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .installation import (
    CLI_OPTIONS,
    INSTALL,
    OctaveError,
    find_octave,
    import_oct2py,
    kill_group,
    octave_version,
)

HERE = Path(__file__).resolve().parent
BRIDGE_DIR = HERE / "bridge"
_PATIENCE_S = 2.0

_log = logging.getLogger("vdp_distill.octave")
_log.addHandler(logging.NullHandler())


class _FailedInside(Exception):
    """A function raised an error in Octave, which is well and can go on."""


def path_bytes(path: str | os.PathLike) -> np.ndarray:
    """A path as numbers: oct2py's MAT files hold no letters beyond ASCII."""
    return np.frombuffer(os.fsencode(path), np.uint8).astype(np.float64)


class Session:
    """A running Octave that ends with this object, or with this Python process.

    Parameters
    ----------
    limit_s
        Seconds that the start may take.

    Raises
    ------
    OctaveError
        Octave or oct2py cannot be used; the message says why.
    """

    def __init__(self, limit_s: float):
        session_class, self.oct2py_version = import_oct2py()
        command = find_octave()
        self.octave_version = octave_version(command, limit_s)
        self.pid = os.getpid()
        self.lines: list[str] = []
        self.alive = True
        self._octave = None
        self._launched = os.name == "posix" and bool(sys.executable)
        self._home = Path(tempfile.mkdtemp(prefix="vdp_octave_"))
        with self._guarded("starting", limit_s):
            self._start(session_class, command)
            self._call("vdp_start_session", path_bytes(self._home))

    def call(self, name: str, *arguments: Any, limit_s: float) -> Any:
        """Call one Octave function with one output.

        Raises
        ------
        OctaveError
            It failed, or took longer than ``limit_s`` seconds and Octave was ended.
        """
        with self._guarded(name, limit_s):
            return self._call(name, *arguments)

    def usable(self) -> bool:
        """Whether the next call can use it; not, if Octave ended between two calls."""
        return self.alive and (not self._launched or (self._home / "launcher.pid").exists())

    def close(self) -> None:
        """End Octave and remove its temporary files. May be called twice."""
        if self.pid != os.getpid():
            return  # inherited through fork: it belongs to the parent
        self.alive = False
        self._end_processes()
        if self._octave is not None:
            with contextlib.suppress(Exception):
                self._octave.exit()
            self._octave = None
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self, session_class: Any, command: list[str]) -> None:
        terminal = os.environ.get("TERM")
        try:
            with warnings.catch_warnings():
                # Python >= 3.12 warns of forkpty in a process with threads; oct2py's child
                # runs exec at once, which is the safe case.
                warnings.filterwarnings("ignore", message=".*multi-threaded", category=DeprecationWarning)
                self._octave = session_class(
                    logger=_log,
                    executable=shlex.join(self._launch(command)),
                    temp_dir=str(self._home),  # not /dev/shm: a container has 64 MB there
                    keep_matlab_shapes=True,
                    backend="disable",
                    extra_cli_options=CLI_OPTIONS,
                    load_octaverc=False,
                )
        finally:
            if terminal is None:
                os.environ.pop("TERM", None)
            else:
                os.environ["TERM"] = terminal
        self._octave.restart = self._do_not_restart
        engine_folder = getattr(getattr(self._octave, "_engine", None), "tmp_dir", "")
        (self._home / "also_remove").write_text(engine_folder, encoding="utf-8")
        folder = " ".join(map(str, os.fsencode(BRIDGE_DIR)))  # as numbers: any letter may be in it
        self._octave.eval(f"addpath (char ([{folder}]));", nout=0)

    def _launch(self, command: list[str]) -> list[str]:
        if not self._launched:
            return command
        script = str(HERE / "launcher.py")
        return [sys.executable, "-I", "-S", script, str(self.pid), str(self._home), *command]

    @staticmethod
    def _do_not_restart() -> None:
        raise OctaveError("Octave died")

    def _call(self, name: str, *arguments: Any) -> Any:
        self.lines.clear()
        answer = self._octave.feval("vdp_call", name, *arguments, nout=1, stream_handler=self._hear)
        if answer is None:  # octave_kernel swallows Ctrl-C, and Octave left no answer
            raise KeyboardInterrupt
        message = answer["message"]
        if isinstance(message, str) and message:
            raise _FailedInside(message)
        return answer["output"]

    def _hear(self, line: str | None) -> None:
        if line:
            _log.debug(line)
            self.lines.append(line)

    @contextlib.contextmanager
    def _guarded(self, what: str, limit_s: float) -> Iterator[None]:
        """Turn every failure into an OctaveError; end Octave when the time is over."""
        over = threading.Event()
        finished = threading.Event()

        def end_when_over() -> None:
            if finished.wait(limit_s):
                return
            over.set()
            while not finished.wait(0.1):  # the launcher may not have told its pid yet
                self._end_processes()

        watch = threading.Thread(target=end_when_over, name="vdp-octave-limit", daemon=True)
        watch.start()
        try:
            yield
        except Exception as error:
            finished.set()
            if what == "starting" or not isinstance(error, _FailedInside):
                self.close()
            raise OctaveError(self._explain(what, limit_s, error, over.is_set())) from error
        except BaseException:
            finished.set()
            self.close()
            raise
        finally:
            finished.set()
            watch.join()
            if over.is_set():
                self.close()

    def _explain(self, what: str, limit_s: float, error: Exception, over: bool) -> str:
        heard = "\n".join(self.lines[-10:])
        heard = f"\nOctave's last lines:\n{heard}" if heard else ""
        if over:
            return f"Octave was ended: {what} took longer than the limit of {limit_s:g} s{heard}"
        if self.alive:
            return f"{what} failed in Octave: {error}{heard}"
        return f"Octave crashed or could not be started ({what}): {error}{heard}; {INSTALL}"

    def _end_processes(self) -> None:
        """Ask the launcher to end Octave; end both by force if it does not."""
        note = self._home / "launcher.pid"
        try:
            launcher = int(note.read_text(encoding="ascii"))
            os.kill(launcher, signal.SIGTERM)
        except (OSError, ValueError):
            return  # not started yet, or ended already
        patience = time.monotonic() + _PATIENCE_S
        while time.monotonic() < patience:
            if not note.exists():
                return
            time.sleep(0.01)
        kill_group(launcher)
        note.unlink(missing_ok=True)
