"""What every loss is: ``loss(test, reference)``, what it declares about itself, and what it refuses.

A loss writes one method, ``values``; :class:`ImageLoss` does the rest. ``tests/test_losses.py`` checks every
declaration of every loss.
"""

import importlib
import math
from dataclasses import dataclass
from itertools import chain
from types import ModuleType
from typing import ClassVar

import torch
from torch import Tensor, nn

from vdp_distill import checks, pipeline

__all__ = ["ImageLoss", "MissingWeights", "REDUCTIONS", "WeightsFile", "as_tensors", "chosen", "package"]

REDUCTIONS = {"mean": Tensor.mean, "sum": Tensor.sum, "none": lambda values: values}
"""From the values of a batch, (N,), to what a call gives."""

OUT_OF_RANGE = ("extend", "raise")
OVERSHOOT = 0.5
"""How far outside its range, in ranges, a reference may lie before it is taken for another unit."""


class MissingWeights(FileNotFoundError):
    """Weights that a loss needs are not here and could not be fetched."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that someone else released.

    Attributes
    ----------
    name
        File name; as torchvision does it, what stands between the last hyphen and the dot begins its SHA-256.
    address
        Where it is fetched from.
    licence
        Of the weights.
    substitute
        What to use without it.
    """

    name: str
    address: str
    licence: str
    substitute: str

    @property
    def hash_prefix(self) -> str:
        """The first digits of the file's SHA-256."""
        return self.name.rpartition(".")[0].rpartition("-")[2]


class ImageLoss(nn.Module):
    """A loss between images, 0 or least for identical ones: to be minimised, whatever it is made from.

    Parameters
    ----------
    reduction
        ``"mean"``, ``"sum"`` or ``"none"`` over the batch.
    out_of_range
        ``"extend"`` lets the test image leave ``data_range``, as the output of a network in training does, and the
        reference a little; ``"raise"`` refuses both.
    check_values
        Read each image once: both must be finite, and in range.

    Attributes
    ----------
    paper
        Where the loss comes from.
    higher_is_better
        False throughout.
    is_differentiable
        Whether a gradient reaches the test image.
    is_zero_at_identical
        Whether identical images give 0.
    data_range
        Least and largest value of an image; ``(0, inf)`` is light in cd/m2.
    minimum_size
        Smallest side of an image in pixels.
    channels
        Numbers of channels that it takes.
    packages
        What must be installed beyond the core, by the names of pip.
    weights
        Files that it needs from elsewhere.
    required_options
        Keywords that have no default, for they are never guessed.

    Notes
    -----
    Computed in float32, or in float64 for float64 images, without autocast and TF32; float16 and bfloat16 give a
    float32 loss. What a loss holds follows the images to their device. Its weights are frozen, and it stays in
    evaluation mode.

    Examples
    --------
    >>> class Worst(ImageLoss):
    ...     def values(self, test, reference):
    ...         return (test - reference).abs().amax(dim=(1, 2, 3))
    >>> Worst()(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
    tensor(1.)
    """

    paper: ClassVar[str] = ""
    higher_is_better: ClassVar[bool] = False
    is_differentiable: ClassVar[bool] = True
    is_zero_at_identical: ClassVar[bool] = True
    data_range: tuple[float, float] = (0.0, 1.0)
    minimum_size: int = 1
    channels: tuple[int, ...] = (1, 3)
    packages: ClassVar[tuple[str, ...]] = ()
    weights: tuple[WeightsFile, ...] = ()
    required_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, reduction: str = "mean", out_of_range: str = "extend", check_values: bool = True):
        super().__init__()
        self.reduction = chosen(reduction, REDUCTIONS, "reduction")
        self.out_of_range = chosen(out_of_range, OUT_OF_RANGE, "out_of_range")
        self.check_values = check_values

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        """One value for each pair, (N,); the images are checked, of one floating dtype and on one device."""
        raise NotImplementedError

    def forward(self, test: Tensor, reference: Tensor) -> Tensor:
        """The loss of a batch of pairs.

        Parameters
        ----------
        test, reference
            (N, C, H, W) in ``data_range``.

        Returns
        -------
        Tensor
            A scalar, or (N,) for ``reduction="none"``.

        Raises
        ------
        TypeError, ValueError
            For images that are no float tensors, do not fit together or this loss, are out of range, or hold NaN.
        """
        test, reference = as_tensors(test, reference)
        checks.check_pair(test, reference, self.minimum_size)
        self._check_channels(test)
        if self.check_values and not torch.compiler.is_compiling():
            self._check_range(test, reference)
        self._follow(test)
        with pipeline.full_precision(test.device):
            return REDUCTIONS[self.reduction](self.values(test, reference))

    def train(self, mode: bool = True):
        """A loss has no training mode: nothing in it is drawn by chance or learns."""
        return super().train(False)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"

    def _follow(self, images: Tensor) -> None:
        """Bring weights and tables to the images' device and dtype."""
        held = (value for value in chain(self.parameters(), self.buffers()) if value.is_floating_point())
        if any(value.device != images.device or value.dtype != images.dtype for value in held):
            with torch.inference_mode(False), torch.no_grad():  # a loss that was first used so must train later
                self.to(images)

    def _check_channels(self, test: Tensor) -> None:
        if test.shape[1] not in self.channels:
            allowed = " or ".join(map(str, self.channels))
            raise ValueError(
                f"{type(self).__name__} takes {allowed} channel(s), got {test.shape[1]} in {tuple(test.shape)}; "
                "repeat a grey image to three channels, drop an alpha channel"
            )

    def _check_range(self, test: Tensor, reference: Tensor) -> None:
        for image, name in ((test, "test"), (reference, "reference")):
            low, high = (float(bound) for bound in torch.aminmax(image.detach()))
            if not (math.isfinite(low) and math.isfinite(high)):
                bad = int((~torch.isfinite(image)).sum())
                raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values of {image.numel()}")
            self._check_bounds(name, low, high)

    def _check_bounds(self, name: str, low: float, high: float) -> None:
        least, largest = self.data_range
        span = largest - least
        room = OVERSHOOT * span if self.out_of_range == "extend" and math.isfinite(span) else 0.0
        if self.out_of_range == "extend" and name == "test":
            return
        if low < least - room or high > largest + room:
            hint = "divide 8-bit values by 255" if high > 2 else "clamp it; the test comes first, the reference second"
            unit = "cd/m2" if math.isinf(largest) else "code values"
            raise ValueError(
                f"{name}: {type(self).__name__} takes {unit} in {least:g}..{largest:g}, got {low:.6g} to {high:.6g}; "
                f"{hint}"
            )


def chosen(value: str, choices, name: str) -> str:
    """A value, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
    return value


def as_tensors(test, reference) -> tuple[Tensor, Tensor]:
    """Both images as float32 or float64 tensors; a loss takes nothing else."""
    for image, name in ((test, "test"), (reference, "reference")):
        if not isinstance(image, Tensor):
            raise TypeError(
                f"{name} must be a torch tensor (N, C, H, W), got {type(image).__name__}; a loss takes no arrays"
            )
    # Under autocast a network's output is shorter than its target: both are computed in float32.
    return checks.as_images(test, "test")[0], checks.as_images(reference, "reference")[0]


def package(module: str, pip_name: str) -> ModuleType:
    """An optional package, imported when a loss is made from it.

    Raises
    ------
    ImportError
        If it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this loss needs {pip_name}: pip install {pip_name}, or pip install 'vdp-distill[peers]'"
        ) from error
