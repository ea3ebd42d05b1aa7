"""What the processes of one training do together: act once, average gradients, call the network in one precision."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed, nn

__all__ = ["InPrecision", "average_gradients", "found_anywhere", "in_first_process", "together"]


@contextmanager
def together(fabric: Fabric) -> Iterator[None]:
    """What several processes do; after it they part. One that ended while another's threads talk would be aborted."""
    try:
        yield
        if fabric.world_size > 1:
            fabric.barrier()
    finally:
        if fabric.world_size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def in_first_process(fabric: Fabric, action: Callable[[], None]) -> None:
    """Do something in one process; if it fails there, it fails in all of them, and none waits for another."""
    error = None
    if fabric.is_global_zero:
        try:
            action()
        except Exception as found:
            error = found
    error = fabric.broadcast(error)
    if error is not None:
        raise error


class InPrecision:
    """A network called in Fabric's precision: inputs as they are, autocast inside, float32 out.

    Fabric's own wrapper rounds the inputs too, which light on a logarithmic scale does not stand, and forbids tasks to
    differentiate inside their losses.
    """

    def __init__(self, fabric: Fabric, network: nn.Module):
        self.precision, self.network = fabric.strategy.precision, network

    def __call__(self, *inputs, **named_inputs):
        with self.precision.forward_context():
            output = self.network(*inputs, **named_inputs)
        return apply_to_collection(output, Tensor, _whole)

    def __getattr__(self, name: str):
        return getattr(self.network, name)


def _whole(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def average_gradients(fabric: Fabric, learnt: Sequence[Tensor], loss: Tensor) -> Tensor:
    """Mean of a loss over all processes; the gradients of the parameters become their means too.

    All travel in one piece. DistributedDataParallel would overlap them with the backward pass, but refuses losses that
    differentiate twice, and has little to gain from networks of at most 2 MB.
    """
    if fabric.world_size == 1:
        return loss
    for value in learnt:
        value.grad = torch.zeros_like(value) if value.grad is None else value.grad
    pieces = [loss.reshape(1), *(value.grad.flatten() for value in learnt)]
    joined = fabric.all_reduce(torch.cat(pieces), reduce_op="mean")
    loss, *means = joined.split([len(piece) for piece in pieces])
    for value, mean in zip(learnt, means, strict=True):
        value.grad.copy_(mean.view_as(value))
    return loss[0]


def found_anywhere(fabric: Fabric, numbers: Sequence[int], found: set[int]) -> list[int]:
    """Those of some numbers that any process has found."""
    here = torch.tensor([float(number in found) for number in numbers])
    times = fabric.all_reduce(fabric.to_device(here), reduce_op="sum").tolist()
    return [number for number, count in zip(numbers, times, strict=True) if count]
