"""Export of a loss as an ONNX model, for runtimes without torch: values, no gradients.

The model takes ``test`` and ``reference`` (N, C, H, W) of one height and width, any N, ``pixels_per_degree`` (N,) and,
where it is asked for, ``display`` (N, 2); it gives ``loss`` (N,). What it was made for lies in its metadata, as JSON
with the keys of the ``.pt2`` file's record.
"""

import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vdp_distill.checkpoints import write_whole
from vdp_distill.loss_program import LossProgram

__all__ = ["write_onnx"]

METADATA = "vdp_distill"


class PairLosses(nn.Module):
    """A program that takes as many viewing conditions as pairs: ONNX cannot take them in turn."""

    def __init__(self, program: LossProgram):
        super().__init__()
        self.program, self.inputs = program, program.inputs

    def forward(self, test: Tensor, reference: Tensor, pixels_per_degree: Tensor, display: Tensor | None = None):
        return self.program.paired(test, reference, pixels_per_degree, display)


def write_onnx(
    program: LossProgram, out: Path, samples: list[tuple[Tensor, ...]], record: dict, tolerance: float
) -> Path:
    """Write a loss with ``reduction="none"`` as an ONNX model, compared under onnxruntime before it gets its name.

    Parameters
    ----------
    program
        What is written.
    out
        Name of the file, ending in ``.onnx``.
    samples
        The program's inputs, of several batch sizes; the first is traced, all are compared.
    record
        What the file is made for, as plain data.
    tolerance
        Largest relative difference of a value.

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
    program = PairLosses(program).eval()
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
    """The program as an ONNX model, its batch free."""
    import onnx

    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        # torch's exporter warns of its own decompositions and of names that it gives twice.
        warnings.simplefilter("ignore")
        exported = torch.export.export(program, sample, dynamic_shapes=dict.fromkeys(program.inputs, {0: batch}))
        path = Path(folder) / "loss.onnx"
        names = {"input_names": list(program.inputs), "output_names": ["loss"]}
        # Unoptimised: the optimiser joins two clamps of one tensor under one name, and the model is invalid.
        options = {"dynamo": True, "verbose": False, "external_data": False, "optimize": False}
        torch.onnx.export(exported, (), str(path), **options, **names)
        return onnx.load(str(path))


def _difference(session, program: PairLosses, sample: tuple[Tensor, ...]) -> float:
    """Largest relative difference of onnxruntime's values from the module's."""
    inputs = {entry.name: value.numpy() for entry, value in zip(session.get_inputs(), sample, strict=True)}
    (found,) = session.run(None, inputs)
    with torch.no_grad():
        expected = program(*sample).numpy()
    if found.shape != expected.shape:
        raise ValueError(f"onnxruntime gives losses of shape {found.shape}, the module {expected.shape}")
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-6)))
