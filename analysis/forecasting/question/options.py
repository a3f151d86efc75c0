"""How a forecast is made: one value from the command line down to the draws.

Every question that is answered by a forecast (`forecast`, `allocate`, `budget_for_loss`,
`backtest`, `check_held_out`, the report) takes the same ``options=ForecastOptions(...)``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.fitting.problem import check_fixed
from analysis.intervals import LEVEL
from scaling.answerable import BACKTESTS
from scaling.errors import ForecastError
from scaling.laws.base import Law
from scaling.laws.of_other_inputs.mixtures import mixture_of
from scaling.laws.registry import LAWS, law_named
from scaling.laws.written.formula import require_own_column

AUTO = "auto"
#: columns of which forecasts are asked without more being said
USUAL = ("params", "tokens", "train_flops")
FEWEST_DRAWS, MOST_DRAWS = 100, 100_000


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """How forecasts are made, whatever is asked of them. Raises ForecastError where it cannot be.

    ``replace`` of dataclasses changes one field and checks all again.
    """

    law: str | type[Law] | tuple[type[Law], ...] = AUTO
    """"auto" for all candidates, weighted by their backtests; or one law, or its name; or several
    laws, which are weighted in the place of the candidates."""
    fix: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Constants of that one law that are held at a value, such as a known irreducible loss."""
    x: str | None = None
    """The one input column to forecast along; None lets the question decide (compute, or size
    and tokens)."""
    confidence_levels: tuple[float, ...] = (LEVEL,)
    """Shares at which intervals are given, each once; 90% alone unless others are asked for, as on
    the command line. Backtests are scored at 50, 80, 90 and 95% besides."""
    draws: int = 2000
    """Of a new run's loss, from which intervals are read."""
    seed: int = 0
    """Of every random draw: equal seeds give equal forecasts."""
    backtests: int = BACKTESTS
    """How many times at most the largest runs are hidden in turn to learn weights and widths."""
    certificate: bool = False
    """Whether to say besides, of each target, what the runs alone allow, whatever the law: the
    losses of all sums of falling powers within the runs' error bands."""

    def __post_init__(self) -> None:
        if isinstance(self.law, str) and self.law not in (AUTO, *LAWS) and not mixture_of(self.law):
            raise ForecastError(f'no law "{self.law}"; choose {AUTO} or one of: {", ".join(LAWS)}')
        if self.fix and self.one_law is None:
            name, value = next(iter(self.fix.items()))
            raise ForecastError(
                f"--fix {name}={value:g} holds a constant of one law; name it with --law"
            )
        if self.one_law is not None:
            check_fixed(self.one_law, self.fix)
        for law in self.laws:
            if len(law.inputs) == 1 and not self.reads_other_columns:
                require_own_column(law, self.x)
        if self.draws < FEWEST_DRAWS:
            raise ForecastError(
                f"{self.draws} draws cannot show the tails; take {FEWEST_DRAWS} or more"
            )
        if self.draws > MOST_DRAWS:
            raise ForecastError(f"{self.draws:,} draws; at most {MOST_DRAWS:,}")
        if self.seed < 0 or self.backtests < 0:
            name = "seed" if self.seed < 0 else "backtests"
            raise ForecastError(f"{name} is {getattr(self, name)}; give a whole number from 0")
        levels = tuple(dict.fromkeys(float(level) for level in self.confidence_levels))
        for level in levels:
            self._check_level(level)
        object.__setattr__(self, "confidence_levels", levels)

    def _check_level(self, level: float) -> None:
        """Refuse what is no share, and a level whose tails so many draws never reach: its interval
        would be that of a lower level under a higher name."""
        if not 0 < level < 1:
            raise ForecastError(f"confidence level {level:g}: give a share between 0 and 1")
        needed = math.ceil(round(1 / (1 - level), 6))  # one draw in the two tails
        if needed > self.draws:
            raise ForecastError(
                f"confidence level {level:.10g} needs {needed} draws or more (here {self.draws}); "
                "take more draws or a lower level"
            )

    def require_floor_below(self, lowest_loss: float, source: str) -> None:
        """Raise ForecastError where a floor is held that these losses lie below, or at."""
        name = (self.one_law.floor if self.one_law else None) or ""
        floor = self.fix.get(name)
        if floor is not None and floor >= lowest_loss:
            raise ForecastError(
                f"{source}: --fix {name}={floor:g} is not below the lowest loss "
                f"{lowest_loss:.4g}; a floor lies below it: fix it lower or leave it free"
            )

    @property
    def laws(self) -> tuple[type[Law], ...]:
        """The laws that are to answer; none for all candidates."""
        if isinstance(self.law, str):
            return () if self.law == AUTO else (law_named(self.law),)
        return self.law if isinstance(self.law, tuple) else (self.law,)

    @property
    def one_law(self) -> type[Law] | None:
        """The law that is to answer alone; None for several, or all candidates."""
        return self.laws[0] if len(self.laws) == 1 else None

    @property
    def reads_other_columns(self) -> bool:
        """Whether a law reads several columns of which one is none that forecasts are asked of:
        such laws answer at points that have them all, and along any of them in backtests."""
        return any(len(law.inputs) > 1 and not set(law.inputs) <= {*USUAL} for law in self.laws)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that the laws read."""
        return tuple(dict.fromkeys(name for law in self.laws for name in law.inputs))

    @property
    def law_name(self) -> str:
        """The name of that law, or of each; or "auto"."""
        if isinstance(self.law, str):
            return self.law
        return ", ".join(law.name for law in self.laws)


#: What every question takes where its caller says nothing.
DEFAULT = ForecastOptions()
