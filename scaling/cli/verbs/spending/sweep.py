"""Verbs that spend compute, or look at what it was spent on: one call into `sweeps` each."""

import argparse
import shlex
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from scaling.cli.outlooks import judge_of, log_forecast, outlook_lines, rung_gaps
from scaling.cli.outputs import answer, put, say, show, write
from scaling.errors import ConfigError, NotStoredError, StoreError
from scaling.words import counted

if TYPE_CHECKING:
    from scaling.store.run_store import RunStore
    from sweeps.planning.costs.cost import PlanCost
    from sweeps.planning.plan import SweepPlan
    from sweeps.status.ledger import SweepStanding

Arguments = argparse.Namespace


def config(arguments: Arguments) -> None:
    """Print a config with every setting, its default and what it is; --schema for editors."""
    import json

    from sweeps.config.description.commented import commented_config
    from sweeps.config.description.schema import config_schema

    schema, file = arguments.schema, arguments.output
    text = commented_config(arguments.data)
    if schema:
        text = json.dumps(config_schema(), indent=2) + "\n"
    if not file:
        put(text, end="")
    elif file.endswith(".json") != schema:
        raise ConfigError(f"-o {file}: --schema is written as .json, a config as .yaml")
    else:
        write(text, file)


def plan(arguments: Arguments) -> None:
    """Print what CONFIG would train, with FLOP and time, before anything is spent."""
    from sweeps.config.yaml_file import load_config
    from sweeps.planning.costs.cost import check_budget
    from sweeps.planning.costs.memory import check_memory, memory_document
    from sweeps.planning.gpus import gpu_document, gpu_text
    from sweeps.planning.plan import plan_sweep
    from sweeps.planning.review.answerable import answerable
    from sweeps.planning.review.text import answers_text, cost_text, memory_text, plan_text
    from sweeps.planning.review.training_text import TrainingText
    from sweeps.planning.variants.arms import planned_checks

    planned, cost = with_cost_left(plan_sweep(load_config(arguments.config, arguments.set)))
    can = answerable(planned)
    document = planned.to_json(
        cost=cost.document(),
        memory=memory_document(planned),
        gpu=gpu_document(planned.config, planned.runs),
        text=TrainingText.of(planned).document(),
        answerable=can.document(),
        checks=planned_checks(planned).document(),
    )

    def text() -> str:
        runs = (
            f"{plan_text(planned)}\n{memory_text(planned)}{gpu_text(planned.config, planned.runs)}"
        )
        return f"{runs}\n\n{answers_text(can)}\n\n{cost_text(cost)}"

    answer(document, text, arguments)
    check_memory(planned)
    check_budget(cost, planned.config.budget)


def run(arguments: Arguments) -> None:
    """Train what CONFIG plans and the store lacks; safe to repeat, safe to kill."""
    from sweeps.config.yaml_file import load_config
    from sweeps.planning.plan import plan_sweep
    from sweeps.running.runner import run_sweep
    from sweeps.status.live_display import SweepProgress
    from sweeps.status.text import standing_text, what_next

    planned, cost = with_cost_left(plan_sweep(load_config(arguments.config, arguments.set)))
    may_spend(planned, cost, arguments)
    store = open_store(planned)
    # What libraries print, as Ray does of lost workers, is no part of the answer.
    with redirect_stdout(sys.stderr), SweepProgress(planned) as progress:
        outcome = run_sweep(planned, store, on_event=progress.show, judge=judge_of(planned))
    outcome.require_stored()
    standing = standing_of(planned, store)
    answer(standing.to_json(), lambda: standing_text(standing), arguments)
    typed = [arguments.config, *(part for one in arguments.set for part in ("--set", one))]
    log_forecast(store)
    say_how_to_open(store)
    say(f"next: {what_next(standing, shlex.join(typed))}")


def status(arguments: Arguments) -> None:
    """Print where each run of CONFIG stands, with reasons, and the time and cost left."""
    from scaling.store.run_store import RunStore
    from sweeps.config.yaml_file import load_config
    from sweeps.planning.plan import plan_sweep
    from sweeps.status.text import standing_text, tracebacks_text
    from sweeps.status.watch import watch

    planned = plan_sweep(load_config(arguments.config, arguments.set))
    store = RunStore.find(planned.name)
    if arguments.watch and not arguments.json:
        watch(lambda: standing_of(planned, store), every_run=arguments.all)
    standing = standing_of(planned, store)
    wanted = arguments.json or arguments.output  # of 10,000 runs it takes as long as the rest
    document = standing.to_json() if wanted else ""

    def text() -> str:
        shown = standing_text(standing, every_run=arguments.all)
        return shown + tracebacks_text(standing) if arguments.tracebacks else shown

    answer(document, text, arguments)


def check(arguments: Arguments) -> None:
    """Check CONFIG's recipe and code on its data; exit code 2 where one of the checks fails."""
    from sweeps.checks.run import run_checks
    from sweeps.checks.tables import finding_text, findings_text
    from sweeps.config.yaml_file import load_config

    report = run_checks(
        load_config(arguments.config, arguments.set),
        quick=arguments.quick,
        on_finding=lambda found: say(finding_text(found)),
    )
    answer(report.to_json(), lambda: findings_text(report), arguments)
    report.require_passed()


def tokenize(arguments: Arguments) -> None:
    """Turn text FILES into token shards; kill it at any moment, run it again, and it goes on."""
    import json

    from sweeps.data.tokens.tokenize import tokenize_corpus
    from sweeps.data.tokens.tokenize_progress import TokenizeDisplay

    left_out: list[str] | None = [] if arguments.skip_undecodable else None
    with TokenizeDisplay() as display:
        made = tokenize_corpus(
            arguments.files,
            arguments.output,
            tokenizer=arguments.tokenizer,
            shard_tokens=arguments.shard_tokens,
            validation_share=arguments.validation_share,
            left_out=left_out,
            on_progress=display.show,
        )
    if left_out:
        found = counted(len(left_out), "document")
        say(f"left out, not UTF-8: {found}, first {left_out[0]}")
    tokens = sum(shard["tokens"] for shard in made.shards)
    document = {"folder": str(made.folder), "tokens": tokens, "shards": list(made.shards)}
    document |= {"left_out": left_out or []}
    document |= {"tokenizer": made.tokenizer, "tokenizer_hash": made.tokenizer_hash}
    shards = counted(len(made.shards), "shard")
    text = f"{tokens:,} tokens in {shards} in {made.folder} ({made.tokenizer})"
    show(json.dumps(document, indent=2), lambda: text, arguments)


def with_cost_left(planned: "SweepPlan") -> "tuple[SweepPlan, PlanCost]":
    """The plan with the times that finished runs tell, and what is still to be spent, by what the
    store says of the sweep, if it can be asked: the one estimate of every verb."""
    from scaling.store.run_store import RunStore
    from sweeps.planning.costs.cost import plan_cost, timed
    from sweeps.running.driver_lock import is_driven

    try:
        store = RunStore.find(planned.name)
        cost = plan_cost(planned, store.facts(), driven=is_driven(store))
    except NotStoredError:  # nothing was ever trained
        cost = plan_cost(planned)
    except StoreError as error:
        cost = plan_cost(planned, store_error=str(error))
    return timed(planned, cost), cost


def open_store(planned: "SweepPlan") -> "RunStore":
    """The store to train into; says which of its runs the plan leaves out."""
    from scaling.store.run_store import RunStore
    from sweeps.planning.changed_config import earlier_runs

    store = RunStore.open(planned.name)
    if earlier := earlier_runs(planned, store.facts()):
        say(f"scaling: {earlier.line}")
    return store


def say_how_to_open(store: "RunStore") -> None:
    """Say on standard error where MLflow shows the sweep."""
    page = store.page()
    if page is not None:
        told = page.how_to_open().replace("\n", "\n        ")
        say(f"MLflow: {told}")


def may_spend(planned: "SweepPlan", cost: "PlanCost", arguments: Arguments) -> None:
    """Refuse what the budget or this machine forbids; ask a person about what is large."""
    from sweeps.launchers.local import require_devices
    from sweeps.planning.costs.cost import check_budget
    from sweeps.planning.costs.memory import check_memory

    check_memory(planned)
    if cost.flops:  # what is trained already is shown without a GPU
        require_devices(planned.config.launch)
    budget = planned.config.budget
    check_budget(cost, budget)
    most = budget.ask_above_device_hours
    if most is None or cost.device_hours <= most or arguments.yes:
        return
    left = f"about {cost.device_hours:.3g} device hours are left to train"
    if arguments.quiet or not sys.stdin.isatty():
        raise ConfigError(f"{left}, more than budget.ask_above_device_hours {most:g}; add --yes")
    say(f"{left}. Go on? [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("not started")


def standing_of(planned: "SweepPlan", store: "RunStore") -> "SweepStanding":
    """The ledger of a sweep, with the outlook of every run that is training and the gaps that
    checks of its rungs found."""
    from sweeps.status.ledger import sweep_standing

    standing = sweep_standing(planned, store)
    if standing.running:
        standing = standing.with_outlooks(outlook_lines(store))
    return standing.with_gaps(*rung_gaps(store)) if standing.checked else standing
