"""A loss from a .pt2 file, kept to what the file was made for.

Without this package the same file is ``torch.export.load("loss.pt2").module()(test, reference, pixels_per_degree)``.
"""

import io
import json
import math
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vdp_distill.surrogate_metric import OutOfDomainWarning

__all__ = ["ARCHIVE_RECORD", "FORMAT", "RECORD", "ExportedLoss", "ExportedSizes", "load_exported", "sides_of"]

FORMAT = "vdp_distill loss 1"
RECORD = "vdp_distill.json"
"""Name of the record among the file's extra files."""

ARCHIVE_RECORD = "vdp_distill-archive.json"
"""Name of the record in an archive of programs."""


class ExportedLoss(nn.Module):
    """A loaded program that keeps to what it was made for; see :func:`load_exported`.

    Attributes
    ----------
    record
        What the file says: sizes, channels, range, encoding or display, versions.
    """

    def __init__(self, program: nn.Module, record: dict):
        super().__init__()
        self.program, self.record, self.warned = program, record, set()

    def forward(
        self,
        test: Tensor,
        reference: Tensor,
        pixels_per_degree: Tensor | float,
        display: Tensor | Sequence[float] | None = None,
    ) -> Tensor:
        """The loss of a batch of pairs.

        Parameters
        ----------
        test, reference
            As the file says.
        pixels_per_degree
            A number, or one for each pair.
        display
            White and black in cd/m2, or (N, 2), where the file takes them.

        Raises
        ------
        ValueError, TypeError
            For another size, number of channels, dtype or range than the file was made for.

        Warns
        -----
        OutOfDomainWarning
            Once, for a side or pixels per degree that the model in the file was not made for.
        """
        for image, name in ((test, "test"), (reference, "reference")):
            self._check_image(image, name)
        if test.shape != reference.shape:
            raise ValueError(
                f"test and reference must have the same shape, got {tuple(test.shape)} and {tuple(reference.shape)}"
            )
        conditions = torch.as_tensor(pixels_per_degree, dtype=torch.float32, device=test.device).reshape(-1)
        if conditions.numel() not in (1, test.shape[0]) or not bool((conditions > 0).all()):
            raise ValueError(
                f"pixels_per_degree must be positive, a number or one for each of {test.shape[0]} pairs, got "
                f"{conditions.tolist()}"
            )
        self._check_range(reference)
        self._check_domain("pixels_per_degree", conditions.detach())
        self._check_domain("side_pixels", torch.tensor([float(min(test.shape[2:]))]))
        return self.program(test, reference, conditions, *self._display(display, test))

    def _display(self, display: Tensor | Sequence[float] | None, test: Tensor) -> tuple[Tensor, ...]:
        is_taken = "display" in self.record.get("inputs", ())
        if is_taken != (display is not None):
            wanted = "takes display=(white, black) in cd/m2" if is_taken else "was exported for one display"
            raise ValueError(f"this file {wanted}; got {display}")
        if not is_taken:
            return ()
        light = torch.as_tensor(display, dtype=torch.float32, device=test.device)
        light = light[None] if light.ndim == 1 else light
        fits = light.ndim == 2 and light.shape[1] == 2 and light.shape[0] in (1, test.shape[0])
        if not fits or not bool((light[:, 0] > light[:, 1]).all() & (light[:, 1] >= 0).all()):
            raise ValueError(f"display must be white over black in cd/m2, (2,) or (N, 2), got {light.tolist()}")
        return (light,)

    def _check_image(self, image: Tensor, name: str) -> None:
        if not isinstance(image, Tensor) or image.dtype != torch.float32:
            raise TypeError(f"{name} must be a float32 tensor, got {getattr(image, 'dtype', type(image).__name__)}")
        channels, sides = self.record["channels"], [sides_of(self.record, side) for side in ("height", "width")]
        fits = image.ndim == 4 and image.shape[0] > 0 and image.shape[1] == channels
        if not fits or any(side not in known for side, known in zip(image.shape[2:], sides, strict=True)):
            height, width = (_in_words(known) for known in sides)
            raise ValueError(
                f"{name} must be (N, {channels}, {height}, {width}), got {tuple(image.shape)}; this file was "
                "exported for that size, export another for yours"
            )
        shorter = sides_of(self.record, "shorter_side") if "shorter_side" in self.record else None
        if shorter is not None and min(image.shape[2:]) not in shorter:
            raise ValueError(
                f"{name}'s shorter side must be {_in_words(shorter)}, got {tuple(image.shape[2:])}; this file was "
                "exported for that, export another for yours, or an archive (.zip) for all"
            )

    def _check_domain(self, name: str, values: Tensor) -> None:
        """Warn once of what the model in the file was not made for."""
        low, high = self.record.get("domain", {}).get(name, (None, None))
        least, largest = float(values.min()), float(values.max())
        if name not in self.warned and (least < (low or 0) or largest > (high or math.inf)):
            self.warned.add(name)
            bounds = f"{low:g} or more" if high is None else f"{low:g} to {high:g}"
            warnings.warn(
                f"{self.record['model']} was made for {name} of {bounds}, got {least:.4g} to {largest:.4g}",
                OutOfDomainWarning,
                stacklevel=3,
            )

    def _check_range(self, reference: Tensor) -> None:
        low, high = (float(bound) for bound in torch.aminmax(reference.detach()))
        takes_codes = self.record["range"].startswith("code")
        if (
            not math.isfinite(low + high)
            or (takes_codes and not -0.5 <= low <= high <= 1.5)
            or (not takes_codes and low < 0)
        ):
            raise ValueError(f"reference must hold {self.record['range']}, got {low:.6g} to {high:.6g}")


class ExportedSizes(nn.Module):
    """Programs of an archive, called like one: each takes the images whose shorter side is its own.

    Attributes
    ----------
    record
        What the archive says: the programs by name, and the shorter sides of each.
    """

    def __init__(self, path: Path, record: dict):
        super().__init__()
        self.record, self.programs = record, {}
        with zipfile.ZipFile(path) as archive:
            self.files = {name: archive.read(name) for name in record["programs"]}

    def forward(self, test: Tensor, reference: Tensor, *viewing, **named) -> Tensor:
        """The loss of a batch of pairs; arguments and errors as for :class:`ExportedLoss`."""
        sides = tuple(test.shape[-2:])
        found = [name for name in self.files if min(sides) in sides_of(self.record["programs"], name)]
        if not found:
            known = ", ".join(name.removesuffix(".pt2") for name in self.files)
            raise ValueError(f"this archive is of images whose shorter side is {known}; got {sides}")
        if found[0] not in self.programs:
            self.programs[found[0]] = _loaded(io.BytesIO(self.files[found[0]]), found[0])
        return self.programs[found[0]](test, reference, *viewing, **named)


def sides_of(record: dict, name: str) -> range:
    """Heights or widths that a file takes."""
    stated = record[name]
    if isinstance(stated, int):
        return range(stated, stated + 1)
    return range(stated["from"], stated["to"] + 1, stated["step"])


def _in_words(sides: range) -> str:
    return str(sides[0]) if len(sides) == 1 else f"{sides[0]} to {sides[-1]} in steps of {sides.step}"


def load_exported(path: str | Path) -> ExportedLoss | ExportedSizes:
    """A loss from a .pt2 file of :func:`export_loss`, or from a .zip archive.

    Raises
    ------
    ValueError
        For a missing, cut off or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    record = _read_record(path, path)
    return ExportedSizes(path, record) if "programs" in record else _loaded(path, path)


def _loaded(file: Path | io.BytesIO, name: str | Path) -> ExportedLoss:
    record = _read_record(file, name)
    if isinstance(file, io.BytesIO):
        file.seek(0)
    try:
        program = torch.export.load(file)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{name} was written by torch {record['torch']}, torch {torch.__version__} cannot read it: {error}"
        ) from error
    return ExportedLoss(program.module(), record)


def _read_record(file: Path | io.BytesIO, name: str | Path) -> dict:
    """The JSON in a program or an archive, every byte of which is checked on the way."""
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            if damaged:
                raise zipfile.BadZipFile(f"{damaged} is damaged")
            ends = (f"/{RECORD}", ARCHIVE_RECORD)
            found = [entry for entry in archive.namelist() if entry.endswith(ends)]
            record = json.loads(archive.read(found[0])) if found else {}
    except (zipfile.BadZipFile, json.JSONDecodeError) as error:
        hint = "; onnxruntime runs .onnx files" if str(name).endswith(".onnx") else ""
        raise ValueError(f"{name} is no .pt2 program, or is cut off: {error}{hint}") from error
    if record.get("format") != FORMAT:
        raise ValueError(f"{name} is no loss of this package, or is cut off (format {record.get('format')!r})")
    return record
