"""What ladders have in common, as priors of the laws: searched for by what forecasts are worth.

    python -m benchmarks.forecasts.population --learn-priors [--published FOLDER]

The priors of floor, exponents, coupling and bend (`analysis.forecasting.constants.priors`) are
moved in steps from where they were set by hand towards the lowest objective of
`benchmarks.forecasts.learning.constants`: proper scores over published studies, each as much as
another, and simulated ladders beside them. Each setting asks for new fits; they start from those of
the priors by hand, and the settings of a round are one batch. The constants of the width are
learned anew after each round.

The search is repeated without each study, whose splits are then forecast by what the others say,
from fits of their own: that table is what to believe. Nothing is written.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.forecasts.forecast_skill import Split
from benchmarks.forecasts.learning.constants import (
    SIMULATED,
    SIMULATED_WORTH,
    Case,
    Constants,
    case_of,
    learn,
    objective,
    simulated_cases,
)
from benchmarks.forecasts.learning.refits import Refitted, refitted
from benchmarks.forecasts.learning.settings import BY_HAND, Setting

ROUNDS = 4
PULL = 0.004  # what a step away from where the priors were set costs in mean log score
LEAST = 2e-4  # a gain in it that counts


@dataclass(kw_only=True)
class Search:
    """Settings that were tried on the same cases."""

    cases: Sequence[Case]
    known: dict[Setting, list[Refitted]] = field(default_factory=dict)

    def refit(self, settings: Iterable[Setting]) -> None:
        """Those that were not tried yet."""
        new = [one for one in dict.fromkeys(settings) if one not in self.known]
        if new:
            found = [refitted(case, new) for case in self.cases]
            self.known |= {one: [of[i] for of in found] for i, one in enumerate(new)}

    def kept(self, setting: Setting, without: str | None) -> list[Refitted]:
        """The cases under a setting, none of the study ``without`` among them."""
        return [case for case in self.known[setting] if case.study != without]

    def total(self, setting: Setting, without: str | None, constants: Constants) -> float:
        """The mean log score, and what the steps cost."""
        cases = self.kept(setting, without)
        published = len({case.distance for case in cases} - {SIMULATED})
        worth = SIMULATED_WORTH * max(published, 1)
        scored = objective(constants, cases, {SIMULATED: worth})
        return scored / (published + worth) + PULL * setting.away

    def step(self, setting: Setting, without: str | None, constants: Constants) -> Setting:
        """The best of the setting, its neighbours and their gains together."""
        self.refit([setting, *setting.neighbours()])
        now = self.total(setting, without, constants)
        gains: dict[int, tuple[float, int]] = {}
        for place, sign in itertools.product(range(len(setting.steps)), (-1, 1)):
            one = setting.moved({place: sign})
            if one in self.known:
                gain = now - self.total(one, without, constants)
                gains[place] = max(gains.get(place, (0.0, 0)), (gain, sign))
        order = sorted((p for p in gains if gains[p][0] > LEAST), key=lambda p: -gains[p][0])
        tried = [setting.moved({p: gains[p][1] for p in order[:k]}) for k in range(len(order) + 1)]
        self.refit(tried)
        return min(tried, key=lambda one: self.total(one, without, constants))

    def best(self, without: str | None = None) -> tuple[Setting, Constants]:
        """Where steps lead from the priors by hand, and the constants of the width there."""
        setting = BY_HAND
        self.refit([setting])
        constants = learn(self.kept(setting, without))
        for _ in range(ROUNDS):
            further = self.step(setting, without, constants)
            if further == setting:
                break
            setting, constants = further, learn(self.kept(further, without))
        return setting, constants


def learn_priors(splits: Iterable[tuple[str, str, Split]]) -> list[dict[str, object]]:
    """Print what is learned of all studies and without each; rows of every study by the others."""
    given = list(splits)
    search = Search(cases=[*(case_of(*one) for one in given), *simulated_cases()])
    rows: list[dict[str, object]] = []
    for without in (None, *dict.fromkeys(study for study, _, _ in given)):
        setting, constants = search.best(without)
        told = ", ".join(f"{name} {value:.3g}" for name, value in setting.values.items())
        print(f"{f'without {without}' if without else 'of all studies'}: {told}", flush=True)
        own = [case_of(*one, under=setting.of) for one in given if one[0] == without]
        rows += [case.row(constants.calibration) for case in own]
    return [row | {"method": "priors learned without its study"} for row in rows]
