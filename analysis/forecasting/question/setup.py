"""Which runs and which laws answer a question, or why none can.

A table with sizes and tokens that vary independently is a surface L(N, D), and the loss at a
budget is its lowest point there. Otherwise a budget is answered by the best runs as a curve L(C).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from analysis.forecasting.constants.calibration import (
    ANNEALED,
    CHECKED_SURFACE,
    FAR_CURVE,
    FAR_HISTORY,
    NEAR_CURVE,
    SURFACE,
    Calibration,
)
from analysis.forecasting.history import History, history_of, is_history, past_the_rise
from analysis.forecasting.ladder import (
    CURVE_POINTS,
    Ladder,
    evaluation_noise,
    flops_limits,
    health_weights,
    log_flops,
    surface_ladder,
)
from analysis.forecasting.members.annealed_forms import LearningRates
from analysis.forecasting.members.candidates import (
    Candidate,
    annealed,
    candidate_of,
    curve_candidates,
    surface_candidates,
)
from analysis.forecasting.question.options import ForecastOptions
from analysis.tuning.gap import TuningGap, checked_gap
from analysis.tuning.rungs import health_limits
from analysis.tuning.screening import best_tuned, weighed, with_open_checks, without_edges
from scaling.answerable import best_of_budget, no_curve, no_surface, not_falling
from scaling.arrays import DECADE, BoolArray, FloatArray, IntArray
from scaling.errors import ForecastError
from scaling.laws.base import Law
from scaling.laws.registry import LAWS
from scaling.laws.written.formula import FormulaLaw
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.words import counted

FURTHEST_DECADES = 12.0
Laws = tuple[type[Law], ...]
COMPUTE_EXPONENT = 0.17  # alpha beta / (alpha + beta) of published surfaces
DATA_EXPONENT = 0.35
FAR = 0.5  # decades beyond the data from which a curve needs laws that can level off


@dataclass(frozen=True, kw_only=True)
class Question:
    """The runs as a ladder, the laws that will be fitted to it, and what must be said of both."""

    ladder: Ladder
    used: Records  # the runs of the ladder; ``dropped`` has those left out, not those thinned out
    candidates: tuple[Candidate, ...]
    calibration: Calibration
    limits: tuple[Limit, ...]
    evaluation_noise: float | None  # relative standard error of a loss over its validation set
    rates: LearningRates | None = None  # of one run, where they are known at every step
    nearby: "Question | None" = None
    """The same with the laws and the calibration of targets near the runs, along any column but
    compute; None where targets near and far are answered alike."""

    def answering(self, log_compute: FloatArray) -> "Question":
        """The question whose laws answer these targets (targets,): the nearby one where all of
        them are near, else one that knows of both."""
        is_near = self.nearby is not None and not is_far(self.ladder, log_compute).any()
        return self.nearby if is_near and self.nearby is not None else self

    def parts(self, log_compute: FloatArray) -> "list[tuple[IntArray, Question]]":
        """Which targets (their places) the same laws answer, whatever else is asked: near ones
        first, then far ones."""
        far = is_far(self.ladder, log_compute)
        split = (np.flatnonzero(~far), np.flatnonzero(far))
        if self.nearby is None or not all(map(len, split)):
            return [(np.arange(len(far)), self.answering(log_compute))]
        return list(zip(split, (self.nearby, self), strict=True))

    def seeing(self, ladder: Ladder) -> "Question":
        """The same of other runs."""
        nearby = None if self.nearby is None else self.nearby.seeing(ladder)
        return replace(self, ladder=ladder, nearby=nearby)

    @property
    def is_surface(self) -> bool:
        """Whether the ladder has two inputs."""
        return len(self.ladder.inputs) == 2


def is_far(ladder: Ladder, log_compute: FloatArray) -> BoolArray:
    """Which targets (targets,) along one column lie so far out that laws that can level off have
    to answer them."""
    return np.asarray(log_compute > ladder.log_compute.max() + FAR * DECADE)


def pose(records: Records, wanted: tuple[str, ...], options: ForecastOptions) -> Question:
    """The ladder and laws that answer for the ``wanted`` target columns."""
    question = _posed(records, wanted, options)
    # shapes whose check failed have a limit of their own
    left_out = question.used.left_out(LimitCode.LEFT_OUT)
    limits = question.limits + left_out
    if (nearby := question.nearby) is not None:
        nearby = _with_fixed(replace(nearby, limits=limits), options)
    if options.fix:
        options.require_floor_below(float(np.exp(question.ladder.log_loss.min())), records.source)
    return _with_fixed(replace(question, limits=limits, nearby=nearby), options)


def _with_fixed(question: Question, options: ForecastOptions) -> Question:
    """The question with the constants of its one law held that somebody holds."""
    law = options.one_law
    if law is None or not options.fix:
        return question
    floor = options.fix.get(law.floor or "")
    if floor is None or len(options.fix) > 1:
        return replace(question, candidates=(candidate_of(law, options.fix),))
    held = (c for c in question.candidates if "floor" in c.form.parameters[:1])
    named = (replace(c, floor=floor, name=f"{c.name}, {law.floor} = {floor:g}") for c in held)
    return replace(question, candidates=tuple(named))


def _posed(records: Records, wanted: tuple[str, ...], options: ForecastOptions) -> Question:
    laws, x = options.laws, options.x
    if x is not None:
        records.require(x)
        return _along_column(records, x, laws)
    ready = best_tuned(weighed(records))
    if wanted == ("train_flops",):
        if laws and not all(map(_of_surface, laws)):
            return _curve(ready, "train_flops", laws)
        reason, by_size = _by_size(ready)
        if reason is None:
            return _surface(by_size, laws)
        if laws:
            raise ForecastError(
                f"{records.source}: {reason}; --law {options.law_name} needs a surface"
            )
        return _curve(ready, "train_flops", (), reason)
    if set(wanted) == {"params", "tokens"}:
        reason, by_size = _by_size(ready)
        if reason is not None:
            asked = "--flops C" if "train_flops" in ready else "--x COLUMN --values V"
            raise ForecastError(
                f"{records.source}: {reason}; map columns (--columns) or add such runs; the loss "
                f"alone, without a split, needs none: scaling forecast {asked}"
            )
        return _surface(by_size, laws)
    return _along_column(records, wanted[0], laws)


def check_distance(distance: FloatArray) -> None:
    """Refuse targets so far out that no number would mean anything."""
    if np.any(distance > FURTHEST_DECADES):
        raise ForecastError(
            f"a target lies {distance.max():.1f} decades beyond the data; "
            f"beyond {FURTHEST_DECADES:g} no forecast is made (is the unit right?)"
        )


def _of_surface(law: type[Law]) -> bool:
    return law.inputs == ("params", "tokens")


def _of_curve(law: type[Law]) -> bool:
    return len(law.inputs) == 1


def _chosen(
    candidates: tuple[Candidate, ...],
    laws: Laws,
    answers: Callable[[type[Law]], bool],
) -> tuple[Candidate, ...]:
    """The candidates of these laws, or those that they make of themselves; all if none is asked
    for."""
    if not laws:
        return candidates
    for law in laws:
        if not answers(law) and issubclass(law, FormulaLaw):
            raise ForecastError(
                f"a forecast is asked of params and tokens, of compute or of one column, and "
                f'"{law.name}" reads {", ".join(law.inputs)}; scaling fit gives its constants, and '
                "Fit.predict what it says elsewhere"
            )
        if not answers(law):
            names = ", ".join(name for name, known in LAWS.items() if answers(known))
            raise ForecastError(
                f'no law "{law.name}" answers this question; choose auto or one of: {names}'
            )
    own = [tuple(c for c in candidates if c.law is law) or (candidate_of(law),) for law in laws]
    return tuple(candidate for of_law in own for candidate in of_law)


def _by_size(ready: Records) -> tuple[str | None, Records]:
    """Why these runs do not pin down a law of size and tokens (None if they do), and the runs."""
    ready.require_clear("params", "tokens")
    if "params" not in ready or "tokens" not in ready:
        missing = " and ".join(name for name in ("params", "tokens") if name not in ready)
        return f"the table has no {missing}", ready
    usable = with_open_checks(ready).with_values("params", "tokens")
    logs = (np.log(usable.column("params")), np.log(usable.column("tokens")), log_flops(usable))
    return no_surface(*logs), usable


def _well_tuned(ladder: Ladder, tuning: TuningGap) -> Ladder:
    """The ladder with what bad tuning added taken off its losses."""
    return replace(ladder, log_loss=ladder.log_loss - tuning.expected, tuning=tuning, health=None)


def _surface(usable: Records, laws: Laws) -> Question:
    ladder = surface_ladder(usable)
    tuning = checked_gap(usable, ladder.log_compute)
    limits = health_limits(usable, weighed=tuning is None)
    if tuning is not None:
        ladder, limits = _well_tuned(ladder, tuning), limits + tuning.limits
    limits += flops_limits(usable) + ladder.flops.limits + _check_fall(usable, ladder)
    ladder, usable, thinned = _sampled(ladder, usable)
    return Question(
        ladder=ladder,
        used=usable,
        candidates=_chosen(surface_candidates(), laws, _of_surface),
        calibration=SURFACE if ladder.tuning is None else CHECKED_SURFACE,
        limits=limits + thinned,
        evaluation_noise=evaluation_noise(usable),
    )


def _along_column(records: Records, x: str, laws: Laws) -> Question:
    """The question of one column that somebody names; of the history of one run what its learning
    rate tells enters the laws, and a rising start is left out."""
    usable = weighed(records)
    found = usable.with_values(x)
    if x == "train_flops" or not len(found) or not is_history(found, x):
        return _curve(best_tuned(usable, x), x, laws)
    is_past = past_the_rise(found.column(x), np.log(found.column("loss")))
    found = found.select(is_past, "the start of the run, where the loss rises")
    return _of_history(_curve(found, x, laws), history_of(records, found, x), laws)


def _of_history(question: Question, history: History, laws: Laws) -> Question:
    """The question of one run's curve, with what is known of its learning rate."""
    ladder = replace(question.ladder, is_history=True)
    limits = question.limits + history.limits
    far, near = replace(question, ladder=ladder, limits=limits), question.nearby
    if near is None:
        return far
    near = replace(near, ladder=ladder, limits=limits)
    if (rates := history.rates) is None or laws:
        return replace(far, calibration=FAR_HISTORY, nearby=near)
    far, near = (
        replace(one, candidates=annealed(one.candidates, rates), calibration=ANNEALED)
        for one in (far, near)
    )
    return replace(far, nearby=replace(near, rates=rates), rates=rates)


def _curve(ready: Records, x: str, laws: Laws, no_surface: str | None = None) -> Question:
    """The question of one column; ``no_surface`` is why the usual surface cannot answer it."""
    usable = without_edges(ready).with_values(x)
    if not len(usable):
        raise ForecastError(f"{ready.source}: no usable run has a {x} and a loss")
    log_x, log_loss = np.log(usable.column(x)), np.log(usable.column("loss"))
    repeats = None
    if x == "train_flops":
        best = best_of_budget(log_x, log_loss, usable.configurations)
        usable = usable.select(best, "beaten by a run of no more compute")
        log_x, log_loss, repeats = log_x[best], log_loss[best], usable.configurations
    if (reason := no_curve(log_x, x)) is not None:
        raise ForecastError(f"{ready.source}: {reason}")
    ladder = Ladder(
        inputs=(x,),
        log_inputs=log_x[:, None],
        log_loss=log_loss,
        log_compute=log_x,
        configuration=repeats,
        health=health_weights(usable),
    )
    fallback: tuple[Limit, ...] = ()
    if no_surface is not None:
        text = f"{no_surface}: the forecast uses best runs by compute"
        fallback = (Limit(LimitCode.FALLBACK, text),)
    limits = fallback + health_limits(usable) + _check_fall(usable, ladder)
    ladder, usable, thinned = _sampled(ladder, usable)
    exponent = COMPUTE_EXPONENT if x == "train_flops" else DATA_EXPONENT
    far = Question(
        ladder=ladder,
        used=usable,
        candidates=_chosen(curve_candidates(exponent, far=True), laws, _of_curve),
        calibration=FAR_CURVE,
        limits=limits + thinned + _on_a_grid(ladder),
        evaluation_noise=evaluation_noise(usable),
    )
    if x == "train_flops":
        return far
    candidates = _chosen(curve_candidates(exponent), laws, _of_curve)
    return replace(far, nearby=replace(far, candidates=candidates, calibration=NEAR_CURVE))


def _sampled(ladder: Ladder, used: Records) -> tuple[Ladder, Records, tuple[Limit, ...]]:
    """The runs that carry a forecast, all where they are not very many; and that these are some."""
    keep, share = ladder.sample()
    if len(keep) == len(ladder):
        return ladder, used, ()
    by = "compute" if len(ladder.inputs) == 2 else ladder.inputs[0]
    text = (
        f"{len(keep):,} of {counted(len(ladder), 'run')} carry the forecast: up to {share:,} of "
        f"each tenth of a decade of {by}, drawn alike by every call, and those at the ends"
    )
    used = replace(used, table=used.table.iloc[keep])
    return ladder.select(keep), used, (Limit(LimitCode.THINNED, text),)


def _on_a_grid(ladder: Ladder) -> tuple[Limit, ...]:
    """That the laws of a curve are fitted at some of its points, where those are many."""
    fitted = len(ladder.thinned())
    if fitted == len(ladder):
        return ()
    text = (
        f"laws are fitted to {fitted:,} of {counted(len(ladder), 'run')}, those nearest to "
        f"{CURVE_POINTS} values at equal steps of ln {ladder.inputs[0]}; backtests read them all"
    )
    return (Limit(LimitCode.THINNED, text),)


def _check_fall(records: Records, ladder: Ladder) -> tuple[Limit, ...]:
    """Refuse losses that do not fall; say so where the best run is not among the largest."""
    by = "compute" if len(ladder.inputs) == 2 else ladder.inputs[0]
    if (reason := not_falling(ladder.log_compute, ladder.log_loss, by)) is not None:
        raise ForecastError(f"{records.source}: {reason}")
    best = float(ladder.log_compute[np.argmin(ladder.log_loss)])
    third = np.quantile(ladder.log_compute, 2 / 3)
    if best < third:
        text = (
            f"the lowest loss is not among the third of runs with the most {by}: "
            "larger runs may be badly trained"
        )
        return (Limit(LimitCode.NOT_FALLING, text),)
    return ()
