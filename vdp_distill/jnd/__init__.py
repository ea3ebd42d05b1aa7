"""Just noticeable differences: networks that say how many people see one, and the smallest file that few can tell."""

from vdp_distill.jnd.smallest import JND, find_jnd

__all__ = ["JND", "find_jnd"]
