"""Ways to a metric's value at a new run: through the forecast of its loss, or directly.

Through the loss: the loss is forecast as it always is, and a response fitted to the runs' own
losses says what the metric is there (Gadre et al. 2024, arXiv:2403.08540, with an exponential that
may leave the range; ours is bounded). Directly: a response of compute, or of size and tokens; and
the forecast of what is missing to the best value, as if that were a loss. Each is also fitted with
the runs nearest the target counting more, since a metric of many tasks is no one sigmoid.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.capabilities.response import Response, angles, fit_response
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from scaling.arrays import BoolArray, FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit
from scaling.records import Records

THROUGH, DIRECTLY = "through the loss", "directly"
HALVES = 4  # runs one so many-th of the range away from the best one count half
SMALLEST_MISSING = 1e-4  # of the range: a perfect score has no logarithm


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs with a metric, in the units that routes read; all (runs,)."""

    records: Records  # screened, with the loss where the table has one
    shares: FloatArray
    has_loss: bool

    def select(self, keep: BoolArray) -> "Runs":
        """The runs where ``keep`` holds."""
        records = self.records.select(keep, "hidden")
        return replace(self, records=records, shares=self.shares[keep])

    @property
    def columns(self) -> tuple[str, ...]:
        """What a run is described by: size and tokens where they are known, else compute."""
        known = all(name in self.records for name in ("params", "tokens"))
        return ("params", "tokens") if known else ("train_flops",)

    @property
    def log_compute(self) -> FloatArray:
        """Natural logarithm of compute."""
        return np.log(self.records.column("train_flops"))

    @property
    def log_inputs(self) -> FloatArray:
        """Natural logarithms of `columns` (runs, columns)."""
        return np.log(np.column_stack([self.records.column(name) for name in self.columns]))

    @property
    def targets(self) -> Targets:
        """These runs as what a forecast is asked."""
        return Targets(columns={name: self.records.column(name) for name in self.columns})

    @property
    def missing(self) -> Records:
        """The runs with what is missing to the best value in the place of the loss."""
        missing = 1 - self.shares
        records = replace(self.records, table=self.records.table.assign(loss=missing))
        return records.select(missing > SMALLEST_MISSING, "a perfect score")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """New runs that a metric is asked of, and what forecasts say of them."""

    at: tuple[Mapping[str, float], ...]  # what describes each
    losses: FloatArray | None  # draws of the loss (draws, points); None where it is not forecast
    missing: FloatArray | None  # draws of what is missing to the best value, in the same shape
    loss_supported: BoolArray  # (points,) False where the loss is forecast without a median
    why_no_loss: str  # why it is not forecast; "" where it is, or none is known
    loss_limits: tuple[Limit, ...]  # of the forecast of the loss
    draws: int
    rng: np.random.Generator

    @property
    def log_compute(self) -> FloatArray:
        """Natural logarithm of compute (points,)."""
        return np.log([one["train_flops"] for one in self.at])

    def log_inputs(self, columns: Sequence[str]) -> FloatArray:
        """Natural logarithms of these columns (points, columns)."""
        return np.log([[one[name] for name in columns] for one in self.at])

    @property
    def has_sizes(self) -> bool:
        """Whether size and tokens of all are known."""
        return all({"params", "tokens"} <= one.keys() for one in self.at)


def asked_of(runs: Runs, targets: Targets, options: ForecastOptions) -> Asked:
    """New runs with the forecasts of the loss and of what is missing, as far as there are any."""
    made: dict[str, Forecast] = {}
    why_not: dict[str, str] = {}
    sources = {"losses": runs.records} if runs.has_loss else {}
    for what, of in {**sources, "missing": runs.missing}.items():
        try:
            made[what] = forecast(of, targets, options=options)
        except ForecastError as error:
            why_not[what] = str(error)
    draws = {k: np.column_stack([t.draws for t in v.targets]) for k, v in made.items()}
    at = [dict(target.at) for target in next(iter(made.values())).targets] if made else None
    return Asked(
        at=tuple(at or _described(runs, targets)),
        losses=draws.get("losses"),
        missing=draws.get("missing"),
        loss_supported=np.array(
            [target.supported for target in made["losses"].targets]
            if "losses" in made
            else [True] * len(targets)
        ),
        why_no_loss=why_not.get("losses", ""),
        loss_limits=made["losses"].limits if "losses" in made else (),
        draws=options.draws,
        rng=np.random.default_rng(options.seed),
    )


def _described(runs: Runs, targets: Targets) -> list[dict[str, float]]:
    """The columns of each target, with the compute of a run of that size on so many tokens."""
    columns = dict(targets.columns)
    if "train_flops" not in columns:
        size = runs.records.column("params") * runs.records.column("tokens")
        ratio = np.median(runs.records.column("train_flops") / size)
        columns["train_flops"] = ratio * columns["params"] * columns["tokens"]
    return [{k: float(v[i]) for k, v in columns.items()} for i in range(len(targets))]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one way says of new runs, on the scale of `angles`; (points,) each."""

    centre: FloatArray
    variance: FloatArray
    frontier: float  # the same at the best run seen
    rise: float  # from the worst run seen to the best; NaN where no curve tells
    scatter: float  # of a run around the curve; NaN where the variance holds it


def _counts(along: FloatArray, is_recent: bool) -> FloatArray:
    """What each run counts (runs,), by how far it lies below the best one along an input."""
    if not is_recent:
        return np.ones(len(along))
    half = (along.max() - along.min()) / HALVES
    return np.asarray(0.5 ** ((along.max() - along) / (half if half > 0 else 1.0)))


def _predicted(
    response: Response, seen: FloatArray, at: FloatArray, drawn: FloatArray, asked: Asked
) -> Prediction:
    """At points (points, inputs), with inputs (draws, points, inputs) around them."""
    centre, fitted = angles(response.shares(at)), angles(response.shares(seen))
    return Prediction(
        centre=centre,
        variance=np.mean((response.draws(drawn, asked.rng) - centre) ** 2, axis=0),
        frontier=float(fitted.max()),
        rise=float(np.ptp(fitted)),
        scatter=response.scatter,
    )


def _through_loss(runs: Runs, asked: Asked, is_recent: bool) -> Prediction:
    assert asked.losses is not None  # `can_answer` says so
    quality = -np.log(runs.records.column("loss"))[:, None]
    response = fit_response(quality, runs.shares, _counts(quality[:, 0], is_recent))
    drawn = -np.log(asked.losses)[:, :, None]
    return _predicted(response, quality, np.median(drawn, axis=0), drawn, asked)


def _of_compute(runs: Runs, asked: Asked, is_recent: bool) -> Prediction:
    seen = runs.log_compute[:, None]
    return _of_inputs(seen, asked.log_compute[:, None], runs, asked, is_recent)


def _of_size_and_tokens(runs: Runs, asked: Asked, is_recent: bool) -> Prediction:
    return _of_inputs(runs.log_inputs, asked.log_inputs(runs.columns), runs, asked, is_recent)


def _of_inputs(
    seen: FloatArray, at: FloatArray, runs: Runs, asked: Asked, is_recent: bool
) -> Prediction:
    response = fit_response(seen, runs.shares, _counts(runs.log_compute, is_recent))
    drawn = np.broadcast_to(at, (asked.draws, *at.shape))
    return _predicted(response, seen, at, drawn, asked)


def _as_a_loss(runs: Runs, asked: Asked, is_recent: bool) -> Prediction:
    assert asked.missing is not None  # `can_answer` says so
    at = angles(1 - asked.missing)
    return Prediction(
        centre=at.mean(axis=0),
        variance=at.var(axis=0),
        frontier=float(angles(runs.shares).max()),
        rise=np.nan,
        scatter=np.nan,
    )


def _by_size(runs: Runs, asked: Asked) -> bool:
    return asked.has_sizes and len(runs.columns) == 2


@dataclass(frozen=True, kw_only=True)
class Member:
    """One fitted way to a metric."""

    route: str
    predict: Callable[[Runs, Asked, bool], Prediction]
    can_answer: Callable[[Runs, Asked], bool]
    is_recent: bool = False  # whether the best, or largest, runs count more


#: By the names that people read.
MEMBERS = {
    "sigmoid of the loss": Member(
        route=THROUGH, predict=_through_loss, can_answer=lambda _, asked: asked.losses is not None
    ),
    "sigmoid of compute": Member(
        route=DIRECTLY, predict=_of_compute, can_answer=lambda runs, _: True
    ),
    "sigmoid of size and tokens": Member(
        route=DIRECTLY, predict=_of_size_and_tokens, can_answer=_by_size
    ),
    "laws of what is missing": Member(
        route=DIRECTLY, predict=_as_a_loss, can_answer=lambda _, asked: asked.missing is not None
    ),
}
MEMBERS |= {
    f"{name}, best runs": replace(member, is_recent=True)
    for name, member in MEMBERS.items()
    if member.predict is not _as_a_loss
}


def predictions(runs: Runs, asked: Asked) -> dict[str, Prediction]:
    """What each way that can answer says, by its name."""
    return {
        name: member.predict(runs, asked, member.is_recent)
        for name, member in MEMBERS.items()
        if member.can_answer(runs, asked)
    }
