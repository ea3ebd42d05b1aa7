"""Run Octave as a child that cannot outlive the Python process that asked for it.

Started as a script by :mod:`vdp_distill.octave.session`, on POSIX systems::

    python -I -S launcher.py PARENT_PID HOME COMMAND...

``HOME`` is the session's own temporary folder: the working folder of Octave and the
place of ``launcher.pid``. The launcher leads a process group, so one signal to the group
ends Octave and whatever it started. It ends Octave when the terminal hangs up, on
SIGTERM, and when its parent is gone, also by SIGKILL, and then removes ``HOME``, for nobody
else may be left to do it. A thread-bound PR_SET_PDEATHSIG in the parent would
be shorter, but it ends Octave with the thread that started it.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
POLL_S = 0.5


def _environment() -> dict[str, str]:
    """The same locale and no extra path for every user: results must not depend on them."""
    drop = ("LC_", "LANG", "OCTAVE_PATH", "DISPLAY")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
    return {**kept, "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def _become_octave(command: list[str]) -> None:
    """Replace the forked child by Octave, tied to the life of the launcher."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        if not os.isatty(2):  # oct2py asks for the version with our stderr: keep it clean
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execvpe(command[0], command, _environment())
    except OSError as error:
        print(f"cannot run {command[0]}: {error}", file=sys.stderr)
    finally:
        os._exit(127)


def _supervise(child: int, parent: int, wake: int, asked_to_stop: list[int]) -> int:
    """Wait for Octave; return its exit code. End it when it is no longer wanted."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if asked_to_stop or os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
        if select.select([wake], [], [], POLL_S)[0]:
            os.read(wake, 512)


def _is_orphan(parent: int, hung_up: bool) -> bool:
    """Whether the parent is gone. A dying parent hangs up a moment before it is."""
    patience = 30 if hung_up else 0
    while os.getppid() == parent and patience > 0:
        time.sleep(0.01)
        patience -= 1
    return os.getppid() != parent


def _remove_what_the_parent_would() -> None:
    """Remove the temporary folders of oct2py, which its atexit cannot any more."""
    with contextlib.suppress(OSError), open("also_remove", encoding="utf-8") as listed:
        for folder in listed.read().splitlines():
            shutil.rmtree(folder, ignore_errors=True)


def main(parent: int, home: str, command: list[str]) -> int:
    """Run ``command`` in ``home`` until it ends or the parent does."""
    if os.getpgrp() != os.getpid():
        os.setsid()
    os.chdir(home)
    with open("launcher.pid", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))

    asked_to_stop: list[int] = []
    wake, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda caught, _: asked_to_stop.append(caught))

    child = os.fork()
    if child == 0:
        _become_octave(command)
    code = _supervise(child, parent, wake, asked_to_stop)
    orphaned = _is_orphan(parent, signal.SIGHUP in asked_to_stop)
    if orphaned:
        _remove_what_the_parent_would()
    if asked_to_stop or orphaned:
        shutil.rmtree(home, ignore_errors=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)  # what Octave itself started
    os.remove("launcher.pid")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
