"""A loss as a program: what of the viewing is an input of it."""

import torch
from torch import Tensor, nn

from vdp_distill.display import Display, keep_positive
from vdp_distill.losses import VDPLoss

__all__ = ["LossProgram"]


class LossProgram(nn.Module):
    """A loss whose pixels per degree are an input, one for each pair or one for all; the display's light may be too.

    Parameters
    ----------
    loss
        What is computed.
    takes_display
        The fourth input, (N, 2) or (1, 2), is the light of white and of black in cd/m2, reflections included; the curve
        stays that of the loss's display.

    Raises
    ------
    ValueError
        With ``takes_display``, if the loss's images are no code values, or their curve depends on the peak.
    """

    def __init__(self, loss: VDPLoss, takes_display: bool = False):
        super().__init__()
        self.loss = loss
        self.display = _display(loss) if takes_display else None
        self.inputs = ("test", "reference", "pixels_per_degree", *(("display",) if takes_display else ()))

    def forward(
        self, test: Tensor, reference: Tensor, pixels_per_degree: Tensor, display: Tensor | None = None
    ) -> Tensor:
        # Taken in turn, so that (1,) serves every batch without the program knowing which of the two it was given.
        place = torch.arange(test.shape[0], device=test.device)
        viewing = [pixels_per_degree] if display is None else [pixels_per_degree, display]
        return self.paired(test, reference, *(part.index_select(0, place % part.shape[0]) for part in viewing))

    def paired(
        self, test: Tensor, reference: Tensor, pixels_per_degree: Tensor, display: Tensor | None = None
    ) -> Tensor:
        """The same with as many viewing conditions as pairs."""
        if display is None:
            return self.loss(test, reference, pixels_per_degree=pixels_per_degree)
        white, black = display[:, :, None, None, None].unbind(1)
        relative = (self.display.relative_light(image) for image in (test, reference))
        light = (keep_positive((white - black) * part + black, black) for part in relative)
        settings = self.loss.metric.settings
        emission = {} if settings.emission is not None else {"rgb_display": settings.display_name()}
        encoding = "luminance" if self.display.primaries == "grey" else "rgb-bt.709"
        return self.loss(*light, encoding=encoding, pixels_per_degree=pixels_per_degree, **emission)


def _display(loss: VDPLoss) -> Display:
    """The loss's display, whose curve is relative to its white."""
    display = loss.metric.settings.code_display()
    if display is None or display.curve in ("linear", "PQ", "HLG"):
        found = display.colorspace if display is not None else loss.metric.settings.encoding
        raise ValueError(
            f"a display as an input needs code values on a curve relative to white, sRGB or a power, got {found!r}; "
            "light needs none: turn code values into cd/m2 before the program"
        )
    return display
