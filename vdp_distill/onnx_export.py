"""Export of a loss as an ONNX model, for runtimes without torch: values, no gradients.

The model takes ``test`` and ``reference`` (N, C, H, W) of one height and width, or of every size whose shorter side
lies in an octave, any N, ``pixels_per_degree`` (N,) and, where it is asked for, ``display`` (N, 2); it gives ``loss``
(N,), NaN for a size that is not of its octave, since ONNX has no way to refuse it. What it was made for lies in its
metadata, as JSON with the keys of the ``.pt2`` file's record.
"""

import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vdp_distill.checkpoints import write_whole
from vdp_distill.free_sizes import LARGEST_BATCH, trace
from vdp_distill.loss_program import LossProgram

__all__ = ["write_onnx"]

METADATA = "vdp_distill"


class PairLosses(nn.Module):
    """A program that takes as many viewing conditions as pairs: ONNX cannot take them in turn.

    Parameters
    ----------
    program
        What is run.
    sides
        The octave of shorter sides; None where there is one size.
    """

    def __init__(self, program: LossProgram, sides: range | None = None):
        super().__init__()
        self.program, self.inputs, self.sides = program, program.inputs, sides

    def forward(self, test: Tensor, reference: Tensor, pixels_per_degree: Tensor, display: Tensor | None = None):
        losses = self.program.paired(test, reference, pixels_per_degree, display)
        return losses if self.sides is None else torch.where(self._fits(test), losses, float("nan"))

    def _fits(self, test: Tensor) -> Tensor:
        """Whether the shorter side is of the octave, as ONNX can count it."""
        line = torch.ones_like(test[0, 0])
        shorter = torch.minimum(line[:, 0].sum(), line[0].sum())
        return (shorter >= self.sides[0]) & (shorter <= self.sides[-1])


def write_onnx(
    program: LossProgram,
    out: Path,
    samples: list[tuple[Tensor, ...]],
    record: dict,
    tolerance: float,
    sides: range | None = None,
) -> Path:
    """Write a loss with ``reduction="none"`` as an ONNX model, compared under onnxruntime before it gets its name.

    Parameters
    ----------
    program
        What is written.
    out
        Name of the file, ending in ``.onnx``.
    samples
        The program's inputs, of several batch sizes, and of several sizes of an octave; the first is traced, all are
        compared.
    record
        What the file is made for, as plain data.
    tolerance
        Largest relative difference of a value.
    sides
        The octave of shorter sides that it takes; by default the size of the samples alone.

    Raises
    ------
    ValueError
        If onnxruntime gives other values.
    ImportError
        Without the packages of the extra ``onnx``.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise ImportError(f"ONNX needs more packages ({error}): pip install 'vdp_distill[onnx]'") from error
    program = PairLosses(program, sides).eval()
    model = _converted(program, samples[0])
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(record)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = max(_difference(session, program, sample) for sample in samples)
    if not worst <= tolerance:
        raise ValueError(f"onnxruntime's values differ from the module's by {worst:.2g}, more than {tolerance:g}")
    write_whole(out, lambda partial: onnx.save(model, str(partial)))
    return out


def _converted(program: PairLosses, sample: tuple[Tensor, ...]):
    """The program as an ONNX model, its batch free, and its size where there is an octave of sides."""
    import onnx

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        # torch's exporter warns of its own decompositions and of names that it gives twice.
        warnings.simplefilter("ignore")
        exported = _traced(program, sample)
        path = Path(folder) / "loss.onnx"
        names = {"input_names": list(program.inputs), "output_names": ["loss"]}
        # Unoptimised: the optimiser joins two clamps of one tensor under one name, and the model is invalid.
        options = {"dynamo": True, "verbose": False, "external_data": False, "optimize": False}
        torch.onnx.export(exported, (), str(path), **options, **names)
        model = onnx.load(str(path))
    for part in (model.graph, *model.functions):  # sizes noted on the way, of which some are wrong and used for memory
        del part.value_info[:]
    return model


def _traced(program: PairLosses, sample: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    if program.sides is not None:
        return trace(program, sample, program.sides, refuses=False)
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    return torch.export.export(program, sample, dynamic_shapes=dict.fromkeys(program.inputs, {0: batch}))


def _difference(session, program: PairLosses, sample: tuple[Tensor, ...]) -> float:
    """Largest relative difference of onnxruntime's values from the module's."""
    inputs = {entry.name: value.numpy() for entry, value in zip(session.get_inputs(), sample, strict=True)}
    (found,) = session.run(None, inputs)
    with torch.no_grad():
        expected = program(*sample).numpy()
    if found.shape != expected.shape:
        raise ValueError(f"onnxruntime gives losses of shape {found.shape}, the module {expected.shape}")
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-6)))
