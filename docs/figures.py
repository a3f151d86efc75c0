"""The figures that the documents show, drawn from a table in the repository.

python -m docs.figures
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from analysis.capabilities.capability import forecast_metric  # noqa: E402
from analysis.decisions.further_runs.next_runs import next_runs  # noqa: E402
from analysis.discovery.discover import discover  # noqa: E402
from analysis.evaluation.backtest import backtest  # noqa: E402
from analysis.evaluation.held_out import check_held_out, forecast_held_out  # noqa: E402
from analysis.forecasting.forecast import forecast  # noqa: E402
from analysis.forecasting.question.targets import Targets  # noqa: E402
from analysis.plots import plot_backtest_errors, plot_loss_against  # noqa: E402
from analysis.plots.implicit_bias import (  # noqa: E402
    save_implicit_bias_figure,
    save_plane_figure,
)
from analysis.plots.style import (  # noqa: E402
    FORECAST,
    HELD_OUT,
    MEASURED,
    MUTED,
    figure_style,
    shades,
)
from analysis.plots.tuned_recipe import save_tuned_recipe_figure  # noqa: E402
from analysis.studies.conditions import decide  # noqa: E402
from analysis.studies.contexts import contexts_in_the_plane, random_contexts  # noqa: E402
from analysis.studies.implicit_bias import (  # noqa: E402
    ImplicitBias,
    Waypoint,
    study_implicit_bias,
)
from analysis.tuning.tuned_recipe import TunedConstant, TunedRecipe  # noqa: E402
from benchmarks.forecasts.known_entropy import BOUND, SEVERAL, scored, whole_ladders  # noqa: E402
from benchmarks.training import recipe_tuning  # noqa: E402
from benchmarks.training.recipe_tuning import checks_around, fitted_to_comparable, paired_gap  # noqa: E402
from benchmarks.training.recipe_tuning import rung_gaps as gaps_at_rungs  # noqa: E402
from scaling.laws.surfaces import Chinchilla  # noqa: E402
from scaling.records import Records, read_records  # noqa: E402
from scaling.simulate import isoflop_runs, simulate_records  # noqa: E402
from sweeps.config.recipe import Schedule  # noqa: E402
from sweeps.planning.hyper_parameters.schedule import schedule_factor  # noqa: E402

FOLDER = Path(__file__).parent / "figures"
TABLE = Path(__file__).parents[1] / "examples" / "quickstart_runs.csv"
SEEDS = TABLE.with_name("anbn_seeds.csv")
KNOWN_ENTROPY = TABLE.with_name("known_entropy.csv")
LONG_SENTENCES = TABLE.with_name("anbn_128.csv")
TRANSLATIONS = TABLE.with_name("translate_pairs.csv")
DECODER = TABLE.with_name("decoder_contexts.json")
TUNED = TABLE.with_name("tuned_recipe.json")
LONG_SWEEPS = {
    "anbn-128": "n up to 128",
    "anbn-128-long": "n up to 128\nfour times as long",
}
ARMS = TABLE.with_name("quickstart_arms.csv")
ONE_ERROR = (16, 84)  # percentiles: one standard error each way
DIGITS = TABLE.with_name("digits_grey_runs.csv")
LADDER = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)


def quickstart(axes: Axes) -> None:
    """The quick start: its runs, the forecast, and the run that was hidden from it."""
    records = read_records(TABLE)
    check = check_held_out(records, forecast_held_out(records))
    answer = forecast(records, Targets.flops(*np.geomspace(2.6e11, 2.4e12, 9)))
    plot_loss_against(records, forecast=answer, held_out=check, ax=axes)


def digits_grey(axes: Axes) -> None:
    """Four sizes of models of grey levels, and the fifth that was hidden from the forecast."""
    records = read_records(DIGITS)
    check = check_held_out(records, forecast_held_out(records))
    answer = forecast(records, Targets.flops(*np.geomspace(8e10, 1e12, 9)))
    plot_loss_against(records, forecast=answer, held_out=check, ax=axes)


def first_forecast(axes: Axes) -> None:
    """What the tutorial draws."""
    records = read_records(TABLE)
    answer = forecast(records, Targets.flops(3e11, 4e11, 6e11, 8e11, 1.2e12, 1.6e12, 2.4e12))
    plot_loss_against(records, forecast=answer, ax=axes)


def width_by_distance(axes: Axes) -> None:
    """The parts of an interval's width against the distance of the target, for a made-up ladder."""
    records = _simulated()
    furthest = records.column("train_flops").max()
    decades = np.linspace(0.05, 2.0, 14)
    answer = forecast(records, Targets.flops(*(furthest * 10**decades)))
    low, high = np.array([target.intervals[0.9] for target in answer.targets]).T
    half = 50 * (high - low) / np.array([target.centre for target in answer.targets])
    names = sorted(answer.targets[0].shares, key=lambda name: name != "new-run noise")
    parts = [[target.shares[name] for target in answer.targets] for name in names]
    axes.stackplot(decades, np.array(parts) * half, labels=names, colors=shades(len(names)))
    axes.set_xlabel("Distance beyond the runs (decades of compute)")
    axes.set_ylabel("Half width of the 90% interval (%)")
    axes.legend(loc="upper left")


def next_runs_by_budget(axes: Axes) -> None:
    """What is left of an interval's width, by its parts, with the runs that a budget would buy."""
    records = _simulated()
    largest = records.column("train_flops").max()
    budgets = np.geomspace(0.25, 25, 9)
    found = [next_runs(records, 100 * largest, budget * largest) for budget in budgets]
    widths = [proposal.after or proposal.now for proposal in found]
    half = np.array([50 * np.log(width.factor) for width in widths])
    names = [name for name in sorted(widths[0].parts) if max(w.parts[name] for w in widths) > 0]
    names = sorted(names, key=lambda name: name != "new-run noise")
    parts = [[width.parts[name] for width in widths] for name in names]
    axes.stackplot(budgets, np.array(parts) * half, labels=names, colors=shades(len(names)))
    now = 50 * np.log(found[0].now.factor)
    axes.axhline(now, color=MUTED, linestyle="--", label="now")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.25 * now)
    axes.set_xlabel("Budget of the next runs, times the largest run's FLOP")
    axes.set_ylabel("Half width of the 90% interval (%)")
    axes.legend(loc="upper right", ncols=2)


def backtest_errors(axes: Axes) -> None:
    """A rolling-origin backtest of a made-up ladder."""
    plot_backtest_errors(backtest(_simulated()), ax=axes)


def schedules(axes: Axes) -> None:
    """The learning rate over a run, and over three branches of one trunk."""
    steps = np.arange(1000)
    linear = [_factor("linear", step, 1000, 950) for step in steps]
    axes.plot(steps, linear, color=MEASURED, label="linear")
    for end in (400, 600, 1000):
        label = "wsd: three branches of one trunk" if end == 1000 else None
        branch = [_factor("wsd", step, end, end // 5) for step in range(end)]
        axes.plot(range(end), branch, color=FORECAST, label=label)
    axes.set_xlabel("Optimizer step")
    axes.set_ylabel("Learning rate over its peak")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)


def implicit_bias(path: Path) -> None:
    """How a linear next-token model comes to its entropy, its margin and its finite part."""
    contexts = random_contexts(
        contexts=50, dimensions=60, vocabulary=10, support=6, seed=0, sequences=5000
    )
    save_implicit_bias_figure(study_implicit_bias(contexts), path)


def implicit_bias_plane(path: Path) -> None:
    """Contexts in the plane, with the rows of W^mm and of W*."""
    contexts = contexts_in_the_plane()
    save_plane_figure(contexts, decide(contexts), path)


def implicit_bias_plane_steps(path: Path) -> None:
    """How training comes to these."""
    save_implicit_bias_figure(study_implicit_bias(contexts_in_the_plane()), path)


def decoder_contexts(path: Path) -> None:
    """The same on the contexts that a trained decoder reads in a text."""
    document = json.loads(DECODER.read_text())
    waypoints = tuple(Waypoint(**point) for point in document.pop("waypoints"))
    save_implicit_bias_figure(ImplicitBias(waypoints=waypoints, **document), path)


def hidden_runs(path: Path) -> None:
    """What `docs/how-to/discover_a_law.md` finds of its simulated copies."""
    size, copies = (g.ravel() for g in np.meshgrid(np.geomspace(2e8, 4e9, 7), [1, 2, 4, 8]))
    loss = 1.1 + (1.5e8 / (size * (1 + 0.35 * np.log(copies)))) ** 0.25
    noisy = loss * np.exp(0.002 * np.random.default_rng(1).normal(size=len(loss)))
    runs = pd.DataFrame({"model_size": size, "copies": copies, "loss": noisy})
    asked = pd.DataFrame({"model_size": [4e9, 8e9], "copies": [16, 16]})
    discover(runs, ["model_size", "copies"], at=asked).save_figure(path)


def metric_forecast(axes: Axes) -> None:
    """An accuracy that rises along a made-up ladder, and what is said of larger runs."""
    forecast_metric(_with_accuracy(), "accuracy", Targets.flops(3e20, 1e21, 1e22)).plot(axes)


def _with_accuracy() -> Records:
    """The ladder of the how-to, whose accuracy is a sigmoid of its loss from a quarter up."""
    runs = isoflop_runs(np.geomspace(1e16, 1e20, 9), [0.5, 1.0, 2.0], LADDER)
    records = simulate_records(LADDER, runs, relative_noise=0.003, seed=1)
    accuracy = 0.25 + 0.75 / (1 + np.exp(6 * (records.column("loss") - 2.6)))
    accuracy += np.random.default_rng(2).normal(0, 0.01, len(accuracy))
    return replace(records, table=records.table.assign(accuracy=accuracy.clip(0, 1)))


def anbn_seeds(axes: Axes) -> None:
    """What thirty models of equal loss do after prompts that no sentence begins with."""
    runs = pd.read_csv(SEEDS)
    rules = {
        "no a after b": (HELD_OUT, "no_a_after_b"),
        "as many a as b, where it ended": (MEASURED, "as_many_a_as_b_of_ended"),
    }
    for label, (colour, rule) in rules.items():
        share, error = (runs[f"metric.zero_probability_{rule}{end}"] for end in ("", "_stderr"))
        axes.errorbar(
            1e3 * runs["excess_loss"], share, error, fmt="o", ms=5, lw=1, color=colour, label=label
        )
    axes.axhspan(0.339, 0.629, color=MUTED, alpha=0.15, lw=0, label="published, the latter")
    axes.axhline(0.462, color=MUTED, lw=1, ls="--")
    axes.set_xlabel("Validation loss above the entropy (thousandths of a nat a token)")
    axes.set_ylabel("Share of completed prompts that obey")
    axes.set_ylim(0, 1.04)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False)


def anbn_lengths(axes: Axes) -> None:
    """As many a as b by how long sentences are, a point a seed, beside what was published."""
    short, long = pd.read_csv(SEEDS), pd.read_csv(LONG_SENTENCES)
    groups = {"n up to 32": short}
    for sweep, label in LONG_SWEEPS.items():
        groups[label] = long[long["sweep"] == sweep]
    for place, runs in enumerate(groups.values()):
        share = runs["metric.zero_probability_as_many_a_as_b_of_ended"]
        offsets = np.linspace(-0.18, 0.18, len(runs)) if len(runs) > 1 else [0.0]
        axes.plot(place + np.array(offsets), share, "o", ms=5, color=MEASURED)
        axes.plot([place - 0.25, place + 0.25], 2 * [share.mean()], color=MEASURED, lw=2)
    last = len(groups)
    axes.plot([last, last], [0.339, 0.629], color=MUTED, lw=1)
    axes.errorbar(last, 0.462, 0.076, fmt="s", ms=6, lw=3, color=FORECAST)
    axes.axhline(60 / 124, color=MUTED, lw=1, ls="--", zorder=0)
    axes.text(1.5, 60 / 124 + 0.005, "60 of 124", color=MUTED, ha="center", va="bottom")
    counts = [f"{label}\n{len(runs)} seeds" for label, runs in groups.items()]
    axes.set_xticks(range(last + 1), [*counts, "published\nn up to 128\n34 seeds"])
    axes.set_ylabel("As many a as b, of completions that ended")
    axes.set_ylim(0, 0.8)
    axes.set_xlim(-0.5, last + 0.5)


def translate_pairs(path: Path) -> None:
    """Loss and exact match of translated numbers, of two families at equal FLOP."""
    runs = pd.read_csv(TRANSLATIONS).sort_values("train_flops")
    families = {
        "decoder, source as a prefix": (MEASURED, "o", "slt-dec/1"),
        "encoder-decoder": (HELD_OUT, "s", "encoder_decoder/1"),
    }
    with figure_style():
        figure = Figure(figsize=(7.2, 3.7), facecolor="white", layout="constrained")
        losses, shares = figure.subplots(1, 2)
        for label, (colour, mark, family) in families.items():
            some = runs[runs["family"] == family]
            look = {"color": colour, "marker": mark, "ms": 6, "lw": 1.2, "label": label}
            error = some["metric.exact_match_stderr"]
            losses.errorbar(some["train_flops"], some["loss"], some["loss_stderr"], **look)
            shares.errorbar(some["train_flops"], some["metric.exact_match"], error, **look)
        losses.set_yscale("log")
        losses.set_ylabel("Loss (nats per target character)")
        shares.set_ylabel("Exact match (share of translations)")
        shares.set_ylim(-0.03, 1.03)
        for axes in (losses, shares):
            axes.set_xscale("log")
            axes.set_xlabel("Training FLOP")
        handles, labels = losses.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
        figure.savefig(path, metadata={"Date": None})


def known_entropy(axes: Axes) -> None:
    """The 90% intervals of the floors of ladders, over what their sources cost at least."""
    rows = [scored(name, runs) for name, runs in whole_ladders(pd.read_csv(KNOWN_ENTROPY))]
    rows.reverse()
    for place, row in enumerate(rows):
        for law, width, up in ((SEVERAL, 4.0, 0.12), (BOUND, 1.0, 0.12), ("power_law", 1.5, -0.25)):
            if law not in row.floors:
                continue
            ends = [100 * (end / row.held_back_entropy - 1) for end in row.floors[law]]
            colour = MEASURED if row.holds(law) else FORECAST
            axes.plot(ends, [place + up] * 2, color=colour, lw=width, solid_capstyle="butt")
        axes.plot(100 * row.best, place, "|", ms=9, color=MUTED)
    axes.axvline(0, color=HELD_OUT, lw=1, zorder=0)
    axes.set_yticks(range(len(rows)), [row.ladder for row in rows], fontsize=7)
    axes.set_xlim(-4, 3)
    axes.set_xlabel("Above the least that a model can lose on the validation set (%)")


def rung_gaps(axes: Axes) -> None:
    """How far the rungs of the quick start lie above the best training that was found for each."""
    table = pd.read_csv(ARMS)
    tuned = fitted_to_comparable(table)
    arms = pd.read_csv(recipe_tuning.AROUND)
    around = checks_around(arms, recipe_tuning.RECIPES[-1])
    first, best = recipe_tuning.RECIPES
    for recipe, colour, mark, aside in ((first, FORECAST, "s", 0.96), (best, MEASURED, "o", 1.04)):
        if recipe == best:
            middle = [
                (flops, 100 * gap.gap, 100 * gap.stderr) for (_, flops), gap in around.items()
            ]
            rows = [(flops, gap, gap - error, gap + error) for flops, gap, error in middle]
        else:
            rows = [
                (flops, gaps[0], *np.percentile(gaps[1:], ONE_ERROR))
                for (_, flops), gaps in gaps_at_rungs(tuned, recipe)
            ]
            (_, at), gap = recipe_tuning.LAST_RUNG, around[recipe_tuning.LAST_RUNG]
            above = paired_gap(pd.concat([table, arms]), recipe, best)
            total, error = above.mean() + 100 * gap.gap, np.hypot(above.sem(), 100 * gap.stderr)
            rows.append((at, total, total - error, total + error))
        flops, middle, low, high = np.array(rows).T
        ends = np.clip([middle - low, high - middle], 0, None)
        look = {"color": colour, "marker": mark, "ms": 6, "lw": 1.2, "capsize": 3}
        axes.errorbar(flops * aside, middle, ends, label=recipe, **look)
    for width, at in (*recipe_tuning.RUNGS, recipe_tuning.LAST_RUNG):
        where = {"xycoords": ("data", "axes fraction"), "ha": "center"}
        axes.annotate(f"width {width}", (at, 0.02), fontsize=8, color=MUTED, **where)
    axes.axhline(0, color=MUTED, lw=1, zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(1.8e10, 1.4e12)
    axes.set_ylim(bottom=-0.3)
    axes.set_xlabel("Training FLOP of the rung")
    axes.set_ylabel("Loss above the best that was found (%)")
    axes.legend()


def _factor(schedule: Schedule, step: int, steps: int, decay_steps: int) -> float:
    return schedule_factor(schedule, step, steps=steps, warmup_steps=50, decay_steps=decay_steps)


def _simulated() -> Records:
    budgets = np.geomspace(1e17, 1e20, 7)
    runs = isoflop_runs(budgets, [0.5, 1.0, 2.0], LADDER)
    return simulate_records(LADDER, runs, relative_noise=0.004, seed=3)


FIGURES: dict[str, Callable[[Axes], None]] = {
    figure.__name__: figure
    for figure in (
        quickstart,
        digits_grey,
        first_forecast,
        width_by_distance,
        next_runs_by_budget,
        backtest_errors,
        schedules,
        anbn_seeds,
        anbn_lengths,
        known_entropy,
        rung_gaps,
        metric_forecast,
    )
}


def tuned_recipe(path: Path) -> None:
    """What each constant does to the loss, as the page on tuning found it."""
    document = json.loads(TUNED.read_text())
    constants = tuple(TunedConstant(**one) for one in document.pop("constants"))
    told = {name: document[name] for name in ("gain", "gain_stderr", "noise", "arms", "seeds")}
    found = TunedRecipe(constants=constants, rungs=tuple(document["rungs"]), **told)
    save_tuned_recipe_figure(found, path)


#: Figures of several axes, which save themselves.
OF_SEVERAL_AXES: dict[str, Callable[[Path], None]] = {
    figure.__name__: figure
    for figure in (
        implicit_bias,
        implicit_bias_plane,
        implicit_bias_plane_steps,
        decoder_contexts,
        translate_pairs,
        tuned_recipe,
        hidden_runs,
    )
}


def draw(name: str, path: Path) -> None:
    """Draw one figure as an SVG file that is the same each time."""
    if name in OF_SEVERAL_AXES:
        OF_SEVERAL_AXES[name](path)
        return
    with figure_style():
        figure = Figure(figsize=(7.2, 4.4), facecolor="white")
        FIGURES[name](figure.subplots())
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    for name in sys.argv[1:] or [*FIGURES, *OF_SEVERAL_AXES]:
        draw(name, FOLDER / f"{name}.svg")
        print(f"docs/figures/{name}.svg", file=sys.stderr)
