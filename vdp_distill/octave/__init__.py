"""The reference written in GNU Octave, and a user's own HDR-VDP, called from Python.

The ``.m`` files beside this one are the whole metric once more, in another language and
with their own numbers: a second opinion on :mod:`vdp_distill.pipeline`. ``repairs`` holds
what an original HDR-VDP 2.2.x folder needs to give right numbers in Octave, ``bridge`` the
few functions that Python calls. Nothing here imports torch; oct2py is imported when used.
"""

from .bridge import close, octave_available, octave_problem, run
from .installation import OctaveError

__all__ = ["OctaveError", "octave_available", "octave_problem", "run", "close"]
