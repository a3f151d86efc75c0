"""A recipe's constants for one text, tokenizer and family, from arms on some rungs of its ladder.

The surface that the rungs have in common (`analysis.tuning.response`) says where the expected loss
is lowest; surfaces as likely say how well that place is known. Another rung, which was not used,
judges it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from pandas import DataFrame

from analysis.display import DrawnResult
from analysis.tuning.response import Surface, common_surface
from scaling.arrays import FloatArray
from scaling.limits import Limit, LimitCode
from scaling.recipe_arms import CALLED, STEPS, Arm, Factors

FAR_BEYOND = 4.0  # times the FLOP of the rung that judged: no further was a gain borne out
_DRAWS, _LEVEL = 400, 0.9


@dataclass(frozen=True, kw_only=True)
class TunedConstant:
    """One constant: its best value over the recipe's, with a 90% interval, and what it is worth."""

    name: str
    factor: float
    low: float
    high: float
    tried_from: float
    tried_to: float
    worth: float
    """Expected loss with this one left at the recipe's value and the others tuned, relative to that
    with all tuned."""
    curve: tuple[tuple[float, float, float], ...]
    """(factor, loss over the tuned recipe's, its standard error), the others tuned; relative."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The tuned recipe on a rung that was not used."""

    rung: str
    gap: float
    """Loss of the untuned recipe over the tuned one's, relative; below zero: tuning did harm."""
    stderr: float
    seeds: int


@dataclass(frozen=True, kw_only=True, repr=False)
class TunedRecipe(DrawnResult):
    """The constants that were found, and what they are worth."""

    constants: tuple[TunedConstant, ...]
    gain: float
    """Expected loss of the recipe over that of the tuned one on the rungs used, relative."""
    gain_stderr: float
    noise: float
    """Of one run, relative to its loss."""
    rungs: tuple[str, ...]
    arms: int
    seeds: int
    judgement: Judgement | None = None
    not_varied: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def best(self) -> Factors:
        """The tuned constants over the recipe's."""
        return Factors(**{one.name: one.factor for one in self.constants})

    def to_frame(self) -> DataFrame:
        """One row a constant."""
        return DataFrame([asdict(one) for one in self.constants]).drop(columns="curve")


def best_found(checks: Sequence[Sequence[Arm]]) -> Factors:
    """Where the surface that rungs have in common is lowest: the centre of the next round."""
    return _rounded(common_surface(checks))


def tuned_recipe(
    checks: Sequence[Sequence[Arm]],
    *,
    rungs: Sequence[str],
    judged: tuple[str, Sequence[Arm]] | None = None,
    not_varied: Sequence[str] = (),
    largest_over_judged: float = 1.0,
    seed: int = 0,
) -> TunedRecipe:
    """The constants that arms of some rungs find, with 90% intervals.

    ``judged`` is a rung that was not used: the untuned and the tuned recipe on it;
    ``largest_over_judged`` says how many times its FLOP the sweep's largest run takes. Raises
    FitError where a rung lacks the recipe itself or two other arms.
    """
    surface = common_surface(checks)
    best = _rounded(surface)
    z = np.array(best.steps)
    draws = surface.draws(_DRAWS, seed)
    tails = 50 * (1 - _LEVEL)
    low, high = np.percentile(draws, (tails, 100 - tails), axis=0)
    own = np.zeros_like(z)
    gain = float(np.expm1(surface.at(own)[0] - surface.at(z)[0]))
    constants = tuple(
        _constant(surface, place, z, float(low[place]), float(high[place]))
        for place in range(len(STEPS))
    )
    judgement = None if judged is None else _judgement(*judged, surface.noise)
    return TunedRecipe(
        constants=constants,
        gain=gain,
        gain_stderr=float(surface.stderr(z)[0]),
        noise=surface.noise,
        rungs=tuple(rungs),
        arms=sum(len(arms) for arms in checks),
        seeds=max(len(arm.losses) for arms in checks for arm in arms),
        judgement=judgement,
        not_varied=tuple(not_varied),
        limits=_limits(constants, judgement, largest_over_judged),
    )


def _rounded(surface: Surface) -> Factors:
    """The best place to the digits that mean something, so that a rerun plans the same runs."""
    best = Factors.at(surface.best)
    return Factors(**{name: float(f"{getattr(best, name):.3g}") for name in STEPS})


def _constant(
    surface: Surface, place: int, best: FloatArray, low: float, high: float
) -> TunedConstant:
    name, step = [*STEPS.items()][place]
    ends = surface.low[place], surface.high[place]
    points = np.repeat(best[None], 25, axis=0)
    points[:, place] = np.linspace(*ends, 25)
    over = np.expm1(surface.at(points) - surface.at(best))
    error = surface.stderr_between(points, best)
    untuned = best.copy()
    untuned[place] = 0.0
    return TunedConstant(
        name=name,
        factor=float(step ** best[place]),
        low=float(step**low),
        high=float(step**high),
        tried_from=float(step ** ends[0]),
        tried_to=float(step ** ends[1]),
        worth=float(np.expm1(surface.at(untuned)[0] - surface.at(best)[0])),
        curve=tuple(
            (float(step**z), float(loss), float(wide))
            for z, loss, wide in zip(points[:, place], over, error, strict=True)
        ),
    )


def _judgement(rung: str, arms: Sequence[Arm], noise: float) -> Judgement | None:
    own = [arm for arm in arms if not any(np.abs(arm.factors.steps) > 1e-9)]
    tuned = [arm for arm in arms if arm not in own]
    if not own or not tuned:
        return None
    ratio = np.log(own[0].losses) - np.log(tuned[0].losses)
    ratio = ratio[np.isfinite(ratio)]
    if not len(ratio):
        return None
    return Judgement(
        rung=rung,
        gap=float(np.expm1(ratio.mean())),
        stderr=float(noise * np.sqrt(2 / len(ratio))),
        seeds=len(ratio),
    )


def _limits(
    constants: Sequence[TunedConstant], judgement: Judgement | None, largest_over_judged: float
) -> tuple[Limit, ...]:
    limits = []
    ends = [
        CALLED[one.name]
        for one in constants
        if min(one.factor / one.tried_from, one.tried_to / one.factor) < 1.01
    ]
    if ends:
        text = (
            f"the best {' and '.join(ends)} lies at the end of what was tried: tune again from the "
            "recipe that this one wrote"
        )
        limits.append(Limit(LimitCode.TUNING_AT_EDGE, text))
    if judgement is None:
        text = "no rung was kept to judge the tuned recipe: its gain is what its own arms say"
        limits.append(Limit(LimitCode.NOT_JUDGED, text))
    elif judgement.gap < -judgement.stderr:
        text = (
            f"on {judgement.rung}, which was not used, the tuned recipe is worse than the untuned"
        )
        limits.append(Limit(LimitCode.NOT_JUDGED, text))
    elif largest_over_judged > FAR_BEYOND:
        text = (
            f"the largest run of the sweep takes {largest_over_judged:.2g} times the FLOP of "
            f"{judgement.rung}, which judged: what suits small runs may harm it; train it with "
            "both recipes before you rely on one"
        )
        limits.append(Limit(LimitCode.NOT_JUDGED, text))
    return tuple(limits)
