"""A plan, its recipe and its cost as tables for a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from scaling.words import counted
from sweeps.config.evidence import evidence_in_words
from sweeps.config.recipe import RECIPES, Recipe
from sweeps.config.sweep import recipe_of
from sweeps.models.family import blocks_said
from sweeps.models.registry import find_family
from sweeps.planning.costs.cost import PlanCost
from sweeps.planning.costs.memory import device_bytes, state_bytes, weights_bytes
from sweeps.planning.gpus import uses_cuda, workers_for
from sweeps.planning.plan import SweepPlan
from sweeps.planning.review.answerable import Answerable
from sweeps.planning.review.training_text import TrainingText
from sweeps.planning.variants.arms import checks_text, planned_checks

_WIDTH = 120  # columns of a terminal
_COUNTED = (
    "tokens per parameter: of those that a token is multiplied with (blocks and head), as "
    "grid.tokens_per_param counts them\n\n"
)


def plan_text(plan: SweepPlan) -> str:
    """The runs of a plan, a row each, and what they cost together."""
    columns = (
        "width", "depth", "params", "tokens", "tokens per parameter", "batch", "steps",
        "learning rate", "FLOP", "seconds", "seed", "",
    )  # fmt: skip
    rows = [
        (
            row["width"],
            blocks_said(run.shape),
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
        for row, run in zip(plan.rows(), plan.runs, strict=True)
    ]
    total = (
        f"{plan.name}: {counted(len(plan.runs), 'run')}, {plan.train_flops:.3g} FLOP, about "
        f"{duration(plan.process_seconds)} of one process, {duration(plan.wall_seconds)} on "
        f"{workers_for(plan.config.launch)}; "
        f"data {plan.runs[0].data.data_hash}"
    )
    text = "".join(f"\n{line}" for line in TrainingText.of(plan).lines)
    rest = text + _saving(plan) + _determinism(plan) + _checks(plan) + _provenance(plan)
    return table(columns, rows) + _COUNTED + recipe_text(plan) + total + rest


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
                blocks_said(run.shape),
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
    stated = {*plan.config.recipe.overrides}
    if plan.config.schedule is not None:
        stated.add("schedule")
    rule += f"{evidence_in_words(recipe, stated)}: docs/reference/recipes.md\n"
    if any(run.settings.falling_rate for run in plan.runs):
        rule += (
            f"until a decay begins the rate falls as the tokens so far ^ "
            f"{recipe.learning_rate_tokens_exponent:g}; stated where a run of "
            f"{recipe.anchor_tokens_per_param:g} tokens per parameter decays\n"
        )
    rule += _over_depth(plan, recipe)
    if not plan.runs[0].shape.params_head:
        rule += _tied_head(recipe)
    family = find_family(plan.config.model.family)
    if family.recipe_note:
        rule += f"{family.name}: {family.recipe_note}\n"
    run = plan.runs[0]
    counted_ = run.data.sequence_targets or run.asks.targets_of(run.shape.context)
    share = counted_ / run.shape.context
    if share != 1:
        rule += (
            f"objective {plan.config.objective}: {share:.1%} of the tokens read count; the rules "
            "were measured where all do: have health.check_learning_rate see\n"
        )
    rule += "\n"
    return table(columns, rows) + rule


def _over_depth(plan: SweepPlan, recipe: Recipe) -> str:
    """What the recipe does for models of several depths."""
    depths = {run.shape.depth for run in plan.runs}
    if len(depths) < 2:
        return ""
    if recipe.learning_rate_depth_exponent is not None:
        return f"learning rate over depth: (depth / 2) ^ {recipe.learning_rate_depth_exponent:g}\n"
    known = [n for n, r in RECIPES.items() if r.learning_rate_depth_exponent is not None]
    exponent = RECIPES[known[0]].learning_rate_depth_exponent
    assert exponent is not None
    return (
        f"depths {min(depths)} to {max(depths)}: {recipe.name} has one learning rate for all; with "
        f"the constants of cpt-adamw/1 the best one goes as depth ^ {exponent:g} (width 32): "
        f"recipe.name {' or '.join(known)}, or recipe.overrides.learning_rate_depth_exponent\n"
    )


def _tied_head(recipe: Recipe) -> str:
    """What the recipe does for a head that is the embedding."""
    if recipe.tied_logit_factor is not None:
        return f"tied head: logits times {recipe.tied_logit_factor:g}\n"
    known = [name for name, other in RECIPES.items() if other.tied_logit_factor is not None]
    return (
        f"tied head: {recipe.name} has no rule for it, and losses end 8 to 11% above those of a "
        f"head of its own; choose recipe.name {' or '.join(known)}, or give "
        "recipe.overrides.tied_logit_factor\n"
    )


def _determinism(plan: SweepPlan) -> str:
    """What `launch.speed.deterministic` changes, where it is set."""
    if not plan.config.launch.speed.deterministic:
        return ""
    return (
        "\nDeterministic: on a GPU steps take longer than estimated; the last rows of "
        "`python benchmarks/speed/throughput.py --device cuda` say by how much."
    )


def _checks(plan: SweepPlan) -> str:
    """Which rungs are checked, and what that costs."""
    said = checks_text(planned_checks(plan), plan.config.health)
    return f"\n{said}" if said else ""


def _provenance(plan: SweepPlan) -> str:
    """Where the recipe's overrides come from, where the config says so."""
    told = plan.config.recipe.provenance
    return f"\nrecipe: {told}" if told else ""


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
            blocks_said(run.shape),
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
    return table(columns, list(rows))


def cost_text(cost: PlanCost) -> str:
    """What is left to spend, a row a model size, and the sum."""
    rows = [
        (f"{rung.params:,}", rung.runs, f"{rung.flops:.3g}", duration(3600 * rung.device_hours))
        for rung in cost.rungs
    ]
    basis = "measured on finished runs" if cost.is_measured else "guessed; nothing has finished"
    if cost.store_error:
        basis = f"guessed, and all runs counted: the run store was not asked: {cost.store_error}"
    money = "" if cost.money is None else f", {cost.money:.4g} {cost.currency}"
    sizes = table(("params", "runs left", "FLOP", "device time"), rows) if rows else ""
    return sizes + (
        f"left to spend: {cost.flops:.3g} FLOP, {duration(3600 * cost.device_hours)} of one "
        f"device{money} ({basis})"
    )


def answers_text(can: Answerable) -> str:
    """What the runs can answer, question by question, and what to add where they cannot."""
    yes = {
        "forecast": f"yes, to at most {can.decades_beyond:.1f} decades "
        f"({10**can.decades_beyond:.2g} times) beyond the largest run, nearer where the best split "
        "lies outside its sizes and tokens",
        "backtest": f"yes, {counted(can.backtests, 'time')}",
    }
    runs, budgets = counted(can.fitted_runs, "run"), counted(can.budgets, "budget")
    lines = [
        f"what {runs} at {budgets} over {can.decades_spanned:.1f} decades can answer, if their "
        "losses fall as they should:"
    ]
    for answer in can.answers:
        said = yes.get(answer.question, "yes") if answer.refusal is None else answer.refusal
        lines.append(f"  {_QUESTIONS[answer.question]}: " + "no: " * bool(answer.refusal) + said)
        if answer.add is not None:
            cost = f"{answer.add_flops:.2g} FLOP"
            lines.append(f"    for a yes add to cells: {answer.add} ({cost})")
    if not can.repeated:
        lines.append(
            "  the noise of a run will be guessed from how the law fits: no two runs differ in "
            "their seed alone (grid.seed: [1, 2] would measure it)"
        )
    if near := can.near_duplicates:
        most, saved = counted(len(near), "cell"), sum(one.flops for one in near)
        lines.append(
            f"  {most} can be left out ({saved:.2g} FLOP): the tokens are within 5% of others of "
            f"the same shape, which tell about the same "
            f"({'; '.join(map(str, near[:2]))}{'; ...' if len(near) > 2 else ''})"
        )
    return "\n".join(lines)


_QUESTIONS = {
    "L(C)": "a law of compute, L(C)",
    "L(N, D)": "a law of size and tokens, L(N, D)",
    "forecast": "a forecast by budget",
    "split": "how to split a budget between size and tokens",
    "backtest": "a backtest",
    "held out": "the held-out runs, as numbers",
}


def memory_text(plan: SweepPlan) -> str:
    """What the largest run takes of a device at least, and what there is."""
    launch = plan.config.launch
    most, have = max(state_bytes(run, launch) for run in plan.runs), device_bytes(launch)
    key = "device_memory_gb" if uses_cuda(launch) else "memory_gb"
    there = f"what a device has is not said (launch.resources.{key})"
    if have is not None:
        there = f"a device has {have / 1e9:.3g} GB"
    return (
        f"memory: up to {most / 1e9:.2g} GB for weights, gradients and moments of one run, and "
        f"activations on top; {there}{_weights_text(plan)}"
    )


def _weights_text(plan: SweepPlan) -> str:
    """What `launch.keep_weights` takes of a disk, where it is set."""
    launch = plan.config.launch
    if not launch.keep_weights:
        return ""
    files = counted(len(plan.runs), "file")
    return (
        f"\ndisk: {weights_bytes(plan) / 1e9:.2g} GB in {files} of weights in "
        f"{launch.weights_folder}"
    )


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], left_aligned: Sequence[str] = ("",)
) -> str:
    """Columns under their headers, to the right unless ``left_aligned``, and an empty line."""
    grid = Table(box=None, pad_edge=False, header_style="")
    for column in columns:
        grid.add_column(column, justify="left" if column in left_aligned else "right")
    for row in rows:
        grid.add_row(*map(str, row))
    console = Console(width=_WIDTH, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(grid, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n\n"
