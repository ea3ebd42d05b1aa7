"""Memory that is freed and used again, for a process that looks at large pictures and does nothing else."""

import ctypes

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Numbers of glibc's options (malloc.h): what is handed back, what is mapped apart, and shares of threads."""

LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed in place of handing it back to the system.

    A look at a large picture frees and takes megabytes at every step, and the system clears each page that it lends
    anew: a fifth of the processor's time. What is kept stays with the process until it ends, so this is for a command
    or a training script to call once, at its start; no part of this library does so by itself.

    Returns
    -------
    bool
        Whether the C library knows how: glibc does.

    Examples
    --------
    >>> keep_freed_memory() in (True, False)
    True
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # other C libraries have no such call, Windows no such handle
        return False
    wanted = {TRIM_THRESHOLD: LARGEST, MMAP_THRESHOLD: LARGEST, ARENA_MAX: 1}
    return all([mallopt(option, value) == 1 for option, value in wanted.items()])
