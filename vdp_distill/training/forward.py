"""Any metric as a loss: a black box is asked about pairs, and a small network learns its answers.

The network's gradient then stands in for the one that the metric does not have.

Idea: Snell et al. 2017, Learning to generate images with perceptual similarity metrics, their outlook.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vdp_distill import distill
from vdp_distill.losses.forward import ForwardLoss
from vdp_distill.surrogates.forward import ForwardConfig
from vdp_distill.training.black_box import BlackBox, Command
from vdp_distill.training.labels import LabelledPairs, Labeller, Pairs, Report
from vdp_distill.training.recipe import Recipe, read_recipe
from vdp_distill.training.tasks import ErrorColumn, Task

__all__ = ["ForwardModel", "ForwardTask"]

SPLITS = ("train", "val")
ANSWERS = "answers"
"""Folder of the black box's answers, in that of the model."""

ASKED_IDENTICAL = 8
"""Identical pairs that show the metric's value there."""

IDENTICAL_SPREAD = 0.02
"""Of the values at identical images, in typical departures from it."""

LEAST_DISTANCE = 0.1
"""Typical departures: below, errors count as they are; above, relative to the departure."""

TINY = 1e-8
"""Keeps the derivative of a square root finite at 0."""


class ForwardTask(Task):
    """Distil a black box into a :class:`vdp_distill.surrogates.forward.ForwardNetwork`.

    The loss of a pair: the error of its score and the root mean square error of its map, each over the true score, so
    that hardly seen differences are learnt as well as gross ones. Absolute errors of a map would give its median, and
    with it another score.
    """

    about = "Imitates a metric that is a black box: code values of test and reference to its values."
    limits = "It is right about distortions, pictures and sizes like those it was trained on; check others before use."
    loss_unit = "sum of relative errors"
    maker = "vdp_distill.training.forward.ForwardModel"
    usage = """Validation pairs are those given as such.

    from vdp_distill.losses.forward import ForwardLoss
    loss = ForwardLoss("path/to/{name}")
    loss(test, reference).backward()"""

    @property
    def fields(self) -> tuple[str, ...]:
        return ("test", "reference", "value", "samples/index")

    @property
    def columns(self) -> tuple[ErrorColumn, ...]:
        score = ErrorColumn("score", "score", "the metric's own", is_square=True)
        if self.config.output == "score":
            return (score,)
        return (score, ErrorColumn("map", "map", "the metric's own", is_square=True))

    def losses(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        return self.evaluate(module, batch)[0]

    def errors(self, module: Callable, batch: Mapping[str, Tensor]) -> Tensor:
        return self.evaluate(module, batch)[1]

    def evaluate(self, module: Callable, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        config = self.config
        units = config.direction * config.scale
        judged = module(batch["test"], batch["reference"])
        found, true = ((value - config.identical) / units for value in (judged.score, _mean(batch["value"])))
        score = (found - true).abs()
        relative = [score / true.clamp(min=LEAST_DISTANCE)]
        errors = [(score * config.scale).square()]
        if config.output == "map":
            wrong = ((judged.map - batch["value"]) / config.scale).square().mean(dim=(1, 2, 3))
            relative.append((wrong + TINY).sqrt() / true.clamp(min=LEAST_DISTANCE))
            errors.append(wrong * config.scale**2)
        return torch.stack(relative, dim=1), torch.stack(errors, dim=1)


class ForwardModel:
    """A metric that is a black box, and the differentiable loss that is made of it.

    Parameters
    ----------
    black_box
        ``black_box(test, reference)`` of code values (H, W, 3), or (H, W) for grey, float32 in 0..1; gives a number, or
        a map (H, W). It must give the same for the same pair, and one value for identical images.
    output
        ``"score"`` or ``"map"``: what it gives. The score of a map is its mean.
    higher_is_better
        As for SSIM: identical images have the largest value.
    channels
        Of the images: 3, or 1 for grey.
    on_error, workers
        As for :class:`vdp_distill.training.labels.Labeller`.

    Examples
    --------
    >>> import tempfile
    >>> from vdp_distill.training.recipe import Training
    >>> largest = ForwardModel(lambda test, reference: float(abs(test - reference).max()))
    >>> images = [np.full((16, 16, 3), level, np.float32) for level in (0.2, 0.4, 0.6, 0.8)]
    >>> pairs = [(test, reference) for test in images for reference in images]
    >>> recipe = Recipe(ForwardConfig(width=4, levels=1), Training(steps=2, validate_every=2, accelerator="cpu"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = largest.train({"train": pairs, "val": pairs}, folder, recipe=recipe, progress=False)
    ...     loss = largest.as_loss()
    >>> loss(torch.full((1, 3, 20, 30), 0.5), torch.full((1, 3, 20, 30), 0.5))
    tensor(0.)
    """

    def __init__(
        self,
        black_box: BlackBox,
        *,
        output: str = "score",
        higher_is_better: bool = False,
        channels: int = 3,
        on_error: str = "stop",
        workers: int = 1,
    ):
        if not callable(black_box):
            raise TypeError(f"black_box must be callable as f(test, reference), got {type(black_box).__name__}")
        self.labeller = Labeller(black_box, output, channels, on_error, workers)
        self.higher_is_better = higher_is_better
        self.folder: Path | None = None

    @classmethod
    def from_command(
        cls, words: Sequence[str], *, suffix: str = ".npy", timeout_s: float = 60.0, **options
    ) -> "ForwardModel":
        """The same of a program that is given two files and prints a number.

        Parameters
        ----------
        words, suffix, timeout_s
            As for :class:`vdp_distill.training.black_box.Command`.
        **options
            As for the class; the output is a score.
        """
        return cls(Command(words, suffix=suffix, timeout_s=timeout_s), **options)

    def train(
        self,
        pairs: Mapping[str, Pairs],
        out: str | Path,
        *,
        recipe: str | Path | Recipe = "forward",
        resume: bool = False,
        progress: bool = True,
        report: Report | None = None,
    ) -> Path:
        """Ask the black box about all pairs, then train.

        Parameters
        ----------
        pairs
            ``{"train": ..., "val": ...}``: sequences of (test, reference), code values in 0..1, as tensors
            (1, C, H, W) or arrays (H, W[, C]), all of one size. Take those of ``val`` from other pictures.
        out
            Folder of the run; becomes the model's folder. The answers are kept in it, and not asked for again.
        recipe, resume, progress
            As for :func:`vdp_distill.distill.train`. The network's units and channels are the metric's.
        report
            Called as ``report(name, done, total)`` while the black box is asked.

        Returns
        -------
        Path
            ``out``; :class:`vdp_distill.losses.forward.ForwardLoss` takes it.

        Raises
        ------
        BlackBoxError
            If the black box fails; the message names the pair.
        ValueError
            For pairs or a recipe that do not fit, and for a metric whose values at identical images differ or lie
            among those of different ones.
        """
        recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
        if not isinstance(recipe.network, ForwardConfig):
            raise ValueError(f"the recipe must be of a network of kind 'forward', got {recipe.network.kind!r}")
        for split in SPLITS:
            if split not in pairs:
                raise ValueError(f"pairs must hold 'train' and 'val', got {sorted(pairs)}")
        out = Path(out)
        sets = {split: self.labeller.label(pairs[split], out / ANSWERS, split, report) for split in SPLITS}
        recipe = replace(recipe, network=self.in_units(recipe.network, sets["train"], out))
        distill.train(recipe, sets, out, resume=resume, progress=progress)
        self.folder = out
        return out

    def as_loss(self, **options) -> ForwardLoss:
        """The trained network as a loss; options as for :class:`vdp_distill.losses.forward.ForwardLoss`.

        Raises
        ------
        ValueError
            Before :meth:`train`.
        """
        if self.folder is None:
            raise ValueError("there is no trained network yet: call train(), or ForwardLoss(folder) for one of before")
        return ForwardLoss(self.folder, **options)

    def in_units(self, config: ForwardConfig, labelled: LabelledPairs, out: Path) -> ForwardConfig:
        """The network's shape with the metric's value at identical images, and its typical departure from it."""
        chosen = np.linspace(0, len(labelled) - 1, ASKED_IDENTICAL).round().astype(int)
        references = [labelled[int(place)]["reference"][None] for place in dict.fromkeys(chosen)]
        same = self.labeller.label([(image, image) for image in references], out / ANSWERS, "identical").scores()
        departures = labelled.scores() - same.mean()
        scale = float(np.abs(departures).mean())
        if scale == 0:
            raise ValueError(f"the black box gave {same[0]:.6g} for all training pairs: there is nothing to learn")
        if np.ptp(same) > IDENTICAL_SPREAD * scale:
            raise ValueError(
                f"the black box gave {same.min():.6g} to {same.max():.6g} for identical images, and departs from it by "
                f"{scale:.3g}; a forward model needs one value there: subtract black_box(reference, reference)"
            )
        if departures.mean() * (-1 if self.higher_is_better else 1) < 0:
            raise ValueError(
                f"the black box gave {same.mean():.6g} for identical images, {labelled.scores().mean():.6g} for the "
                f"training pairs; pass higher_is_better={not self.higher_is_better}"
            )
        own = {"identical": float(same.mean()), "scale": scale, "higher_is_better": self.higher_is_better}
        _check_size(labelled, config)
        return replace(config, channels=self.labeller.channels, output=self.labeller.output, **own)


def _check_size(labelled: LabelledPairs, config: ForwardConfig) -> None:
    size = labelled[0]["test"].shape[-2:]
    if min(size) < config.smallest_side:
        raise ValueError(
            f"pairs must have sides of at least {config.smallest_side} pixels for {config.levels} levels, got "
            f"{size[0]} x {size[1]}; lower levels in the recipe's [network]"
        )


def _mean(value: Tensor) -> Tensor:
    """Score of each answer, (N,)."""
    return value if value.ndim == 1 else value.mean(dim=(1, 2, 3))
