"""Freed memory is used again: pages that the system lends anew are counted."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from vdp_distill.memory import keep_freed_memory

kept = "keep" in sys.argv and keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def take():
    for _ in range(20):
        torch.ones(10_000_000)

take()
before = faults()
take()
print(kept, faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have their own ways")
def test_freed_memory_is_kept():
    """20 times 40 MB are 195,000 pages of 4 kB, unless they are the same ones."""
    counts = {}
    for how in ("keep", "leave"):
        ran = subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True)
        kept, count = ran.stdout.split()
        counts[how] = int(count)
        assert kept == str(how == "keep")
    assert counts["keep"] < 0.1 * counts["leave"]
