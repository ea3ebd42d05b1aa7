"""Files of exported programs: what lies in them, and that they are read back before they get their name."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from vdp_distill.export_checks import compare
from vdp_distill.exported import FORMAT, RECORD
from vdp_distill.loss_program import LossProgram
from vdp_distill.metric import HDRVDP2
from vdp_distill.settings import takes_codes
from vdp_distill.version import METRIC_VERSION, __version__

__all__ = ["record_of", "save_checked", "stated", "whole_constants"]

ASKED = ("pixels_per_degree", "side_pixels")


def whole_constants(exported: ExportedProgram) -> ExportedProgram:
    """A traced program with constants that can be saved, and without the images that it was traced with."""
    exported.example_inputs = None  # images that the file would hold, many times its size
    for name, value in exported.constants.items():
        # Saved, a constant must fill its storage in order; a column of a table or a channels-last kernel does not.
        if isinstance(value, Tensor):
            exported.constants[name] = value.clone(memory_format=torch.contiguous_format)
    return exported


def save_checked(
    exported: ExportedProgram, partial: Path, program: LossProgram, record: dict, tolerance: float
) -> None:
    """Write a program and compare what is read back with the module.

    Raises
    ------
    ValueError
        If they differ by more than ``tolerance``; nothing is left then.
    OSError
        If the file cannot be written.
    """
    named = partial.with_name(f"{partial.name}.pt2")  # torch warns of another suffix
    try:
        _save(exported, named, record)
        differences = compare(torch.export.load(named).module(), program, record)
        worst = max(differences.values())
        if not worst <= tolerance:
            raise ValueError(
                f"the exported program differs from the module by {differences}, more than {tolerance:g}; not written"
            )
        named.replace(partial)
    finally:
        named.unlink(missing_ok=True)


def _save(exported, path: Path, record: dict) -> None:
    try:
        torch.export.save(exported, path, extra_files={RECORD: json.dumps(record, indent=1)})
    except RuntimeError as error:  # how torch's writer says that the disk is full or the folder closed
        raise OSError(str(error).splitlines()[0]) from error


def stated(sides: range, is_range: bool = False) -> int | dict:
    """Sides as plain data: one number, or the ends and the step of a range."""
    return sides[0] if len(sides) == 1 and not is_range else {"from": sides[0], "to": sides[-1], "step": sides.step}


def _domain(metric: HDRVDP2) -> dict[str, list[float | None]]:
    """Least and largest of what a model is made for, None for no bound: what its program can be asked for at a call."""
    bounds = {name: metric.domain[name] for name in ASKED if name in getattr(metric, "domain", {})}
    return {name: [end if math.isfinite(end) else None for end in ends] for name, ends in bounds.items()}


def record_of(program: LossProgram, channels: int, heights: range, widths: range) -> dict:
    """What a file is made for, as plain data."""
    loss, metric = program.loss, program.loss.metric
    settings = {key: value for key, value in metric.settings.record().items() if key != "pixels_per_degree"}
    return {
        "format": FORMAT,
        "metric": METRIC_VERSION,
        "model": getattr(metric, "name", "exact"),
        **{name: stated(sides) for name, sides in (("height", heights), ("width", widths))},
        "channels": channels,
        "inputs": list(program.inputs),
        "domain": _domain(metric),
        "range": "code values in 0..1" if takes_codes(loss.metric.settings) else "light in cd/m2",
        "pool": loss.pool,
        "reduction": loss.reduction,
        "settings": settings,
        "vdp_distill": __version__,
        "torch": torch.__version__,
    }
