"""Export: the loss as a ``torch.export`` program (.pt2) that needs nothing but torch, or as an ONNX model.

The program takes ``(test, reference, pixels_per_degree)``: images (N, C, H, W) of one size or of many, any N, and
pixels per degree as (N,) or (1,). It may also take ``display``, white and black in cd/m2, as (N, 2) or (1, 2). What it
is valid for lies in the file as JSON; :func:`load_exported` reads and keeps to it. Without this package:
``torch.export.load("loss.pt2").module()(test, reference, pixels_per_degree)``.

For images of any size an archive (.zip) holds such programs, one for each octave of shorter sides, named by them:
``torch.export.load(io.BytesIO(zipfile.ZipFile("loss.zip").read("68-135.pt2")))``.
"""

import copy
import json
import tempfile
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from vdp_distill.checkpoints import write_whole
from vdp_distill.checks import SMALLEST_SIDE
from vdp_distill.export_checks import sample, unseen_sizes
from vdp_distill.export_files import record_of, save_checked, stated, whole_constants
from vdp_distill.exported import ARCHIVE_RECORD, FORMAT, load_exported
from vdp_distill.free_sizes import LARGEST_BATCH, LARGEST_SIDE, any_sides, octaves, trace
from vdp_distill.loss_program import LossProgram
from vdp_distill.losses import VDPLoss
from vdp_distill.pyramid import pyramid_height

__all__ = ["export_loss", "free_sides", "load_exported"]

DEFLATED = zipfile.ZIP_DEFLATED
TAKE_ANY = "vdp-fast-v1, vdp-swift-v1 and vdp-glance-v1"
ONE_SIZE = f"of {{model}} an ONNX model takes one size, of {TAKE_ANY} one octave; or write a .pt2 file"


def free_sides(low: int, high: int) -> range:
    """Heights and widths that one program can take: those in steps that every level of the pyramid halves evenly.

    Raises
    ------
    ValueError
        If images of the two sides have other numbers of levels, or no two such sides lie between them.

    Examples
    --------
    >>> list(free_sides(68, 135))
    [80, 96, 112, 128]
    """
    levels, step = pyramid_height(low, low), 2 ** (pyramid_height(low, low) + 1)
    sides = range(-(-low // step) * step, high + 1, step)
    if low < SMALLEST_SIDE or pyramid_height(high, high) != levels or len(sides) < 2:
        octave = SMALLEST_SIDE << max(0, pyramid_height(max(low, SMALLEST_SIDE), high) - 1)
        raise ValueError(
            f"one program takes sides of one number of pyramid levels, such as {octave} to {2 * octave - 1}, and at "
            f"least two steps of {step}; got {low} to {high}"
        )
    return sides


def export_loss(
    model: str | Path | VDPLoss,
    out: str | Path,
    *,
    height: int | range | None = None,
    width: int | range | None = None,
    sides: tuple[int, int] | None = None,
    channels: int | None = None,
    display_input: bool = False,
    tolerance: float = 1e-3,
    **settings,
) -> Path:
    """Write a loss as a .pt2 program, after its values and gradients were compared with the module's.

    With a name that ends in ``.onnx``: as an ONNX model, which gives a value for each pair whatever the reduction (NaN
    for a size that is not of its octave), and whose values are compared under onnxruntime. In ``.zip``: as an archive
    of programs for any size.

    Parameters
    ----------
    model
        As for :class:`vdp_distill.VDPLoss`, or a loss.
    out
        Name of the file, ending in ``.pt2``, ``.zip`` or ``.onnx``.
    height, width
        Size of the images it will take, at least 17; or of :func:`free_sides`.
    sides
        In their place, the least and the largest shorter side of images of many sizes: of one octave for a .pt2
        program or an ONNX model, of any for an archive. ``vdp-fast-v1``, ``vdp-swift-v1`` and ``vdp-glance-v1``
        then take every size whose shorter side lies between, other models those of :func:`free_sides`, and in ONNX one
        size alone.
    channels
        Of the images; by default the loss's own.
    display_input
        Take the light of white and black as an input too; the curve stays that of ``encoding`` or ``display``.
    tolerance
        Largest relative difference of a value, and of a gradient in its sum of magnitudes, from the module's.
    **settings
        As for :class:`vdp_distill.VDPLoss`: ``encoding`` or ``display``, ``pool``, ``reduction``, ... Pixels per degree
        are an input of the program and need not be given.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    ValueError
        For a size that is too small, sides that no program can share, another suffix, a display as input where images
        are light, or a program that differs from the module.
    OSError
        If the file cannot be written; nothing with its name is left or changed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> path = export_loss("exact", folder / "loss.pt2", height=32, width=32, encoding="luma-display")
    >>> loss = load_exported(path)
    >>> grey = torch.full((2, 1, 32, 32), 0.5)
    >>> float(loss(grey, grey, 30))
    0.0
    """
    out = Path(out)
    if out.suffix not in (".pt2", ".zip", ".onnx"):
        raise ValueError(f"the exported program's name must end in .pt2, .zip or .onnx, got {out}")
    if (sides is None) == (height is None or width is None):
        raise ValueError("give height and width, or the sides of images of many sizes")
    if not isinstance(model, VDPLoss):
        settings.setdefault("pixels_per_degree", 30.0)
        model = VDPLoss(model, **settings)
    channels = channels or model.channels[0]
    program = LossProgram(model, display_input).eval()
    if out.suffix == ".zip":
        return _export_archive(program, out, channels, sides, tolerance)
    if sides is not None and model.metric.takes_any_side:
        return _export_any(program, out, channels, any_sides(*sides), tolerance)
    heights, widths = (_sides(side) for side in ((height, width) if sides is None else (free_sides(*sides),) * 2))
    if min(heights[0], widths[0]) < SMALLEST_SIDE:
        raise ValueError(f"height and width must be at least {SMALLEST_SIDE}, got {heights[0]} x {widths[0]}")
    record = record_of(program, channels, heights, widths)
    if out.suffix == ".onnx":
        if len(heights) + len(widths) > 2:
            raise ValueError(ONE_SIZE.format(model=record["model"]))
        return _export_onnx(program, out, record, tolerance)
    # Of two sides where both are free, for a program traced at a square would be one of squares.
    inputs = sample(program, 2, channels, heights[len(heights) // 2], widths[-1], seed=0)
    program(*inputs)  # A first run makes filters and tables, which then are constants of the program.
    exported = _export(program, inputs, heights, widths)
    write_whole(out, lambda partial: save_checked(exported, partial, program, record, tolerance))
    return out


def _export_any(program: LossProgram, out: Path, channels: int, sides: range, tolerance: float) -> Path:
    """A program for every size whose shorter side lies in an octave."""
    longer = range(sides[0], LARGEST_SIDE + 1)
    record = record_of(program, channels, longer, longer) | {"shorter_side": stated(sides, is_range=True)}
    if out.suffix == ".onnx":
        return _export_onnx(program, out, record, tolerance, sides)
    inputs = sample(program, 2, channels, *_traced_size(sides), seed=0)
    program(*inputs)
    exported = whole_constants(trace(program, inputs, sides))
    write_whole(out, lambda partial: save_checked(exported, partial, program, record, tolerance))
    return out


def _export_archive(
    program: LossProgram, out: Path, channels: int, sides: tuple[int, int] | None, tolerance: float
) -> Path:
    """Such a program for each octave, in one file."""
    if sides is None:
        raise ValueError("an archive is of images of many sizes: give sides (--size LOW-HIGH), the shorter ones")
    if not program.loss.metric.takes_any_side:
        raise ValueError(
            f"{getattr(program.loss.metric, 'name', 'exact')} takes sides in steps, an octave a .pt2 file; an archive "
            f"for any size can be had of {TAKE_ANY}"
        )
    parts = {f"{part[0]}-{part[-1]}.pt2": part for part in octaves(*sides)}

    def write(partial: Path) -> None:
        with tempfile.TemporaryDirectory(dir=partial.parent) as folder, zipfile.ZipFile(partial, "w", DEFLATED) as file:
            for name, part in parts.items():
                _export_any(program, Path(folder) / name, channels, part, tolerance)
                file.write(Path(folder) / name, name)
            found = {name: stated(part, is_range=True) for name, part in parts.items()}
            file.writestr(ARCHIVE_RECORD, json.dumps({"format": FORMAT, "programs": found}, indent=1))

    write_whole(out, write)
    return out


def _traced_size(sides: range) -> tuple[int, int]:
    """No square: it would be traced as a program of squares."""
    side = sides[min(1, len(sides) - 1)]
    return side, side + 7


def _sides(side: int | range) -> range:
    return side if isinstance(side, range) else range(side, side + 1)


def _export_onnx(program: LossProgram, out: Path, record: dict, tolerance: float, sides: range | None = None) -> Path:
    from vdp_distill.onnx_export import write_onnx

    program = copy.deepcopy(program).cpu()
    program.loss.reduction = record["reduction"] = "none"
    sizes = [(record["height"], record["width"])] * 3 if sides is None else [_traced_size(sides), *unseen_sizes(sides)]
    batches = (2, 1, 3, 2)
    samples = [sample(program, n, record["channels"], *size, seed=n) for n, size in zip(batches, sizes, strict=False)]
    program(*samples[0])  # makes filters and tables, which then are constants
    return write_onnx(program, out, samples, record, tolerance, sides)


def _export(program: LossProgram, inputs: tuple[Tensor, ...], heights: range, widths: range):
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    viewing = [{0: torch.export.Dim(name, min=1, max=LARGEST_BATCH)} for name in program.inputs[2:]]
    image = {0: batch}
    for axis, name, sides in ((2, "height", heights), (3, "width", widths)):
        if len(sides) > 1:
            steps = torch.export.Dim(f"{name}_steps", min=sides[0] // sides.step, max=sides[-1] // sides.step)
            image[axis] = sides.step * steps
    shapes = dict(zip(program.inputs, (image, image, *viewing), strict=True))
    return whole_constants(torch.export.export(program, inputs, dynamic_shapes=shapes))
