"""A weighted sum of losses whose weights follow a schedule, from TOML.

[[term]]
loss = "l1"

[[term]]
loss = "vdp"
weight = 0.02
start = 5000        # steps: L1 alone first, for a metric of the threshold says little about what is far above it
ramp = 1000
options = { encoding = "sRGB-display", pixels_per_degree = 45 }
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from vdp_distill.losses.contract import ImageLoss
from vdp_distill.losses.registry import create
from vdp_distill.recipes import from_table, nearest, read_toml

__all__ = ["Term", "WeightedSum", "read_terms"]


@dataclass(frozen=True)
class Term:
    """A loss in a sum.

    Parameters
    ----------
    loss
        One of :func:`vdp_distill.losses.names`.
    weight
        Once it is fully in.
    start, ramp
        The step at which it comes in, and the steps in which it grows to its weight.
    until
        The step from which it is out again; 0 for never.
    options
        For :func:`vdp_distill.losses.create`.
    """

    loss: str = ""
    weight: float = 1.0
    start: int = 0
    ramp: int = 0
    until: int = 0
    options: Mapping = field(default_factory=dict)

    def __post_init__(self):
        if not self.loss:
            raise ValueError("a term of a sum needs its loss, such as loss = 'l1'")
        if min(self.start, self.ramp, self.until) < 0:
            raise ValueError(f"{self.loss}: start, ramp and until are steps and not negative, got {self}")
        if self.until and self.until <= self.start:
            raise ValueError(f"{self.loss}: until must come after start, got {self.until} and {self.start}")

    def weight_at(self, step: int) -> float:
        """Weight at a step.

        Examples
        --------
        >>> [Term("l1", weight=2.0, start=10, ramp=4).weight_at(step) for step in (9, 10, 11, 14)]
        [0.0, 0.5, 1.0, 2.0]
        """
        if step < self.start or (self.until and step >= self.until):
            return 0.0
        return self.weight * min(1.0, (step - self.start + 1) / max(self.ramp, 1))


class WeightedSum(ImageLoss):
    """A sum of losses, each with a weight that may change as training goes on.

    Parameters
    ----------
    terms
        :class:`Term`, tables with its fields, or the path of a TOML file with a ``[[term]]`` each.
    **checks
        As for :class:`ImageLoss`.

    Attributes
    ----------
    step
        Calls with a gradient so far; it is in ``state_dict``, so that a resumed run goes on where it was.
    parts
        What each loss gave in the last call before its weight, the batch's mean, by name; those out of it are missing.

    Examples
    --------
    >>> loss = WeightedSum([{"loss": "l1"}, {"loss": "l2", "weight": 10.0}])
    >>> loss(torch.full((1, 1, 4, 4), 0.6), torch.full((1, 1, 4, 4), 0.5))
    tensor(0.2000)
    """

    paper = "A sum of losses; the schedule is that of ColorVideoVDP's advice: pixels first, the visual metric later"
    required_options = ("terms",)

    def __init__(self, terms: str | Path | Sequence[Term | Mapping], **checks):
        super().__init__(**checks)
        self.terms = read_terms(terms)
        for term in self.terms:
            if "reduction" in term.options:
                raise ValueError(f"{term.loss}: reduction is the sum's own, not a term's; take it out of its options")
        quiet = {"reduction": "none", "out_of_range": self.out_of_range, "check_values": False}
        self.losses = nn.ModuleList(create(term.loss, **{**quiet, **term.options}) for term in self.terms)
        self.step, self.parts = 0, {}
        self._declare()

    def values(self, test: Tensor, reference: Tensor) -> Tensor:
        total, self.parts = test.new_zeros(test.shape[0]), {}
        for term, loss in zip(self.terms, self.losses, strict=True):
            weight = term.weight_at(self.step)
            if weight:
                found = loss(test, reference)
                self.parts[term.loss] = found.detach().mean()
                total = total + weight * found
        if torch.is_grad_enabled() and test.requires_grad:
            self.step += 1
            if not self.parts:  # a step without any term must still be able to go backward
                total = total + 0 * test.flatten(1).sum(dim=1)
        return total

    def get_extra_state(self) -> dict:
        return {"step": self.step}

    def set_extra_state(self, state: Mapping) -> None:
        self.step = int(state["step"])

    def extra_repr(self) -> str:
        return ", ".join(f"{term.weight:g} {term.loss}" for term in self.terms)

    def _declare(self) -> None:
        """What the sum takes is what all of its losses take."""
        ranges = {loss.data_range for loss in self.losses}
        if len(ranges) > 1:
            found = ", ".join(f"{term.loss} {loss.data_range}" for term, loss in self._pairs())
            raise ValueError(f"the losses of a sum must take images in one range, got {found}")
        self.data_range = ranges.pop()
        self.channels = tuple(sorted(set.intersection(*(set(loss.channels) for loss in self.losses))))
        if not self.channels:
            found = ", ".join(f"{term.loss} {loss.channels}" for term, loss in self._pairs())
            raise ValueError(f"the losses of a sum must take the same number of channels, got {found}")
        self.minimum_size = max(loss.minimum_size for loss in self.losses)
        self.weights = tuple(file for loss in self.losses for file in loss.weights)

    def _pairs(self):
        return zip(self.terms, self.losses, strict=True)


def read_terms(terms: str | Path | Sequence[Term | Mapping]) -> tuple[Term, ...]:
    """Terms of a sum, from tables or from a TOML file.

    Raises
    ------
    ValueError
        For a file that cannot be read, no terms, the same loss twice, and misspelt keys.
    """
    where = "terms"
    if isinstance(terms, str | Path):
        where, tables = str(terms), read_toml(Path(terms))
        unknown = [name for name in tables if name != "term"]
        if unknown:
            raise ValueError(f"{where} has no place for {unknown[0]!r}; {nearest(unknown[0], ['term'])}")
        terms = tables.get("term", [])
    found = tuple(term if isinstance(term, Term) else _term(term, where) for term in terms)
    if not found:
        raise ValueError(f"{where} must hold at least one loss, a [[term]] each")
    names = [term.loss for term in found]
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: a loss stands once in a sum, got {', '.join(names)}")
    return found


def _term(table: Mapping, where: str) -> Term:
    if not isinstance(table, Mapping):
        raise ValueError(f"{where}: a term must be a table such as {{loss = 'l1'}}, got {table!r}")
    options = table.get("options", {})
    if not isinstance(options, Mapping):
        raise ValueError(f"{where}: options must be a table, got {options!r}")
    plain = from_table(Term, {name: value for name, value in table.items() if name != "options"}, where)
    return Term(**{each.name: getattr(plain, each.name) for each in fields(Term)} | {"options": options})
