"""The rows of the study of JND: every one predicts sources that it never saw."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from benchmarks.jnd_peers import scores
from benchmarks.jnd_statistics import fit_logistic
from vdp_distill import zoo
from vdp_distill.jnd import model as jnd_model
from vdp_distill.jnd.recipe import Recipe, read_recipe
from vdp_distill.jnd.responses import ResponseStore
from vdp_distill.jnd.training import predict, train
from vdp_distill.judgements import HumanData

__all__ = ["NETWORKS", "Study", "detected", "quality_only", "recipe_for"]

NETWORKS = {
    "ours on exact": ("jnd", "exact"),
    "paper's network on exact": ("jnd-paper", "exact"),
}
"""Rows that are trained: recipe, and the frozen stages in front; ours is also put on every released surrogate."""


def quality_only(sources: np.ndarray, levels: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The mean share of all other sources at the same quality: a guess that looks at no picture."""
    predicted = np.empty_like(share)
    for source in np.unique(sources):
        own, others = sources == source, sources != source
        for index in np.flatnonzero(own):
            predicted[index] = share[others & (levels == levels[index])].mean()
    return predicted


class Study:
    """A set of judgements, and predictions of it by row."""

    def __init__(self, data: HumanData, work: Path):
        self.data, self.work = data, work
        rows = data.judgements
        self.sources = np.array([row.source for row in rows])
        self.levels = np.array([row.level for row in rows])
        self.share = np.array([row.share for row in rows])
        self.folds = sorted(set(data.folds.values()))
        self.notes: dict[str, str] = {}
        self.stores: dict[str, ResponseStore] = {}
        work.mkdir(parents=True, exist_ok=True)

    def by_fold(self, fit: Callable[[list[int]], Callable[[list[int]], np.ndarray]]) -> np.ndarray:
        """Predictions of every fold by what was fitted to the others."""
        predicted = np.full(len(self.share), np.nan)
        for fold in self.folds:
            others, inside = self.data.split(fold)
            predicted[inside] = fit(others)(inside)
        return predicted

    def peers(self) -> dict[str, np.ndarray]:
        """Scores of the other metrics, kept in the folder of the run; NaN where one gives none."""
        path = self.work / "peers.csv"
        if not path.is_file():
            found = scores(self.data)
            np.savetxt(path, np.column_stack(list(found.values())), header=",".join(found), delimiter=",", comments="")
        with path.open() as file:
            names = file.readline().strip().split(",")
            columns = np.loadtxt(file, delimiter=",", ndmin=2).T
        for name, column in zip(names, columns, strict=True):
            bad = int((~np.isfinite(column)).sum())
            if bad:
                self.notes[name] = f"no score for {bad} of {len(column)} pairs"
        return dict(zip(names, columns, strict=True))

    def mapped(self, score: np.ndarray) -> np.ndarray:
        """Scores as shares, by curves fitted to the other folds."""

        def fit(others):
            curve = fit_logistic(score[others], self.share[others])
            return lambda inside: curve(score[inside])

        return self.by_fold(fit) if np.isfinite(score).all() else np.full(len(score), np.nan)

    def sensitivity(self, contrast: np.ndarray) -> np.ndarray:
        """P_det after one sensitivity, fitted to the other folds."""

        def fit(others):
            def error(log10_threshold):
                return np.mean((detected(contrast[others], log10_threshold) - self.share[others]) ** 2)

            best = minimize_scalar(error, bounds=(-2, 8), method="bounded").x
            return lambda inside: detected(contrast[inside], best)

        return self.by_fold(fit)

    def network(self, name: str, recipe_name: str, responses: str, steps: int | None) -> np.ndarray:
        """A network's predictions, trained anew for every fold."""
        if responses not in self.stores:
            self.stores[responses] = ResponseStore(
                self.data, responses, contrast=True, keep="disk", folder=self.work / "cache"
            )
        store = self.stores[responses]

        def fit_fold(fold: int) -> Callable[[list[int]], np.ndarray]:
            recipe = recipe_for(recipe_name, responses, self.data, fold, steps)
            folder = self.work / name.replace(" ", "-").replace("'", "").replace(",", "") / f"fold-{fold}"
            train(recipe, store, folder, resume=True, progress=False)
            network = jnd_model.load_network(folder)
            print(f"{name}: fold {fold} of {len(self.folds)}", flush=True)
            return lambda inside: predict(network, store, inside).double().numpy()

        remaining = iter(self.folds)
        return self.by_fold(lambda others: fit_fold(next(remaining)))

    def predictions(self, steps: int | None, networks: list[str] | None = None) -> dict[str, np.ndarray]:
        """Of every row; of the networks those that are named, or all."""
        found = {"quality only": quality_only(self.sources, self.levels, self.share)}
        for name, score in self.peers().items():
            if name == "C_max":
                found["exact HDR-VDP P_det"] = detected(score, 0.0)
                found["exact HDR-VDP P_det, one fitted sensitivity"] = self.sensitivity(score)
            else:
                found[name] = self.mapped(score)
        for name, (recipe, responses) in (NETWORKS | released_networks()).items():
            if networks is None or name in networks:
                found[name] = self.network(name, recipe, responses, steps)
        return found


def released_networks() -> dict[str, tuple[str, str]]:
    """Networks on the responses of every released model that has them: recipe, and what gives the responses."""
    return {f"ours on {model}": ("jnd", model) for model in zoo.names() if zoo.load(model).has_retina}


def detected(contrast: np.ndarray, log10_threshold: float) -> np.ndarray:
    """1 - 0.5^(C / T)."""
    return -np.expm1(-np.log(2) * contrast / 10**log10_threshold)


def recipe_for(name: str, responses: str, data: HumanData, fold: int, steps: int | None) -> Recipe:
    """A shipped recipe for a set's own viewing, with one fold held out."""
    recipe = read_recipe(name)
    height = data.viewing.height or 0
    levels, ppd = tuple(sorted({row.level for row in data.judgements})), data.viewing.pixels_per_degree
    own = replace(recipe.data, responses=responses, size=tuple(data.size()), height=height, levels=levels)
    own = replace(own, kind="mcl-jci" if data.measured else "synthetic", pixels_per_degree=ppd)
    steps = steps or recipe.training.steps
    every = min(steps, recipe.training.validate_every)
    return replace(recipe, data=own, training=replace(recipe.training, fold=fold, steps=steps, validate_every=every))
