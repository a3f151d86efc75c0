"""Verbs that write pages: the report, and a whole study from training to report."""

import argparse
import sys
from pathlib import Path

from scaling.cli.sealed import seals_to_report
from scaling.cli.sources import config_path, curves_of, load
from scaling.cli.training import may_spend

Arguments = argparse.Namespace


def report(arguments: Arguments) -> None:
    """Write the budget-planning report on SOURCE as one HTML file."""
    from analysis.report import write_report

    path = write_report(
        load(arguments),
        arguments.output,
        law=arguments.law,
        x=arguments.x,
        seed=arguments.seed,
        curves=curves_of(arguments.source),
        seals=seals_to_report(),
    )
    print(f"report: {path}", file=sys.stderr)


def study(arguments: Arguments) -> None:
    """Train CONFIG, forecast its held-out runs unseen, compare, and write the report."""
    from analysis.report import write_study
    from scaling.store import RunStore
    from sweeps.config import load_config
    from sweeps.listing import plan_text
    from sweeps.plan import plan_sweep
    from sweeps.progress import SweepProgress
    from sweeps.runner import run_sweep

    planned = plan_sweep(load_config(config_path(arguments.config), arguments.set))
    print(plan_text(planned), file=sys.stderr)
    may_spend(planned, arguments)
    store = RunStore.open(planned.name)
    with SweepProgress(planned) as progress:
        run_sweep(planned, store, on_event=progress.show)
    records = store.read_records().among(run.run_id for run in planned.runs)
    curves = store.curves()
    folder = arguments.output or Path("results") / planned.name
    written = write_study(records, folder, title=f"Sweep {planned.name}", curves=curves)
    store.log_artifact(written.report)
    print(written.to_text())
