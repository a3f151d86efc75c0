"""Runs of an MLflow experiment that the toolkit did not write: their params and last metrics."""

from typing import Any

from scaling.store.connection.mlflow_client import connect, one_line_errors, pages


def foreign_rows(tracking_uri: str, experiment_id: str) -> list[dict[str, Any]]:
    """A row a run, earliest first: its id, name, status, params and the last of each metric.

    A metric that bears the name of a param is called ``metrics.NAME``. A run that logged no metric
    is a row without a loss: its readers leave it out by that reason, and count it.
    """
    client = connect(tracking_uri)
    with one_line_errors(tracking_uri):
        found = list(pages(client, experiment_id))
    rows = []
    for run in reversed(found):
        params, metrics = dict(run.data.params), dict(run.data.metrics)
        if any(key.startswith("scaling.") for key in run.data.tags):
            continue
        known = {"run_id": run.info.run_id, "name": run.info.run_name, "status": run.info.status}
        taken = params.keys() | known.keys()
        logged = {f"metrics.{k}" if k in taken else k: v for k, v in metrics.items()}
        given = {f"params.{k}" if k in known else k: v for k, v in params.items()}
        rows.append({**known, **given, **logged})
    return rows
