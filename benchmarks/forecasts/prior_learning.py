"""What ladders have in common, as priors of the laws: searched for by what forecasts are worth.

    python -m benchmarks.forecasts.population --learn-priors [--published FOLDER]

The priors of floor, exponents, coupling and bend (`analysis.forecasting.constants.priors`) are
moved in steps from where they were set by hand towards the lowest objective of
`benchmarks.forecasts.population_learning`: proper scores over published studies, each as much as
another, and simulated ladders beside them. Each setting asks for new fits; they start from those of
the priors by hand, and the settings of a round are one batch. The constants of the width are
learned anew after each round.

The search is repeated without each study, whose splits are then forecast by what the others say,
from fits of their own: that table is what to believe. Nothing is written.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import gammaln

from analysis.forecasting.constants.calibration import SURFACE, Calibration
from analysis.forecasting.constants.priors import (
    BEND,
    COUPLING,
    EXPONENT,
    EXPONENT_RATIO,
    FLOOR,
)
from analysis.forecasting.ladder import FRONTIER_SCALE, Ladder
from analysis.forecasting.members.candidates import Candidate
from analysis.forecasting.members.map_fit import SMALLEST_SCALE
from analysis.forecasting.weighing.ensemble import (
    NEAREST,
    SMALLEST_SLOPE,
    Ensemble,
    MemberFit,
    Said,
)
from analysis.forecasting.weighing.noise import run_noise
from analysis.forecasting.weighing.rolling_origin import likeness
from benchmarks.forecasts.forecast_skill import Split
from benchmarks.forecasts.population_learning import (
    SIMULATED,
    SIMULATED_WORTH,
    Case,
    Constants,
    Stated,
    case_of,
    learn,
    objective,
    scores_of,
    simulated_cases,
)
from scaling.arrays import DECADE, FloatArray

GAUSSIAN, HEAVY = 1e6, 3.0  # degrees of freedom of a prior
ROUNDS = 4
STEPS = 14  # of Levenberg and Marquardt, twice
PULL = 0.004  # what a step away from where the priors were set costs in mean log score
LEAST = 2e-4  # a gain in it that counts


@dataclass(frozen=True, order=True)
class Setting:
    """Priors as steps (whole numbers) from those set by hand."""

    steps: tuple[int, ...]

    @property
    def values(self) -> dict[str, float]:
        """The means, the standard deviations and the tail by name."""
        named = zip(COORDINATES.items(), self.steps, strict=True)
        return {name: base + k * step for (name, (base, step)), k in named}

    @property
    def priors(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of each parameter that is learned."""
        v = self.values
        return {
            "floor": (v["floor mean"], float(np.exp(v["floor sd"]))),
            "mu": (v["exponent mean"], float(np.exp(v["exponent sd"]))),
            "d": (EXPONENT_RATIO[0], float(np.exp(v["ratio sd"]))),
            "kappa": (v["coupling mean"], float(np.exp(v["coupling sd"]))),
            "bend": (v["bend mean"], float(np.exp(v["bend sd"]))),
        }

    def of(self, candidate: Candidate) -> Candidate:
        """The candidate with these priors of its parameters."""
        own, named = self.priors, zip(candidate.form.parameters, candidate.priors, strict=True)
        return replace(candidate, priors=tuple(own.get(name, prior) for name, prior in named))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the priors."""
        return HEAVY if self.values["tail"] > 0 else GAUSSIAN

    @property
    def away(self) -> float:
        """Squared steps from what was set by hand."""
        return float(np.sum(np.square(self.steps)))

    def moved(self, steps: Mapping[int, int]) -> "Setting":
        """With these coordinates (by place) so many steps further."""
        return Setting(tuple(k + steps.get(i, 0) for i, k in enumerate(self.steps)))

    def neighbours(self) -> list["Setting"]:
        """One step along each coordinate, either way."""
        last = len(self.steps) - 1
        moves = itertools.product(range(len(self.steps)), (-1, 1))
        found = [self.moved({place: sign}) for place, sign in moves]
        return [one for one in found if one.steps[last] in (0, 1)]


#: Where each stands and what one step of it is; standard deviations as logs.
COORDINATES: Mapping[str, tuple[float, float]] = {
    "floor mean": (FLOOR[0], 0.15),
    "floor sd": (float(np.log(FLOOR[1])), 0.5),
    "exponent mean": (EXPONENT[0], 0.08),
    "exponent sd": (float(np.log(EXPONENT[1])), 0.4),
    "ratio sd": (float(np.log(EXPONENT_RATIO[1])), 0.5),
    "coupling mean": (COUPLING[0], 0.12),
    "coupling sd": (float(np.log(COUPLING[1])), 0.5),
    "bend mean": (BEND[0], 0.015),
    "bend sd": (float(np.log(BEND[1])), 0.5),
    "tail": (0.0, 1.0),
}
BY_HAND = Setting((0,) * len(COORDINATES))


@dataclass(frozen=True, kw_only=True)
class Refits:
    """The members of an ensemble fitted under each of several settings."""

    ensemble: Ensemble
    theta: tuple[FloatArray, ...]  # of each member (settings, p)
    covariance: tuple[FloatArray, ...]  # (settings, p, p)
    first_weights: FloatArray  # (settings, members)
    slope: FloatArray  # (settings,)
    residual_scale: FloatArray  # (settings,)
    scale: FloatArray  # (settings,) of a new run

    @classmethod
    def of(cls, ensemble: Ensemble, settings: Sequence[Setting]) -> "Refits":
        """From the fits that the ensemble has."""
        ladder = ensemble.ladder
        found = [_refit(member, ladder, settings) for member in ensemble.members]
        theta, covariance, evidence = zip(*found, strict=True)
        logs = SURFACE.evidence * np.column_stack(evidence)
        weights = ensemble.given_weights * np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        values = _values(ensemble, theta, ladder.log_inputs)
        residuals = ladder.log_loss - np.sum(weights[:, None, :] * values, axis=2)
        noises = [run_noise(ladder, row, SURFACE) for row in residuals]
        first, here = ensemble.members[0], ladder.log_inputs[ladder.top(6)]
        at = np.concatenate([here, here + DECADE / 2]) - first.centre
        falls = np.split(first.form.values(theta[0], at), 2, axis=1)
        return cls(
            ensemble=ensemble,
            theta=theta,
            covariance=covariance,
            first_weights=weights,
            slope=np.maximum((falls[0] - falls[1]).mean(axis=1), SMALLEST_SLOPE),
            residual_scale=np.array([noise.residual_scale for noise in noises]),
            scale=np.array([noise.scale for noise in noises]),
        )

    def values(self, log_inputs: FloatArray) -> FloatArray:
        """Log loss (settings, points, members)."""
        return _values(self.ensemble, self.theta, log_inputs)

    def said(
        self, log_inputs: FloatArray, log_compute: FloatArray, weights: FloatArray
    ) -> list[Said]:
        """As `weighing.ensemble.said`, one for each setting; ``weights`` (settings, targets,
        members)."""
        ladder = self.ensemble.ladder
        distance = np.maximum(ladder.distance(log_inputs, log_compute), NEAREST)
        nearer = log_inputs - (distance * DECADE / 2)[:, None]
        values, variances = self.values(log_inputs), self._variances(log_inputs)
        centre = np.sum(weights * values, axis=2)
        parameters = np.sum(weights * variances, axis=2)
        laws = np.sum(weights * (values - centre[..., None]) ** 2, axis=2)
        fall = np.sum(weights * self.values(nearer), axis=2) - centre
        return [
            Said(
                centre=centre[i],
                parameters=parameters[i],
                laws=laws[i],
                tuning=np.zeros(len(log_inputs)),
                fall=fall[i],
                drop=distance * self.slope[i],
                slope=float(self.slope[i]),
                roughness=float(self.residual_scale[i] / self.slope[i]),
            )
            for i in range(len(self.slope))
        ]

    def _variances(self, log_inputs: FloatArray) -> FloatArray:
        found = []
        for member, theta, covariance in zip(
            self.ensemble.members, self.theta, self.covariance, strict=True
        ):
            _, jacobian = member.form.evaluate(theta, log_inputs - member.centre)
            found.append(np.einsum("bmp,bpq,bmq->bm", jacobian, covariance, jacobian))
        return np.stack(found, axis=2)

    def noise_factor(self, log_inputs: FloatArray) -> FloatArray:
        """As `weighing.ensemble.noise_factor` (settings, targets)."""
        first, theta = self.ensemble.members[0], self.theta[0]
        x = log_inputs - first.centre
        total = x.sum(axis=1)
        size = first.form.best_split(theta, total)
        best = np.stack([size, total - size], axis=-1)
        excess = first.form.values(theta, x) - first.form.values(theta, best)
        return np.asarray(np.sqrt(1 + (np.maximum(excess, 0.0) / FRONTIER_SCALE) ** 2))


def _values(ensemble: Ensemble, theta: Sequence[FloatArray], log_inputs: FloatArray) -> FloatArray:
    members = zip(ensemble.members, theta, strict=True)
    found = [m.form.values(t, log_inputs - m.centre) + m.lowest for m, t in members]
    return np.stack(found, axis=2)


def _refit(
    member: MemberFit, ladder: Ladder, settings: Sequence[Setting]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Parameters, covariances and log evidence of one law under each setting."""
    form, candidate = member.form, member.candidate
    named = [setting.priors for setting in settings]
    given = [
        [
            own.get(name, prior)
            for name, prior in zip(form.parameters, candidate.priors, strict=True)
        ]
        for own in named
    ]
    mean, sd = np.moveaxis(np.array(given), 2, 0)
    freedom = np.array([setting.freedom for setting in settings])[:, None]
    x, y = ladder.log_inputs - member.centre, ladder.log_loss - member.lowest
    posed = _Posed(
        evaluate=lambda theta: form.evaluate(theta, x),
        y=y,
        weights=ladder.weights(candidate.eta),
        mean=mean,
        sd=sd,
        freedom=freedom,
    )
    start = np.tile(member.solution.theta, (len(settings), 1))
    return posed.solve(start, np.full((len(settings), 1), member.solution.scale))


@dataclass(frozen=True, kw_only=True)
class _Posed:
    """A form on runs, under priors that differ by row; Student's t with `freedom`."""

    evaluate: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    y: FloatArray
    weights: FloatArray
    mean: FloatArray  # (rows, p)
    sd: FloatArray
    freedom: FloatArray  # (rows, 1)

    def solve(
        self, theta: FloatArray, scale: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        theta = self._descend(theta, scale)
        scale = self._scale(theta)
        theta = self._descend(theta, scale)
        value, jacobian = self.evaluate(theta)
        residuals = self.y - value
        matrix, _ = self._normal(theta, residuals, jacobian, scale)
        covariance = np.linalg.inv(matrix)
        v = self.freedom[:, 0]
        tail = gammaln((v + 1) / 2) - gammaln(v / 2) - 0.5 * np.log(v / 2)
        evidence = (
            -self._objective(theta, residuals, scale)
            - self.weights.sum() * np.log(scale[:, 0])
            + 0.5 * np.linalg.slogdet(covariance)[1]
            - np.log(self.sd).sum(axis=1)
            + theta.shape[1] * tail
        )
        return theta, covariance, evidence

    def _descend(self, theta: FloatArray, scale: FloatArray) -> FloatArray:
        value, jacobian = self.evaluate(theta)
        residuals = self.y - value
        lowest = self._objective(theta, residuals, scale)
        damping = np.full(len(theta), 1e-3)
        eye = np.eye(theta.shape[1])
        for _ in range(STEPS):
            matrix, gradient = self._normal(theta, residuals, jacobian, scale)
            diagonal = np.einsum("bii->bi", matrix) + 1e-9
            damped = matrix + (damping[:, None] * diagonal)[..., None] * eye
            step = np.clip(np.linalg.solve(damped, gradient[..., None])[..., 0], -2, 2)
            value, slopes = self.evaluate(theta + step)
            found = self._objective(theta + step, self.y - value, scale)
            better = found < lowest
            gain = float(np.max(np.where(better, lowest - found, 0.0)))
            theta = np.where(better[:, None], theta + step, theta)
            residuals = np.where(better[:, None], self.y - value, residuals)
            jacobian = np.where(better[:, None, None], slopes, jacobian)
            lowest = np.where(better, found, lowest)
            damping = np.where(better, damping / 5, damping * 8)
            if gain < 1e-4 and better.any():
                break
        return theta

    def _objective(self, theta: FloatArray, residuals: FloatArray, scale: FloatArray) -> FloatArray:
        size = np.abs(residuals) / scale
        within = np.minimum(size, 1.0)
        pull = (theta - self.mean) / self.sd
        penalty = (self.freedom + 1) / 2 * np.log1p(pull**2 / self.freedom)
        total = (within * (size - 0.5 * within)) @ self.weights + penalty.sum(axis=1)
        return np.asarray(np.where(np.isfinite(total), total, np.inf))

    def _normal(
        self, theta: FloatArray, residuals: FloatArray, jacobian: FloatArray, scale: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        pull = (theta - self.mean) / self.sd
        precision = (self.freedom + 1) / (self.freedom + pull**2) / self.sd**2
        weights = (self.weights / scale**2) / np.maximum(1.0, np.abs(residuals) / scale)
        weighted = (jacobian * weights[..., None]).transpose(0, 2, 1)
        matrix = weighted @ jacobian + precision[..., None] * np.eye(theta.shape[1])
        gradient = (weighted @ residuals[..., None])[..., 0] - precision * (theta - self.mean)
        return matrix, gradient

    def _scale(self, theta: FloatArray) -> FloatArray:
        """As `map_fit.robust_scale`, by row."""
        residuals, n = self.y - self.evaluate(theta)[0], len(self.y)
        correction = float(np.sqrt(n / max(n - theta.shape[1], n / 4, 1)))
        middle = np.median(np.abs(residuals), axis=1, keepdims=True)
        clipped = np.clip(residuals, -3 * middle, 3 * middle)
        rms = np.sqrt(np.mean(clipped**2, axis=1, keepdims=True))
        wide = np.maximum(1.4826 * middle * correction, 0.5 * rms * correction)
        return np.asarray(np.maximum(wide, SMALLEST_SCALE))


@dataclass(frozen=True, kw_only=True)
class Refitted:
    """A case under one setting: what `population_learning.objective` reads of it."""

    study: str
    distance: str
    stated: Stated

    def scores(self, calibration: Calibration) -> tuple[float, float]:
        """As `Case.scores`."""
        return scores_of(self.stated, calibration)


def refitted(case: Case, settings: Sequence[Setting]) -> list[Refitted]:
    """The case under each setting."""
    whole = Refits.of(case.forecaster.ensemble, settings)
    targets, ladder = len(case.measured), case.forecaster.ladder
    away = np.maximum(ladder.distance(case.log_inputs, case.log_compute), NEAREST)
    evidence = np.zeros(targets)
    squared = np.zeros((len(settings), targets, whole.first_weights.shape[1]))
    origins, alikes = [], []
    for origin in case.forecaster.backtests:
        hidden = origin.hidden
        fits = Refits.of(origin.ensemble, settings)
        errors = fits.values(hidden.log_inputs) - hidden.log_loss[:, None]
        alike = likeness(origin.distance, away)
        worth, share = alike.max(axis=1), alike / alike.sum(axis=1, keepdims=True)
        evidence += worth
        squared += worth[:, None] * (share @ errors**2)
        weights = np.broadcast_to(fits.first_weights[:, None, :], errors.shape)
        noise = SURFACE.noise * fits.noise_factor(hidden.log_inputs)
        origins.append(
            (
                fits.said(hidden.log_inputs, hidden.log_compute, weights),
                noise * fits.residual_scale[:, None],
                hidden.log_loss,
            )
        )
        alikes.append(alike)
    weights = np.broadcast_to(whole.first_weights[:, None, :], squared.shape)
    if origins:
        skill = weights / (squared / evidence[:, None] + (whole.residual_scale**2)[:, None, None])
        trust = (evidence / (evidence + 2))[:, None]
        weights = (1 - trust) * weights + trust * skill / skill.sum(axis=2, keepdims=True)
    said = whole.said(case.log_inputs, case.log_compute, weights)
    noise = SURFACE.noise * whole.noise_factor(case.log_inputs) * whole.scale[:, None]
    return [
        Refitted(
            study=case.study,
            distance=case.distance,
            stated=Stated(
                measured=case.measured,
                said=said[i],
                noise=noise[i],
                alike=tuple(alikes),
                origins=tuple((of[i], by[i], loss) for of, by, loss in origins),
            ),
        )
        for i in range(len(settings))
    ]


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
