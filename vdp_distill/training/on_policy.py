"""Pairs from a restorer that is itself in training: what a surrogate will be asked about when it serves as its loss.

A surrogate learns on distortions that were drawn beforehand; a network that trains against it makes others. Here a
share of the samples has the restorer's output in place of the test image, as the restorer is at that moment, and the
exact metric answers anew.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vdp_distill.targets import MAPS, NUMBERS, complete, exact_metric
from vdp_distill.training.batches import SetMaker, open_sets, origin_of

__all__ = ["OnPolicy", "OnPolicySets"]

CONDITIONS = ("pixels_per_degree", "surround_cdm2", "emission")
LIGHT = ("light/test", "light/reference")
DARK_CDM2 = 1e-5
"""Less light than this is none: a restorer may well give negative light."""

PERIOD = 97
"""Every sample's turn comes from its number alone, spread over so many."""


class OnPolicy(Dataset):
    """A data set, a share of which passes a restorer first.

    Parameters
    ----------
    samples
        Whose items hold light, viewing conditions and targets.
    restore
        ``restore(light_cdm2)`` of a test image, (1, 3, H, W): what the restorer makes of it now. Called without
        gradients, in this process.
    share
        Of the samples, 0 to 1.

    Raises
    ------
    ValueError
        For a share that is none, or samples without light or conditions.
    """

    def __init__(self, samples: Dataset, restore: Callable[[Tensor], Tensor], share: float = 0.25):
        if not 0 < share <= 1:
            raise ValueError(f"share must be over 0 and at most 1, got {share:g}")
        needed = (*LIGHT, *(f"conditions/{name}" for name in CONDITIONS))
        missing = [name for name in needed if name not in samples[0]]
        if missing:
            raise ValueError(f"samples that pass a restorer must hold {', '.join(needed)}; missing: {missing}")
        self.samples, self.restore, self.share = samples, restore, share
        self.in_order, self.origin = getattr(samples, "in_order", False), origin_of(samples)  # of what it wraps
        self.metric = exact_metric()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        sample = self.samples[number]
        return self.renewed(sample) if self.is_renewed(number) else sample

    def is_renewed(self, number: int) -> bool:
        """Whether a sample passes the restorer."""
        return (number * 31 % PERIOD) < self.share * PERIOD

    def renewed(self, sample: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sample with the restorer's output as test image, and the metric's answer to that."""
        with torch.no_grad():
            test = self.restore(sample["light/test"][None]).clamp(min=DARK_CDM2)
        reference = sample["light/reference"][None]
        if test.shape != reference.shape:
            raise ValueError(f"restore() must keep the shape {tuple(reference.shape)}, gave {tuple(test.shape)}")
        conditions = {name: sample[f"conditions/{name}"][None] for name in CONDITIONS}
        maps = tuple(name for name in MAPS if name in sample)
        answers = complete(self.metric, test, reference, conditions, maps=maps)
        answers = {
            name: value[0].to(sample[name])
            for name, value in answers.items()
            if name in (*maps, *NUMBERS) and name in sample
        }
        return {**sample, "light/test": test[0].to(sample["light/test"]), **answers}


class OnPolicySets:
    """What :func:`vdp_distill.distill.train` takes as data: training samples on policy, validation as it is.

    Parameters
    ----------
    data
        Folder of shards, data sets, or what makes them, as for :func:`vdp_distill.distill.train`.
    restore, share
        As for :class:`OnPolicy`.

    Raises
    ------
    ValueError
        At the training's start, if its recipe reads in other processes, where the restorer would be an old copy.

    Examples
    --------
    >>> restorer = torch.nn.Conv2d(3, 3, 3, padding=1)
    >>> sets = OnPolicySets("data", restorer, share=0.5)  # then distill.train("vdp-fast", sets, "out")
    """

    def __init__(self, data, restore: Callable[[Tensor], Tensor], share: float = 0.25):
        self.data, self.restore, self.share = data, restore, share

    def __call__(self, fields, training, device) -> dict[str, Dataset]:
        if training.loader_processes:
            raise ValueError(
                "[training]: loader_processes must be 0 on policy, for the restorer answers as it is at that moment in "
                f"this process; got {training.loader_processes}"
            )
        sets: SetMaker | Mapping = open_sets(self.data, fields, training, device)
        return {"train": OnPolicy(sets["train"], self.restore, self.share), "val": sets["val"]}
