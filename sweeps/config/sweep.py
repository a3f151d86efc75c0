"""What a sweep is: one YAML file, mirrored one to one by frozen dataclasses."""

from dataclasses import dataclass, field
from math import prod

import sweeps.config.images  # noqa: F401  it enters a source of data
from scaling.errors import ConfigError
from scaling.inputs.names import checked_name
from scaling.words import counted
from sweeps.config.data import DataConfig, TextData
from sweeps.config.launch import LaunchConfig
from sweeps.config.model import ModelConfig
from sweeps.config.probes import ProbesConfig
from sweeps.config.recipe import CONSTANTS, SCHEDULES, Recipe, find_recipe
from sweeps.config.rules.section import Section
from sweeps.config.rules.targets import TargetsConfig

#: Far above what anybody has trained; a slip of the finger lies above, too.
WIDEST = 1_000_000
DEEPEST = 10_000
#: Runs of one sweep: MLflow's pages and a status by cell are no help beyond.
MOST_RUNS = 100_000


@dataclass(frozen=True, kw_only=True)
class Grid(Section):
    """Runs to train: the product of its lists. Exactly one of the three horizons is given."""

    width: tuple[int, ...] = ()
    """Residual stream widths; each a multiple of model.head_size."""
    depth: tuple[int, ...] = ()
    """Numbers of blocks. In `grid` none means 1; in `cells` and `held_out` none means those of
    `grid`."""
    encoder_depth: tuple[int, ...] = ()
    """Of a family with an encoder: numbers of its blocks, while `depth` counts the decoder's. In
    `grid` none means as many as `depth`; in `cells` and `held_out` none means those of `grid`."""
    tokens: tuple[float, ...] = ()
    """Training tokens, rounded to whole optimizer steps."""
    tokens_per_param: tuple[float, ...] = ()
    """Training tokens per parameter that a token is multiplied with (blocks and head)."""
    flops: tuple[float, ...] = ()
    """Compute budgets in FLOP; the tokens follow from the size (IsoFLOP)."""
    seed: tuple[int, ...] = ()
    """Seeds of initialisation and data order. In `grid` none means 1; in `cells` none means those
    of `grid`, in `held_out` the first."""

    def __post_init__(self) -> None:
        """Refuse values that no run can have."""
        counts = ("width", "depth", "encoder_depth")
        for name in (*counts, "tokens", "tokens_per_param", "flops"):
            for value in getattr(self, name):
                if not 0 < value < float("inf"):
                    raise ConfigError(f"{name} holds {value:g}; every value must be positive")
        for name, most in zip(counts, (WIDEST, DEEPEST, DEEPEST), strict=True):
            if max(getattr(self, name), default=0) > most:
                raise ConfigError(f"{name} holds {max(getattr(self, name))}; at most {most:,}")
        if any(seed < 0 for seed in self.seed):
            raise ConfigError(f"seed holds {min(self.seed)}; a seed is 0 or more")

    @property
    def runs(self) -> int:
        """How many runs the product of its lists holds, before any is left out."""
        sizes = (self.width, self.depth, self.encoder_depth)
        lists = (*sizes, self.tokens, self.tokens_per_param, self.flops, self.seed)
        return prod(len(values) or 1 for values in lists)

    @property
    def horizons(self) -> tuple[str, ...]:
        """Which of the three ways of saying how long to train are used."""
        return tuple(
            name for name in ("tokens", "tokens_per_param", "flops") if getattr(self, name)
        )


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(Section, place="recipe"):
    """The rules that turn a size and a horizon into hyper-parameters."""

    open_keys = {"overrides": CONSTANTS}

    name: str = "cpt-adamw/1"
    """A named recipe of sweeps.config.recipe."""
    overrides: dict[str, float | str] = field(default_factory=dict)
    """Constants of the recipe to replace; they enter the recipe's hash."""
    provenance: str = ""
    """How they were found. It is shown, and changes no run."""


@dataclass(frozen=True, kw_only=True)
class AgainstConfig(Section, place="health.against"):
    """A second recipe beside which each checked rung is held."""

    open_keys = {"overrides": CONSTANTS}

    name: str = ""
    """A named recipe; empty: none."""
    overrides: dict[str, float | str] = field(default_factory=dict)
    """Constants of that recipe to replace, for example its schedule."""


@dataclass(frozen=True, kw_only=True)
class HealthConfig(Section, place="health"):
    """How well each shape is trained is checked so. It adds facts to records and changes no run, so
    nothing here enters a run's identity."""

    check_learning_rate: bool = False
    """Train the cheapest run of each shape again at learning rates around the rule's, as one
    stack."""
    check_recipe: bool = False
    """The same, and with other weight decay, warm-up and batch: eight corners of all four. Another
    batch is another stack."""
    factors: tuple[float, ...] = (0.56, 1.0, 1.8)
    """Learning rates of the check over the rule's, which is 1; a step is added on both sides where
    the best lies outside."""
    seeds: int = 2
    """Seeds that are averaged, the run's own first. In runs of a thousand steps the spread between
    seeds is larger than what a mistuned learning rate costs."""
    against: AgainstConfig = field(default_factory=AgainstConfig)
    """A second recipe that the check of the recipe trains each rung with."""
    most_share: float = 0.1
    """FLOP that the check of the recipe may cost over the sweep's: shapes are checked from the
    cheapest on, with one seed before any has two."""

    def __post_init__(self) -> None:
        """Refuse factors that no parabola goes through, and settings of a check that is off."""
        if not self.check_recipe:
            self.check_unused(
                f"is not used while {self.key('check_recipe')} is false; turn that on",
                "against",
                "most_share",
            )
            if not self.check_learning_rate:
                self.check_unused(
                    f"is not used while {self.key('check_learning_rate')} and "
                    f"{self.key('check_recipe')} are false; turn one of them on",
                    "factors",
                    "seeds",
                )
        self.check_positive("seeds", "most_share")
        if any(not 0 < factor < float("inf") for factor in self.factors):
            raise ConfigError("health.factors holds a value that is not positive")
        if 1.0 not in self.factors or len(set(self.factors)) < 3:
            raise ConfigError("health.factors needs 1 (the rule's learning rate) and two others")
        if self.against.overrides and not self.against.name:
            raise ConfigError("health.against.overrides are of no recipe; give health.against.name")
        if self.against.name:
            try:
                find_recipe(self.against.name, dict(self.against.overrides))
            except ConfigError as error:
                raise ConfigError(f"health.against: {error}") from error


@dataclass(frozen=True, kw_only=True)
class BudgetConfig(Section, place="budget"):
    """What a sweep may cost; a plan that costs more is refused before anything is spent."""

    flops: float | None = None
    """FLOP of all runs that are still to be trained."""
    device_hours: float | None = None
    """Estimated hours of one process each (of its GPUs, where it has several)."""
    cost: float | None = None
    """Estimated money, in the unit of the price."""
    price_per_device_hour: float | None = None
    """What an hour of one process, or of one of its GPUs, costs."""
    currency: str = "USD"
    """The unit of the price."""
    ask_above_device_hours: float | None = 24.0
    """`scaling run` asks before a launch that is estimated to take more; none: never."""

    def __post_init__(self) -> None:
        """Refuse limits that nothing keeps, and money without a price."""
        self.check_positive("flops", "device_hours", "cost", "price_per_device_hour")
        self.check_not_negative("ask_above_device_hours")
        if self.price_per_device_hour is None:
            needs = "needs a price; give budget.price_per_device_hour"
            self.check_unused(needs, "cost", "currency")


@dataclass(frozen=True, kw_only=True)
class Exclusion(Section):
    """Planned runs that are not to be trained."""

    where: tuple[str, ...]
    """Conditions on the columns of the records table, for example "width == 64"; all must hold."""
    reason: str
    """Why; it is shown by `scaling status`."""

    def __post_init__(self) -> None:
        """Refuse one without a condition: it would leave out every run."""
        if not self.where:
            raise ConfigError('where is empty; give a condition, for example "width == 64"')


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Section):
    """A ladder of models to train."""

    choices = {"schedule": SCHEDULES}

    name: str
    """The sweep's name, which is the MLflow experiment's."""
    grid: Grid = field(default_factory=Grid)
    """The product of widths, depths, horizons and seeds."""
    cells: tuple[Grid, ...] = ()
    """Further runs, for grids with corners missing: each a small grid of its own."""
    held_out: tuple[Grid, ...] = ()
    """Runs that are hidden from every fit, to be predicted."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """What all models have in common."""
    objective: str = "causal"
    """What training minimises: a name of sweeps.objectives.registry."""
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    """What of a block the objective asks for."""
    data: DataConfig = field(default_factory=TextData)
    """What to train on."""
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    """The training rules."""
    schedule: str | None = None
    """`linear` or `wsd`, in place of the recipe's. With `wsd`, horizons of one shape within the
    recipe's `max_trunk_span` share a trunk and are trained as its decay branches."""
    health: HealthConfig = field(default_factory=HealthConfig)
    """How the training itself is checked."""
    probes: ProbesConfig = field(default_factory=ProbesConfig)
    """What is asked of each model besides its loss."""
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    """Where it runs."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """What it may cost."""
    exclude: tuple[Exclusion, ...] = ()
    """Runs of the plan that are left out, with the reason."""

    def __post_init__(self) -> None:
        """Refuse what can be refused without reading the text."""
        checked_name(self.name, "name")
        if self.schedule is not None:
            self.check_choice("schedule")
            if self.recipe.overrides.get("schedule", self.schedule) != self.schedule:
                raise ConfigError(
                    f'schedule is "{self.schedule}" and recipe.overrides.schedule is '
                    f'"{self.recipe.overrides["schedule"]}"; drop one of the two'
                )
        self._check_grids()
        self._check_between_parts()
        recipe_of(self)

    def of_runs(self, grid: Grid, data: DataConfig | None = None) -> "SweepConfig":
        """What decides each of these runs, and nothing of the config that is about its other runs,
        about where they are trained, or about data other than the given."""
        return SweepConfig(
            name=self.name,
            grid=grid,
            model=self.model,
            objective=self.objective,
            targets=self.targets,
            data=self.data if data is None else data,
            recipe=self.recipe,
            schedule=self.schedule,
        )

    def _check_between_parts(self) -> None:
        """Refuse what one part of the config leaves another without a use for."""
        can = self.data.objectives
        if can and self.objective not in can:
            raise ConfigError(
                f'objective is "{self.objective}"; data.source {self.data.source} is for '
                f"{' or '.join(can)}"
            )
        if not self.held_out:
            self.launch.policy.check_unused(
                "orders held-out runs, and there are none; leave it out, or list some in held_out",
                "held_out_first",
            )
        if "tied_logit_factor" in self.recipe.overrides and not self.model.tied_head:
            raise ConfigError(
                "recipe.overrides.tied_logit_factor is not used by a head of its own; drop it, or "
                "set model.tied_head"
            )
        checks = [n for n in ("check_learning_rate", "check_recipe") if getattr(self.health, n)]
        if checks and self.launch.resources.strategy == "fsdp":
            raise ConfigError(
                f"health.{checks[0]} trains on one device, and launch.resources.strategy "
                "fsdp shares the model among several; drop one of the two"
            )
        blocks = [*self.cells, *self.held_out]
        for name in ("depth", "encoder_depth", "seed"):
            own = not self.grid.width and all(getattr(block, name) for block in blocks)
            if own and getattr(self.grid, name):
                raise ConfigError(
                    f"grid.{name} is not used: each of cells and held_out gives its own; drop it"
                )

    def _check_grids(self) -> None:
        if not self.grid.width and not self.cells:
            raise ConfigError("the grid is empty; give grid.width and a horizon, or list cells")
        blocks = [("grid", self.grid)] if self.grid.width or self.grid.horizons else []
        blocks += [(f"cells[{index}]", block) for index, block in enumerate(self.cells)]
        blocks += [(f"held_out[{index}]", block) for index, block in enumerate(self.held_out)]
        if (runs := sum(block.runs for _, block in blocks)) > MOST_RUNS:
            held = counted(runs, "run")
            raise ConfigError(f"the grid holds {held}; a sweep has at most {MOST_RUNS:,}")
        for label, block in blocks:
            if not block.width:
                raise ConfigError(f"{label} has no width; give at least one")
            if len(block.horizons) != 1:
                given = " and ".join(block.horizons) or "none"
                raise ConfigError(
                    f"{label} needs exactly one of tokens, tokens_per_param, flops; given: {given}"
                )


def recipe_of(config: SweepConfig) -> Recipe:
    """The recipe of a sweep: the one that it names, with its overrides and its schedule."""
    overrides = dict(config.recipe.overrides)
    if config.schedule is not None:
        overrides["schedule"] = config.schedule
    return find_recipe(config.recipe.name, overrides)
