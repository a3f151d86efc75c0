"""Plans and standings as tables for a terminal. It only arranges what they hold."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from scaling.store.run_state import RunState
from sweeps.planning.cost import PlanCost
from sweeps.planning.plan import SweepPlan
from sweeps.planning.recipe import recipe_of
from sweeps.status.ledger import RunStanding, SweepStanding

_WIDTH = 120
_SCREENFUL = 60  # runs that are listed one by one


def plan_text(plan: SweepPlan) -> str:
    """The runs of a plan, a row each, and what they cost together."""
    columns = (
        "width", "depth", "params", "tokens", "tokens/param", "batch", "steps", "learning rate",
        "FLOP", "seconds", "seed", "",
    )  # fmt: skip
    rows = [
        (
            row["width"],
            row["depth"],
            f"{row['params']:,}",
            f"{row['tokens']:,}",
            row["tokens_per_param"],
            f"{row['batch_tokens']:,}",
            f"{row['steps']:,}",
            f"{row['learning_rate']:.4f}",
            f"{row['train_flops']:.3g}",
            f"{row['seconds']:.0f}",
            row["seed"],
            "held out" if row["held_out"] else "branch" if row["trunk"] else "",
        )
        for row in plan.rows()
    ]
    total = (
        f"{plan.name}: {len(plan.runs)} runs, {plan.train_flops:.3g} FLOP, about "
        f"{duration(plan.process_seconds)} of one process, {duration(plan.wall_seconds)} on "
        f"{plan.config.launch.workers}; "
        f"data {plan.runs[0].data.data_hash}"
    )
    return _table(columns, rows) + recipe_text(plan) + total + _saving(plan) + _determinism(plan)


def recipe_text(plan: SweepPlan) -> str:
    """What the recipe gives each shape and horizon of a plan: the values that seeds share."""
    columns = (
        "width", "depth", "tokens", "batch", "warm-up", "hidden LR", "embedding LR", "head LR",
        "1 - beta2", "weight decay", "branch scale", "",
    )  # fmt: skip
    rows = []
    for run in {(run.shape, run.settings): run for run in plan.runs}.values():
        settings = run.settings
        rows.append(
            (
                run.shape.width,
                run.shape.depth,
                f"{run.tokens:,}",
                f"{run.batch_tokens:,}",
                settings.warmup_steps,
                f"{settings.hidden.learning_rate:.4f}",
                f"{settings.embedding.learning_rate:.4f}",
                f"{settings.head.learning_rate:.4f}",
                f"{1 - settings.beta2:.4f}",
                f"{settings.hidden.weight_decay:.4f}",
                f"{settings.residual_scale:.3g}",
                "cap" if settings.learning_rate_capped else "",
            )
        )
    recipe = recipe_of(plan.config)
    rule = (
        f"recipe {recipe.name} ({plan.runs[0].recipe_hash}): learning rate rule "
        f"{recipe.learning_rate_rule}, batch ^ {recipe.learning_rate_batch_exponent:g}, "
        f"tokens ^ {recipe.learning_rate_tokens_exponent:g}\n"
    )
    if any(run.settings.falling_rate for run in plan.runs):
        rule += (
            f"until a decay begins the rate falls as the tokens so far ^ "
            f"{recipe.learning_rate_tokens_exponent:g}; stated where a run of "
            f"{recipe.anchor_tokens_per_param:g} tokens/param decays\n"
        )
    rule += "\n"
    return _table(columns, rows) + rule


def _determinism(plan: SweepPlan) -> str:
    """What `launch.speed.deterministic` changes, where it is set."""
    if not plan.config.launch.speed.deterministic:
        return ""
    return (
        "\nDeterministic: on a GPU steps take longer than estimated; the last rows of "
        "`python benchmarks/throughput.py --device cuda` say by how much."
    )


def _saving(plan: SweepPlan) -> str:
    trunks = {run.trunk_id for run in plan.runs if run.branch}
    if not trunks:
        return ""
    branches = sum(run.branch is not None for run in plan.runs)
    share = 1 - plan.marginal_flops / plan.train_flops
    return (
        f"\n{branches} decay branches share {len(trunks)} trunk{'s' * (len(trunks) > 1)}: "
        f"{plan.marginal_flops:.3g} FLOP are spent, {share:.0%} less than by separate runs\n\n"
        + _branch_text(plan).rstrip()
    )


def _branch_text(plan: SweepPlan) -> str:
    """How far each branch's settings are from those that the rule gives for its own horizon."""
    columns = (
        "width", "depth", "branch: tokens", "forks at", "LR at fork", "over the rule's", "batch",
        "over the rule's", "FLOP added", "of a run alone",
    )  # fmt: skip
    rows: dict[tuple[object, ...], None] = {}
    for run in plan.runs:
        if run.branch is None:
            continue
        facts = run.facts()
        row = (
            run.shape.width,
            run.shape.depth,
            f"{run.tokens:,}",
            f"{facts['fork_tokens']:,}",
            f"{facts['learning_rate_at_fork']:.4f}",
            f"{facts['learning_rate_mismatch']:.2f}",
            f"{run.batch_tokens:,}",
            f"{facts['batch_mismatch']:.2f}",
            f"{run.marginal_flops:.3g}",
            f"{run.marginal_flops / run.train_flops:.0%}",
        )
        rows[row] = None  # once for all seeds
    return _table(columns, list(rows))


def cost_text(cost: PlanCost) -> str:
    """What is left to spend, a row a model size, and the sum."""
    rows = [
        (f"{rung.params:,}", rung.runs, f"{rung.flops:.3g}", duration(3600 * rung.device_hours))
        for rung in cost.rungs
    ]
    basis = "measured on finished runs" if cost.is_measured else "guessed; nothing has finished"
    money = "" if cost.money is None else f", {cost.money:.4g} {cost.currency}"
    table = _table(("params", "runs left", "FLOP", "device time"), rows) if rows else ""
    return table + (
        f"left to spend: {cost.flops:.3g} FLOP, {duration(3600 * cost.device_hours)} of one "
        f"device{money} ({basis})"
    )


def standing_text(standing: SweepStanding, *, every_run: bool = False) -> str:
    """The runs of a plan with their states, and what is left.

    A sweep of more than a screenful is told size by size, with its running runs and its reasons.
    """
    end = _summary(standing) + (f"\n{standing.earlier.line}" if standing.earlier else "")
    if count := sum(bool(run.traceback) for run in standing.runs):
        which = "1 run keeps a traceback" if count == 1 else f"{count} runs keep tracebacks"
        end += f"\n{which}; read with `scaling status CONFIG --tracebacks`, or --json"
    if every_run or len(standing.runs) <= _SCREENFUL:
        return _runs(standing.runs) + end
    running = _runs(standing.running) if standing.running else ""
    return _sizes(standing.runs) + running + _reasons(standing.runs) + end


def tracebacks_text(standing: SweepStanding) -> str:
    """The tracebacks that runs keep, those of equal text once, under the runs' names."""
    found: dict[str, list[str]] = {}
    for run in standing.runs:
        if run.traceback:
            found.setdefault(run.traceback, []).append(f"{run.name} ({run.run_id})")
    return "".join(f"\n\n{', '.join(names)}:\n{text.rstrip()}" for text, names in found.items())


def _runs(runs: Sequence[RunStanding]) -> str:
    rows = [
        (
            run.name,
            run.state.value,
            _loss(run),
            "" if run.wall_seconds is None else f"{run.wall_seconds:.0f}",
            run.outlook or run.reason,
        )
        for run in runs
    ]
    columns = ("run", "state", "loss", "seconds", "remark")
    return _table(columns, rows, left_aligned=("run", "state", "remark"))


def _sizes(runs: Sequence[RunStanding]) -> str:
    """A row a model size, smallest first: how many runs are in each state."""
    sizes: dict[int, list[RunStanding]] = {}
    for run in runs:
        sizes.setdefault(run.params, []).append(run)
    states = [state for state in RunState if any(run.state is state for run in runs)]
    rows = [
        (
            f"{params:,}",
            len(group),
            *(sum(run.state is state for run in group) or "" for state in states),
            duration(sum(run.seconds_left for run in group)),
        )
        for params, group in sorted(sizes.items())
    ]
    return _table(("params", "runs", *(state.value for state in states), "left"), rows)


def _reasons(runs: Sequence[RunStanding]) -> str:
    counts = Counter((run.state.value, run.reason) for run in runs if run.reason)
    rows = [(count, state, reason) for (state, reason), count in counts.most_common(20)]
    if not rows:
        return ""
    return _table(("runs", "state", "reason"), rows, left_aligned=("state", "reason"))


def _summary(standing: SweepStanding) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in standing.counts.items())
    if not standing.flops_left:
        return f"{standing.sweep}: {counts}"
    money = ""
    if standing.cost_left is not None:
        money = f", {standing.cost_left:,.2f} {standing.currency}"
    return (
        f"{standing.sweep}: {counts}; left: {standing.flops_left:.3g} FLOP, about "
        f"{duration(standing.wall_seconds_left)} on {standing.workers} "
        f"({duration(3600 * standing.device_hours_left)} of device time{money})"
    )


def _loss(run: RunStanding) -> str:
    """A held-out run's loss stays unread here: a forecast should be written down first."""
    if run.loss is None:
        return ""
    return "held out" if run.held_out else f"{run.loss:.4f}"


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], left_aligned: Sequence[str] = ("",)
) -> str:
    table = Table(box=None, pad_edge=False, header_style="")
    for column in columns:
        table.add_column(column, justify="left" if column in left_aligned else "right")
    for row in rows:
        table.add_row(*map(str, row))
    console = Console(width=_WIDTH, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n\n"
