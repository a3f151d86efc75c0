"""Several laws as one forecast: fit each, weigh them by their skill, and say how wide they stand.

Reading order: `fit_members`, `combine` (centre and variance for given weights), `origin_errors`
(hide the largest runs, predict them), `weigh` (weights and scale from the backtests).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.forecasting.constants.calibration import OTHER_SLOPES, USUAL_SLOPE, Calibration
from analysis.forecasting.ladder import FRONTIER_SCALE, Ladder
from analysis.forecasting.members.candidates import Candidate
from analysis.forecasting.members.form import Form
from analysis.forecasting.members.map_fit import Problem, Solution, solve_once
from analysis.forecasting.weighing.noise import RunNoise, run_noise
from scaling.arrays import DECADE, FloatArray
from scaling.errors import ForecastError

SMALLEST_SLOPE = 1e-4  # log loss a decade: a ladder that has gone flat
NEAREST = 0.02  # decades; a target inside the data is still this far from certainty


@dataclass(frozen=True, kw_only=True)
class MemberFit:
    """One candidate fitted to one ladder."""

    candidate: Candidate
    form: Form  # the candidate's, on this ladder
    centre: FloatArray  # (inputs,)
    lowest: float  # the lowest log loss, zero of the form's scale
    solution: Solution

    def log_loss(self, log_inputs: FloatArray) -> FloatArray:
        """Predicted log loss (points,)."""
        x = log_inputs - self.centre
        return np.asarray(self.form.values(self.solution.theta[None], x)[0] + self.lowest)

    def log_loss_and_variance(self, log_inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predicted log loss (points,) and its variance from the uncertain parameters."""
        x = log_inputs - self.centre
        value, jacobian = self.form.evaluate(self.solution.theta[None], x)
        gradient = jacobian[0]
        variance = np.einsum("mp,pq,mq->m", gradient, self.solution.covariance, gradient)
        return value[0] + self.lowest, variance


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """All candidates fitted to one ladder, and the fall in loss that sets the scale of errors."""

    ladder: Ladder
    members: tuple[MemberFit, ...]
    slope: float  # predicted fall in log loss over the next decade of compute
    noise: RunNoise
    calibration: Calibration
    as_measured: MemberFit | None  # the first law fitted with bad tuning left in the losses

    @property
    def roughness(self) -> float:
        """Scatter of the runs as a share of the fall over a decade: how well a slope can show."""
        return self.noise.residual_scale / self.slope

    def values(self, log_inputs: FloatArray) -> FloatArray:
        """Log loss that each law predicts (points, members)."""
        return np.column_stack([m.log_loss(log_inputs) for m in self.members])

    @property
    def given_weights(self) -> FloatArray:
        """Weights (members,) before any run is seen."""
        return _given_weights(self.members)

    @property
    def first_weights(self) -> FloatArray:
        """Weights (members,) before any backtest: what laws were given, and how well they fit."""
        return _first_weights(self.members, self.calibration.evidence)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the laws say at some targets, before any constant of a calibration; (targets,) each."""

    centre: FloatArray  # log loss
    parameters: FloatArray  # variance from uncertain constants
    laws: FloatArray  # variance between the laws
    tuning: FloatArray  # square of what was taken off for bad tuning
    fall: FloatArray  # predicted fall in log loss over as many decades of compute as it lies out
    drop: FloatArray  # those decades times the slope: falls do not grow so far out
    slope: float
    roughness: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Centre and variance of the log loss at some targets, part by part; all (targets,)."""

    centre: FloatArray
    drifted: FloatArray  # what of the centre the drift of ladders took off; no variance
    parameters: FloatArray
    laws: FloatArray
    drift: FloatArray
    misfit: FloatArray
    tuning: FloatArray

    @property
    def variance(self) -> FloatArray:
        """All parts together, before the scale learned from backtests."""
        return self.parameters + self.laws + self.drift + self.misfit + self.tuning


def fit_members(
    ladder: Ladder, candidates: Sequence[Candidate], calibration: Calibration
) -> Ensemble:
    """Every candidate fitted to the ladder."""
    members = tuple(_fit(ladder, candidate) for candidate in candidates)
    values = np.column_stack([m.log_loss(ladder.log_inputs) for m in members])
    residuals = ladder.log_loss - values @ _first_weights(members, calibration.evidence)
    return Ensemble(
        ladder=ladder,
        members=members,
        slope=max(_slope(ladder, members[0]), SMALLEST_SLOPE),
        noise=run_noise(ladder, residuals, calibration),
        calibration=calibration,
        as_measured=None if ladder.tuning is None else _fit(ladder.as_measured, candidates[0]),
    )


def _first_weights(members: Sequence[MemberFit], power: float) -> FloatArray:
    """Weights (members,) after the fit: what each law was given, times a power of its evidence.

    At power 1 this is Bayesian model averaging (Hoeting et al. 1999, Statistical Science 14). No
    law here is quite true, and then a power below 1 errs less (arXiv:2104.08324).
    """
    evidence = np.array([m.solution.log_evidence for m in members])
    weights = _given_weights(members) * np.exp(power * (evidence - evidence.max()))
    return np.asarray(weights / weights.sum())


def _given_weights(members: Sequence[MemberFit]) -> FloatArray:
    weights = np.array([m.candidate.first_weight for m in members])
    return np.asarray(weights / weights.sum())


def _fit(ladder: Ladder, candidate: Candidate) -> MemberFit:
    centre, lowest = ladder.centre, float(ladder.log_loss.min())
    form = candidate.form.on(centre, lowest)
    prior_mean, prior_sd = candidate.priors_at(lowest)
    problem = Problem(
        evaluate=form.evaluate,
        x=ladder.log_inputs - centre,
        y=ladder.log_loss - lowest,
        weights=ladder.weights(candidate.eta),
        prior_mean=prior_mean,
        prior_sd=prior_sd,
        cluster=ladder.cluster,
    )
    posed = (candidate.form, *centre, lowest)

    def starts() -> FloatArray:
        found = form.starts(problem.x, problem.y, problem.weights)
        if not len(found):
            raise ForecastError(
                f"no start of {candidate.law.name} leads to a finite fit; choose another"
            )
        return found

    solution = solve_once(problem, starts, posed)
    return MemberFit(
        candidate=candidate, form=form, centre=centre, lowest=lowest, solution=solution
    )


def _slope(ladder: Ladder, first: MemberFit) -> float:
    """Mean predicted fall in log loss over one more decade, at the sixth of runs furthest up.

    Of those less than a decade below the largest: further down losses fall faster, and a few small
    runs beside a large one would say that of the large one too.
    """
    near = ladder.log_compute > ladder.log_compute.max() - DECADE
    here = ladder.log_inputs[ladder.top(6) & near]
    further = here + DECADE / len(ladder.inputs)
    return float(np.mean(first.log_loss(here) - first.log_loss(further)))


def combine(
    ensemble: Ensemble, log_inputs: FloatArray, log_compute: FloatArray, weights: FloatArray
) -> Spread:
    """Centre and parts of the variance at targets, for weights (members,) or (targets, members)."""
    return spread_of(said(ensemble, log_inputs, log_compute, weights), ensemble.calibration)


def said(
    ensemble: Ensemble, log_inputs: FloatArray, log_compute: FloatArray, weights: FloatArray
) -> Said:
    """What the laws say at targets, for weights (members,) or (targets, members)."""
    predictions = [m.log_loss_and_variance(log_inputs) for m in ensemble.members]
    values = np.column_stack([value for value, _ in predictions])  # (targets, members)
    variances = np.column_stack([variance for _, variance in predictions])
    weights = np.broadcast_to(weights, values.shape)
    distance = np.maximum(ensemble.ladder.distance(log_inputs, log_compute), NEAREST)
    nearer = log_inputs - (distance * DECADE / log_inputs.shape[1])[:, None]
    centre = np.sum(weights * values, axis=1)
    return Said(
        centre=centre,
        parameters=np.sum(weights * variances, axis=1),
        laws=np.sum(weights * (values - centre[:, None]) ** 2, axis=1),
        tuning=_tuning_change(ensemble, log_inputs, log_compute),
        fall=np.sum(weights * ensemble.values(nearer), axis=1) - centre,
        drop=distance * ensemble.slope,
        slope=ensemble.slope,
        roughness=ensemble.roughness,
    )


def spread_of(said: Said, calibration: Calibration) -> Spread:
    """Centre and parts of the variance that these constants make of what the laws say."""
    mean, sd = drift_of(said.slope, calibration)
    drifted = mean * said.fall
    parameters = calibration.parameters**2 * said.parameters
    laws = calibration.laws**2 * said.laws
    if calibration.cap is not None:
        # Where the runs say little, what ladders have in common says more.
        shrink = 1 / (1 + (parameters + laws) / (calibration.cap * said.drop + 1e-9) ** 2)
        parameters, laws = parameters * shrink, laws * shrink
    misfit = calibration.roughness * min(said.roughness, calibration.roughest)
    return Spread(
        centre=said.centre - drifted,
        drifted=drifted,
        parameters=parameters,
        laws=laws,
        drift=(sd * said.drop) ** 2,
        misfit=(misfit * said.drop) ** 2,
        tuning=calibration.tuning**2 * said.tuning,
    )


def drift_of(slope: float, calibration: Calibration) -> tuple[float, float]:
    """The share of the predicted fall by which ladders of this slope end below their laws, and its
    standard deviation between ladders, as a share of the drop.

    Larger runs are mostly trained better than small ones, and end below. A ladder that falls
    steeply has small runs short of training (warm-up, learning rate), flattens, and ends above.
    """
    steeper = np.clip(np.log(slope / USUAL_SLOPE), -OTHER_SLOPES, OTHER_SLOPES)
    mean = calibration.drift + calibration.steepness * steeper
    return float(mean), float(np.hypot(calibration.spread, calibration.unsure * steeper))


def unknown_share(ensemble: Ensemble, calibration: Calibration) -> float:
    """Standard deviation of drift and misspecification together, as a share of the drop."""
    _, sd = drift_of(ensemble.slope, calibration)
    rough = calibration.roughness * min(ensemble.roughness, calibration.roughest)
    return float(np.hypot(sd, rough))


def _tuning_change(
    ensemble: Ensemble, log_inputs: FloatArray, log_compute: FloatArray
) -> FloatArray:
    """The square of what was taken off for bad tuning (targets,): checks of the learning rate see
    it in part only.

    It grows with what the checks changed in the forecast, and with what they say that the target
    itself would lose to the recipe's learning rate.
    """
    tuning, as_measured = ensemble.ladder.tuning, ensemble.as_measured
    if tuning is None or as_measured is None:
        return np.zeros(len(log_inputs))
    change = as_measured.log_loss(log_inputs) - ensemble.members[0].log_loss(log_inputs)
    return np.asarray(change**2 + tuning.trend(log_compute) ** 2)


def noise_factor(ensemble: Ensemble, log_inputs: FloatArray) -> FloatArray:
    """How much noisier than a well-split run each target is: badly split runs scatter more."""
    first = ensemble.members[0]
    if len(ensemble.ladder.inputs) == 1:
        return np.ones(len(log_inputs))
    x = log_inputs - first.centre
    total = x.sum(axis=1)
    best_params = first.form.best_split(first.solution.theta[None], total)[0]
    none_is_best = first.form.without_best_split(best_params, total)
    best_params = np.where(none_is_best, x[:, 0], best_params)
    best = np.column_stack([best_params, total - best_params]) + first.centre
    excess = np.maximum(first.log_loss(log_inputs) - first.log_loss(best), 0.0)
    return np.asarray(np.sqrt(1 + (excess / FRONTIER_SCALE) ** 2))
