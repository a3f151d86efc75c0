"""Facts about what to run next: what is chosen, what it promises, and whether that was so."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.decisions.further_runs.next_runs import NextRuns, next_runs, to_train_now
from analysis.decisions.further_runs.proposal_check import check_proposal
from analysis.decisions.further_runs.run_design import MISFIT, Choices
from analysis.decisions.further_runs.runs_on_offer import RunOnOffer
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.targets import Targets
from scaling.errors import ForecastError
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode
from scaling.simulate import isoflop_runs, simulate_records

LAW = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
TARGET, BUDGET = 1e21, 6e19


def ladder(budgets=(1e17, 1e18, 1e19), sizes=(0.4, 0.7, 1.4, 2.5), noise=0.003, seed=1):
    runs = isoflop_runs(list(budgets), list(sizes), LAW)
    return simulate_records(LAW, runs, relative_noise=noise, seed=seed)


@pytest.fixture(scope="module")
def records():
    return ladder()


@pytest.fixture(scope="module")
def proposal(records):
    return next_runs(records, TARGET, BUDGET)


def trained(records, proposal, noise=0.003):
    """The table with the proposed runs."""
    rows = [(run.params, run.tokens) for run in proposal.runs for _ in range(run.times)]
    n, d = np.array(rows).T
    columns = {"params": n, "tokens": d, "train_flops": 6 * n * d}
    new = simulate_records(LAW, columns, relative_noise=noise, seed=9).table
    names = ["params", "tokens", "train_flops", "loss"]
    return pd.concat([records.table[names], new[names]], ignore_index=True)


def test_what_is_chosen_fits_the_budget_and_narrows_the_forecast(proposal):
    assert proposal.runs
    assert 0 < proposal.spent <= BUDGET * (1 + 1e-6)  # but for rounding
    assert proposal.spent == pytest.approx(sum(run.price for run in proposal.runs))
    assert 0.05 < proposal.narrowing < 1
    assert sum(proposal.after.parts.values()) == pytest.approx(1)


def test_the_width_now_is_that_of_the_forecast(records, proposal):
    (target,) = forecast(records, Targets.flops(TARGET)).targets
    low, high = target.intervals[0.9]
    assert proposal.now.factor == pytest.approx(high / low)
    assert proposal.now.parts["new-run noise"] == pytest.approx(target.shares["new-run noise"])


def test_a_proposal_is_the_same_again(records, proposal):
    assert next_runs(records, TARGET, BUDGET) == proposal


def test_a_larger_budget_narrows_no_less(records, proposal):
    assert next_runs(records, TARGET, 5 * BUDGET).narrowing >= proposal.narrowing


def test_extremes_are_chosen_before_the_middle(records, proposal):
    """A larger run leaves less of the misspecification, which grows with what lies ahead."""
    largest = records.column("train_flops").max()
    assert max(run.train_flops for run in proposal.runs) > 2 * largest
    shares = proposal.now.parts, proposal.after.parts
    widths = (np.log(w.factor) ** 2 for w in (proposal.now, proposal.after))
    misfit = [share[MISFIT] * w for share, w in zip(shares, widths, strict=True)]
    assert misfit[1] < 0.6 * misfit[0]


def test_what_was_promised_comes_about(records, proposal):
    check = check_proposal(proposal, trained(records, proposal))
    assert check.landed == check.proposed
    assert check.limits == ()
    assert check.measured.factor < proposal.now.factor
    assert 0.6 < check.share_of_promise < 1.5  # noise of a dozen runs is known to a third
    assert check.held


def test_a_check_says_which_runs_are_missing_and_which_are_others(records, proposal):
    table = trained(records, proposal)
    if len(proposal.runs) > 1:
        check = check_proposal(proposal, table.iloc[:-1])
        assert LimitCode.WAITING in [limit.code for limit in check.limits]
    with pytest.raises(ForecastError, match="train what it proposes"):
        check_proposal(proposal, records)
    other = table.iloc[: len(records.table)].assign(loss=lambda runs: runs["loss"] * 1.001)
    with pytest.raises(ForecastError, match="none of the"):
        check_proposal(proposal, other)


def test_a_proposal_is_read_again_from_its_document(proposal):
    again = NextRuns.from_json(proposal.to_json())
    assert again == replace(proposal, notes=again.notes)
    with pytest.raises(ForecastError, match="no proposal"):
        NextRuns.from_json('{"kind": "forecast"}')


def test_the_best_size_can_be_narrowed_instead(records):
    found = next_runs(records, TARGET, BUDGET, aim="allocation")
    assert found.runs
    assert 0 < found.narrowing < 1
    assert found.now.parts.keys() == {"laws and their constants"}


@pytest.mark.parametrize(
    ("target", "budget", "said"),
    [
        (TARGET, 1e15, "buy no run"),
        (1e16, BUDGET, "lie below every run"),
        (float("nan"), BUDGET, "finite number"),
        (TARGET, -1.0, "finite number"),
    ],
)
def test_questions_without_an_answer_are_one_line(records, target, budget, said):
    with pytest.raises(ForecastError, match=said):
        next_runs(records, target, budget)


def test_a_budget_that_pays_the_target_itself_says_so(records):
    found = next_runs(records, 2e19, 3e19)
    assert any("itself" in limit.text for limit in found.limits)


def test_an_unsupported_forecast_says_what_is_missing_and_what_remains(records):
    short = ladder(budgets=(1e18, 2e18, 4e18))
    found = next_runs(short, 10 * TARGET, 2e19)
    assert not found.now.supported
    told = [limit.text for limit in found.limits if limit.code is LimitCode.UNSUPPORTED]
    assert any("would bring it into reach" in text for text in told)
    assert any(text.startswith("unsupported still") for text in told)


def test_where_nothing_narrows_by_enough_nothing_is_proposed(records):
    found = next_runs(records, TARGET, 2e17, least_gain=0.5)
    assert found.runs == () and found.after is None and found.narrowing == 0
    assert LimitCode.NOTHING_TO_GAIN in [limit.code for limit in found.limits]


def test_runs_on_offer_are_what_is_chosen_among(records):
    offer = [
        RunOnOffer(train_flops=c, params=n, tokens=c / 6 / n)
        for c, n in ((1e18, 2e8), (3e19, 8e8), (5e19, 1e9))
    ]
    found = next_runs(records, TARGET, BUDGET, offer=offer)
    assert {run.params for run in found.runs} <= {2e8, 8e8, 1e9}
    assert found.on_offer == 3
    with pytest.raises(ForecastError, match="no size"):
        next_runs(records, TARGET, BUDGET, offer=[RunOnOffer(train_flops=1e18)])


def test_a_run_that_takes_the_whole_budget_is_affordable_however_it_is_rounded(records):
    """r N D of a size that was chosen to spend a budget may lie a rounding above it."""
    whole = float(np.nextafter(BUDGET, np.inf))
    offer = [RunOnOffer(train_flops=whole, params=8e8, tokens=whole / 6 / 8e8)]
    assert [run.place for run in next_runs(records, TARGET, BUDGET, offer=offer).runs] == [0]


def test_branches_of_one_trunk_pay_their_past_once():
    nothing = np.zeros((3, 2))
    choices = Choices(
        log_inputs=nothing,
        log_compute=np.log([1.0, 2.0, 4.0]),
        price=np.array([1.0, 2.0, 4.0]),
        fork=np.array([0.8, 1.6, 3.2]),
        trunk=("a", "a", "b"),
    )
    assert choices.total((0, 1)) == pytest.approx(1 + 2 - 0.8)
    assert choices.total((1, 1)) == pytest.approx(4)  # another seed is another trunk
    assert choices.total((0, 2)) == pytest.approx(5)
    assert choices.prices_after((0,)).tolist() == pytest.approx([1.0, 1.2, 4.0])


def test_a_table_without_sizes_is_answered_along_compute():
    runs = isoflop_runs([1e17, 3e17, 1e18, 3e18, 1e19, 3e19], [1.0], LAW)
    del runs["params"], runs["tokens"]
    n = LAW.optimal_params(runs["train_flops"])
    loss = LAW.loss(n, runs["train_flops"] / 6 / n)
    table = pd.DataFrame({"train_flops": runs["train_flops"], "loss": loss})
    found = next_runs(table, TARGET, 1e20)
    assert found.runs and all(run.params is None for run in found.runs)


def test_the_cheaper_half_is_trained_before_asking_again(proposal):
    now = to_train_now(proposal)
    assert set(now) <= set(proposal.runs)
    assert to_train_now(proposal, last=True) == proposal.runs
    if len(proposal.runs) > 1:
        assert len(now) < len(proposal.runs)


def test_checks_of_learning_rates_are_bought_where_they_narrow_most(records):
    budget = BUDGET / 3  # more would leave the laws too little doubt for checks to take off
    free = next_runs(records, TARGET, budget, checks_flops=1.0)
    dear = next_runs(records, TARGET, budget, checks_flops=0.9 * budget)
    assert free.checks and free.checks_flops == 1.0
    assert not dear.checks and dear.checks_flops == 0.0
