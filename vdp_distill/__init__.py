"""vdp_distill: HDR-VDP 2.2, exact and differentiable, and surrogates distilled from it."""

from vdp_distill.display import Display, display_pixels_per_degree
from vdp_distill.display_files import load_display
from vdp_distill.losses import VDPLoss
from vdp_distill.memory import keep_freed_memory
from vdp_distill.metric import HDRVDP2, hdrvdp2
from vdp_distill.result import Result
from vdp_distill.version import __version__

__all__ = [
    "HDRVDP2",
    "Display",
    "Result",
    "VDPLoss",
    "__version__",
    "display_pixels_per_degree",
    "hdrvdp2",
    "keep_freed_memory",
    "load_display",
]
