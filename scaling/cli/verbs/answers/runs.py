"""Verbs that move runs between tables and the run store."""

import argparse

from scaling.cli.inputs import load
from scaling.cli.outputs import say, tell
from scaling.inputs.names import checked_name
from scaling.words import counted

Arguments = argparse.Namespace


def collect(arguments: Arguments) -> None:
    """Write the runs of an EXPERIMENT as a table."""
    from scaling.records import write_records
    from scaling.store.run_store import RunStore
    from scaling.store.stored_runs import StoredRuns

    sweep = arguments.experiment.removeprefix("mlflow:")
    arguments.source = f"mlflow:{sweep}"
    records = load(arguments)
    records = StoredRuns(RunStore.find(sweep)).with_times(records)
    write_records(records, arguments.output)
    say(f"{counted(len(records), 'run')} written to {arguments.output}")
    tell(arguments)


def import_(arguments: Arguments) -> None:
    """Copy past runs from FILE, such as a Weights & Biases export, into the run store."""
    from scaling.store.import_runs import import_records
    from scaling.store.run_store import RunStore

    checked_name(arguments.sweep, "--sweep")
    records = load(arguments)
    tell(arguments)
    done = import_records(records, RunStore.open(arguments.sweep))
    say(f"mlflow:{arguments.sweep}: {done.line}")
    if done.unmapped:
        kept = ", ".join(done.unmapped[:12]) + (", ..." if len(done.unmapped) > 12 else "")
        say(f"kept under the table's own names: {kept}")
