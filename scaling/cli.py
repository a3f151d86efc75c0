"""The `scaling` command: one short function a verb, each the mirror of one library call.

The only file that sees all three packages. It loads, calls, prints or saves; it computes nothing.
Heavy modules are imported inside the verb that needs them, so that --help is instant.

With --json exactly one JSON document goes to standard output; everything else goes to standard
error. A mistake that the input explains is one line and exit code 2.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from scaling import options
from scaling.errors import ConfigError, ScalingError, StoreError

if TYPE_CHECKING:
    from pandas import DataFrame

    from analysis.seal import Seal, SealStanding
    from analysis.targets import Targets
    from scaling.records import Records
    from scaling.store import RunStore
    from sweeps.cost import PlanCost
    from sweeps.plan import SweepPlan
    from sweeps.standing import SweepStanding

Arguments = argparse.Namespace
Value = TypeVar("Value", str, float)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0, or 2 after a mistake that the input explains."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.verb(arguments)
    except ScalingError as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scaling: interrupted; finished runs are stored, run it again", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


# --- the verbs, in the order of the work ---------------------------------------------------------


def plan(arguments: Arguments) -> None:
    """Print what CONFIG would train, with FLOP and time, before anything is spent."""
    from sweeps.config import load_config
    from sweeps.cost import check_budget
    from sweeps.listing import cost_text, plan_text
    from sweeps.plan import plan_sweep

    planned = plan_sweep(load_config(arguments.config, arguments.set))
    cost = _cost_left(planned)
    _answer(planned.to_json(), lambda: f"{plan_text(planned)}\n\n{cost_text(cost)}", arguments)
    check_budget(cost, planned.config.budget)


def tokenize(arguments: Arguments) -> None:
    """Turn text FILES into token shards; kill it at any moment, run it again, and it goes on."""
    import json

    from sweeps.data.tokenize import tokenize_corpus
    from sweeps.data.tokenize_progress import TokenizeDisplay

    with TokenizeDisplay() as display:
        made = tokenize_corpus(
            arguments.files,
            arguments.output,
            tokenizer=arguments.tokenizer,
            shard_tokens=arguments.shard_tokens,
            validation_share=arguments.validation_share,
            on_progress=display.show,
        )
    tokens = sum(shard["tokens"] for shard in made.shards)
    document = {"folder": str(made.folder), "tokens": tokens, "shards": list(made.shards)}
    document |= {"tokenizer": made.tokenizer, "tokenizer_hash": made.tokenizer_hash}
    text = f"{tokens:,} tokens in {len(made.shards)} shards in {made.folder} ({made.tokenizer})"
    _print(json.dumps(document, indent=2), lambda: text, arguments)


def run(arguments: Arguments) -> None:
    """Train what CONFIG plans and the store lacks; safe to repeat, safe to kill."""
    from scaling.store import RunStore
    from sweeps.config import load_config
    from sweeps.listing import standing_text
    from sweeps.plan import plan_sweep
    from sweeps.progress import SweepProgress
    from sweeps.runner import run_sweep

    planned = plan_sweep(load_config(arguments.config, arguments.set))
    _may_spend(planned, arguments)
    store = RunStore.open(planned.name)
    with SweepProgress(planned) as progress:
        run_sweep(planned, store, on_event=progress.show)
    standing = _standing(planned, store)
    _answer(standing.to_json(), lambda: standing_text(standing), arguments)


def status(arguments: Arguments) -> None:
    """Print where each run of CONFIG stands, with reasons, and the time and cost left."""
    from scaling.store import RunStore
    from sweeps.config import load_config
    from sweeps.listing import standing_text
    from sweeps.plan import plan_sweep
    from sweeps.watching import watch

    planned = plan_sweep(load_config(arguments.config, arguments.set))
    store = RunStore.find(planned.name)
    if arguments.watch and not arguments.json:
        watch(lambda: _standing(planned, store), every_run=arguments.all)
    standing = _standing(planned, store)
    _answer(standing.to_json(), lambda: standing_text(standing, every_run=arguments.all), arguments)


def check(arguments: Arguments) -> None:
    """Check CONFIG's recipe and code on its data; exit code 2 where an invariant is broken."""
    from sweeps.checks.listing import finding_text, findings_text
    from sweeps.checks.run import run_checks
    from sweeps.config import load_config

    report = run_checks(
        load_config(arguments.config, arguments.set),
        quick=arguments.quick,
        on_finding=lambda found: print(finding_text(found), file=sys.stderr),
    )
    _answer(report.to_json(), lambda: findings_text(report), arguments)
    report.require_unbroken()


def collect(arguments: Arguments) -> None:
    """Write the runs of an EXPERIMENT as a table."""
    from scaling.records import write_records
    from scaling.store import RunStore

    records = RunStore.find(arguments.experiment.removeprefix("mlflow:")).read_records()
    write_records(records, arguments.output)
    print(f"{len(records)} runs written to {arguments.output}", file=sys.stderr)


def import_(arguments: Arguments) -> None:
    """Copy past runs from FILE, such as a Weights & Biases export, into the run store."""
    from scaling.store import RunStore
    from scaling.store_import import import_records

    count = import_records(_load(arguments), RunStore.open(arguments.sweep))
    print(f"{count} runs joined mlflow:{arguments.sweep}", file=sys.stderr)


def fit(arguments: Arguments) -> None:
    """Fit one law to the runs in SOURCE; print its constants with intervals and their status."""
    from analysis.cross_checks import cross_checks
    from analysis.fit import fit_law
    from analysis.text import fit_json, fit_text

    records = _load(arguments)
    fitted = fit_law(
        records,
        arguments.law,
        objective=arguments.objective,
        huber_delta=arguments.huber_delta,
        fix=_assignments(arguments.fix, "--fix", float),
        x=arguments.x,
        bootstrap=arguments.bootstrap,
        cluster=arguments.cluster,
        weights=arguments.weights,
        confidence_level=arguments.level,
        seed=arguments.seed,
    )
    _save(fitted.to_json(), arguments)  # with the bootstrap draws, so that it can be loaded again
    checks = cross_checks(records, seed=arguments.seed) if arguments.cross_checks else ()
    _print(fit_json(fitted, checks), lambda: fit_text(fitted, checks, arguments.card), arguments)


def forecast(arguments: Arguments) -> None:
    """Predict new runs from the runs in SOURCE, with intervals scored on its own largest runs."""
    from analysis.forecast import forecast as forecast_runs
    from analysis.forecast import predict_table
    from analysis.text import forecast_text

    records = _load(arguments)
    how = {"law": arguments.law, "x": arguments.x, "draws": arguments.draws, "seed": arguments.seed}
    levels = tuple(arguments.level or (0.9,))
    if arguments.at:
        predicted = predict_table(records, _points(arguments.at), levels=levels, **how)
        predicted.to_csv(arguments.output or sys.stdout, index=False)
        if unsupported := predicted.attrs["unsupported"]:
            print(f"{unsupported} of {len(predicted)} points are unsupported", file=sys.stderr)
        return
    if arguments.target_loss:
        from analysis.budget_for_loss import budget_for_loss
        from analysis.text import budgets_text, results_json

        budgets = [
            budget_for_loss(records, loss, confidence_levels=levels, **how)
            for loss in arguments.target_loss
        ]
        _answer(results_json(budgets), lambda: budgets_text(budgets), arguments)
        return
    targets = _targets(arguments)
    answer = forecast_runs(records, targets, confidence_levels=levels, **how)
    if arguments.seal:
        from analysis.seal import seal_forecast
        from scaling.seals import keep_seal

        seal = seal_forecast(
            answer,
            arguments.seal,
            records,
            asked=tuple(targets.columns),
            where=arguments.where,
        )
        keep_seal(seal.name, seal.to_json())
        print(f"sealed as {seal.name}, digest {seal.digest}", file=sys.stderr)
    _answer(answer.to_json(), lambda: forecast_text(answer), arguments)


def allocate(arguments: Arguments) -> None:
    """Split budgets between model size and tokens, with intervals; inference and data limits."""
    from analysis.constrained_split import constrained_splits
    from analysis.optimal_split import optimal_splits
    from analysis.text import results_json, splits_text

    records, levels = _load(arguments), tuple(arguments.level or (0.9,))
    if arguments.inference_tokens or arguments.unique_tokens is not None:
        if arguments.law not in ("auto", "chinchilla"):
            raise ConfigError(
                f"--law {arguments.law} knows neither inference nor limited data; leave --law out"
            )
        splits = constrained_splits(
            records,
            *arguments.flops,
            inference_tokens=arguments.inference_tokens,
            unique_tokens=arguments.unique_tokens,
            confidence_levels=levels,
            seed=arguments.seed,
        )
    else:
        splits = optimal_splits(
            records,
            *arguments.flops,
            law=arguments.law,
            confidence_levels=levels,
            seed=arguments.seed,
        )
    _answer(results_json(splits), lambda: splits_text(splits), arguments)


def verify(arguments: Arguments) -> None:
    """Score the forecast sealed under NAME, or --all, on runs that it had not seen."""
    from analysis.seal import Seal, score_seal
    from analysis.text import results_json, standings_text, verdicts_json, verdicts_text
    from scaling.seals import read_seals

    if arguments.all == bool(arguments.name):
        raise ConfigError("verify one sealed forecast by its NAME, or all of them with --all")
    if arguments.all:
        standings = _seal_standings()
        _answer(results_json(standings), lambda: standings_text(standings), arguments)
        return
    seals = read_seals()
    if arguments.name not in seals:
        have = ", ".join(seals) or "none"
        raise StoreError(f'no sealed forecast "{arguments.name}" (sealed: {have})')
    seal = Seal.from_json(seals[arguments.name])
    records = _load(arguments) if arguments.source else _seal_source(seal)
    verdicts = score_seal(seal, records)
    _answer(verdicts_json(verdicts), lambda: verdicts_text(seal, verdicts), arguments)


def backtest(arguments: Arguments) -> None:
    """Hide the largest budgets of SOURCE in turn, predict them, print error and coverage."""
    from analysis.backtest import backtest as run_backtest
    from analysis.text import backtest_text

    scored = run_backtest(_load(arguments), law=arguments.law, x=arguments.x, seed=arguments.seed)
    if arguments.figure:
        from analysis.plots.backtest import save_backtest_figure

        save_backtest_figure(scored, arguments.figure)
        print(f"figure: {arguments.figure}", file=sys.stderr)
    _answer(scored.to_json(), lambda: backtest_text(scored), arguments)


def report(arguments: Arguments) -> None:
    """Write the budget-planning report on SOURCE as one HTML file."""
    from analysis.report import write_report

    path = write_report(
        _load(arguments),
        arguments.output,
        law=arguments.law,
        x=arguments.x,
        seed=arguments.seed,
        curves=_curves(arguments.source),
        seals=_seals_to_report(),
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

    planned = plan_sweep(load_config(_config_path(arguments.config), arguments.set))
    print(plan_text(planned), file=sys.stderr)
    _may_spend(planned, arguments)
    store = RunStore.open(planned.name)
    with SweepProgress(planned) as progress:
        run_sweep(planned, store, on_event=progress.show)
    records = store.read_records().among(run.run_id for run in planned.runs)
    curves = store.curves()
    folder = arguments.output or Path("results") / planned.name
    written = write_study(records, folder, title=f"Sweep {planned.name}", curves=curves)
    store.log_artifact(written.report)
    print(written.to_text())


# --- what the verbs share ------------------------------------------------------------------------


def _cost_left(planned: "SweepPlan") -> "PlanCost":
    """What is still to be spent, by the runs of the sweep that have finished, if it has any."""
    from scaling.store import RunStore
    from sweeps.cost import plan_cost

    try:
        known = RunStore.find(planned.name).facts().values()
    except StoreError:  # nothing was ever trained, or it cannot be asked: then it is a guess
        return plan_cost(planned)
    return plan_cost(planned, known)


def _may_spend(planned: "SweepPlan", arguments: Arguments) -> None:
    """Refuse what the budget forbids; ask a person about what is large."""
    from sweeps.cost import check_budget

    cost, budget = _cost_left(planned), planned.config.budget
    check_budget(cost, budget)
    most = budget.ask_above_device_hours
    if most is None or cost.device_hours <= most or arguments.yes:
        return
    asked = f"about {cost.device_hours:.3g} device hours are left to train"
    if not sys.stdin.isatty():
        raise ConfigError(f"{asked}, more than budget.ask_above_device_hours {most:g}; add --yes")
    print(f"{asked}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("not started")


def _standing(planned: "SweepPlan", store: "RunStore") -> "SweepStanding":
    """The ledger of a sweep, with a forecast of every cell that is training."""
    from sweeps.standing import sweep_standing

    standing = sweep_standing(planned, store)
    if not standing.running:
        return standing
    from analysis.in_run import forecast_running

    finished = {c.run_id: c.loss for c in standing.finished_like_running() if c.loss}
    seen = standing.running + standing.finished_like_running()
    heading = forecast_running(
        store.curves(run_ids={cell.run_id for cell in seen}),
        {cell.run_id: cell.steps for cell in seen},
        finished,
    )
    return standing.with_outlooks({run_id: one.line for run_id, one in heading.items()})


def _load(arguments: Arguments) -> "Records":
    """The runs that SOURCE names: a file, or mlflow:EXPERIMENT."""
    columns = _assignments(arguments.columns, "--columns", str)
    return _read(arguments.source, columns, arguments.where)


def _read(source: str, columns: Mapping[str, str], where: Sequence[str]) -> "Records":
    from scaling.records import read_records, records_from_table

    if not source.startswith("mlflow:"):
        return read_records(source, columns=columns, where=where)
    from scaling.store import RunStore

    stored = RunStore.find(source.removeprefix("mlflow:")).read_records().table
    return records_from_table(stored, source=source, columns=columns, where=where)


def _seal_source(seal: "Seal") -> "Records":
    """The runs that a sealed forecast was made from, as they are now."""
    return _read(seal.source, seal.columns, seal.where)


def _seal_standings() -> "tuple[SealStanding, ...]":
    """Where every sealed forecast of the run store stands."""
    from analysis.seal import standings_of
    from scaling.seals import read_seals

    return standings_of(read_seals(), _seal_source)


def _seals_to_report() -> "tuple[SealStanding, ...]":
    """The sealed forecasts for a report; a store that does not answer only costs their section."""
    try:
        return _seal_standings()
    except ScalingError as error:
        print(f"scaling: sealed forecasts are left out: {error}", file=sys.stderr)
        return ()


def _curves(source: str) -> "DataFrame | None":
    """The training curves of a sweep in the run store; a table of runs has none."""
    if not source.startswith("mlflow:"):
        return None
    from scaling.store import RunStore

    return RunStore.find(source.removeprefix("mlflow:")).curves()


def _targets(arguments: Arguments) -> "Targets":
    """The points to predict that --flops, --params with --tokens, or --x with --values name."""
    from analysis.targets import Targets

    if arguments.x and arguments.values:
        return Targets.along(arguments.x, *arguments.values)
    if arguments.params and arguments.tokens:
        if len(arguments.params) != len(arguments.tokens):
            raise ConfigError("--params and --tokens pair up: give as many of one as of the other")
        return Targets.runs(arguments.params, arguments.tokens)
    if arguments.flops:
        return Targets.flops(*arguments.flops)
    raise ConfigError(
        "nothing to predict; give --flops C, --params N --tokens D, --x COLUMN --values V, "
        "--target-loss L, or --at points.csv"
    )


def _points(path: str) -> "DataFrame":
    import pandas

    try:
        return pandas.read_csv(path)
    except (OSError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as a CSV of points ({first_line})") from error


def _config_path(name: str) -> str:
    """A config file by its path, or by its name in configs/."""
    shipped = Path("configs") / f"{name}.yaml"
    return str(shipped) if shipped.is_file() and not Path(name).is_file() else name


def _assignments(
    given: Sequence[str], flag: str, convert: Callable[[str], Value]
) -> dict[str, Value]:
    """``name=value`` pairs, each value converted."""
    pairs = {}
    for text in given:
        name, _, value = (part.strip() for part in text.partition("="))
        try:
            pairs[name] = convert(value)
        except ValueError:
            value = ""
        if not name or not value:
            raise ConfigError(f"{flag} {text}: not of the form name=value")
    return pairs


def _answer(document: str, text: Callable[[], str], arguments: Arguments) -> None:
    """Save the JSON document where -o says, and print it or its text."""
    _save(document, arguments)
    _print(document, text, arguments)


def _save(document: str, arguments: Arguments) -> None:
    if arguments.output:
        target = Path(arguments.output)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(document + "\n")
        except OSError as error:
            raise ConfigError(f"{target}: cannot be written ({error.strerror})") from error


def _print(document: str, text: Callable[[], str], arguments: Arguments) -> None:
    print(document if arguments.json else text())


# --- the command line ----------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A mistyped command is answered in one line too."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scaling",
        description="Train ladders of language models, fit scaling laws, forecast larger runs.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb, groups in VERBS.items():
        summary = (verb.__doc__ or "").splitlines()[0]
        command = verbs.add_parser(verb.__name__.rstrip("_"), help=summary, description=summary)
        command.set_defaults(verb=verb)
        for add_options in groups:
            add_options(command)
    return parser


#: Each verb with the groups of options that it takes.
VERBS: dict[Callable[[Arguments], None], tuple[options.Options, ...]] = {
    plan: (options.config, options.output, options.json_output),
    tokenize: (options.tokenizing, options.required_output, options.json_output),
    run: (options.config, options.spending, options.output, options.json_output),
    status: (options.config, options.watching, options.output, options.json_output),
    check: (options.config, options.quick, options.output, options.json_output),
    collect: (options.experiment, options.required_output),
    import_: (options.importing,),
    fit: (
        options.source,
        options.law("power_law"),
        options.fitting,
        options.output,
        options.json_output,
    ),
    forecast: (
        options.source,
        options.law("auto"),
        options.forecasting,
        options.output,
        options.json_output,
    ),
    allocate: (
        options.source,
        options.law("auto"),
        options.allocation,
        options.output,
        options.json_output,
    ),
    verify: (options.seal_name, options.table, options.output, options.json_output),
    backtest: (
        options.source,
        options.law("auto"),
        options.figure,
        options.output,
        options.json_output,
    ),
    report: (options.source, options.law("auto"), options.required_output),
    study: (options.config, options.spending, options.output),
}
