"""A study whose runs are chosen as it goes: run, forecast, choose, and again within a budget."""

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli.options.kinds import given_number
from scaling.cli.outlooks import judge_of
from scaling.cli.outputs import say
from scaling.cli.verbs.answers.next_runs import Offer
from scaling.cli.verbs.spending.sweep import may_spend, open_store, with_cost_left
from scaling.errors import ConfigError, ForecastError
from scaling.words import counted

if TYPE_CHECKING:
    from analysis.decisions.further_runs.next_runs import NextRuns
    from scaling.display import Block
    from scaling.records import Records
    from sweeps.config.sweep import SweepConfig

Arguments = argparse.Namespace
ROUNDS = 4  # of choosing; all that is left of a proposal is trained in the last
LEAST_NARROWING = 0.02  # of the width: a proposal that promises less ends the study


def asking(command: argparse.ArgumentParser) -> None:
    """Whether a study chooses its runs, for how much, and for which forecast."""
    command.add_argument(
        "--adaptive",
        action="store_true",
        help="begin with CONFIG's runs, then choose further ones as `scaling next` does, until "
        "--budget is spent or the next would narrow the forecast too little",
    )
    command.add_argument(
        "--budget",
        metavar="B",
        type=given_number,
        help="with --adaptive: FLOP of all runs that fits may use, CONFIG's own among them; of "
        "`study tune`: FLOP of its runs (default: a quarter of the sweep's)",
    )
    command.add_argument(
        "--target-flops",
        metavar="C",
        type=given_number,
        help="with --adaptive: the run to forecast (default: the largest that is held out)",
    )


@dataclass(frozen=True, kw_only=True)
class Growth:
    """A sweep that has grown, and how."""

    config: "SweepConfig"
    rounds: "tuple[Block, ...]" = field(default=())  # a table of them, and why they ended


def require_adaptive(arguments: Arguments) -> None:
    """Refuse flags that nothing reads."""
    for flag in ("budget", "target_flops"):
        if getattr(arguments, flag) is not None:
            name = flag.replace("_", "-")
            raise ConfigError(f"--{name} is of a study that chooses its runs; add --adaptive")


def grown(arguments: Arguments, config: "SweepConfig") -> Growth:
    """The sweep with the runs that were chosen and trained, within the budget.

    A round trains the cheaper half of what is proposed, so that the dearest run is decided last. A
    call after a crash takes up the finished runs and chooses as the first did.
    """
    from analysis.decisions.further_runs.next_runs import answer_now, to_train_now
    from scaling.display import Table

    if arguments.budget is None:
        raise ConfigError("--adaptive needs a budget in FLOP; give --budget B")
    target, budget = _target(arguments, config), arguments.budget
    rows: list[list[str]] = []
    promised: float | None = None
    ended = f"{counted(ROUNDS, 'round')} of choosing are made"
    for number in range(ROUNDS + 1):
        records, spent = _trained(arguments, config, budget)
        width, _, _ = answer_now(records, target, "loss")
        rows.append(_row(number, len(records.usable()), spent, width.factor, promised))
        say(f"round {number}: {', '.join(rows[-1][1:])}")
        if number == ROUNDS:
            break
        chosen = _chosen(config, records, target, budget - spent)
        if isinstance(chosen, str):
            ended = chosen
            break
        offer, proposal = chosen
        runs = to_train_now(proposal, last=number == ROUNDS - 1)
        promised = proposal.after.factor if proposal.after and runs == proposal.runs else None
        config = offer.with_runs(runs, checks=proposal.checks)
    header = ["round", "runs", "FLOP", f"90% interval at {target:.3g} FLOP", "promised"]
    return Growth(config=config, rounds=(Table(header, rows), f"ended: {ended}", ""))


def keep_config(config: "SweepConfig", folder: Path) -> None:
    """Write the config that the study ended with beside its report."""
    from scaling.cli.outputs import write
    from sweeps.config.description.written import config_text

    path = folder / "config.yaml"
    heading = [f"{config.name} with the runs that `scaling study --adaptive` chose"]
    write(config_text(config, folder, heading), str(path))
    say(f"config: {path}")


def _target(arguments: Arguments, config: "SweepConfig") -> float:
    """The FLOP of the run to forecast."""
    from sweeps.planning.plan import plan_sweep

    if arguments.target_flops is not None:
        return float(arguments.target_flops)
    held_out = [run.train_flops for run in plan_sweep(config).runs if run.held_out]
    if not held_out:
        raise ConfigError("--adaptive: no run is held out to aim at; give --target-flops C")
    return float(max(held_out))


def _trained(arguments: Arguments, config: "SweepConfig", budget: float) -> "tuple[Records, float]":
    """The records of the runs that fits may use, trained where they lack, and their FLOP."""
    from sweeps.planning.plan import plan_sweep
    from sweeps.running.runner import run_sweep
    from sweeps.status.live_display import SweepProgress

    plan = plan_sweep(config)
    fitted = replace(plan, runs=tuple(run for run in plan.runs if not run.held_out))
    spent = float(fitted.marginal_flops)
    if spent > budget * 1.001:
        raise ConfigError(
            f"the runs of {config.name} take {spent:.3g} FLOP before any is chosen, more than the "
            f"{budget:.3g} of --budget; begin with fewer, or raise it"
        )
    fitted, cost = with_cost_left(fitted)
    may_spend(fitted, cost, arguments)
    store = open_store(fitted)
    with SweepProgress(fitted) as progress:
        outcome = run_sweep(fitted, store, on_event=progress.show, judge=judge_of(fitted))
    outcome.require_stored()
    return store.read_records().among(run.run_id for run in fitted.runs), spent


def _chosen(
    config: "SweepConfig", records: "Records", target: float, left: float
) -> "tuple[Offer, NextRuns] | str":
    """What to train next; or why nothing."""
    from analysis.decisions.further_runs.next_runs import next_runs

    try:
        offer = Offer(config, left)
        found = next_runs(records, target, left, offer=offer.offer, checks_flops=offer.checks_flops)
    except (ConfigError, ForecastError) as error:
        return str(error)
    if found.narrowing < LEAST_NARROWING:
        return (
            f"the next runs would narrow the interval by {found.narrowing:.1%}, less than "
            f"{LEAST_NARROWING:.0%}"
        )
    return offer, found


def _row(number: int, runs: int, spent: float, factor: float, promised: float | None) -> list[str]:
    said = "" if promised is None else f"{100 * (promised - 1):.2g}%"
    return [str(number), str(runs), f"{spent:.3g}", f"{100 * (factor - 1):.2g}%", said]
