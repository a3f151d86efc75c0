"""Verbs that move runs between tables and the run store."""

import argparse
import sys

from scaling.cli.inputs import load
from scaling.words import counted

Arguments = argparse.Namespace


def collect(arguments: Arguments) -> None:
    """Write the runs of an EXPERIMENT as a table."""
    from scaling.records import write_records
    from scaling.store.run_store import RunStore

    records = RunStore.find(arguments.experiment.removeprefix("mlflow:")).read_records()
    write_records(records, arguments.output)
    print(f"{counted(len(records), 'run')} written to {arguments.output}", file=sys.stderr)


def import_(arguments: Arguments) -> None:
    """Copy past runs from FILE, such as a Weights & Biases export, into the run store."""
    from scaling.store.import_runs import import_records
    from scaling.store.run_store import RunStore

    count = import_records(load(arguments), RunStore.open(arguments.sweep))
    print(f"{counted(count, 'run')} joined mlflow:{arguments.sweep}", file=sys.stderr)
