"""The samples of a recipe without a file: made while a network trains."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import IterableDataset, get_worker_info

from data_gen.aiming import aimed
from data_gen.making import block_fields, one_thread
from data_gen.photographs import find_photographs
from data_gen.reading import load_recipe
from data_gen.recipe import Recipe
from data_gen.sampling import Sampler, codes_of
from vdp_distill.metric import HDRVDP2
from vdp_distill.targets import IMAGES, complete, exact_metric, light_of

__all__ = ["OnlineDataset"]


class OnlineDataset(IterableDataset):
    """Blocks of samples, in the recipe's order, computed on the device that trains.

    Parameters
    ----------
    recipe
        Path, bare name or :class:`Recipe`.
    images
        Folder of photographs; None for those bundled with scikit-image.
    device
        Where targets are computed. On the CPU they equal those of a file, bit for bit before float16; on another
        device the images are the same and the targets agree to float32's rounding.
    first_block, blocks
        Where to start and how many; None goes on for ever. Sample ``k`` is in block ``k // samples_per_block``.

    Notes
    -----
    An item is a whole block, a dict with the fields of :class:`vdp_distill.dataset.ShardDataset` in float32, each with
    a batch axis: pass ``batch_size=None`` to a ``DataLoader``. Its workers take turns at the blocks; they need the CPU.

    Examples
    --------
    >>> block = next(iter(OnlineDataset("tiny", blocks=1)))
    >>> tuple(block["light/test"].shape)
    (16, 3, 128, 128)
    """

    def __init__(
        self,
        recipe: str | Path | Recipe,
        images: str | Path | None = None,
        *,
        device: str | torch.device = "cpu",
        first_block: int = 0,
        blocks: int | None = None,
    ):
        self.recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
        self.device = torch.device(device)
        self.first_block, self.blocks = first_block, blocks
        folder = None if images is None else Path(images)
        needed = self.recipe.scenes.photographs > 0
        sources = find_photographs(folder, self.recipe.size_pixels)[0] if needed else []
        self.sampler = Sampler(self.recipe, folder, sources)
        self._metric: HDRVDP2 | None = None

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        step, offset = (worker.num_workers, worker.id) if worker else (1, 0)
        place = offset
        while self.blocks is None or place < self.blocks:
            yield self.block(self.first_block + place)
            place += step

    def block(self, number: int) -> dict[str, torch.Tensor]:
        """One block by number."""
        self._metric = self._metric or exact_metric(self.recipe.engine)
        if self.device.type == "cpu":
            return self._on_cpu(number)
        block = self.sampler.block(number)
        if self.recipe.aim.share > 0:
            block = aimed(block, self.recipe.aim, self._metric)
        lights = [light.to(self.device) for light in block.lights()]
        targets = self.recipe.targets
        fields = complete(self._metric, *lights, block.conditions, targets.stages, targets.maps)
        images = dict(zip((f"light/{image}" for image in IMAGES), lights, strict=True))
        return images | fields | {name: value.to(self.device) for name, value in _numbers(block.fields()).items()}

    def _on_cpu(self, number: int) -> dict[str, torch.Tensor]:
        with one_thread():
            fields = block_fields(number, self.sampler, self._metric)
            conditions = {
                name.split("/")[1]: column for name, column in fields.items() if name.startswith("conditions/")
            }
            lights = {f"light/{image}": light_of(codes_of(fields[f"inputs/{image}"]), conditions) for image in IMAGES}
        return lights | _numbers(fields)


def _numbers(fields: dict) -> dict[str, torch.Tensor]:
    """Everything but words and stored codes, as tensors."""
    hidden = ("inputs/", "audit/")
    return {
        name: torch.from_numpy(values)
        for name, values in fields.items()
        if values.dtype.kind != "S" and not name.startswith(hidden)
    }
