"""What a set of runs can answer, told from their sizes, tokens and compute before any loss is read.

Analysis refuses by these rules, and a plan says by the same what its runs will be refused. All
arrays are natural logs unless a name says otherwise; a reason is None where there is none.
"""

import numpy as np

from scaling.arrays import DECADE, BoolArray, FloatArray, IntArray, log_with_zeros
from scaling.columns import UNSTATED_KIND
from scaling.errors import RecordError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.records import Records
from scaling.words import counted

FEWEST_RUNS = 6  # of a surface
FEWEST_SCALES = 3  # sizes, and numbers of tokens, of a surface
FEWEST_CURVE_POINTS = 4
FEWEST_LAW_POINTS = 4  # of any law: through three points goes a power law whatever they are
COLLINEAR_SPREAD = 0.15  # of log params around a line in log tokens: about 15% either way
AS_PLANNED = 0.02  # in logs of size, tokens or compute: runs meet a plan to within whole steps
WIDEST_BUDGET = 0.25  # ln: runs of one budget lie within this, however they follow one another

SURFACE_STEP = 0.3 * DECADE  # between origins of a backtest with two inputs
CURVE_CUTS = np.log([1.41, 2.0, 4.0, 8.0])  # below the largest x, with one input
CURVE_REACH = float(np.log(2.3))
FEWEST_SURFACE_RUNS = 8  # below a cut
FEWEST_CURVE_RUNS = 6  # below a cut, over a factor of three

BACKTESTS = 5  # of one forecast, at most

BUDGETS_HIDDEN = (1, 2, 3)  # in turn, by a backtest
RATIOS_HIDDEN = (2.0, 4.0, 10.0, 30.0, 100.0, 1000.0)
BUDGET_WIDTH = 0.1 * DECADE  # runs this close in compute, on one plan or not, are hidden together

BACKTESTED_REACH = 4.0  # times the furthest backtest: forecasts beyond it rest on the laws alone
SPANNED_REACH = 1.5  # times the span of the runs: nothing further is read as a number
UNTESTED_REACH = 0.5  # of the span of the runs, where that is more
ROUNDING = 0.01  # decades; planned budgets are met to within it

_FEWEST_SIZES = 3  # values of each input of a law that is fitted
#: ln(D) must leave its straight line against ln(N) by this much somewhere, or the two are one
_LEAST_SPREAD = 0.05


def budget_numbers(compute: FloatArray) -> IntArray:
    """The budget that each run (runs,) of such compute belongs to, numbered from the smallest.

    Runs within about 2% of the next cheaper one share its budget. In a dense table such a chain
    may run over decades: one longer than `WIDEST_BUDGET` is cut into budgets of 2% each.
    """
    order = np.argsort(compute, kind="stable")
    ranked = compute[order]
    fresh = np.diff(ranked, prepend=-np.inf) > AS_PLANNED
    chain = np.cumsum(fresh) - 1
    along = ranked - ranked[fresh][chain]
    longest = np.zeros(int(fresh.sum()))
    np.maximum.at(longest, chain, along)
    part = np.where(longest[chain] > WIDEST_BUDGET, along // AS_PLANNED, 0)
    fresh[1:] |= np.diff(part) != 0
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.cumsum(fresh) - 1
    return numbers


def no_surface(params: FloatArray, tokens: FloatArray, compute: FloatArray) -> str | None:
    """Why runs (runs,) do not pin down a law of size and tokens."""
    if len(params) < FEWEST_RUNS:
        runs = counted(len(params), "usable run")
        return f"{runs} with params and tokens (a surface needs {FEWEST_RUNS})"
    for one, more, values in (
        ("one model size", "two model sizes", params),
        ("one number of tokens", "two numbers of tokens", tokens),
    ):
        scales = len(np.unique(np.round(values, 2)))
        if scales < FEWEST_SCALES:
            some = one if scales == 1 else more
            return f"the runs have only {some} (a surface needs {FEWEST_SCALES})"
    if np.ptp(compute) < np.log(2):
        return "all runs have nearly the same compute"
    line = np.polyfit(tokens, params, 1)
    if float(np.std(params - np.polyval(line, tokens))) < COLLINEAR_SPREAD:
        return "model size and tokens grow in lockstep"
    return None


def not_falling(x: FloatArray, loss: FloatArray, by: str) -> str | None:
    """Why runs (runs,) tell no law of a loss that falls with x: theirs rises, or stays."""
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    rank_x, rank_loss = (_ranks(v) for v in (x, loss))
    if np.ptp(loss) > 0 and float(np.corrcoef(rank_x, rank_loss)[0, 1]) <= 0:
        return None
    return (
        f"the loss does not fall with {by}; "
        "check the loss column and the training of the larger runs"
    )


def require_direction(records: Records) -> None:
    """Raise RecordError where a metric that does not fall may be one that is better when higher:
    its name does not say what it is, and nobody has."""
    theirs, by = records.names.get("loss", "loss"), "train_flops"
    by = by if by in records else "params"
    if records.reading.better or records.loss_kind != UNSTATED_KIND or by not in records:
        return
    x, values = records.column(by), records.column("loss")
    known = np.isfinite(x) & np.isfinite(values) & records.is_finished
    if not_falling(x[known], values[known], by) is not None:
        raise RecordError(
            f'{records.source}: "{theirs}" does not fall with {by}, and its name does not say '
            "whether more of it is better; say --better higher (what is missing to the best value "
            "of a share or percentage is fitted), or --better lower"
        )


def _ranks(values: FloatArray) -> IntArray:
    """The place of each in rising order, equals in theirs."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


def best_of_budget(compute: FloatArray, loss: FloatArray, configuration: IntArray) -> BoolArray:
    """Which runs (runs,) are of the best configuration in their budget: what L(C) is about.

    ``compute`` and ``loss`` are logs. Of configurations the mean loss counts, over all runs of a
    budget that differ in seed alone: the luckiest run of several seeds is no better recipe.
    """
    budgets = budget_numbers(compute)
    several = int(configuration.max(initial=0)) + 1
    members, group, runs = np.unique(
        budgets * several + configuration, return_inverse=True, return_counts=True
    )
    mean_loss, mean_compute = (np.bincount(group, v) / runs for v in (loss, compute))
    order = np.lexsort((mean_compute, mean_loss, members // several))  # the cheaper of equals first
    best = order[np.unique(members[order] // several, return_index=True)[1]]
    return np.asarray(np.isin(group, best))


def no_curve(x: FloatArray, name: str) -> str | None:
    """Why a forecast cannot run along these values (runs,) of a column."""
    points = len(np.unique(x))
    if points >= FEWEST_CURVE_POINTS:
        return None
    return (
        f"{points} distinct value{'s' if points > 1 else ''} of {name}; "
        f"a forecast along it needs {FEWEST_CURVE_POINTS} (6 or more to backtest it)"
    )


def no_law(
    law: type[Law],
    columns: tuple[str, ...],
    inputs: tuple[FloatArray, ...],
    configurations: int,
    free: tuple[str, ...],
    fixed: tuple[str, ...] = (),
    left_out: str = "",
) -> str | None:
    """Why the free constants of a law cannot be fitted to runs with these inputs (runs,), which are
    no logs; ``left_out`` says in brackets which others there were."""
    if configurations < len(free):
        return (
            f"{law.name} has {len(free)} free constants ({', '.join(free)}), but "
            f"the usable runs have only {configurations} different "
            f"configuration{'s' if configurations > 1 else ''}{left_out}; add runs, --fix "
            "constants or choose a simpler law"
        )
    if configurations < FEWEST_LAW_POINTS - len(fixed):
        return (
            f"{counted(configurations, 'different configuration')} tell no law from chance"
            f"{left_out}; {FEWEST_LAW_POINTS - len(fixed)} is the least"
        )
    for name, values in zip(columns, inputs, strict=True):
        sizes = len(np.unique(np.round(log_with_zeros(values), 9)))
        if sizes < _FEWEST_SIZES and not (sizes == 2 and fixed) and name != "unique_tokens":
            return (
                f"{sizes} different value{'s' if sizes > 1 else ''} of {name}; "
                f"{law.name} needs at least {_FEWEST_SIZES} to tell a power from a floor"
            )
    if law.inputs[:2] == ("params", "tokens") and not {"alpha", "beta"} & set(fixed):
        reason = _in_lockstep(np.log(inputs[0]), np.log(inputs[1]))
        if reason is not None:
            return reason
    return law.unanswerable(inputs)


def _in_lockstep(params: FloatArray, tokens: FloatArray) -> str | None:
    slope, intercept = np.polyfit(params - params.mean(), tokens, 1)
    off_line = tokens - intercept - slope * (params - params.mean())
    if np.ptp(off_line) >= _LEAST_SPREAD:
        return None
    what = "tokens per parameter are the same in all runs"
    if np.ptp(tokens - params) >= _LEAST_SPREAD:
        what = f"tokens are one power of params ({slope:.2f}) in all runs"
    return (
        f"{what}, so the effects of size and data cannot be told apart; add "
        f"runs with other ratios, or fit --law {PowerLaw.name} to loss against train_flops"
    )


def decades_outside(seen: FloatArray, asked: FloatArray) -> FloatArray:
    """Decades by which points (points, columns) lie outside the runs (runs, columns), in any."""
    beyond = np.maximum(asked - seen.max(axis=0), seen.min(axis=0) - asked)
    return np.asarray(np.maximum(beyond.max(axis=1), 0.0) / DECADE)


def surface_cuts(compute: FloatArray) -> list[float]:
    """Compute below which to fit in a backtest: every 0.3 decades down from the largest."""
    compute = np.sort(compute)
    cuts: dict[int, float] = {}
    for k in range(1, 40):
        cut = float(compute[-1] - k * SURFACE_STEP)
        below = int(np.sum(compute <= cut + 1e-9))
        if below < FEWEST_SURFACE_RUNS:
            break
        if below < len(compute):
            cuts.setdefault(below, cut + 1e-9)
    return list(cuts.values())


def curve_cuts(x: FloatArray) -> list[float]:
    """The same for one input: fractions of the largest x that leave six points over a factor 3."""
    x = np.sort(x)
    cuts: dict[int, float] = {}
    for step in CURVE_CUTS:
        cut = float(x[-1] - step) + 1e-9
        seen = np.unique(x[x <= cut])
        if len(seen) >= FEWEST_CURVE_RUNS and seen[-1] - seen[0] >= np.log(3) - 1e-9:
            cuts.setdefault(len(seen), cut)
    return list(cuts.values())


def backtest_cuts(compute: FloatArray, *, is_surface: bool) -> list[tuple[str, float]]:
    """What a backtest hides, in words, and the compute up to which runs are seen; the furthest up
    first. Along a curve seeds of one budget are one."""
    smallest = FEWEST_SURFACE_RUNS if is_surface else FEWEST_CURVE_RUNS
    compute = np.sort(compute) if is_surface else np.unique(compute)
    steps = np.flatnonzero(np.diff(compute) > BUDGET_WIDTH)
    below_budget = compute[steps][::-1]  # the largest log compute below each budget from the top
    wanted = [
        (f"the largest {k} budget{'s' if k > 1 else ''}", float(below_budget[k - 1]) + 1e-9)
        for k in BUDGETS_HIDDEN
        if k <= len(below_budget)
    ]
    wanted += [
        (f"the last factor of {r:g}", float(compute[-1] - np.log(r)) + 1e-9) for r in RATIOS_HIDDEN
    ]
    cuts: dict[int, tuple[str, float]] = {}
    for hides, cut in wanted:
        seen = int(np.sum(compute <= cut))
        if smallest <= seen < len(compute) and compute[seen - 1] - compute[0] > np.log(2):
            cuts.setdefault(seen, (hides, cut))
    return sorted(cuts.values(), key=lambda labelled: -labelled[1])


def no_backtest(compute: FloatArray, *, is_surface: bool) -> str:
    """What to say where `backtest_cuts` finds none in this compute (runs,)."""
    found = len(compute) if is_surface else len(np.unique(compute))
    nouns = ("run", "runs") if is_surface else ("point of the curve", "points of the curve")
    runs = counted(found, *nouns)
    fewest = FEWEST_SURFACE_RUNS if is_surface else FEWEST_CURVE_RUNS
    return (
        f"{runs} {'is' if found == 1 else 'are'} too few to hide those of the largest budget and "
        f"forecast from the rest ({fewest} must be left: {fewest + 1} or more are needed)"
    )


def supported_reach(spanned: float, backtested: float) -> float:
    """Decades beyond runs that span so many up to which a forecast may be read as a number, where
    a backtest reached so far."""
    return min(
        SPANNED_REACH * spanned, max(BACKTESTED_REACH * backtested, UNTESTED_REACH * spanned)
    )
