"""A recipe's constants for one text, tokenizer and family, from arms on some rungs of its ladder.

The surface that the rungs have in common (`analysis.tuning.response`) says where the expected loss
is lowest; surfaces as likely say how well that place is known. Another rung, which was not used,
judges it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from pandas import DataFrame

from analysis.display import DrawnResult
from analysis.tuning.response import Surface, common_surface, lowest
from scaling.arrays import FloatArray
from scaling.extra_columns.recipe_arms import CALLED, STEPS, Arm, Factors
from scaling.limits import Limit, LimitCode

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
    """Expected loss with this one left at the recipe's value and the others at their best, relative
    to that with all at their best."""
    worth_stderr: float
    is_kept: bool
    """Whether it was left at the recipe's value, since its worth is less than its standard error:
    what cannot be told on these rungs is not carried to others."""
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
    return _rounded(common_surface(checks).best)


def tuned_factors(checks: Sequence[Sequence[Arm]]) -> Factors:
    """The constants that are taken: nearer to the recipe's own, by what cannot be told."""
    return _taken(common_surface(checks))[0]


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
    taken, kept = _taken(surface)
    z = np.array(taken.steps)
    draws = surface.draws(_DRAWS, seed)
    tails = 50 * (1 - _LEVEL)
    low, high = np.percentile(draws, (tails, 100 - tails), axis=0)
    own = np.zeros_like(z)
    gain = float(np.expm1(surface.at(own)[0] - surface.at(z)[0]))
    constants = tuple(
        _constant(surface, place, z, float(low[place]), float(high[place]), bool(kept[place]))
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
        limits=_limits(_at_an_end(surface), judgement, largest_over_judged) if any(z) else _NONE,
    )


def _taken(surface: Surface) -> tuple[Factors, npt.NDArray[np.bool_]]:
    """The constants that are taken, and (constants,) which of them stay as the recipe has them.

    Of recipes whose expected loss is within a standard error of the lowest, the one nearest to the
    recipe as it is, in steps (the rule of one standard error, Breiman et al. 1984): what is not
    told to be better on these rungs is not carried to others.
    """
    best = surface.best
    worths = [_worth(surface, place, best) for place in range(len(best))]
    kept = np.array([worth <= stderr for worth, stderr in worths])
    low, high = (np.where(kept, 0.0, end) for end in (surface.low, surface.high))
    nearest = lowest(surface.mean, low, high)
    for pull in np.geomspace(1e-4, 1.0, 40):  # ln loss a squared step
        z = lowest(_pulled(surface.mean, float(pull)), low, high)
        if surface.at(z)[0] - surface.at(best)[0] > surface.stderr_between(z, best)[0]:
            break
        nearest = z
    return _rounded(nearest), kept


def _pulled(coefficients: FloatArray, pull: float) -> FloatArray:
    """A surface on which every constant is drawn to the recipe's value."""
    pulled = coefficients.copy()
    pulled[len(STEPS) : 2 * len(STEPS)] += pull
    return pulled


def _worth(surface: Surface, place: int, best: FloatArray) -> tuple[float, float]:
    """What leaving one constant at the recipe's value costs, with its standard error; relative."""
    untuned = best.copy()
    untuned[place] = 0.0
    worth = float(np.expm1(surface.at(untuned)[0] - surface.at(best)[0]))
    return worth, float(surface.stderr_between(untuned, best)[0])


def _rounded(place: FloatArray) -> Factors:
    """A place to the digits that mean something, so that a rerun plans the same runs."""
    best = Factors.at(place)
    return Factors(**{name: float(f"{getattr(best, name):.3g}") for name in STEPS})


def _constant(
    surface: Surface, place: int, taken: FloatArray, low: float, high: float, is_kept: bool
) -> TunedConstant:
    name, step = [*STEPS.items()][place]
    ends = surface.low[place], surface.high[place]
    points = np.repeat(taken[None], 25, axis=0)
    points[:, place] = np.linspace(*ends, 25)
    over = np.expm1(surface.at(points) - surface.at(taken))
    error = surface.stderr_between(points, taken)
    worth, worth_stderr = _worth(surface, place, surface.best)
    return TunedConstant(
        name=name,
        factor=float(step ** taken[place]),
        low=float(step**low),
        high=float(step**high),
        tried_from=float(step ** ends[0]),
        tried_to=float(step ** ends[1]),
        worth=worth,
        worth_stderr=worth_stderr,
        is_kept=is_kept,
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


#: Where nothing is taken, there is nothing to judge.
_NONE = (
    Limit(
        LimitCode.NOT_JUDGED,
        "no constant is worth more than its standard error: the recipe stays as it was",
    ),
)


def _at_an_end(surface: Surface) -> list[str]:
    """What the constants are called whose best value lies at the end of what was tried."""
    best, tried = surface.best, surface.high > surface.low
    ends = np.minimum(np.abs(best - surface.low), np.abs(best - surface.high)) < 1e-6
    return [CALLED[name] for name, at_end in zip(STEPS, ends & tried, strict=True) if at_end]


def _limits(
    ends: Sequence[str], judgement: Judgement | None, largest_over_judged: float
) -> tuple[Limit, ...]:
    limits = []
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
