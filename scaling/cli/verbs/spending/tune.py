"""`scaling study tune`: a recipe's constants for the text, tokenizer and family of one sweep."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli.outputs import put, say, write
from scaling.cli.verbs.spending.sweep import may_spend, say_how_to_open, with_cost_left
from scaling.errors import ConfigError
from scaling.extra_columns.recipe_arms import Arm, Factors
from scaling.words import counted

if TYPE_CHECKING:
    from sweeps.planning.run_plan import RunPlan
    from sweeps.planning.variants.tuning import TuningPlan

Arguments = argparse.Namespace
_NOT_VARIED = (
    "embedding learning rate, schedule and its decay, betas, epsilon, clip, z-loss",
    "the exponents by which batch, learning rate and weight decay go with the horizon",
)


def tune(arguments: Arguments) -> None:
    """Find the constants of a recipe on two rungs of --config, judge them on a third, and write
    the recipe, its numbers and a figure."""
    from analysis.plots.tuned_recipe import save_tuned_recipe_figure
    from analysis.tuning.tuned_recipe import best_found, tuned_factors, tuned_recipe
    from scaling.store.run_store import RunStore
    from sweeps.config.yaml_file import load_config
    from sweeps.planning.plan import plan_sweep
    from sweeps.planning.variants.tuning import arms_of, plan_tuning

    if arguments.seal is not None or arguments.publish:
        raise ConfigError("tune forecasts no run, so nothing can be sealed; drop --seal")
    if arguments.adaptive or arguments.target_flops is not None:
        raise ConfigError("tune chooses its arms by itself; drop --adaptive and --target-flops")
    if arguments.tuned is None:
        raise ConfigError("tune: say whose recipe: --config CONFIG")
    planned = plan_tuning(plan_sweep(load_config(arguments.tuned, arguments.set)), arguments.budget)
    say(_plan_text(planned))
    centre = Factors()
    arms: list[list[tuple[Factors, RunPlan]]] = [[] for _ in planned.used]
    checks: list[tuple[Arm, ...]] = []
    everything: list[tuple[Factors, RunPlan]] = []
    losses: dict[str, float] = {}
    for number in range(planned.rounds):
        of_round = planned.round(number, centre)
        for place, more in of_round.items():
            arms[place] += more
        everything = [arm for one in arms for arm in one]
        losses = _trained(planned, everything, arguments)
        checks = [arms_of(one, losses) for one in arms]
        centre = best_found(checks)
    taken = tuned_factors(checks)
    judged = planned.judgement(taken) if taken != Factors() else []
    if judged:
        losses = _trained(planned, [*everything, *judged], arguments)
    last = planned.judged
    found = tuned_recipe(
        checks,
        rungs=[_rung(run) for run in planned.used],
        judged=None if last is None else (_rung(last), arms_of(judged, losses)),
        not_varied=_NOT_VARIED,
        largest_over_judged=_largest(planned) / last.train_flops if last is not None else 1.0,
    )
    folder = Path(arguments.output or Path("results") / f"{planned.sweep.name}-tune")
    paths = _written(planned, found.best, found.to_json(), folder)
    save_tuned_recipe_figure(found, folder / "tuned.svg")
    put(found.to_text())
    say(f"written: {', '.join(map(str, [*paths, folder / 'tuned.svg']))}")
    say_how_to_open(RunStore.find(planned.name))
    say(f"next: scaling study {paths[-1]}")


def _trained(
    planned: "TuningPlan", arms: "list[tuple[Factors, RunPlan]]", arguments: Arguments
) -> dict[str, float]:
    """Train what the store lacks of these arms; the losses of those that finished, by run id."""
    from scaling.store.run_store import RunStore
    from sweeps.running.runner import run_sweep
    from sweeps.status.live_display import SweepProgress

    sweep, cost = with_cost_left(planned.as_sweep(arms))
    may_spend(sweep, cost, arguments)
    store = RunStore.open(sweep.name)  # its other runs are those of later steps
    with SweepProgress(sweep) as progress:
        outcome = run_sweep(sweep, store, on_event=progress.show)
    outcome.require_stored()
    facts = store.facts()
    return {
        run.run_id: float(facts[run.run_id]["loss"])
        for run in sweep.runs
        if facts.get(run.run_id, {}).get("loss") is not None
    }


def _plan_text(planned: "TuningPlan") -> str:
    """What will be trained, and for how much."""
    from sweeps.planning.variants.tuning import ARMS

    rungs = " and ".join(map(_rung, planned.used))
    arms = " and then ".join(counted(count, "arm") for count in ARMS[: planned.rounds])
    judge = "no rung is kept to judge the outcome"
    if planned.judged is not None:
        judge = f"judged on {_rung(planned.judged)}, {counted(planned.judged_seeds, 'seed')}"
    share = planned.flops / planned.sweep.marginal_flops
    return (
        f"tuning {planned.recipe.name} for {planned.sweep.name}: {arms} on {rungs}, "
        f"{counted(planned.seeds, 'seed')} each; {judge}; {planned.flops:.2g} FLOP of a budget of "
        f"{planned.budget:.2g}, {share:.0%} of the sweep's own"
    )


def _largest(planned: "TuningPlan") -> float:
    """The FLOP of the sweep's largest run, held out or not."""
    return max(run.train_flops for run in planned.sweep.runs)


def _rung(run: "RunPlan") -> str:
    return f"width {run.shape.width} at {run.train_flops:.2g} FLOP"


def _written(planned: "TuningPlan", best: Factors, document: str, folder: Path) -> list[Path]:
    """The numbers, the recipe's block, and the sweep with it as a config of its own."""
    import yaml

    from sweeps.planning.variants.tuning import tuned_config

    config = planned.sweep.config
    where = ", ".join(_rung(run) for run in planned.used)
    provenance = (
        f"tuned from {planned.recipe.name} by scaling study tune on {where}, "
        f"{counted(planned.seeds, 'seed')}; data {planned.used[0].data.data_hash}, tokenizer "
        f"{planned.used[0].data.tokenizer}, family {planned.used[0].family}"
    )
    tuned = tuned_config(config, best, provenance)
    stated = tuned.stated()
    texts = {
        "tuned.json": document,
        "recipe.yaml": yaml.safe_dump({"recipe": stated["recipe"]}, sort_keys=False, width=100),
        f"{tuned.name}.yaml": yaml.safe_dump(stated, sort_keys=False, width=100),
    }
    paths = []
    for name, text in texts.items():
        paths.append(folder / name)
        write(text if text.endswith("\n") else f"{text}\n", str(paths[-1]))
    return paths
