"""What limits an answer, as a value: a code to branch on and a sentence to read.

Every result carries its limits under one name, ``limits``, and so does every JSON document:
``[{"code": ..., "text": ...}]``. Code looks at codes and never at sentences. A new limit is one
member here and one `Limit` where it arises.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class LimitCode(StrEnum):
    """What kind of thing limits an answer."""

    LEFT_OUT = "left out"
    """Rows of the table took no part, for the reasons in the text."""
    EDGE_LEFT_OUT = "edge left out"
    """Runs took no part: the best learning rate of their shape lies outside what was tried."""
    COUNTS_LESS = "counts less"
    """Runs count less, since the learning-rate check of their shape found a loss gap."""
    TUNING_TAKEN_OFF = "tuning taken off"
    """What the learning-rate checks say that bad tuning added was taken off the losses."""
    FILLED_IN = "filled in"
    """A fact that some runs lack was computed from others by a convention."""
    FLOPS_FOLLOW_SIZE = "flops follow size"
    """FLOP per parameter and token of the table change with the model size, and answers with it."""
    FLOPS_SCATTER = "flops scatter"
    """FLOP per parameter and token of the table scatter by more than their size explains."""
    THINNED = "thinned"
    """Of so large a table a part of the runs answers; the text says how many and by which rule."""
    FEW_RUNS = "few runs"
    """The answer rests on so few runs, sizes or budgets that it is rough, or untestable."""
    NARROW_RATIO = "narrow ratio"
    """Tokens per parameter vary too little to tell the effects of size and data apart."""
    UNREAD = "unread"
    """A law of sizes alone was fitted to runs of different lengths, of which it reads nothing."""
    EVALUATION_SHARED = "evaluation shared"
    """All losses were measured on one validation set, whose luck they share: a number that is of
    the source of the data, such as the floor, is less sure than its interval, or says so."""
    NOT_FALLING = "not falling"
    """The loss does not fall as it should towards the largest runs: they may be badly trained."""
    NEAR_CHANCE = "near chance"
    """The metric has hardly risen above the scatter of runs: how fast it goes on is open."""
    STEEP = "steep"
    """Fitted exponents are steeper than published ones: the smallest runs may be under-trained."""

    FALLS_FASTER = "falls faster"
    """The loss falls faster than the law can: its floor would have to be below zero."""
    FLOOR_TOO_HIGH = "floor too high"
    """The law levels off above a loss that was measured: it is not the law of these runs."""
    FLOOR_NOT_IDENTIFIED = "floor not identified"
    """The runs do not say where the loss levels off."""
    FLOOR_HELD = "floor held"
    """The irreducible loss was held at zero, since the runs do not identify it."""
    AT_BOUND = "at bound"
    """A constant ended at the edge of what is allowed."""
    CONFOUNDED = "confounded"
    """Some constants can change together without changing any prediction."""
    NOT_CONVERGED = "not converged"
    """The search, or some of the bootstrap's searches, stopped before their optimum."""
    LONE_START = "lone start"
    """Only one start of the search reached the best optimum: a better one may exist."""

    UNSUPPORTED = "unsupported"
    """So far beyond the runs, so badly backtested or so wide that only an order of magnitude can be
    given, or of losses that follow no law: nothing shows a number for it."""
    NOT_BACKTESTED = "not backtested"
    """No backtest on these runs reached as far as was asked."""
    WIDENED = "widened"
    """Backtests missed by more than the default width, so the intervals were widened."""
    ONE_RUN = "one run"
    """The rows are points of one run's curve; what is known of its learning rate, which moves the
    loss."""
    STEPWISE = "stepwise"
    """The losses of one run fall in a way that no law follows; the interval is what is left."""
    INTERPOLATED = "interpolated"
    """The answer lies inside the data."""
    EXTRAPOLATED = "extrapolated"
    """The answer lies beyond the data, by what the text says."""
    UNBOUNDED = "unbounded"
    """The answer, or an end of its range, lies at no finite place; the text says why."""
    SIZE_CAPPED = "size capped"
    """The best model does not fit the devices: the split is that of the largest that does."""
    PAST_DEADLINE = "past deadline"
    """The devices do not finish the budget by the deadline."""
    ONE_LAW = "one law"
    """One law answers for a part of the question; the ranges lack what others would say."""
    FALLBACK = "fallback"
    """Another way than the usual one gave the answer; the text says which, and why."""

    BIASED = "biased"
    """The method is known to be biased on runs like these."""
    NO_BRACKET = "no bracket"
    """Budgets were left out whose best size is not bracketed by the sizes that were tried."""

    MISSED = "missed"
    """A measured loss lies outside its interval: do not trust larger forecasts unexplained."""
    WAITING = "waiting"
    """No run of a sealed forecast has landed yet."""
    SEALED_LATE = "sealed late"
    """The forecast was sealed after its run began, or was known: the verdict does not count."""
    ALTERED = "altered"
    """A seal, or a run that verified it, is not what it was: the verdict does not count."""
    SEAL_MISSING = "seal missing"
    """A sealed forecast is gone from the store, or unreadable: the record is not whole."""
    OTHER_EVALUATION = "other evaluation"
    """Runs at a sealed target were measured on something else: they are no verdict."""
    EVALUATION_UNKNOWN = "evaluation unknown"
    """Nothing says that two arms were measured on the same evaluation set."""
    OTHER_DEVICE = "other device"
    """Two arms were timed on different devices: their wall times compare those, too."""
    TIME_UNKNOWN = "time unknown"
    """Nothing says when a run began, so it cannot be compared with the time of sealing."""
    NOT_PROVED = "not proved"
    """What a seal, as it is kept and published, does not show."""

    PROVISIONAL = "provisional"
    """Runs that are still training, failed or diverged would change the answer once measured."""
    NOTHING_TO_GAIN = "nothing to gain"
    """No further run would narrow the answer by enough to be bought."""

    NO_ANSWER = "no answer"
    """The runs cannot answer at all; the text is the reason."""
    NO_LAW = "no law"
    """Nothing shows that the values depend on the inputs, so no law is claimed."""
    NO_WINNER = "no winner"
    """Backtests cannot tell the best laws apart, so none is named the law."""
    NO_FIT = "no fit"
    """A law could not be fitted."""
    NO_FORECAST = "no forecast"
    """No forecast could be made."""
    NO_SPLIT = "no split"
    """No compute-optimal size and tokens could be given."""
    NO_HELD_OUT_CHECK = "no held-out check"
    """The held-out runs could not be compared with their forecast."""
    NO_BACKTEST = "no backtest"
    """No backtest could be made."""
    NO_FINDINGS = "no findings"
    """Findings of the literature could not be checked on these runs."""
    NO_HEALTH = "no health"
    """The table says nothing of how well its runs are tuned."""
    TUNING_AT_EDGE = "tuning at edge"
    """The best value of a recipe's constant lies at the end of what was tried."""
    NOT_JUDGED = "not judged"
    """No rung that was not used bears out a tuned recipe."""
    NO_TREND = "no trend"
    """The learning-rate checks are too few to show a trend along the ladder."""


@dataclass(frozen=True)
class Limit:
    """One thing that limits an answer."""

    code: LimitCode
    text: str
    """A sentence for people, without a full stop; it may change at any time."""


def texts(
    limits: Iterable[Limit],
    *,
    of: Iterable[LimitCode] = tuple(LimitCode),
    without: Iterable[LimitCode] = (),
) -> list[str]:
    """The sentences of these limits, of some codes or without some; each once, in order."""
    shown = frozenset(of) - frozenset(without)
    return list(dict.fromkeys(limit.text for limit in limits if limit.code in shown))


def codes(limits: Iterable[Limit]) -> str:
    """The codes of these limits, each once, as one cell of a table; "" where there are none."""
    return ", ".join(dict.fromkeys(limit.code.value for limit in limits))


def first_of(code: LimitCode, limits: Iterable[Limit]) -> Limit | None:
    """The first limit of this code; None where there is none."""
    return next((limit for limit in limits if limit.code is code), None)


def limits_from(documents: Sequence[Mapping[str, str]]) -> tuple[Limit, ...]:
    """The limits of a JSON document. Raises ValueError for an unknown code."""
    return tuple(Limit(LimitCode(one["code"]), one["text"]) for one in documents)
