"""Where a sweep stands, as tables for a terminal."""

from collections import Counter
from collections.abc import Sequence

from scaling.store.one_run.run_state import RunState
from scaling.words import counted
from sweeps.planning.review.text import duration, table
from sweeps.status.ledger import RunStanding, SweepStanding

_SCREENFUL = 60  # runs that are listed one by one


def standing_text(standing: SweepStanding, *, every_run: bool = False) -> str:
    """The runs of a plan with their states, and what is left.

    A sweep of more than a screenful is told size by size, with its running runs and its reasons.
    """
    end = _summary(standing) + (f"\n{standing.earlier.line}" if standing.earlier else "")
    end += "".join(f"\n{line}" for line in standing.gap_lines)
    if count := sum(bool(run.traceback) for run in standing.runs):
        which = (
            f"{counted(count, 'run')} {'keeps a traceback' if count == 1 else 'keep tracebacks'}"
        )
        end += f"\n{which}; read with `scaling status CONFIG --tracebacks`, or --json"
    if every_run or len(standing.runs) <= _SCREENFUL:
        return _runs(standing.runs) + end
    running = _runs(standing.running) if standing.running else ""
    return _sizes(standing.runs) + running + _reasons(standing.runs) + end


def tracebacks_text(standing: SweepStanding) -> str:
    """The tracebacks that runs keep, those of equal text once, under the runs' names."""
    found: dict[str, list[str]] = {}
    for run in standing.runs:
        if run.traceback:
            found.setdefault(run.traceback, []).append(f"{run.name} ({run.run_id})")
    return "".join(f"\n\n{', '.join(names)}:\n{text.rstrip()}" for text, names in found.items())


def what_next(standing: SweepStanding, config: str) -> str:
    """What to type after a sweep was trained; ``config`` is its file with the changes to it, as
    they were typed."""
    failed = [run for run in standing.runs if run.state is RunState.FAILED]
    if failed:
        why = " --tracebacks" * any(bool(run.traceback) for run in failed)
        return f"scaling status {config}{why}  # {counted(len(failed), 'run')} failed"
    if standing.flops_left:
        return f"scaling run {config}  # goes on with what is left"
    if any(run.held_out for run in standing.runs):
        return f"scaling study {config}  # forecasts the held-out runs, compares, and reports"
    largest = max(run.planned_train_flops for run in standing.runs)
    source = f"mlflow:{standing.sweep}"
    source = f"'{source}'" if " " in source else source
    return f"scaling forecast {source} --flops {10 * largest:.1g}  # ten times the largest run"


def _runs(runs: Sequence[RunStanding]) -> str:
    rows = [
        (
            run.name,
            run.state.value,
            _loss(run),
            "" if run.wall_seconds is None else f"{run.wall_seconds:.0f}",
            run.outlook or run.reason,
        )
        for run in runs
    ]
    columns = ("run", "state", "loss", "seconds", "remark")
    return table(columns, rows, left_aligned=("run", "state", "remark"))


def _sizes(runs: Sequence[RunStanding]) -> str:
    """A row a model size, smallest first: how many runs are in each state."""
    sizes: dict[int, list[RunStanding]] = {}
    for run in runs:
        sizes.setdefault(run.params, []).append(run)
    states = [state for state in RunState if any(run.state is state for run in runs)]
    rows = [
        (
            f"{params:,}",
            len(group),
            *(sum(run.state is state for run in group) or "" for state in states),
            duration(sum(run.seconds_left for run in group)),
        )
        for params, group in sorted(sizes.items())
    ]
    return table(("params", "runs", *(state.value for state in states), "left"), rows)


def _reasons(runs: Sequence[RunStanding]) -> str:
    counts = Counter((run.state.value, run.reason) for run in runs if run.reason)
    rows = [(count, state, reason) for (state, reason), count in counts.most_common(20)]
    if not rows:
        return ""
    return table(("runs", "state", "reason"), rows, left_aligned=("state", "reason"))


def _summary(standing: SweepStanding) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in standing.counts.items())
    if not standing.flops_left:
        return f"{standing.sweep}: {counts}"
    money = ""
    if standing.money_left is not None:
        money = f", {standing.money_left:,.2f} {standing.currency}"
    return (
        f"{standing.sweep}: {counts}; left: {standing.flops_left:.3g} FLOP, about "
        f"{duration(standing.wall_seconds_left)} on {standing.workers} "
        f"({duration(3600 * standing.device_hours_left)} of device time{money})"
    )


def _loss(run: RunStanding) -> str:
    """A held-out run's loss stays unread here: a forecast should be written down first."""
    if run.loss is None:
        return ""
    return "held out" if run.held_out else f"{run.loss:.4f}"
