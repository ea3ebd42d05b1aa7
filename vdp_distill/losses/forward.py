"""A forward model as a loss: the distance that a network has learnt from a metric without a gradient."""

from pathlib import Path

from torch import Tensor

from vdp_distill import checks, pipeline, zoo
from vdp_distill.clamping import clamped
from vdp_distill.losses.contract import ImageLoss, as_tensors
from vdp_distill.surrogates.forward import ForwardNetwork, Judged

__all__ = ["ForwardLoss"]


class ForwardLoss(ImageLoss):
    """How far a metric departs from its value at identical images, in its own unit, as a network has learnt it.

    Whether the metric rises or falls as the images differ more, the loss rises.

    Parameters
    ----------
    model
        Folder that :meth:`vdp_distill.training.forward.ForwardModel.train` made, or a network.
    **checks
        As for :class:`vdp_distill.losses.ImageLoss`.

    Raises
    ------
    ValueError
        For a folder that holds no forward model, or one that was changed.

    Examples
    --------
    >>> from vdp_distill.surrogates.forward import ForwardConfig
    >>> loss = ForwardLoss(ForwardNetwork(ForwardConfig(scale=0.1)))
    >>> test, reference = torch.rand(1, 3, 40, 50, requires_grad=True), torch.rand(1, 3, 40, 50)
    >>> loss(test, reference).backward()
    >>> bool(test.grad.abs().sum() > 0), loss(reference, reference)
    (True, tensor(0.))
    """

    paper = "Snell et al. 2017, Learning to generate images with perceptual similarity metrics, outlook"

    def __init__(self, model: str | Path | ForwardNetwork, **checks):
        super().__init__(**checks)
        network = model if isinstance(model, ForwardNetwork) else zoo.load_network(model)
        if not isinstance(network, ForwardNetwork):
            raise ValueError(f"{model} is a model of kind {network.config.kind!r}; pass it to VDPLoss(model=...)")
        self.network = network.requires_grad_(False).eval()
        self.minimum_size = network.config.smallest_side
        self.channels = (1, 3) if network.config.channels == 3 else (1,)

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        distance = self.network.distances(clamped(test, 0, 1), clamped(reference, 0, 1)).score
        # Beyond 0..1 nothing was learnt: what is there counts by itself, and its gradient points back.
        outside = (test - test.clamp(0, 1)) - (reference - reference.clamp(0, 1))
        return self.network.config.scale * (distance + outside.abs().mean(dim=(1, 2, 3)))

    def judge(self, test: Tensor, reference: Tensor) -> Judged:
        """Map and score in the metric's own unit and direction; no gradient is lost.

        Parameters
        ----------
        test, reference
            Code values (N, C, H, W) in 0..1.

        Raises
        ------
        TypeError, ValueError
            As for a call.
        """
        test, reference = as_tensors(test, reference)
        checks.check_pair(test, reference, self.minimum_size)
        self._check_channels(test)
        self._follow(test)
        with pipeline.full_precision(test.device):
            return self.network(test, reference)
