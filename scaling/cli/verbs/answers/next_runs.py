"""The verb that says what to run next, and afterwards whether that was worth it."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.cli.inputs import law_asked, load, load_to_forecast, points
from scaling.cli.open_cells import open_cells
from scaling.cli.options.budgets import budget, in_flops
from scaling.cli.outputs import answer, save, say, show, write
from scaling.cli.verbs.answers.discover import Progress
from scaling.errors import ConfigError, StoreError
from scaling.inputs.amounts import Multiple
from scaling.words import counted

if TYPE_CHECKING:
    from analysis.decisions.further_runs.next_runs import NextRuns
    from analysis.decisions.further_runs.runs_on_offer import RunOnOffer
    from sweeps.config.sweep import SweepConfig
    from sweeps.planning.plan import SweepPlan
    from sweeps.planning.variants.buildable import BuildableRun

Arguments = argparse.Namespace
_MARK = "# proposal: "  # of the line of a config that holds what was proposed


def asking(command: argparse.ArgumentParser) -> None:
    """What is to be known better, and for how much."""
    times = "FLOP, or times the largest run's (10x)"
    command.add_argument(
        "--target-flops", metavar="C", type=budget, help=f"the run to forecast: {times}"
    )
    command.add_argument(
        "--budget", metavar="B", type=budget, help=f"what the next runs may cost together: {times}"
    )
    command.add_argument(
        "--for",
        dest="aim",
        choices=("loss", "allocation"),
        default="loss",
        help="what is to be narrowed: the loss at C, or the best size there (%(default)s)",
    )
    command.add_argument(
        "--config",
        metavar="CONFIG",
        help="the sweep's YAML file: choose runs that its recipe builds, and with -o FILE.yaml "
        "write the config that trains them (default: of mlflow: sources the one in the store)",
    )
    command.add_argument(
        "--offer",
        metavar="RUNS.csv",
        help="choose among these runs for the points of --at, by laws of --inputs or a formula of "
        "any columns; a column `cost` in the unit of --budget (without it each costs one)",
    )
    command.add_argument(
        "--at", metavar="POINTS.csv", help="with --offer: the points whose predictions matter"
    )
    command.add_argument(
        "--inputs", metavar="COLUMN", nargs="+", help="with --offer: columns to find laws in"
    )
    command.add_argument(
        "--by", metavar="COLUMN", help="with --offer: groups, each with constants of its own"
    )
    command.add_argument(
        "--proposal",
        metavar="FILE",
        help="what -o wrote earlier: say whether its runs narrowed the answer as it promised",
    )


def next_(arguments: Arguments) -> None:
    """Say which runs would most narrow a forecast of SOURCE within a budget, and by how much."""
    from analysis.decisions.further_runs.next_runs import next_runs
    from analysis.text.next_runs import next_runs_text

    if arguments.proposal:
        _check(arguments)
        return
    if arguments.offer:
        _choose_of_offer(arguments)
        return
    for flag in ("at", "inputs", "by"):
        if getattr(arguments, flag):
            raise ConfigError(f"--{flag} is of runs on offer; give them with --offer RUNS.csv")
    for flag, value in (
        ("--target-flops C", arguments.target_flops),
        ("--budget B", arguments.budget),
    ):
        if value is None:
            raise ConfigError(f"nothing to choose by; give {flag}")
    written = (arguments.output or "").endswith((".yaml", ".yml"))
    config = arguments.config or config_in_store(arguments.source)
    if written and not config:
        raise ConfigError(
            f"-o {arguments.output}: a config is written from the sweep's own; name it with "
            "--config, or write the proposal as .json"
        )
    records, options = load_to_forecast(arguments)
    target, spend = in_flops([arguments.target_flops, arguments.budget], records)
    sweep = Offer(config, spend) if config else None
    found = next_runs(
        records,
        target,
        spend,
        aim=arguments.aim,
        offer=None if sweep is None else sweep.offer,
        checks_flops=None if sweep is None else sweep.checks_flops,
        options=options,
    )
    open_cells(arguments, records, options, at=[target], aim=arguments.aim)
    document = found.to_json() if sweep is None else sweep.document(found)
    cells = "" if sweep is None else sweep.cells(found)
    if written and sweep is not None:
        if found.after is None:
            raise ConfigError(f"-o {arguments.output}: {found.limits[-1].text}")
        write(sweep.text(found, document, arguments.output), arguments.output)
        if told := sweep.over_budget(found):
            say(f"scaling: {told}")
    elif arguments.output:
        save(document, arguments)
    text = next_runs_text(found, alone=arguments.quiet)
    if cells:
        text += f"\n\ncells of the config that train them\n{cells.rstrip()}"
    show(document, lambda: text, arguments, found.limits)
    if written:
        say(f"config: {arguments.output}; next: scaling run {arguments.output}")


def _choose_of_offer(arguments: Arguments) -> None:
    """Runs of a table on offer, for predictions in any inputs."""
    from analysis.decisions.further_runs.in_any_inputs import runs_to_buy
    from analysis.text.next_runs import runs_to_buy_text

    for flag in ("target_flops", "config"):
        if getattr(arguments, flag) is not None:
            name = flag.replace("_", "-")
            raise ConfigError(f"--offer is for the points of --at; leave --{name} out")
    if arguments.fix or arguments.aim != "loss":
        flag = "--fix" if arguments.fix else f"--for {arguments.aim}"
        raise ConfigError(f"--offer is for predictions by all constants of a law; leave {flag} out")
    if not arguments.at or arguments.budget is None:
        raise ConfigError("--offer needs the points that matter and a budget: --at and --budget")
    if isinstance(arguments.budget, Multiple):
        raise ConfigError("--budget is in the unit of the offer's costs here; give a number")
    written = arguments.law != "auto"
    if written == bool(arguments.inputs):
        raise ConfigError("--offer needs laws: --inputs to find them in, or one by --law")
    if (arguments.output or "").endswith((".yaml", ".yml")):
        raise ConfigError(f"-o {arguments.output}: what is chosen of an offer is written as .json")
    records, progress = load(arguments), Progress()
    found = runs_to_buy(
        records,
        arguments.inputs or (),
        offer=points(arguments.offer),
        at=points(arguments.at),
        budget=arguments.budget,
        law=law_asked(arguments, records) if written else None,
        by=arguments.by,
        seed=arguments.seed,
        on_progress=progress.show,
    )
    progress.end()
    text = partial(runs_to_buy_text, found, alone=arguments.quiet)
    answer(found.to_json(), text, arguments, found.limits)


def config_in_store(source: str) -> "SweepConfig | None":
    """The config that an mlflow: source was last run with, which is said; None where the store has
    none that can be read, and for tables."""
    if not source.startswith("mlflow:"):
        return None
    from scaling.store.run_store import RunStore
    from sweeps.running.page import kept_config

    try:
        found = kept_config(RunStore.find(source.removeprefix("mlflow:")))
    except (ConfigError, StoreError) as error:
        say(f"scaling: the sweep's own config is not used: {error}")
        return None
    if found is not None:
        say(f"runs are chosen among those that the recipe of {source} builds, by its own config")
    return found


def _check(arguments: Arguments) -> None:
    """What came of a proposal."""
    from analysis.decisions.further_runs.proposal_check import check_proposal
    from analysis.text.next_runs import proposal_check_text

    for flag in ("target_flops", "budget", "config"):
        if getattr(arguments, flag) is not None:
            name = flag.replace("_", "-")
            raise ConfigError(f"--proposal asks of an earlier proposal, which has its own --{name}")
    for flag in ("offer", "at", "inputs", "by"):
        if getattr(arguments, flag):
            raise ConfigError(f"--proposal and --{flag} are different questions; ask one at a time")
    if arguments.aim != "loss":
        raise ConfigError("--proposal asks of an earlier proposal, which has its own --for")
    if (arguments.output or "").endswith((".yaml", ".yml")):
        raise ConfigError(f"-o {arguments.output}: what came of a proposal is written as .json")
    proposal = read_proposal(arguments.proposal)
    records, options = load_to_forecast(arguments)
    checked = check_proposal(proposal, records, options=options)
    answer(
        checked.to_json(),
        lambda: proposal_check_text(checked, alone=arguments.quiet),
        arguments,
        checked.limits,
    )


def read_proposal(path: str) -> "NextRuns":
    """The proposal in a JSON document, or in the config that was written of it."""
    from analysis.decisions.further_runs.next_runs import NextRuns

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    marked = [line.removeprefix(_MARK) for line in text.splitlines() if line.startswith(_MARK)]
    return NextRuns.from_json(marked[0] if marked else text)


class Offer:
    """What the recipe of a sweep can build, as the analysis chooses among it."""

    def __init__(self, config: "str | SweepConfig", budget: float) -> None:
        from sweeps.config.yaml_file import load_config
        from sweeps.planning.plan import plan_sweep
        from sweeps.planning.variants.buildable import buildable_runs, checks_flops

        self.config = load_config(config) if isinstance(config, str) else config
        self.plan: SweepPlan = plan_sweep(self.config)
        self.name = self.config.name
        self.checks_flops = checks_flops(self.plan)
        self.budget = budget
        self.runs: tuple[BuildableRun, ...] = buildable_runs(self.plan, budget)
        if not self.runs:
            cheapest = min(run.train_flops for run in self.plan.runs)
            raise ConfigError(
                f"{budget:.3g} FLOP buy no run of {self.name}: its cheapest takes {cheapest:.3g}; "
                "raise --budget"
            )

    @property
    def offer(self) -> "tuple[RunOnOffer, ...]":
        """The runs with what each costs."""
        from analysis.decisions.further_runs.runs_on_offer import RunOnOffer

        return tuple(
            RunOnOffer(
                train_flops=float(one.run.train_flops),
                params=float(one.run.shape.params),
                tokens=float(one.run.tokens),
                shared_flops=float(one.shared_flops),
                trunk=one.trunk,
            )
            for one in self.runs
        )

    def with_runs(self, chosen: "Any", *, checks: bool) -> "SweepConfig":
        """The sweep's config with the cells of some of the proposed runs."""
        from sweeps.planning.variants.buildable import with_runs

        pairs = [(self.runs[run.place], run.times) for run in chosen]
        return with_runs(self.config, pairs, check_learning_rate=checks)

    def document(self, found: "NextRuns") -> str:
        """The proposal as JSON, with the cells of the config that train it."""
        beside = {"sweep": self.name, "cells": self.cells(found)}
        return json.dumps(json.loads(found.to_json()) | beside, indent=2)

    def cells(self, found: "NextRuns") -> str:
        """The new cells as YAML; nothing where no run is proposed."""
        from sweeps.config.description.written import cells_text

        if found.after is None:
            return ""
        changed = self.with_runs(found.runs, checks=False)
        return cells_text(changed.cells[len(self.config.cells) :])

    def cost(self, found: "NextRuns") -> float:
        """FLOP that the config adds: branches of a trunk have other settings than runs of their
        own, and may cost more."""
        from sweeps.planning.variants.buildable import added_runs

        changed = self.with_runs(found.runs, checks=found.checks)
        return sum(r.marginal_flops for r in added_runs(self.plan, changed)) + found.checks_flops

    def over_budget(self, found: "NextRuns") -> str:
        """That the config takes more than the budget, if it does."""
        cost = self.cost(found)
        if cost <= self.budget * 1.001:
            return ""
        return (
            f"together they take {cost:.4g} FLOP, more than the {self.budget:.4g} of the budget, "
            "as branches of a trunk have other settings than runs of their own"
        )

    def text(self, found: "NextRuns", document: str, path: str) -> str:
        """The file of the config that trains what was proposed."""
        from sweeps.config.description.written import config_text
        from sweeps.planning.variants.buildable import added_runs

        assert found.after is not None
        changed = self.with_runs(found.runs, checks=found.checks)
        count = len(added_runs(self.plan, changed))
        heading = [
            f"{self.name} with {counted(count, 'further run')} that `scaling next` proposed:",
            f"the 90% interval at {found.target_flops:.4g} FLOP goes from a factor of "
            f"{found.now.factor:.4g} to {found.after.factor:.4g}, it says, for "
            f"{self.cost(found):.4g} FLOP.",
            f"`scaling next SOURCE --proposal {Path(path).name}` says afterwards whether it did.",
            _MARK.removeprefix("# ") + json.dumps(json.loads(document)),
        ]
        return config_text(changed, Path(path).parent, heading)
