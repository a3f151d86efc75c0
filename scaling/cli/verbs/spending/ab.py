"""`scaling study ab`: two recipes trained at the same budgets, and held against each other."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli.outlooks import judge_of
from scaling.cli.outputs import put, say, write
from scaling.cli.verbs.spending.sweep import may_spend, open_store, with_cost_left
from scaling.errors import ConfigError

if TYPE_CHECKING:
    from scaling.records import Records
    from sweeps.planning.plan import SweepPlan

Arguments = argparse.Namespace


def ab(arguments: Arguments) -> None:
    """Train recipes A and B at the same budgets, and compare them."""
    from analysis.decisions.two_recipes.compared import compare as compare_arms
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
    found.save_figure(written[1])
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
