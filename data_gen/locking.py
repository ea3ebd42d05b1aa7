"""One run at a time in a folder. The operating system lets go of the lock when a run dies, however it dies."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["only_run", "LOCK"]

LOCK = ".lock"


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold a folder's lock.

    Raises
    ------
    ValueError
        If another run holds it.
    """
    path = folder / LOCK
    with open(path, "a+", encoding="utf-8") as file:
        if not _taken(file):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ValueError(
                f"another run ({owner}) writes into {folder}; wait for it, or use another folder; if that machine is "
                f"gone for good, delete {path}"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
        file.truncate(0)


def _taken(file) -> bool:
    """Take the lock of an open file. A drive without locks is taken on trust of the process that the file names."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:
            pass
    return not _owner_lives(file)


def _owner_lives(file) -> bool:
    file.seek(0)
    words = file.read().split()
    if len(words) < 4:
        return False
    if words[3] != socket.gethostname():
        return True
    try:
        os.kill(int(words[1]), 0)
    except (OSError, ValueError):
        return False
    return int(words[1]) != os.getpid()
