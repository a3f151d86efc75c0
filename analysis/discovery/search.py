"""A beam search over forms: the best of every step are made richer in every way there is."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.discovery.forms.form import Form
from analysis.discovery.forms.grammar import grown, templates
from analysis.discovery.forms.solver import Observed, misfit, solve
from analysis.discovery.forms.table import Arranged, Table
from scaling.arrays import FloatArray

MOST_CONSTANTS = 16
WIDTH = 5
DEPTH = 8
MOST_RUNS = 400  # that a search reads; forms are backtested on all
_PATIENCE = 2  # steps without a better form
_STARTS, _TRIED, _POLISHED = 24, 5, 2
_TRIAL_STEPS = 7
_BEST, _BEST_OF_EACH = 14, 2  # of the forms met, and of those with so many constants

Progress = Callable[[int, int], None]
"""Told how many forms were fitted, and how many there are at most."""


@dataclass(frozen=True)
class Candidate:
    """A form with its best fit to the runs of the search."""

    form: Form
    shared: bool  # whether all groups have one set of the constants within terms
    theta: FloatArray  # (groups or 1, constants)
    criterion: float


@dataclass
class Search:
    """The candidates that were met, by their keys."""

    table: Table
    arranged: Arranged
    rng: np.random.Generator
    shared: bool
    met: dict[str, Candidate] = field(default_factory=dict)
    interrupted: bool = False

    def run(self, on_form: Progress | None = None) -> list[Candidate]:
        """The forms to backtest; an interrupt ends the search with what was met so far."""
        try:
            self._run(on_form)
        except KeyboardInterrupt:
            self.interrupted = True
        return self._to_backtest()

    def _run(self, on_form: Progress | None) -> None:
        beam = [self._fitted(form, None) for form in templates(self.table)]
        best, stale = min(c.criterion for c in beam), 0
        for depth in range(DEPTH):
            fresh: dict[str, tuple[Candidate, Form]] = {}
            for parent in beam:
                for form in grown(parent.form, self.table):
                    if form.key not in self.met and form.complexity <= MOST_CONSTANTS:
                        fresh.setdefault(form.key, (parent, form))
            found = []
            for parent, form in fresh.values():
                found.append(self._fitted(form, parent))
                if on_form is not None:
                    left = len(fresh) - len(found) + (DEPTH - depth - 1) * len(fresh)
                    on_form(len(self.met), len(self.met) + left)
            beam = sorted(found, key=lambda c: c.criterion)[:WIDTH]
            if not beam:
                return
            stale = 0 if beam[0].criterion < best - 1 else stale + 1
            best = min(best, beam[0].criterion)
            if stale == _PATIENCE:
                return

    def _to_backtest(self) -> list[Candidate]:
        ranked = sorted(self.met.values(), key=lambda c: c.criterion)
        ranked = [c for c in ranked if c.form.coefficient_count and np.isfinite(c.criterion)]
        chosen, met = ranked[:_BEST], Counter[int]()
        for one in ranked:
            met[one.form.complexity] += 1
            if met[one.form.complexity] <= _BEST_OF_EACH and one not in chosen:
                chosen.append(one)
        return chosen

    def _fitted(self, form: Form, parent: Candidate | None) -> Candidate:
        groups = 1 if self.shared else self.table.groups
        starts = self._starts(form, parent, groups)
        try:
            theta, objective = best_fit(form, self.arranged.seen, starts, self.shared)
        except np.linalg.LinAlgError:  # constants that these inputs cannot tell apart at all
            theta, objective = starts[0], np.inf
        made = Candidate(form, self.shared, theta, self._criterion(form, objective))
        self.met[form.key] = made
        return made

    def _criterion(self, form: Form, objective: float) -> float:
        """Bayes' information criterion: misfit, and a price for each constant."""
        n, g = len(self.table.y), self.table.groups
        count = (1 + form.coefficient_count) * g + len(form.constants) * (1 if self.shared else g)
        return n * float(np.log(max(objective, 1e-12 * n) / n)) + count * float(np.log(n))

    def _starts(self, form: Form, parent: Candidate | None, groups: int) -> FloatArray:
        """Random combinations of usual values (starts, groups, constants); half of them keep what
        the parent's factors were found to be."""
        constants = form.constants
        draws = np.empty((_STARTS, groups, len(constants)))
        for k, constant in enumerate(constants):
            draws[..., k] = self.rng.choice(constant.starts, size=(_STARTS, groups))
        if parent is None:
            return draws
        known = {name: parent.theta[:, own] for name, own in _slices(parent.form)}
        for name, own in _slices(form):
            if name in known and known[name].shape[-1] == own.stop - own.start:
                draws[: _STARTS // 2, :, own] = known[name]
        return draws


def best_fit(
    form: Form,
    seen: Observed,
    starts: FloatArray,
    shared: bool,
    *,
    tried: int = _TRIED,
    polished: int = _POLISHED,
) -> tuple[FloatArray, float]:
    """The constants (groups or 1, constants) of the best of several starts, and its objective:
    of all starts those of least misfit are ``tried``, and the best of these ``polished``."""
    groups = np.arange(starts.shape[1])
    theta = starts
    if form.constants:
        weight = np.broadcast_to(seen.weight, (len(starts), *seen.weight.shape))
        missed = misfit(form, seen, starts, weight, shared=shared)
        theta = _least(starts, missed, tried)
        weight = weight[: len(theta)]
        rough = solve(form, seen, theta, weight, shared=shared, rounds=1, steps=_TRIAL_STEPS)
        theta = _least(rough.theta, rough.objective, polished)
    weight = np.broadcast_to(seen.weight, (len(theta), *seen.weight.shape))
    solved = solve(form, seen, theta, weight, shared=shared, rounds=1)
    objective = np.nan_to_num(solved.objective, nan=1e300)
    best = objective.argmin(axis=0)
    return solved.theta[best, groups], float(objective[best, groups].sum())


def _least(theta: FloatArray, objective: FloatArray, count: int) -> FloatArray:
    """The starts of each group with the least objective (count, groups, constants)."""
    order = np.argsort(np.nan_to_num(objective, nan=np.inf), axis=0)[:count]
    return np.take_along_axis(theta, order[..., None], axis=0)


def _slices(form: Form) -> Sequence[tuple[str, slice]]:
    """Where the constants of each factor and bowl of a form are, by what it is."""
    found: list[tuple[str, slice]] = []
    used = 0
    for term in form.terms:
        for factor in term.factors:
            count = len(factor.constants)
            found.append((f"{factor.kind}{factor.inputs}", slice(used, used + count)))
            used += count
        if term.bowl is not None:
            count = len(term.bowl.constants)
            found.append((f"bowl{term.bowl.of}", slice(used, used + count)))
            used += count
    return found


def thinned(table: Table, rng: np.random.Generator) -> Table:
    """So many of the runs as a search reads, the same share of every group."""
    if len(table.y) <= MOST_RUNS:
        return table
    chosen = rng.permutation(len(table.y))[:MOST_RUNS]
    kept = np.zeros(len(table.y), dtype=bool)
    kept[chosen] = True
    for g in range(table.groups):  # a small group is read whole
        own = table.group == g
        if (kept & own).sum() < min(own.sum(), 20):
            kept |= own
    return table.take(kept)
