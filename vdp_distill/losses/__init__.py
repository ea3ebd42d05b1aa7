"""Losses behind one signature, ``loss(test, reference)``: the metric's own, and its rivals."""

from vdp_distill.losses.contract import ImageLoss, MissingWeights
from vdp_distill.losses.registry import create, loss_class, names
from vdp_distill.losses.vdp import VDPLoss

__all__ = ["ImageLoss", "MissingWeights", "VDPLoss", "create", "loss_class", "names"]
