"""The verb that serves the live page, and what that page reads."""

import argparse
import importlib.util
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.cli.inputs import reading
from scaling.cli.outlooks import running_forecasts
from scaling.cli.outputs import say
from scaling.errors import ConfigError

if TYPE_CHECKING:
    from analysis.forecasting.unfinished_runs import RunningForecast
    from scaling.cli.verbs.answers.next_runs import Offer
    from sweeps.planning.plan import SweepPlan

SERVER = "scaling.cli.verbs.pages.dashboard_server"

Arguments = argparse.Namespace


def dashboard(arguments: Arguments) -> None:
    """Serve live pages on SOURCEs, or on every sweep of the run store, until Ctrl-C."""
    missing = [name for name in ("streamlit", "plotly") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "the dashboard needs Streamlit and Plotly; install them with: "
            "pip install 'scaling-forecast[dashboard]'"
        )
    from analysis.dashboard import LARGEST_UPLOAD_MB
    from scaling.laws.written.law_file import read_laws
    from scaling.sources import records_from

    how = reading(arguments)
    for source in arguments.sources:  # a mistake is told here, in one line
        records_from(source, where=arguments.where, reading=how)
    if arguments.laws:
        read_laws(arguments.laws)
    _require_free(arguments.host, arguments.port)
    request = {
        "sources": arguments.sources,
        "where": arguments.where,
        "reading": asdict(how),
        "laws": arguments.laws,
    }
    server = {
        "server.address": arguments.host,
        "server.port": arguments.port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": LARGEST_UPLOAD_MB,
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "theme.primaryColor": "#0072B2",
    }
    flags = [word for name, value in server.items() for word in (f"--{name}", str(value))]
    # A page of somewhere else that a browser takes for ours (DNS rebinding) sends another name.
    for host in ("localhost", "127.0.0.1", "::1", arguments.host, *arguments.allow_host):
        flags += ["--server.allowedHosts", host]
    page = str(Path(__file__).with_name("dashboard_page.py"))
    say(f"dashboard: http://{arguments.host}:{arguments.port} (Ctrl-C ends it)")
    root = str(Path(__file__).parents[4])
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    # in place of this process, so that every signal reaches the server
    server_words = ["-m", SERVER, page, *flags, "--", json.dumps(request)]
    os.execv(sys.executable, [sys.executable, *server_words])


def stored_sweeps() -> list[str]:
    """The sweeps of the run store, as sources."""
    from scaling.inputs.names import SEALS
    from scaling.store.connection.tracking_uri import resolve_tracking_uri
    from scaling.store.experiments import sweep_ids

    kept_apart = (SEALS, "Default")  # MLflow makes the latter by itself
    found = sweep_ids(resolve_tracking_uri())
    return [f"mlflow:{name}" for name in sorted(found) if name not in kept_apart]


def outlooks_of(source: str) -> "Mapping[str, RunningForecast]":
    """Where the running runs of a sweep are heading, by run id; nothing for a table."""
    from scaling.store.run_store import RunStore

    if not source.startswith("mlflow:"):
        return {}
    return running_forecasts(RunStore.find(source.removeprefix("mlflow:")))


def ledger_of(source: str) -> "Mapping[str, Any] | None":
    """Where a sweep stands against the plan that it keeps in the store, as `scaling status --json`
    tells; None of a table, and of a sweep that keeps no plan."""
    from scaling.cli.verbs.spending.sweep import standing_of
    from scaling.store.run_store import RunStore
    from sweeps.running.page import kept_config_text

    if not source.startswith("mlflow:"):
        return None
    store = RunStore.find(source.removeprefix("mlflow:"))
    config = kept_config_text(store)
    if not config:
        return None
    document: dict[str, Any] = json.loads(standing_of(_plan_of(config), store).to_json())
    return document


def sweep_changed_at(sweep: str) -> float | None:
    """When a run of a sweep began or ended last, seconds since 1970; None before the first."""
    from scaling.store.run_store import RunStore

    times = [one.end or one.start for one in RunStore.find(sweep).tries()]
    return max(times) / 1000 if times else None


@lru_cache(maxsize=16)
def _plan_of(config: str) -> "SweepPlan":
    from scaling.inputs.bounded_yaml import load_yaml
    from sweeps.config.yaml_file import config_from_mapping
    from sweeps.planning.plan import plan_sweep

    return plan_sweep(config_from_mapping(load_yaml(config), ()))


@lru_cache(maxsize=16)
def _offer_from(config: str, budget: float) -> "Offer":
    from scaling.cli.verbs.answers.next_runs import Offer

    return Offer(_plan_of(config).config, budget)


def offer_of(source: str, budget: float) -> "Offer | None":
    """What the recipe of a sweep builds for so many FLOP, as `scaling next --config` chooses among
    it; None of a table, and of a sweep that keeps no config."""
    from scaling.store.run_store import RunStore
    from sweeps.running.page import kept_config_text

    if not source.startswith("mlflow:"):
        return None
    config = kept_config_text(RunStore.find(source.removeprefix("mlflow:")))
    return _offer_from(config, budget) if config else None


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"{host}:{port} cannot be served on ({error.strerror}); choose another --port"
            ) from error
