"""Facts about forecasts of runs that are still training."""

import numpy as np
import pandas as pd
import pytest

from analysis.forecasting.unfinished_runs import forecast_running, outlooks

SETTLED = 0.01
STEPS = {f"r{i}": 500 + 100 * i for i in range(8)}


def curve(run_id, scale, upto=1.0, noise=0.01, shape=1.0):
    """A loss that falls with the share done, down to ``scale`` at the end."""
    rng = np.random.default_rng(int(run_id[1:]))
    steps = np.arange(10, int(STEPS[run_id] * upto) + 1, 10)
    fall = 1 + 0.8 * (1 - steps / STEPS[run_id]) ** shape
    loss = scale * fall * np.exp(noise * rng.standard_normal(len(steps)))
    return pd.DataFrame({"run_id": run_id, "step": steps, "train_loss": loss})


@pytest.fixture
def finished():
    """Six finished runs of different length and loss, which fall alike."""
    final = {f"r{i}": 3.0 - 0.2 * i for i in range(6)}
    return pd.concat([curve(r, loss) for r, loss in final.items()]), final


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_running_run_is_forecast_from_how_the_others_fell(finished, share):
    curves, final = finished
    running = pd.concat([curves, curve("r7", 1.7, upto=share)])
    forecast = forecast_running(running, STEPS, final)["r7"]
    assert forecast.share_done == pytest.approx(share, abs=0.02)
    # means of a few points with 1% noise, and a fall of up to 2% within them
    assert forecast.predicted == pytest.approx(1.7, rel=0.03)
    assert forecast.low < 1.7 < forecast.high


def test_finished_runs_are_not_forecast(finished):
    curves, final = finished
    assert forecast_running(curves, STEPS, final) == {}


def test_too_few_finished_runs_give_no_number():
    final = {"r0": 3.0, "r1": 2.8}
    curves = pd.concat([curve("r0", 3.0), curve("r1", 2.8), curve("r7", 1.7, upto=0.5)])
    assert forecast_running(curves, STEPS, final) == {}


def test_near_the_start_the_sweeps_own_forecast_decides(finished):
    curves, final = finished
    loose = curves.assign(
        train_loss=curves["train_loss"]
        * (1 + 0.3 * np.random.default_rng(0).standard_normal(len(curves))).clip(0.5)
    )
    running = pd.concat([loose, curve("r7", 1.7, upto=0.1)])
    told = {"r7": (np.log(1.65), 0.005)}
    forecast = forecast_running(running, STEPS, final, law_forecast=told)["r7"]
    assert forecast.predicted == pytest.approx(1.65, rel=0.01)


def test_more_of_the_curve_narrows_the_forecast_and_settles_it():
    # runs whose curves bend differently agree only near the end
    final = {f"r{i}": 3.0 - 0.2 * i for i in range(6)}
    curves = pd.concat(
        [
            curve(r, loss, noise=0.0, shape=0.85 + 0.08 * i)
            for i, (r, loss) in enumerate(final.items())
        ]
    )

    def at(share):
        running = pd.concat([curves, curve("r7", 1.7, upto=share, noise=0.0)])
        return forecast_running(running, STEPS, final, settled_width=0.03)["r7"]

    early, late = at(0.3), at(0.99)
    assert late.high - late.low < early.high - early.low
    assert late.outcome_settled
    assert not early.outcome_settled


def test_runs_of_other_sizes_fall_otherwise_and_a_line_tells_how():
    """The larger a run, the later it falls: the median of the others is no ratio for it."""
    shapes = {f"r{i}": 0.6 + 0.15 * i for i in range(8)}
    params = {run_id: 1000.0 * 2 ** int(run_id[1:]) for run_id in STEPS}
    final = {f"r{i}": 3.0 - 0.2 * i for i in range(7)}
    curves = [curve(r, loss, shape=shapes[r]) for r, loss in final.items()]
    running = pd.concat([*curves, curve("r7", 1.7, upto=0.5, shape=shapes["r7"])])
    told = forecast_running(running, STEPS, final, params=params)["r7"]
    assert told.predicted == pytest.approx(1.7, rel=0.02)  # by the median it is 8% off
    assert told.low < 1.7 < told.high


@pytest.mark.parametrize(("jump", "is_off"), [(1.0, False), (1.15, True)])
def test_a_run_that_leaves_the_curve_of_the_others_is_told_early(finished, jump, is_off):
    curves, final = finished
    bad = curve("r7", 1.7, upto=0.4)
    bad["train_loss"] *= np.where(bad["step"] > 0.3 * STEPS["r7"], jump, 1.0)
    told = forecast_running(pd.concat([curves, bad]), STEPS, final, settled_width=0.5)["r7"]
    assert (told.off_curve is not None) is is_off
    assert ("OFF THE CURVE" in told.line) is is_off
    assert told.outcome_settled is not is_off
    if is_off:
        assert np.exp(told.off_curve) == pytest.approx(jump, abs=0.03)


def test_healthy_runs_are_seldom_said_to_be_off_the_curve():
    alarms = []
    for seed in range(40):
        curves, planned, final = simulated_sweep(np.random.default_rng([seed, 7]))
        kept = curves[curves["step"] <= 0.5 * curves["run_id"].map(planned)]
        known = {run: loss for run, loss in final.items() if run not in ("r0", "r1")}
        others = curves[curves["run_id"].isin(known)]
        running = kept[~kept["run_id"].isin(known)]
        for told in forecast_running(pd.concat([others, running]), planned, known).values():
            alarms.append(told.off_curve is not None)
    assert len(alarms) == 80
    assert sum(alarms) <= 1  # one in a thousand by the rule; few finished runs know it less well


def test_a_curve_that_is_not_finite_gives_no_number(finished):
    curves, final = finished
    broken = curve("r7", 1.7, upto=0.5).assign(train_loss=np.nan)
    assert forecast_running(pd.concat([curves, broken]), STEPS, final) == {}


def simulated_sweep(rng, runs=9):
    """Curves of one cosine-scheduled sweep: each run has its own floor, exponent and noise."""
    planned, curves, final = {}, [], {}
    spread = rng.uniform(0.01, 0.06)
    for i in range(runs):
        steps = int(rng.integers(400, 2000))
        at = np.arange(10, steps + 1, 10)
        floor, height = rng.uniform(1.5, 3.0), rng.uniform(2.0, 6.0)
        exponent = 0.4 * np.exp(spread * rng.standard_normal())
        lag = 0.06 * np.exp(spread * rng.standard_normal()) * (1 + np.cos(np.pi * at / steps)) / 2
        loss = (floor + height * at**-exponent) * (1 + lag)
        noisy = loss * np.exp(0.01 * rng.standard_normal(len(at)))
        run_id = f"r{i}"
        planned[run_id] = steps
        curves.append(pd.DataFrame({"run_id": run_id, "step": at, "train_loss": noisy}))
        final[run_id] = float(loss[-1] * np.exp(0.002 * rng.standard_normal()))
    return pd.concat(curves), planned, final


def in_run_outcomes(share, sweeps):
    """For runs cut at ``share`` of their steps: inside its 90% interval?  settled?  log error."""
    outcomes = []
    for seed in range(sweeps):
        curves, planned, final = simulated_sweep(np.random.default_rng([seed, int(100 * share)]))
        running = {"r0", "r1"}
        kept = curves[
            ~curves["run_id"].isin(running)
            | (curves["step"] <= share * curves["run_id"].map(planned))
        ]
        known = {run: loss for run, loss in final.items() if run not in running}
        for run, told in forecast_running(kept, planned, known, settled_width=SETTLED).items():
            error = abs(np.log(final[run] / told.predicted))
            outcomes.append((told.low <= final[run] <= told.high, told.outcome_settled, error))
    return np.array(outcomes, dtype=float)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
def test_ninety_percent_intervals_of_running_cells_cover_eighty_to_ninety_seven(share):
    outcomes = in_run_outcomes(share, sweeps=150)
    assert len(outcomes) == 300
    # three standard deviations of binomial(300, 0.9) are 5 points; two runs share one sweep
    assert 0.80 <= outcomes[:, 0].mean() <= 0.97


@pytest.mark.slow
def test_a_settled_outcome_moves_by_less_than_the_settled_width():
    outcomes = np.concatenate([in_run_outcomes(share, sweeps=60) for share in (0.9, 0.99)])
    settled = outcomes[:, 1] == 1
    assert settled.sum() >= 20
    # a half width of one percent at 90%: one in ten may lie outside, and three standard deviations
    # of so many runs
    allowed = 0.1 + 3 * np.sqrt(0.09 / settled.sum())
    assert np.mean(outcomes[settled, 2] > SETTLED) <= allowed


class Sweep:
    """A store of six finished runs, one held-out one, and one in training; all fall alike."""

    def __init__(self):
        self.known, self.points, self.asked = {}, [], []
        for number in range(6):
            self.add(f"r{number}", "finished", 3.0 - 0.2 * number)
        self.add("r6", "finished", 1.8, held_out=True)
        self.add("r7", "running", 1.7, upto=0.5)

    def add(self, run_id, status, loss, upto=1.0, **facts):
        steps = round(STEPS[run_id] * upto)
        facts |= {"status": status, "planned_steps": STEPS[run_id], "steps": steps}
        facts |= {"loss": loss} if status == "finished" else {}
        self.known[run_id] = {"params": 1000 * 2 ** int(run_id[1:]), "data": "text"} | facts
        self.points.append(curve(run_id, loss, upto=upto))

    def facts(self):
        return self.known

    def curves(self, metric="train_loss", run_ids=None):
        self.asked.append(set(run_ids))
        points = pd.concat(self.points).reindex(columns=["run_id", "step", metric])
        return points[points["run_id"].isin(run_ids) & points[metric].notna()]


def test_the_outlook_of_a_running_run_is_the_forecast_from_the_finished_runs_alike():
    sweep = Sweep()
    (found,) = outlooks(sweep).values()
    final = {run_id: sweep.known[run_id]["loss"] for run_id in list(sweep.known)[:6]}
    curves = pd.concat([*sweep.points[:6], sweep.points[7]])
    params = {run_id: known["params"] for run_id, known in sweep.known.items()}
    told = forecast_running(curves, STEPS, final, params=params)["r7"]
    assert (found.line, found.predicted) == (told.line, pytest.approx(told.predicted))
    assert found.finished_runs == 6


def test_no_outlook_sees_a_held_out_loss_or_curve_or_tells_of_a_held_out_run():
    sweep, changed = Sweep(), Sweep()
    changed.known["r6"]["loss"] = 99.0
    assert outlooks(changed) == outlooks(sweep)
    assert not any("r6" in asked for asked in sweep.asked)
    sweep.known["r7"]["held_out"] = True
    assert outlooks(sweep) == {}


def test_an_outlook_does_not_depend_on_what_else_is_asked_about():
    sweep, alone = Sweep(), Sweep()
    alone.add("r6", "running", 1.8, upto=0.8)
    assert outlooks(alone).keys() == {"r6", "r7"}
    assert outlooks(alone, ["r7"]) == outlooks(sweep) == {"r7": outlooks(alone)["r7"]}


@pytest.mark.parametrize("column", ["data", "tokenizer_hash", "eval_hash", "schedule"])
def test_runs_that_were_measured_against_something_else_tell_nothing(column):
    sweep = Sweep()
    for number in range(4):
        sweep.known[f"r{number}"][column] = "another"
    assert outlooks(sweep) == {}  # two are left, and three are the fewest


def test_the_nearest_in_size_are_compared_by_the_ratio_of_sizes(monkeypatch):
    monkeypatch.setattr("analysis.forecasting.unfinished_runs.MOST_COMPARED", 3)
    sweep = Sweep()
    sweep.known["r7"]["params"] = 12_000  # by difference r2 with its 4,000 would be nearer
    assert outlooks(sweep)["r7"].finished_runs == 3
    assert sweep.asked == [{"r7", "r3", "r4", "r5"}] * 2  # of both metrics


def measured(points, error=0.0):
    """The curve with validation losses at tenths of the run, off by so much and without noise."""
    planned = STEPS[points["run_id"].iloc[0]]
    is_tenth = points["step"] % (planned // 10) == 0
    return points.assign(validation_loss=(points["train_loss"] * (1 + error)).where(is_tenth))


def noisy(points, seed):
    """The curve with its training losses off by a tenth each."""
    rng = np.random.default_rng(seed)
    return points.assign(train_loss=points["train_loss"] * np.exp(0.1 * rng.standard_normal()))


def test_validation_losses_of_running_runs_tell_their_end_where_training_losses_are_rough():
    # a whole curve is off by its own factor, as where the training batches are of easier text
    final = {f"r{i}": 3.0 - 0.2 * i for i in range(6)}
    whole = [
        noisy(measured(curve(r, loss, noise=0.0)), i) for i, (r, loss) in enumerate(final.items())
    ]
    running = noisy(measured(curve("r7", 1.7, upto=0.55, noise=0.0)), 9)
    told = forecast_running(pd.concat([*whole, running]), STEPS, final)["r7"]
    blind = pd.concat([*whole, running]).drop(columns="validation_loss")
    assert told.predicted == pytest.approx(1.7, rel=0.005)  # read at half, on the line between
    assert told.low < 1.7 < told.high
    assert told.high / told.low < 1.02
    rough = forecast_running(blind, STEPS, final)["r7"]
    assert rough.high / rough.low > 1.2


def test_runs_that_were_not_all_measured_are_read_by_their_training_losses():
    final = {f"r{i}": 3.0 - 0.2 * i for i in range(6)}
    whole = [measured(curve(r, loss)) for r, loss in final.items()]
    whole[2] = whole[2].assign(validation_loss=np.nan)
    running = measured(curve("r7", 1.7, upto=0.5), error=0.5)
    with_it = pd.concat([*whole, running])
    without = with_it.drop(columns="validation_loss")
    found = (forecast_running(table, STEPS, final)["r7"].predicted for table in (with_it, without))
    assert next(found) == next(found)
