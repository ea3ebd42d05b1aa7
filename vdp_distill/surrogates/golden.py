"""An input that a visual system is known by, and its answer: what :mod:`vdp_distill.zoo` keeps beside the weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vdp_distill.pipeline import Pair
from vdp_distill.receptors import display_matrix
from vdp_distill.surrogates.cortex import Seen

__all__ = ["VisualSystem"]


class VisualSystem(nn.Module):
    """A network that takes light of a pair, matrix, surround and pixels per degree."""

    def golden_input(self, height: int, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        """An input to know the network by."""
        reference = 200 * torch.rand(1, 3, height, width, generator=generator) + 1
        noise = torch.randn(1, 3, height, width, generator=generator)
        viewing = {"surround": torch.full((1, 3, 1, 1), 10.0), "pixels_per_degree": torch.tensor([30.0])}
        matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=reference.dtype)[None]
        return {"test": reference * (1 + 0.02 * noise), "reference": reference, "matrix": matrix} | viewing

    def see_golden(self, inputs: Mapping[str, Tensor]) -> Seen:
        """Output for :meth:`golden_input`."""
        viewing = (inputs[name] for name in ("matrix", "surround", "pixels_per_degree"))
        return self(Pair(inputs["test"], inputs["reference"]), *viewing)
