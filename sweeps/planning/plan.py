"""From a SweepConfig to the list of runs, with what each will cost, before anything is spent."""

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaling.errors import ConfigError
from sweeps.config.evidence import evidence_of
from sweeps.config.recipe import Recipe
from sweeps.config.rules.targets import TargetsConfig
from sweeps.config.sweep import Grid, SweepConfig, recipe_of
from sweeps.data.questions import questions
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import CorpusFacts
from sweeps.models.family import ModelSizes, Shape, blocks_said
from sweeps.models.registry import find_family
from sweeps.objectives.registry import CONDITIONAL, find_objective
from sweeps.planning.gpus import workers_for
from sweeps.planning.hyper_parameters.recipe import (
    horizon_settings_for,
    settings_for,
    trunk_settings_for,
)
from sweeps.planning.hyper_parameters.schedule import split_horizons
from sweeps.planning.hyper_parameters.settings import TrainingSettings
from sweeps.planning.run_plan import Branch, RunPlan


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """The runs of a sweep in the order in which they start."""

    config: SweepConfig
    runs: tuple[RunPlan, ...]
    measured_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds in one process by run id, as finished runs of the sweep tell them; none before."""

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.config.name

    @property
    def train_flops(self) -> int:
        """FLOP of all runs, each as if trained alone."""
        return sum(run.train_flops for run in self.runs)

    @property
    def marginal_flops(self) -> int:
        """FLOP that will be spent: each trunk once."""
        return sum(run.marginal_flops for run in self.runs)

    @property
    def process_seconds(self) -> float:
        """Estimated training seconds of all runs, one after the other."""
        return sum(self.seconds(run) for run in self.runs)

    @property
    def wall_seconds(self) -> float:
        """Estimated wall time with the config's workers, without start-up."""
        workers = workers_for(self.config.launch)
        longest = max(self.seconds(run) for run in self.runs)
        return max(longest, self.process_seconds / workers)

    def seconds(self, run: RunPlan) -> float:
        """Estimated training seconds that one run adds in one process."""
        if run.run_id in self.measured_seconds:
            return self.measured_seconds[run.run_id]
        alone = estimated_seconds(run, self.config.launch.speed.flops_per_second)
        return alone * run.marginal_flops / run.train_flops

    def rows(self) -> list[dict[str, float | int | str | bool]]:
        """One row a run, for a table: size, horizon, hyper-parameters, cost."""
        return [
            {
                "width": run.shape.width,
                "depth": run.shape.depth,
                **_encoder_depth(run),
                "params": run.shape.params,
                "tokens": run.tokens,
                "tokens_per_param": round(run.tokens / run.shape.params_matmul, 1),
                "batch_tokens": run.batch_tokens,
                "steps": run.settings.steps,
                "learning_rate": float(f"{run.settings.learning_rate:.3g}"),
                "train_flops": run.train_flops,
                "marginal_flops": run.marginal_flops,
                "trunk": run.trunk_id if run.branch else "",
                "seconds": round(self.seconds(run), 1),
                "seed": run.seed,
                "held_out": run.held_out,
                "run_id": run.run_id,
            }
            for run in self.runs
        ]

    def to_json(self, **further: Any) -> str:
        """The plan whole: config, totals, and every field of every run; `further` blocks beside."""
        document: dict[str, Any] = {
            "sweep": self.name,
            "config": self.config.mapping(),
            "train_flops": self.train_flops,
            "marginal_flops": self.marginal_flops,
            "process_seconds": round(self.process_seconds, 1),
            "wall_seconds": round(self.wall_seconds, 1),
            "recipe_evidence": {
                name: dataclasses.asdict(row)
                for name, row in evidence_of(recipe_of(self.config)).items()
            },
            **further,
            "runs": [
                {
                    "run_id": run.run_id,
                    "name": run.name,
                    **run.facts_when_finished(),
                    "settings": dataclasses.asdict(run.settings),
                }
                for run in self.runs
            ],
        }
        return json.dumps(document, indent=2)


def plan_sweep(config: SweepConfig) -> SweepPlan:
    """The runs that a config asks for, each resolved to its last hyper-parameter.

    Reads the text (its hash and length belong to a run's identity) but trains nothing and needs no
    device. Held-out runs come first if the config says so, then small before large. Raises
    ConfigError for a grid without runs, a run planned twice as both fitted and held out, and a run
    longer than the text, and probes that its data cannot answer; CorpusError for the text itself.
    """
    _check_family(config)
    recipe = recipe_of(config)
    corpus = load_corpus(config.data, config.model.context)
    if config.probes.asks:
        questions(config.probes, corpus)
    facts = corpus.facts
    fitted = [
        run
        for block in ([config.grid] if config.grid.width else []) + list(config.cells)
        for run in _runs(config, block, recipe, facts, held_out=False)
    ]
    held_out = [
        run
        for block in config.held_out
        for run in _runs(config, block, recipe, facts, held_out=True)
    ]
    _check_overlap(fitted, held_out)
    unique = {run.run_id: run for run in fitted + held_out}
    first = held_out[:1] and held_out[0].held_out is config.launch.policy.held_out_first
    ordered = sorted(
        unique.values(),
        key=lambda run: (run.held_out is not first, run.train_flops, run.shape.width, run.seed),
    )
    return SweepPlan(config=config, runs=tuple(ordered))


def cell_runs(plan: SweepPlan, cell: Grid) -> tuple[RunPlan, ...]:
    """The runs that one more cell would add to a plan; raises ConfigError as `plan_sweep` does."""
    config, facts = plan.config, plan.runs[0].data
    return tuple(_runs(config, cell, recipe_of(config), facts, held_out=False))


def _check_family(config: SweepConfig) -> None:
    """Whether the family can be trained by this objective, in the way that the launch asks for."""
    family = find_family(config.model.family)
    objective = find_objective(config.objective).suited_to(family)
    answers = objective.view == "past" or (
        objective.view == "source" and not config.probes.asks_prompts
    )
    if config.probes.asks and not (answers and "continue" in family.can):
        raise ConfigError(
            f'probes: a model of objective "{objective.name}" and model.family "{family.name}" '
            "goes on from no prompt; drop them, or choose another of the two"
        )
    blocks = (config.grid, *config.cells, *config.held_out)
    for asked, ability, option in (
        (any(block.encoder_depth for block in blocks), "encoder_depth", "encoder_depth"),
        (config.launch.speed.compile is True, "compile", "launch.speed.compile"),
        (
            config.launch.resources.strategy == "fsdp",
            "shard",
            "launch.resources.strategy fsdp",
        ),
    ):
        if asked and ability not in family.can:
            raise ConfigError(
                f'{option}: model.family "{family.name}" {_CANNOT[ability]}; leave it out'
            )


_CANNOT = {
    "encoder_depth": "has no encoder",
    "compile": "cannot compile",
    "shard": "cannot shard",
}


def _encoder_depth(run: RunPlan) -> dict[str, int]:
    """The column of a table of runs, of a family that has an encoder."""
    found = run.shape.facts().get("encoder_depth")
    return {"encoder_depth": found} if isinstance(found, int) else {}


def _runs(
    config: SweepConfig, block: Grid, recipe: Recipe, facts: CorpusFacts, *, held_out: bool
) -> Iterator[RunPlan]:
    grid_seeds = config.grid.seed or (1,)
    depths = block.depth or config.grid.depth or (1,)
    encoder_depths = block.encoder_depth or config.grid.encoder_depth or (None,)
    seeds = block.seed or (grid_seeds[:1] if held_out else grid_seeds)
    (horizon,) = block.horizons
    recipe_hash = recipe.hash
    family = find_family(config.model.family)
    objective = find_objective(config.objective).suited_to(family)
    asked = _targets(config, facts)
    targets = objective.resolved(asked, config.model.context, facts)
    symbols = (facts.used_vocab_size or facts.vocab_size) + objective.own_tokens
    vocab_size = max(facts.vocab_size, symbols)
    for width, depth, encoder in itertools.product(block.width, depths, encoder_depths):
        sizes = ModelSizes(
            width=width,
            depth=depth,
            vocab_size=vocab_size,
            view=objective.view,
            source_tokens=None if targets is None else targets.source_tokens,
            encoder_depth=encoder,
        )
        shape = family.shape(config.model, sizes)
        values = getattr(block, horizon)
        tokens = [_tokens(shape, horizon, value) for value in values]
        resolved = _resolve(recipe, shape, tokens)
        for value, (settings, branch) in zip(values, resolved, strict=True):
            _check_horizon(config, shape, settings, facts, f"{horizon} {value:g}")
            for seed in seeds:
                yield RunPlan(
                    shape=shape,
                    family=family.name,
                    objective=config.objective,
                    settings=settings,
                    data=facts,
                    recipe=recipe.name,
                    recipe_hash=recipe_hash,
                    rotary_base=config.model.rotary_base,
                    precision=config.model.precision,
                    seed=seed,
                    held_out=held_out,
                    branch=branch,
                    targets=targets,
                )


def _targets(config: SweepConfig, facts: CorpusFacts) -> TargetsConfig:
    """What the config says of the targets; of a corpus that says itself how much of a sequence is
    given, that."""
    given, stated = facts.source_tokens, config.targets.source_tokens
    if given is None or config.objective != CONDITIONAL:
        return config.targets
    if stated not in (None, given):
        raise ConfigError(
            f"targets.source_tokens is {stated}; data.source {config.data.source} begins with "
            f"{given}: leave it out"
        )
    return config.targets.changed(source_tokens=given)


def _resolve(
    recipe: Recipe, shape: Shape, horizons: Sequence[float]
) -> list[tuple[TrainingSettings, Branch | None]]:
    """The settings of each horizon (tokens); with `wsd`, horizons share trunks."""
    alone = [settings_for(recipe, shape, tokens) for tokens in horizons]
    found: list[tuple[TrainingSettings, Branch | None]] = [(item, None) for item in alone]
    if recipe.schedule != "wsd":
        return found
    anchored = recipe.anchor_tokens_per_param is not None
    for places in split_horizons(horizons, math.inf if anchored else recipe.max_trunk_span):
        if len(places) == 1:
            continue
        chosen = [horizons[place] for place in places]
        reference, resolved = trunk_settings_for(recipe, shape, chosen)
        paid_steps, shorter = 0, None
        for place, settings in zip(places, resolved, strict=True):
            if shorter is None or settings != found[shorter][0]:
                rule = horizon_settings_for(recipe, shape, horizons[place])
                branch = Branch(
                    reference_tokens=reference,
                    rule_learning_rate=rule.hidden.learning_rate,
                    rule_batch_tokens=rule.batch_sequences * shape.context,
                    paid_steps=paid_steps,
                    trunk_horizons=tuple(chosen) if anchored else None,
                )
                found[place] = (settings, branch)
                paid_steps, shorter = settings.fork_step, place
            else:  # the same number of whole steps: the same run
                found[place] = found[shorter]
    return found


def _tokens(shape: Shape, horizon: str, value: float) -> float:
    if horizon == "flops":
        return value / (shape.flops_per_sequence() / shape.context)
    if horizon == "tokens_per_param":
        return value * shape.params_matmul
    return value


def _check_horizon(
    config: SweepConfig,
    shape: Shape,
    settings: TrainingSettings,
    facts: CorpusFacts,
    asked: str,
) -> None:
    tokens = settings.steps * settings.batch_sequences * shape.context
    label = f"width {shape.width}, depth {blocks_said(shape)}, {asked}"
    if settings.steps <= settings.warmup_steps:
        raise ConfigError(
            f"{label}: {settings.steps} steps leave nothing after a warm-up of "
            f"{settings.warmup_steps}; give it more tokens or a smaller model"
        )
    limit = config.data.epoch_limit * facts.train_tokens
    if tokens > limit:
        raise ConfigError(
            f"{label}: {tokens:,} tokens are more than the text's {facts.train_tokens:,} x "
            f"data.max_epochs {config.data.epoch_limit:g}; give more text, fewer tokens, or allow "
            "repeats by a larger data.max_epochs"
        )


def _check_overlap(fitted: list[RunPlan], held_out: list[RunPlan]) -> None:
    hidden = {dataclasses.replace(run, held_out=False) for run in held_out}
    for run in fitted:
        if run in hidden:
            raise ConfigError(f"{run.name}: listed to be fitted and to be held out; drop one")


def estimated_seconds(run: RunPlan, flops_per_second: float | None = None) -> float:
    """A guess of one run's training time on one CPU core, before anything has been timed.

    A step costs overhead, and FLOP pass at a rate that grows with the width. Constants: one core of
    a two-core virtual machine of 2026, which needs a third less alone and twice as much when busy.
    """
    if flops_per_second is not None:
        return run.train_flops / flops_per_second
    rate = min(50e9, 0.8e9 * run.shape.width)
    return 1.9e-3 * run.settings.steps + run.train_flops / rate
