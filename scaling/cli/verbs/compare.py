"""The verb that holds two recipes against each other."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli import options
from scaling.cli.budgets import given_number
from scaling.cli.inputs import levels, reading
from scaling.cli.outputs import answer, put, say, write
from scaling.cli.question_options import levels_of
from scaling.errors import ConfigError

if TYPE_CHECKING:
    from scaling.records import Records
    from sweeps.planning.plan import SweepPlan

Arguments = argparse.Namespace

#: Exit codes of a gate, by its decision; 2 is a mistake's.
GATE_CODES = {"promote": 0, "reject": 1, "undecided": 3}


def arms(command: argparse.ArgumentParser) -> None:
    """Which two arms, at which budgets, and what is decided."""
    for name, what in (("a", "the arm that is there"), ("b", "the arm that may replace it")):
        text = f"{what}: a table, or mlflow:EXPERIMENT"
        command.add_argument(name, metavar=name.upper(), help=text)
    options.table(command)
    command.add_argument("--seed", type=options.seed, default=0, metavar="S", help="(%(default)s)")
    text = "budgets to compare at, FLOP (default: the largest common one, and ten times it)"
    command.add_argument("--flops", metavar="C", type=given_number, nargs="+", help=text)
    command.add_argument(
        "--gate",
        metavar="M",
        type=given_number,
        nargs="?",
        const=1.0,
        help="whether to promote B over A: exit code 0 where the multiplier surely lies above M "
        "(1) at the last budget and no rung denies it, 1 where it surely lies below, 3 "
        "where that is open",
    )
    levels_of(command, "of what is said of the arms")


def compare(arguments: Arguments) -> int:
    """Compare recipes A and B on common cells: how much compute B saves, how surely, to where."""
    from analysis.decisions.compared import compare as compare_arms
    from analysis.forecasting.question.options import ForecastOptions
    from analysis.text.compared import comparison_text
    from scaling.answerable import require_direction
    from scaling.sources import records_from

    how = reading(arguments)
    read = [
        records_from(source, where=arguments.where, reading=how)
        for source in (arguments.a, arguments.b)
    ]
    if arguments.metric:
        for records in read:
            require_direction(records)
    if arguments.gate is not None and not arguments.gate > 0:
        raise ConfigError(f"--gate {arguments.gate:g}: a multiplier of compute lies above zero")
    shares = levels(arguments)
    found = compare_arms(
        *read,
        *(arguments.flops or ()),
        options=ForecastOptions(seed=arguments.seed, confidence_levels=shares),
    )
    verdict = None if arguments.gate is None else found.verdict(arguments.gate)
    document = json.loads(found.to_json())
    if verdict is not None:
        document["gate"] = asdict(verdict)
    if arguments.figure:
        from analysis.plots.compared import save_comparison_figure

        save_comparison_figure(found, arguments.figure)
        say(f"figure: {arguments.figure}")
    arguments.notes = found.notes
    answer(
        json.dumps(document),
        lambda: comparison_text(found, verdict, alone=arguments.quiet),
        arguments,
        found.limits,
    )
    return 0 if verdict is None else GATE_CODES[verdict.decision]


def ab(arguments: Arguments) -> None:
    """Train recipes A and B at the same budgets, and compare them."""
    from analysis.decisions.compared import compare as compare_arms
    from analysis.plots.compared import save_comparison_figure
    from analysis.text.compared import comparison_text

    if arguments.seal is not None or arguments.publish:
        raise ConfigError("ab holds no run out, so nothing can be sealed; drop --seal")
    plans = _plans(arguments)
    read = [_trained(planned, arguments) for planned in plans]
    found = compare_arms(*read)
    folder = Path(arguments.output or Path("results") / f"{plans[0].name}-or-{plans[1].name}")
    verdict = found.verdict()
    document = {**json.loads(found.to_json()), "gate": asdict(verdict)}
    written = [folder / "comparison.json", folder / "comparison.svg"]
    write(json.dumps(document, indent=1) + "\n", str(written[0]))
    save_comparison_figure(found, written[1])
    put(comparison_text(found, verdict))
    say(f"written: {', '.join(map(str, written))}")


def _plans(arguments: Arguments) -> "list[SweepPlan]":
    """Both sweeps without their held-out runs; refused where they train nothing in common."""
    from sweeps.config.yaml_file import load_config
    from sweeps.planning.plan import plan_sweep

    if not arguments.a or not arguments.b:
        raise ConfigError("ab compares two recipes: give their configs, --a A.yaml --b B.yaml")
    configs = [load_config(path, arguments.set) for path in (arguments.a, arguments.b)]
    names = [config.name for config in configs]
    if names[0] == names[1]:
        raise ConfigError(
            f'both arms are sweeps named "{names[0]}", and a name has one place in the run store; '
            "give one of them another name"
        )
    whole = [plan_sweep(config) for config in configs]
    plans = [replace(p, runs=tuple(run for run in p.runs if not run.held_out)) for p in whole]
    widths = [{run.shape.width for run in plan.runs} for plan in plans]
    if not widths[0] & widths[1]:
        raise ConfigError(f"{names[0]} and {names[1]} train no width in common: nothing to pair")
    return plans


def _trained(planned: "SweepPlan", arguments: Arguments) -> "Records":
    """The runs of a plan, those that are missing trained first."""
    from scaling.cli.outlooks import judge_of
    from scaling.cli.verbs.sweep import may_spend, open_store, with_cost_left
    from sweeps.planning.review.text import plan_text
    from sweeps.running.runner import run_sweep
    from sweeps.status.live_display import SweepProgress

    planned, cost = with_cost_left(planned)
    say(plan_text(planned))
    may_spend(planned, cost, arguments)
    store = open_store(planned)
    with SweepProgress(planned) as progress:
        outcome = run_sweep(planned, store, on_event=progress.show, judge=judge_of(planned))
    outcome.require_stored()
    return store.read_records().among(run.run_id for run in planned.runs)
