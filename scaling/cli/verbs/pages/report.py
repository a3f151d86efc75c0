"""Verbs that write pages: the report, and a whole study from training to report."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.cli.inputs import (
    curves_of,
    is_by_groups,
    load,
    load_to_forecast,
    points,
    reading,
    require_pairs,
    require_two_arms,
    targets_asked,
)
from scaling.cli.open_cells import heading_for
from scaling.cli.options.budgets import asked_hardware, in_flops
from scaling.cli.outlooks import judge_of, log_forecast
from scaling.cli.outputs import put, say, tell
from scaling.cli.verbs.answers.next_runs import Offer, config_in_store
from scaling.cli.verbs.answers.seals import seal, seals_to_report
from scaling.cli.verbs.spending import adaptive
from scaling.cli.verbs.spending.studies import STUDIES
from scaling.cli.verbs.spending.sweep import may_spend, open_store, say_how_to_open, with_cost_left
from scaling.display import Block, as_text
from scaling.errors import ConfigError, StoreError
from scaling.inputs.names import checked_name
from scaling.limits import LimitCode, texts
from scaling.tables.notes import printable

if TYPE_CHECKING:
    from analysis.forecasting.question.options import ForecastOptions
    from scaling.records import Records
    from scaling.store.run_store import RunStore
    from sweeps.config.sweep import SweepConfig
    from sweeps.planning.plan import SweepPlan

Arguments = argparse.Namespace


def report(arguments: Arguments) -> None:
    """Write the budget-planning report on SOURCE as one file: HTML, PDF, Markdown or JSON."""
    from analysis.decisions.money import require_speed
    from analysis.report import Asked, gather_findings, write_report
    from analysis.report.forms.pdf import require_pdf
    from scaling.samples import read_samples

    require_pairs(arguments)
    written = arguments.output.lower()
    if arguments.samples and not written.endswith((".html", ".htm", ".pdf")):
        raise ConfigError(f"-o {arguments.output}: samples are shown by .html and .pdf alone")
    if written.endswith(".pdf"):
        require_pdf()
    samples = [read_samples(path) for path in arguments.samples]
    metrics, by_loss = _metrics_beside_the_loss(arguments)
    records, options = load_to_forecast(by_loss, of_any_columns=True)
    _require_answered(arguments, options)
    hardware = asked_hardware(arguments)
    if hardware is not None:
        require_speed(records, hardware)
    asked = Asked(
        **_beside(arguments, records),
        points=points(arguments.at) if arguments.at else None,
        inputs=tuple(arguments.inputs or ()),
        by=arguments.by,
        share=tuple(arguments.share),
        hardware=hardware,
        inference_tokens=arguments.inference_tokens,
        unique_tokens=arguments.unique_tokens,
        targets=targets_asked(by_loss, options.x),
        losses=tuple(arguments.target_loss or ()),
        metrics=metrics,
        better=arguments.better if metrics else None,
    )
    findings = gather_findings(
        records,
        options=options,
        confidence_level=options.confidence_levels[0],
        curves=curves_of(arguments.source),
        seals=seals_to_report(),
        asked=asked,
        links=_links(arguments.source, arguments.against),
        heading_for=heading_for(arguments.source) if not records.is_finished.all() else None,
    )
    path = write_report(findings, arguments.output, title=arguments.title, samples=samples)
    say(f"report: {path}")
    left_out = findings.used.left_out()
    for text in texts(left_out):
        say(text)
    for text in texts(findings.limits, of=[LimitCode.NO_ANSWER]):
        say(f"not answered: {text}")
    tell(by_loss, left_out)
    log_forecast(arguments.source)


#: Questions of all runs along compute, by the name of their flag among the arguments.
_OF_COMPUTE = {
    **{name: f"--{name.replace('_', '-')}" for name in ("target_loss", "metric", "against")},
    **{name: f"--{name.replace('_', '-')}" for name in ("inference_tokens", "unique_tokens")},
    "next": "--next",
    "certificate": "--certificate",
}
_TARGETS = {name: f"--{name}" for name in ("flops", "params", "tokens", "values")}


def _require_answered(arguments: Arguments, options: "ForecastOptions") -> None:
    """Refuse flags that would be passed over in silence, where groups stand apart or the law reads
    other columns."""
    by_groups = is_by_groups(arguments)
    if arguments.inputs and options.reads_other_columns:
        raise ConfigError("--inputs search for laws, and --law names one; leave one out")
    if arguments.share and options.one_law is None:
        raise ConfigError(
            f"--share {' '.join(map(printable, arguments.share))} names constants of a law; say "
            "which with --law"
        )
    if not by_groups and not options.reads_other_columns:
        return
    refused = _OF_COMPUTE if by_groups and not arguments.share else _OF_COMPUTE | _TARGETS
    given = [flag for name, flag in refused.items() if getattr(arguments, name)]
    given += ["--price, --mfu and the like"] * (asked_hardware(arguments) is not None)
    if not given:
        return
    if options.reads_other_columns:
        why = f"is of compute, and --law {printable(arguments.law)} reads other columns; give --at"
        raise ConfigError(f"{given[0]} {why} POINTS.csv")
    one = f"choose one with --where '{printable(arguments.by)} == ...'"
    raise ConfigError(f"{given[0]} is of one group; {one} in the place of --by")


def _links(*sources: str | None) -> dict[str, str]:
    """Where MLflow shows the runs of each sweep among these."""
    from scaling.store.run_store import RunStore

    found = {}
    for source in sources:
        if source is not None and source.startswith("mlflow:"):
            page = RunStore.find(source.removeprefix("mlflow:")).page()
            if page is not None:
                found[source] = page.how_to_open().splitlines()[-1]
    return found


def _beside(arguments: Arguments, records: "Records") -> dict[str, Any]:
    """The other recipe's runs, read as these are, and what further runs may cost, with those that
    the sweep's own recipe builds: questions of the report."""
    from scaling.sources import records_from

    asked: dict[str, Any] = {}
    if arguments.against is not None:
        how = reading(arguments)
        asked["against"] = records_from(arguments.against, where=arguments.where, reading=how)
        require_two_arms(records, asked["against"])
    if arguments.next is not None:
        (asked["next_budget"],) = in_flops([arguments.next], records)
        if (config := config_in_store(arguments.source)) is not None:
            sweep = Offer(config, asked["next_budget"])
            asked |= {"offer": sweep.offer, "checks_flops": sweep.checks_flops}
    return asked


def _metrics_beside_the_loss(arguments: Arguments) -> tuple[tuple[str, ...], Arguments]:
    """The metrics of --metric that are forecast within their range, and the flags by which the loss
    is read: of a table that has none, what is missing to the metric's best value is the loss."""
    from analysis.capabilities.metrics import has_a_range

    names = tuple(name for name in arguments.metric if has_a_range(name, arguments.better))
    others = [name for name in arguments.metric if name not in names]
    changed = {"metric": others, "better": None} if names else {}
    by_loss = argparse.Namespace(**{**vars(arguments), **changed})
    if names and not others and "loss" not in load(by_loss):
        return (), arguments
    return names, by_loss


def study(arguments: Arguments) -> None:
    """Train CONFIG, forecast its held-out runs unseen, compare, and write the report."""
    if arguments.config in STUDIES:
        STUDIES[arguments.config](arguments)
        return
    if arguments.tuned is not None:
        raise ConfigError("--config is for tuning: scaling study tune --config CONFIG")
    if arguments.a or arguments.b:
        raise ConfigError(f"--a and --b are of `scaling study ab`, not of {arguments.config}")
    from analysis.report import write_study
    from sweeps.planning.plan import plan_sweep
    from sweeps.planning.review.text import plan_text
    from sweeps.running.runner import run_sweep
    from sweeps.status.live_display import SweepProgress

    if arguments.publish and arguments.seal is None:
        raise ConfigError("--publish tags a sealed forecast; name it with --seal NAME")
    if arguments.seal is not None:
        checked_name(arguments.seal, "--seal")
    config, rounds = _sweep_to_study(arguments), tuple[Block, ...]()
    if arguments.adaptive:
        growth = adaptive.grown(arguments, config)
        config, rounds = growth.config, growth.rounds
    else:
        adaptive.require_adaptive(arguments)
    planned, cost = with_cost_left(plan_sweep(config))
    say(plan_text(planned))
    may_spend(planned, cost, arguments)
    store = open_store(planned)
    if arguments.seal is not None:
        _seal_before_training(planned, store, arguments.seal, publish=arguments.publish)
    with SweepProgress(planned) as progress:
        outcome = run_sweep(planned, store, on_event=progress.show, judge=judge_of(planned))
    outcome.require_stored()
    records = store.read_records().among(run.run_id for run in planned.runs)
    curves = store.curves()
    folder = arguments.output or Path("results") / planned.name
    written = write_study(
        records,
        folder,
        title=f"Sweep {planned.name}",
        curves=curves,
        seals=seals_to_report(),
    )
    if rounds:
        put(as_text(rounds))
        adaptive.keep_config(config, Path(folder))
    put(written.to_text())
    _show_in_mlflow(planned, store, written.report)


def _sweep_to_study(arguments: Arguments) -> "SweepConfig":
    """The sweep of CONFIG; where nothing bears this name, the studies of theory are told too."""
    from sweeps.config.shipped import shipped_configs
    from sweeps.config.yaml_file import load_config

    try:
        return load_config(arguments.config, arguments.set)
    except ConfigError as error:
        if Path(arguments.config).exists() or arguments.config in shipped_configs():
            raise
        raise ConfigError(f"{error}; or a study of theory: {', '.join(STUDIES)}") from error


def _show_in_mlflow(planned: "SweepPlan", store: "RunStore", report: Path) -> None:
    """Keep the report with the sweep's own run, link it where the sweep is described, and show the
    forecast; what a store does not take costs a line on standard error."""
    from sweeps.running.page import show_plan

    page = store.page()
    try:
        if page is not None:
            page.keep_report(report)
            show_plan(planned, store)
    except StoreError as error:
        say(f"scaling: {report} is not kept with the sweep: {error}")
    log_forecast(store)
    say_how_to_open(store)


def _seal_before_training(
    planned: "SweepPlan", store: "RunStore", name: str, *, publish: bool
) -> None:
    """Train the runs that fits may use, and seal the forecast of the held-out ones, which do not
    exist yet. A seal of an earlier call stays."""
    from analysis.evaluation.held_out import forecast_to_come
    from scaling.store.seals.kept import sealed_names
    from sweeps.running.runner import run_sweep
    from sweeps.status.live_display import SweepProgress

    held_out = [run for run in planned.runs if run.held_out]
    if not held_out:
        raise ConfigError("--seal: the plan holds no run out; list some under held_out")
    if name in sealed_names():
        say(f"a forecast is sealed as {name} already; it stays")
        return
    fitted = replace(planned, runs=tuple(run for run in planned.runs if not run.held_out))
    store = store.with_parent({"sweep": planned.name})
    with SweepProgress(fitted) as progress:
        outcome = run_sweep(fitted, store, on_event=progress.show, judge=judge_of(planned))
    outcome.require_stored()
    everything = store.read_records()
    records = everything.among(run.run_id for run in planned.runs)
    cells = {(run.shape.params, run.tokens, run.train_flops) for run in held_out}  # seeds repeat
    to_come = dict(
        zip(("params", "tokens", "train_flops"), zip(*sorted(cells), strict=True), strict=True)
    )
    answered = forecast_to_come(records, to_come)
    asked = [column for column in ("params", "tokens") if column in answered.targets[0].at]
    seal(answered, name, records, unfiltered=everything, publish=publish, asked=asked)
