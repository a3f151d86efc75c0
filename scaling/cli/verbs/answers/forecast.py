"""Verbs that read runs: one call into `analysis` each."""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.cli.inputs import (
    assignments,
    constants_held,
    curves_of,
    is_by_groups,
    law_asked,
    levels,
    load,
    load_along,
    load_to_forecast,
    points,
    require_pairs,
    targets_asked,
    unfiltered,
)
from scaling.cli.open_cells import open_cells
from scaling.cli.options.budgets import asked_hardware
from scaling.cli.options.questions import DRAWS
from scaling.cli.outlooks import log_forecast
from scaling.cli.outputs import (
    answer,
    draw,
    held_against,
    save,
    save_table,
    say,
    say_beside,
    show,
)
from scaling.cli.verbs.answers.discover import answer_in_any_inputs
from scaling.cli.verbs.answers.groups import (
    backtest_by_groups,
    predict_by_shared_law,
    require_groups_are_asked_for,
)
from scaling.cli.verbs.answers.seals import seal
from scaling.errors import ConfigError
from scaling.inputs.names import checked_name
from scaling.limits import LimitCode
from scaling.tables.cells.numbers import number
from scaling.tables.notes import printable
from scaling.words import counted

if TYPE_CHECKING:
    from analysis.capabilities.result import MetricForecast
    from analysis.forecasting.answer.result import Forecast
    from scaling.laws.base import Law
    from scaling.records import Records

Arguments = argparse.Namespace


def fit(arguments: Arguments) -> None:
    """Fit one law to the runs in SOURCE; print its constants with intervals and their status."""
    from analysis.approaches.irreducible import irreducible_loss
    from analysis.approaches.side_by_side import cross_checks
    from analysis.fitting.policy import fit_law, sizes_hint
    from analysis.text.fitting import fit_json, fit_text
    from scaling.laws.curves import PowerLaw

    (records, x), shares = load_along(arguments), levels(arguments)
    bounds = assignments(arguments.bound, "--bound", _bounds, "CONSTANT=LOW:HIGH")
    law = law_asked(arguments, records, bounds) or PowerLaw
    how: dict[str, Any] = {
        "frontier": arguments.frontier,
        "objective": arguments.objective,
        "huber_delta": arguments.huber_delta,
        "fix": constants_held(arguments, records),
        "bounds": bounds,
        "expressions": assignments(arguments.tie, "--tie", str),
        "x": x,
        "bootstrap": arguments.bootstrap,
        "cluster": arguments.cluster,
        "weights": arguments.weights,
        "confidence_level": shares[0],
        "seed": arguments.seed,
        "card": bool(arguments.card or arguments.json or arguments.output),
    }
    if is_by_groups(arguments):
        _fit_groups(arguments, records, law, how)
        return
    fitted = fit_law(records, law, **how)
    open_cells(arguments, records)
    if arguments.output:  # with the bootstrap draws, so that it can be loaded again
        save(fitted.to_json(), arguments)
    checks = (
        cross_checks(records, confidence_level=shares[0], seed=arguments.seed)
        if arguments.cross_checks
        else ()
    )
    floor = (
        irreducible_loss(records, x=x, confidence_levels=shares, seed=arguments.seed)
        if arguments.floor
        else None
    )
    show(
        lambda: fit_json(fitted, checks, shares, floor=floor),
        lambda: fit_text(fitted, checks, shares, floor=floor, with_card=arguments.card),
        arguments,
        (*fitted.limits, *(floor.limits if floor is not None else ())),
        held_against(arguments),
    )
    if fitted.law.floor and fitted.floor_identified and floor is None and not arguments.json:
        say("hint: a fitted floor is as right as its law; --floor asks several laws")
    if fitted.columns == ("train_flops",) and (hint := sizes_hint(records)) is not None:
        say(f"hint: {hint}")


def _fit_groups(
    arguments: Arguments, records: "Records", law: "str | type[Law]", how: Mapping[str, Any]
) -> None:
    """The same law for each group of --by, with the constants of --share in common."""
    from analysis.fitting.groups.fit import fit_groups
    from analysis.text.fitting import grouped_json, grouped_text

    for flag in ("card", "cross_checks", "floor"):
        if getattr(arguments, flag):
            raise ConfigError(
                f"--{flag.replace('_', '-')} is of one fit; choose a group with --where "
                f"'{printable(arguments.by)} == ...' in the place of --by"
            )
    fitted = fit_groups(
        records, law, by=arguments.by, share=arguments.share, **{**how, "card": False}
    )
    if arguments.output:
        save(fitted.to_json(), arguments)
    shares = levels(arguments)
    limits = [limit for fit in fitted.fits.values() for limit in fit.limits]
    text = partial(grouped_text, fitted, shares)
    show(grouped_json(fitted, shares), text, arguments, (*fitted.limits, *limits))


def forecast(arguments: Arguments) -> None:
    """Predict new runs from the runs in SOURCE, with intervals scored on its own largest runs."""
    from analysis.forecasting.forecast import forecast as forecast_runs
    from analysis.text.forecasting import forecast_text

    _require_one_question(arguments)
    require_groups_are_asked_for(arguments)
    if arguments.share:
        predict_by_shared_law(arguments)
        return
    if _asks_for_a_range(arguments):
        _forecast_metrics(arguments)
        return
    if arguments.inputs:
        _predict_by_found_laws(arguments)
        return
    if arguments.at:
        _predict_points(arguments)
        return
    if arguments.target_loss:
        _budgets_for_losses(arguments)
        return
    records, options = load_to_forecast(arguments)
    questions = targets_asked(arguments, options.x)
    if not questions:
        raise ConfigError(
            "nothing to predict; give --flops C, --params N --tokens D, --x COLUMN --values V, "
            "--target-loss L, or --at points.csv"
        )
    (targets,) = questions
    answered = forecast_runs(records, targets, options=options)
    if arguments.seal is not None:
        seal(
            answered,
            arguments.seal,
            records,
            unfiltered=unfiltered(arguments) if arguments.where else records,
            publish=arguments.publish,
            asked=tuple(targets.columns),
            where=arguments.where,
        )
    beside = held_against(arguments)
    compute = (target.at.get("train_flops") for target in answered.targets)
    open_cells(arguments, records, options, at=[one for one in compute if one is not None])
    answer(
        answered.to_json(),
        lambda: forecast_text(answered, alone=arguments.quiet),
        arguments,
        answered.limits,
        beside,
    )
    draw(answered, arguments)
    log_forecast(arguments.source)


def allocate(arguments: Arguments) -> None:
    """Split budgets between model size and tokens, with intervals; inference and data limits."""
    from analysis.decisions.money import plan_budgets
    from analysis.decisions.optimal_split import allocate as split_budgets
    from analysis.text.decisions import plan_text, splits_text

    if arguments.target_loss:
        raise ConfigError(
            "--target-loss is no budget to split: `scaling forecast SOURCE --target-loss "
            f"{' '.join(map(printable, arguments.target_loss))}` says which budget reaches a loss, "
            "and `allocate --flops` splits that"
        )
    hardware = asked_hardware(arguments)
    if not arguments.flops and not (hardware and hardware.deadline and hardware.devices):
        raise ConfigError(
            "no budget to split; give one or more with --flops C, or --devices with --deadline"
        )
    records, options = load_to_forecast(arguments)
    besides = {
        "inference_tokens": arguments.inference_tokens,
        "unique_tokens": arguments.unique_tokens,
        "options": options,
    }
    open_cells(arguments, records, options, at=arguments.flops or (), aim="allocation")
    if hardware is not None or arguments.approaches:
        besides |= {"hardware": hardware, "approaches": arguments.approaches}
        plan = plan_budgets(records, *(arguments.flops or ()), **besides)
        told = [*plan.limits, *(limit for split in plan.splits for limit in split.limits)]
        answer(plan.to_json(), partial(plan_text, plan, alone=arguments.quiet), arguments, told)
        return
    splits = split_budgets(records, *arguments.flops, **besides)
    limits = [limit for split in splits for limit in split.limits]
    text = partial(splits_text, alone=arguments.quiet)
    answer(splits.to_json(), lambda: text(splits.splits), arguments, limits)


def backtest(arguments: Arguments) -> None:
    """Hide the largest budgets of SOURCE in turn, predict them, print error and coverage."""
    from analysis.evaluation.backtest import backtest as run_backtest
    from analysis.text.evaluation import backtest_text

    if arguments.by:
        backtest_by_groups(arguments)
        return
    records, options = load_to_forecast(arguments, of_any_columns=True)
    scored = run_backtest(records, options=options)
    answer(scored.to_json(), lambda: backtest_text(scored), arguments, scored.limits)
    draw(scored, arguments)


def health(arguments: Arguments) -> None:
    """Print the health of every rung in SOURCE, and what fits make of it."""
    from analysis.text.tuning import health_text
    from analysis.tuning.rungs import ladder_health

    found = ladder_health(load(arguments), curves_of(arguments.source))
    text = partial(health_text, found, alone=arguments.quiet)
    answer(found.to_json(), text, arguments, found.limits)


def _require_one_question(arguments: Arguments) -> None:
    """Refuse flags of which one would be passed over in silence."""
    questions = {
        "--at": ("at",),
        "--target-loss": ("target_loss",),
        "--flops": ("flops",),
        "--params with --tokens": ("params", "tokens"),
        "--values": ("values",),
    }
    given = [flag for flag, names in questions.items() if any(getattr(arguments, n) for n in names)]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} are different questions; ask one at a time")
    ending = Path(arguments.output or "").suffix
    if (ending == ".csv") and not arguments.at or (ending == ".json") and arguments.at:
        raise ConfigError(
            f"-o {arguments.output}: --at writes its table with predictions, as .csv; other "
            "questions write .json"
        )
    require_pairs(arguments)
    if arguments.publish and arguments.seal is None:
        raise ConfigError("--publish tags a sealed forecast; name it with --seal NAME")
    if arguments.certificate and arguments.target_loss:
        raise ConfigError(
            "--certificate is of losses at given budgets, and --target-loss asks the reverse; ask "
            "for --flops, --params with --tokens, --values or --at"
        )
    without = {"--target-loss": arguments.target_loss, "--share": arguments.share}
    without |= {"more than one --metric": len(arguments.metric) > 1}
    if arguments.figure and (none := [flag for flag, is_given in without.items() if is_given]):
        raise ConfigError(f"--figure draws one forecast, and {none[0]} has none; leave one out")
    if arguments.seal is not None:
        checked_name(arguments.seal, "--seal")
    if arguments.seal is not None and (arguments.at or arguments.target_loss):
        raise ConfigError(
            "--seal keeps the losses of --flops, --params with --tokens, or --x with --values, "
            f"not {given[0]}; ask for those"
        )


def _asks_for_a_range(arguments: Arguments) -> bool:
    """Whether --metric names what has a best and a worst value, or several columns."""
    from analysis.capabilities.metrics import has_a_range

    names, better = arguments.metric, arguments.better
    return len(names) > 1 or any(has_a_range(name, better) for name in names)


def _forecast_metrics(arguments: Arguments) -> None:
    """Each metric at the same targets: one with a range within it, another as a loss."""
    from analysis.capabilities.capability import forecast_metric
    from analysis.capabilities.metrics import has_a_range
    from analysis.display import results_json
    from analysis.forecasting.forecast import forecast as forecast_runs
    from analysis.text.capabilities import metrics_text

    if len(set(arguments.metric)) < len(arguments.metric):
        raise ConfigError("--metric names a column twice; say it once")
    given = {"--at": "at", "--target-loss": "target_loss", "--x": "x", "--seal": "seal"}
    given |= {"--fix": "fix", "--loss-unit": "loss_unit", "--certificate": "certificate"}
    refused = [flag for flag, name in given.items() if getattr(arguments, name)]
    if refused or arguments.law != "auto":
        raise ConfigError(
            f"{(refused or ['--law'])[0]} is of losses, and --metric "
            f"{' '.join(arguments.metric)} asks for what has a range, or for several; ask for "
            "--flops, or --params with --tokens"
        )
    by_loss = argparse.Namespace(**{**vars(arguments), "metric": [], "better": None})
    records, options = load_to_forecast(by_loss)
    questions = targets_asked(by_loss, None)
    if not questions:
        raise ConfigError("nothing to predict; give --flops C, or --params N --tokens D")
    found: dict[str, Forecast | MetricForecast] = {}
    for name in arguments.metric:
        if has_a_range(name, arguments.better):
            better = arguments.better
            found[name] = forecast_metric(
                records, name, questions[0], better=better, options=options
            )
        else:
            one = argparse.Namespace(**{**vars(by_loss), "metric": [name]})
            found[name] = forecast_runs(load(one), questions[0], options=options)
    limits = [limit for made in found.values() for limit in made.limits]
    by_loss.notes = ()  # each forecast has its own
    text = partial(metrics_text, found, alone=arguments.quiet)
    answer(results_json(found.values()), text, by_loss, limits)
    draw(next(iter(found.values())), arguments)


def _predict_points(arguments: Arguments) -> None:
    """Every point of a table, answered as columns beside its own, or with --json as a forecast."""
    from analysis.forecasting.forecast import forecast as forecast_runs
    from analysis.forecasting.forecast import with_predictions

    records, options = load_to_forecast(arguments, of_any_columns=True)
    if options.reads_other_columns:
        read = ", ".join(map(printable, options.inputs))
        _refuse_what_any_inputs_lack(arguments, f"--law {printable(options.law_name)} reads {read}")
        answer_in_any_inputs(arguments, records, options.laws, options.fix)
        return
    if arguments.by:
        raise ConfigError(
            f"--by {printable(arguments.by)} is answered with --inputs, for a formula of columns "
            "other than params, tokens and train_flops, and for a law with --share; choose one "
            f"group by --where '{printable(arguments.by)} == ...'"
        )
    table = points(arguments.at)
    answered = forecast_runs(records, table, options=options)
    predicted = with_predictions(table, answered)
    compute = (target.at.get("train_flops") for target in answered.targets)
    open_cells(arguments, records, options, at=[one for one in compute if one is not None])
    if arguments.output or not arguments.json:
        save_table(predicted, arguments)
    if arguments.json:
        show(answered.to_json(), str, arguments)
    else:
        say_beside(arguments, answered.limits)
    draw(answered, arguments)
    unsupported = [
        f"point {number}: {limit.text}"
        for number, target in enumerate(answered.targets, start=1)
        for limit in target.limits
        if limit.code is LimitCode.UNSUPPORTED
    ]
    if unsupported:
        are = "is" if len(unsupported) == 1 else "are"
        count = f"{len(unsupported)} of {counted(len(predicted), 'point')} {are} unsupported"
        say(f"{count}, for example {unsupported[0]}")


def _predict_by_found_laws(arguments: Arguments) -> None:
    """The points of --at, by laws that are found in --inputs."""
    if not arguments.at:
        raise ConfigError("--inputs predict the points of --at; give --at POINTS.csv")
    if arguments.law != "auto" or arguments.fix:
        raise ConfigError("--inputs search for laws, and --law or --fix names one; leave one out")
    _refuse_what_any_inputs_lack(arguments, "--inputs search for laws of any")
    answer_in_any_inputs(arguments, load(arguments))


def _refuse_what_any_inputs_lack(arguments: Arguments, asked: str) -> None:
    """Refuse flags that predictions in any inputs would pass over."""
    for flag in ("x", "certificate"):
        if getattr(arguments, flag):
            raise ConfigError(
                f"--{flag} is of one column or of size and tokens, and {asked}; leave --{flag} out"
            )
    if arguments.draws != DRAWS:
        raise ConfigError(f"--draws is of forecasts that draw, and {asked}; leave --draws out")


def _budgets_for_losses(arguments: Arguments) -> None:
    """The reverse question, one answer a loss."""
    from analysis.decisions.budget_for_loss import budget_for_loss
    from analysis.display import results_json
    from analysis.text.decisions import budgets_text

    records, options = load_to_forecast(arguments)
    budgets = [budget_for_loss(records, loss, options=options) for loss in arguments.target_loss]
    open_cells(arguments, records, options)
    limits = [limit for budget in budgets for limit in budget.limits]
    answer(results_json(budgets), lambda: budgets_text(budgets), arguments, limits)


def _bounds(text: str) -> tuple[float | None, float | None]:
    """LOW:HIGH as two numbers, None where one is left out; both left out bound nothing."""
    low, high = (number(end) if end.strip() else None for end in text.split(":"))
    if low != low or high != high or low is high is None:
        raise ValueError("no number")
    return low, high
