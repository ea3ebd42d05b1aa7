"""Training of JND networks on judgements of pairs of images.

A run is a folder: ``recipe.toml``, ``log.csv``, ``curve.png``, ``model.safetensors`` with its golden values and card,
and ``resume.safetensors``. The network that is kept is the last one, not the best on the sources held out: with this
few sources a choice among many would be a fit to them.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from vdp_distill.checkpoints import load_state, save_state, written_together
from vdp_distill.human_data import MCLJCI, SyntheticObservers
from vdp_distill.jnd import model as jnd_model
from vdp_distill.jnd.network import LOSSES, DifferenceNetwork
from vdp_distill.jnd.recipe import NETWORKS, Data, Recipe, read_recipe
from vdp_distill.jnd.report import write_report
from vdp_distill.jnd.responses import ResponseStore
from vdp_distill.judgements import HumanData
from vdp_distill.training.divergence import DivergedError
from vdp_distill.training.report import Progress
from vdp_distill.training.resumable import STATE, claim, conduct

__all__ = ["begin", "human_data", "predict", "train"]


@dataclass
class Position:
    """Where a run stands."""

    step: int = 0
    train_loss: float = 0.0
    train_steps: int = 0
    rows: list[dict] = field(default_factory=list)


def train(
    recipe: str | Path | Recipe,
    data: str | Path | HumanData | ResponseStore,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train a JND network.

    Parameters
    ----------
    recipe
        A file, the bare name of one that ships, or a :class:`vdp_distill.jnd.recipe.Recipe`.
    data
        Folder of MCL-JCI, or of photographs for synthetic observers, as the recipe's ``[data] kind`` says; or a set,
        or its responses.
    out
        Folder of the run; becomes the model's folder.
    resume
        Go on with the run in ``out``, if there is one.
    progress
        Show a progress bar.

    Returns
    -------
    Path
        ``out``; :func:`vdp_distill.jnd.model.load` takes it.

    Raises
    ------
    ValueError
        For a wrong recipe, data that does not fit it, or a folder that holds another run.
    DivergedError
        When the loss becomes NaN; the last good network and state stay.
    """
    recipe, out = recipe if isinstance(recipe, Recipe) else read_recipe(recipe), Path(out)
    store = data if isinstance(data, ResponseStore) else _responses(recipe, data, out)
    _check_data(recipe, store)
    claim(out, recipe, read_recipe, resume)
    return conduct(_Run(recipe, store, out), resume, progress)


def human_data(recipe: Data, folder: str | Path, cache: str | Path | None = None) -> HumanData:
    """The set that a recipe asks for, from its folder."""
    if recipe.kind == "mcl-jci":
        return MCLJCI(folder, levels=recipe.levels, viewing=recipe.viewing())
    return SyntheticObservers(
        folder, levels=recipe.levels, size=recipe.size, seed=recipe.seed, cache=cache, viewing=recipe.viewing()
    )


def _responses(recipe: Recipe, data: str | Path | HumanData, out: Path) -> ResponseStore:
    cache = out / "cache"
    data = data if isinstance(data, HumanData) else human_data(recipe.data, data, cache)
    contrast = getattr(recipe.network, "contrast", False)
    return ResponseStore(data, recipe.data.responses, contrast=contrast, keep=recipe.data.keep, folder=cache)


def _check_data(recipe: Recipe, store: ResponseStore) -> None:
    data, fold = store.data, recipe.training.fold
    seen, expected = data.pixels_per_degree(), recipe.data.trained_pixels_per_degree()
    if not math.isclose(seen, expected, rel_tol=1e-3):
        raise ValueError(
            f"{data.name} has images of {data.size()} pixels, seen at {seen:.4g} pixels per degree, but the recipe's "
            f"[data] says {tuple(recipe.data.size)} and {expected:.4g}; change size, height or pixels_per_degree there"
        )
    if fold and fold not in data.folds.values():
        raise ValueError(f"[training]: fold must be 0 or one of {sorted(set(data.folds.values()))}, got {fold}")
    if fold and set(data.folds.values()) == {fold}:
        raise ValueError(f"fold {fold} holds all {len(data.sources)} sources; there is nothing left to train on")


@torch.no_grad()
def predict(network: torch.nn.Module, store: ResponseStore, indices: list[int]) -> Tensor:
    """A network's probabilities for judgements of a set, (N,)."""
    network.eval()
    return torch.cat([network.probability(*store[index]) for index in indices])


@torch.no_grad()
def begin(network: DifferenceNetwork, store: ResponseStore, indices: list[int]) -> None:
    """Fit the sensitivity and the slope alone: far from threshold the probability gives no gradient to learn from."""
    network.eval()
    evidence = torch.cat([network.evidence(*store[index]) for index in indices])
    share, subjects = _labels(store, indices)

    def loss(values: np.ndarray) -> float:
        network.log_sensitivity.fill_(float(values[0]))
        network.log_slope.fill_(float(values[1]))
        return float(LOSSES["binomial"](network.psychometric(evidence), share, subjects).mean())

    middle = -float(evidence.clamp(min=1e-12).log().median())
    starts = [(middle + shift, slope) for shift in (-2.0, 0.0, 2.0) for slope in (0.0, -1.0)]
    found = min((minimize(loss, start, method="Nelder-Mead") for start in starts), key=lambda result: result.fun)
    loss(found.x)


def _labels(store: ResponseStore, indices: list[int]) -> tuple[Tensor, Tensor]:
    rows = [store.data.judgements[index] for index in indices]
    return torch.tensor([row.share for row in rows]), torch.tensor([float(row.subjects) for row in rows])


class _Run:
    """Network, optimiser, judgements and position of a run."""

    def __init__(self, recipe: Recipe, store: ResponseStore, out: Path):
        self.recipe, self.training, self.store, self.out = recipe, recipe.training, store, out
        generator = torch.Generator().manual_seed(self.training.seed)
        self.network = NETWORKS[recipe.network.kind][1](recipe.network, generator)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.training.learning_rate)
        self.learnt, self.held_out = store.data.split(self.training.fold)
        self.position, self.state_path, self.steps = Position(), out / STATE, self.training.steps

    def steps_done(self) -> int:
        return self.position.step

    def restore(self) -> None:
        """Go back to the last saved position."""
        saved = load_state(self.state_path, self.network, self.optimizer)
        if saved.pop("about") != self.store.data.about:
            raise ValueError(f"{self.out} was trained on other data; resume with the same, or choose another folder")
        self.position = Position(**saved)

    def run(self, bar: Progress) -> None:
        """Train to the last step; validate and save on the way."""
        at = self.position
        if not at.step and isinstance(self.network, DifferenceNetwork):
            begin(self.network, self.store, self.learnt)
        for indices in self.batches():
            loss = self.step(indices)
            at.step, at.train_steps, at.train_loss = at.step + 1, at.train_steps + 1, at.train_loss + loss
            bar.advance(loss)
            if at.step % self.training.validate_every == 0 or at.step == self.training.steps:
                self.validate()

    def batches(self) -> Iterator[list[int]]:
        """Judgements of every batch from the position on; the order is that of (seed, epoch)."""
        size = min(self.training.pairs_per_batch, len(self.learnt))
        each = len(self.learnt) // size
        while self.position.step < self.training.steps:
            epoch, done = divmod(self.position.step, each)
            generator = torch.Generator().manual_seed(1_000_003 * self.training.seed + epoch)
            order = torch.randperm(len(self.learnt), generator=generator)[: each * size].view(-1, size)
            for chosen in order[done:][: self.training.steps - self.position.step].tolist():
                yield [self.learnt[place] for place in chosen]

    def step(self, indices: list[int]) -> float:
        """One step of the optimiser; gives the loss."""
        self.network.train()
        loss = self.losses(indices).mean()
        self.optimizer.zero_grad()
        loss.backward()
        gradients = [value.grad for value in self.network.parameters() if value.grad is not None]
        if not bool((loss.detach() + torch.nn.utils.get_total_norm(gradients)).isfinite()):
            rows = [self.store.data.judgements[index] for index in indices]
            raise DivergedError(
                f"the loss or its gradient became NaN or infinite at step {self.position.step}, with the pairs "
                f"{', '.join(f'{row.source} at {row.level}' for row in rows)}; {self.out} keeps the last good state"
            )
        self.optimizer.step()
        return float(loss.detach())

    def losses(self, indices: list[int]) -> Tensor:
        """Losses of a batch, (N,)."""
        return LOSSES[self.training.loss](self.network(*self.store.batch(indices)), *_labels(self.store, indices))

    def validate(self) -> None:
        """Errors on the sources that are held out; save network, state and report."""
        at, row = self.position, {}
        row = {"step": at.step, "train_loss": at.train_loss / max(1, at.train_steps)}
        if self.held_out:
            share, _ = _labels(self.store, self.held_out)
            error = predict(self.network, self.store, self.held_out) - share
            row |= {"held_out_rmse": float(error.square().mean().sqrt()), "held_out_mae": float(error.abs().mean())}
        at.rows.append(row)
        at.train_loss, at.train_steps = 0.0, 0
        self.save()

    def save(self) -> None:
        """Write all files of the run together, so that a full disk leaves those of the last validation."""
        position = {**asdict(self.position), "about": self.store.data.about}
        with written_together(self.out, last=STATE) as folder:
            jnd_model.save_network(folder, self.network)
            write_report(folder, self.out.name, self.recipe, self.network, self.position.rows, self.store)
            save_state(folder / STATE, self.network, self.optimizer, position)
