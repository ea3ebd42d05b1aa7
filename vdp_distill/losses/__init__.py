"""Losses: one signature, ``loss(test, reference)``."""

from vdp_distill.losses.vdp import VDPLoss

__all__ = ["VDPLoss"]
