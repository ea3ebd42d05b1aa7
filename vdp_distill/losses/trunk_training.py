"""Train our own trunk without labels: it is shown degraded crops of photographs, and names the degradation.

From the logarithms of the mean and spread of its features at every stage a linear layer says which of
:data:`vdp_distill.losses.degradations.DEGRADATIONS` was done, and how strongly. The layer is thrown away, and the
stages are levelled. The batch of a step is a function of (seed, step), so a run that was stopped goes on as if it had
not.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill.checkpoints import load_state, save_state
from vdp_distill.io import READABLE, file_hash, read_image
from vdp_distill.losses import released
from vdp_distill.losses.degradations import DEGRADATIONS, degrade
from vdp_distill.losses.trunk_recipe import TrunkRecipe, TrunkTraining
from vdp_distill.losses.trunk_report import write_report
from vdp_distill.losses.trunks import InHouseTrunk
from vdp_distill.training.divergence import DivergedError
from vdp_distill.training.report import Progress
from vdp_distill.training.resumable import STATE, claim

__all__ = ["Namer", "Photographs", "level", "train"]

KINDS = tuple(DEGRADATIONS)
FLOOR = 1e-2
"""Under the logarithm of features' means and spreads: strengths go by ratios."""
GOLDEN_SIZE = (40, 48)
LEVELLING_BATCHES = 8
FAINT = 0.1
"""Of a stage's mean: a channel under it counts as that strong, lest a hardly used one be blown up."""


class Photographs:
    """Photographs of a folder, and degraded crops of them.

    Parameters
    ----------
    folder
        Read to any depth; files with light instead of code values are left out.
    training
        How crops are cut, and how many photographs are held out.

    Raises
    ------
    ValueError
        If no photograph is left to train on, or one is smaller than a crop.
    """

    def __init__(self, folder: Path, training: TrunkTraining):
        paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in READABLE)
        images = {path: read_image(path, grey="expand") for path in paths}
        self.images = [(image.array * 255).round().astype("uint8") for image in images.values() if image.kind == "code"]
        self.names = [f"{path.name} {file_hash(path)[:12]}" for path, image in images.items() if image.kind == "code"]
        self.training, self.kept = training, len(self.images) - training.held_out
        if self.kept < 1:
            raise ValueError(
                f"{folder} holds {len(self.images)} photographs; {training.held_out} are held out, add more"
            )
        small = [name for image, name in zip(self.images, self.names, strict=True) if min(image.shape[:2]) < self.side]
        if small:
            raise ValueError(f"{small[0]} is smaller than a crop of {self.side} x {self.side} pixels; take it out")

    @property
    def side(self) -> int:
        return self.training.crop_pixels

    def batch(self, generator: torch.Generator, held_out: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Degraded crops (N, 3, side, side), their kinds (N,) and strengths (N,)."""
        first, last = (self.kept, len(self.images)) if held_out else (0, self.kept)
        count = self.training.crops_per_batch
        kinds = torch.arange(count) % len(KINDS)
        strengths = torch.rand(count, generator=generator)
        crops = []
        for kind, strength in zip(kinds.tolist(), strengths.tolist(), strict=True):
            image = self.images[_draw(first, last, generator)]
            crops.append(degrade(self._crop(image, generator), KINDS[kind], strength, generator))
        return torch.cat(crops), kinds, strengths

    def _crop(self, image, generator: torch.Generator) -> Tensor:
        top, left = (_draw(0, length - self.side + 1, generator) for length in image.shape[:2])
        crop = torch.from_numpy(image[top : top + self.side, left : left + self.side].copy()).permute(2, 0, 1)
        return crop[None] / 255


class Namer(nn.Module):
    """The trunk with the layer that names a degradation.

    Examples
    --------
    >>> kinds, strengths = Namer(InHouseTrunk((4, 4)))(torch.rand(2, 3, 32, 32))
    >>> kinds.shape, strengths.shape
    (torch.Size([2, 7]), torch.Size([2, 7]))
    """

    def __init__(self, trunk: InHouseTrunk):
        super().__init__()
        widths = [layer.out_channels for layer in trunk.features if isinstance(layer, nn.Conv2d)][1::2]
        self.trunk, self.answer = trunk, nn.Linear(2 * sum(widths), 2 * len(KINDS))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        summary = torch.cat([part for found in features for part in (found.mean((2, 3)), found.std((2, 3)))], dim=1)
        return self.answer((summary + FLOOR).log()).chunk(2, dim=1)


def train(
    recipe: str | Path | TrunkRecipe,
    data: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train a trunk on a folder of photographs.

    Parameters
    ----------
    recipe
        A file, the bare name of one that ships, or a :class:`TrunkRecipe`.
    data
        Folder of photographs.
    out
        Folder of the run; becomes the model's folder.
    resume
        Go on with the run in ``out``, if there is one.
    progress
        Show a progress bar.

    Raises
    ------
    ValueError
        For a wrong recipe, too few photographs, or a folder that holds another run.
    DivergedError
        When the loss becomes NaN or infinite; the last good state stays.
    """
    recipe, out = TrunkRecipe.read(recipe), Path(out)
    photographs = Photographs(Path(data), recipe.training)
    claim(out, recipe, TrunkRecipe.read, resume)
    namer = _initialised(Namer(InHouseTrunk(recipe.network.widths)), _generator(recipe.training.seed, -1))
    rows = _run(namer, photographs, recipe.training, out, resume, progress)
    by_kind = _by_kind(namer, photographs)
    later = range(recipe.training.steps, recipe.training.steps + LEVELLING_BATCHES)
    level(namer.trunk, torch.cat([photographs.batch(_generator(recipe.training.seed, step))[0] for step in later]))
    golden = torch.rand(1, 3, *GOLDEN_SIZE, generator=torch.Generator().manual_seed(recipe.training.seed))
    released.save(out, namer.trunk, "trunk", golden)
    write_report(out, recipe, namer.trunk, photographs, rows, by_kind)
    return out


@torch.no_grad()
def level(trunk: InHouseTrunk, images: Tensor) -> None:
    """Give every channel of a stage's features a mean of 1 over images, so that no stage outweighs another in a loss.

    A stage that answers nothing to the images is left as it is.

    What follows a stage takes the factor back: features are positively homogeneous. Gatys et al. (CVPR 2016) scale
    VGG's weights so. Features of the trained trunk else grow tenfold from the first stage to the last.

    Examples
    --------
    >>> trunk, images = InHouseTrunk((4, 4)), torch.rand(2, 3, 32, 32)
    >>> level(trunk, images)
    >>> [bool(features.mean() <= 1.001) for features in trunk(images)]
    [True, True]
    """
    layers = [layer for layer in trunk.features if isinstance(layer, nn.Conv2d)]
    strengths = [features.mean((0, 2, 3)) for features in trunk(images)]
    factors = [_factor(strength) for strength in strengths]
    for last, factor in zip(layers[1::2], factors, strict=True):
        last.weight /= factor[:, None, None, None]
        last.bias /= factor
    for first, factor in zip(layers[2::2], factors[:-1], strict=True):
        first.weight *= factor[None, :, None, None]


def _factor(strength: Tensor) -> Tensor:
    """What the channels of a stage are divided by."""
    return strength.clamp(min=FAINT * float(strength.mean())) if strength.any() else torch.ones_like(strength)


def _initialised(namer: Namer, generator: torch.Generator) -> Namer:
    """Weights that keep the spread of a signal from layer to layer: He et al. 2015."""
    for layer in namer.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)
    return namer


def _run(namer, photographs, training: TrunkTraining, out: Path, resume: bool, progress: bool) -> list[dict]:
    """All steps; gives the rows of the log."""
    optimizer = torch.optim.Adam(namer.parameters(), lr=training.learning_rate)
    state, done, rows = out / STATE, 0, []
    identity = {"photographs": photographs.names}
    if resume and state.is_file():
        position = load_state(state, namer, optimizer, identity=identity)
        done, rows = position["step"], position["rows"]
    with Progress(training.steps, done, progress) as bar:
        for step in range(done, training.steps):
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * (1 + math.cos(math.pi * step / training.steps)) / 2
            loss = _loss(namer, photographs.batch(_generator(training.seed, step)))
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.get_total_norm([value.grad for value in namer.parameters() if value.grad is not None])
            if not bool((loss.detach() + norm).isfinite()):
                raise DivergedError(
                    f"the loss or its gradient became NaN or infinite at step {step}; {out} keeps the last good state: "
                    "lower learning_rate in a new recipe"
                )
            optimizer.step()
            bar.advance(float(loss.detach()))
            if (step + 1) % training.validate_every == 0 or step + 1 == training.steps:
                rows.append({"step": step + 1, "train_loss": float(loss.detach()), **_validation(namer, photographs)})
                save_state(state, namer, optimizer, {"step": step + 1, "rows": rows}, identity=identity)
    return rows


def _loss(namer: Namer, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    images, kinds, strengths = batch
    logits, guesses = namer(images)
    wrong = (guesses.gather(1, kinds[:, None])[:, 0] - strengths).abs()
    return F.cross_entropy(logits, kinds) + wrong[kinds > 0].mean()


@torch.no_grad()
def _answers(namer: Namer, photographs: Photographs, batches: int) -> tuple[Tensor, Tensor, Tensor]:
    """Kinds of held-out crops, whether they were named, and the error of the strength, (M,) each."""
    kinds, named, errors = [], [], []
    for number in range(batches):
        images, kind, strength = photographs.batch(_generator(-1, number), held_out=True)
        logits, guesses = namer(images)
        kinds.append(kind)
        named.append((logits.argmax(1) == kind).float())
        errors.append((guesses.gather(1, kind[:, None])[:, 0] - strength).abs())
    return torch.cat(kinds), torch.cat(named), torch.cat(errors)


def _validation(namer: Namer, photographs: Photographs) -> dict:
    kinds, named, errors = _answers(namer, photographs, 8)
    return {"val_named": float(named.mean()), "val_strength_error": float(errors[kinds > 0].mean())}


def _by_kind(namer: Namer, photographs: Photographs) -> dict[str, tuple[float, float]]:
    kinds, named, errors = _answers(namer, photographs, 40)
    return {
        name: (float(named[kinds == k].mean()), float(errors[kinds == k].mean()) if k else 0.0)
        for k, name in enumerate(KINDS)
    }


def _draw(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))


def _generator(seed: int, number: int) -> torch.Generator:
    """Of one batch: the same whatever came before."""
    return torch.Generator().manual_seed((seed + 1) * 1_000_003 + number)
