"""What reads records: fits, forecasts, backtests, decisions, figures, reports.

    from analysis import Targets, fit_law, forecast
    from scaling import read_records

    records = read_records("runs.csv")
    fit = fit_law(records, "chinchilla")
    print(forecast(records, Targets.flops(1e21, 1e22)))

How forecasts are made is one value of each call: ``options=ForecastOptions(law="chinchilla")``.

Each name is imported when it is first used, so that ``import analysis`` stays light.
"""

from typing import TYPE_CHECKING

from scaling.lazy import offer

if TYPE_CHECKING:
    from analysis.approaches.envelope import EnvelopeFit as EnvelopeFit
    from analysis.approaches.envelope import fit_envelope as fit_envelope
    from analysis.approaches.irreducible import IrreducibleLoss as IrreducibleLoss
    from analysis.approaches.irreducible import irreducible_loss as irreducible_loss
    from analysis.approaches.isoflop import IsoflopFit as IsoflopFit
    from analysis.approaches.isoflop import fit_isoflop as fit_isoflop
    from analysis.approaches.side_by_side import CrossCheck as CrossCheck
    from analysis.approaches.side_by_side import cross_checks as cross_checks
    from analysis.capabilities.capability import forecast_metric as forecast_metric
    from analysis.capabilities.result import MetricForecast as MetricForecast
    from analysis.decisions.budget_for_loss import BudgetForLoss as BudgetForLoss
    from analysis.decisions.budget_for_loss import budget_for_loss as budget_for_loss
    from analysis.decisions.further_runs.in_any_inputs import RunsToBuy as RunsToBuy
    from analysis.decisions.further_runs.in_any_inputs import runs_to_buy as runs_to_buy
    from analysis.decisions.further_runs.next_runs import NextRuns as NextRuns
    from analysis.decisions.further_runs.next_runs import next_runs as next_runs
    from analysis.decisions.further_runs.proposal_check import ProposalCheck as ProposalCheck
    from analysis.decisions.further_runs.proposal_check import check_proposal as check_proposal
    from analysis.decisions.further_runs.provisional import Provisional as Provisional
    from analysis.decisions.further_runs.provisional import provisional as provisional
    from analysis.decisions.further_runs.runs_on_offer import RunOnOffer as RunOnOffer
    from analysis.decisions.money import BudgetPlan as BudgetPlan
    from analysis.decisions.money import Hardware as Hardware
    from analysis.decisions.money import plan_budgets as plan_budgets
    from analysis.decisions.optimal_split import Allocation as Allocation
    from analysis.decisions.optimal_split import OptimalSplit as OptimalSplit
    from analysis.decisions.optimal_split import allocate as allocate
    from analysis.decisions.two_recipes.compared import ArmComparison as ArmComparison
    from analysis.decisions.two_recipes.compared import compare as compare
    from analysis.discovery.discover import discover as discover
    from analysis.discovery.discover import with_found_predictions as with_found_predictions
    from analysis.discovery.result import Discovery as Discovery
    from analysis.evaluation.backtest import Backtest as Backtest
    from analysis.evaluation.backtest import backtest as backtest
    from analysis.evaluation.by_groups import GroupedBacktest as GroupedBacktest
    from analysis.evaluation.by_groups import backtest_groups as backtest_groups
    from analysis.evaluation.held_out import HeldOutCheck as HeldOutCheck
    from analysis.evaluation.held_out import check_held_out as check_held_out
    from analysis.evaluation.held_out import forecast_held_out as forecast_held_out
    from analysis.evaluation.sealed import Seal as Seal
    from analysis.evaluation.sealed import seal_forecast as seal_forecast
    from analysis.evaluation.verdicts import SealStanding as SealStanding
    from analysis.evaluation.verdicts import standing_of as standing_of
    from analysis.fitting.checklist import checklist_card as checklist_card
    from analysis.fitting.groups.fit import fit_groups as fit_groups
    from analysis.fitting.groups.prediction import GroupedPrediction as GroupedPrediction
    from analysis.fitting.groups.prediction import predict_groups as predict_groups
    from analysis.fitting.groups.result import GroupedFit as GroupedFit
    from analysis.fitting.lmfit_bridge import profile_intervals as profile_intervals
    from analysis.fitting.policy import fit_law as fit_law
    from analysis.fitting.result import Fit as Fit
    from analysis.fitting.result import FitStatus as FitStatus
    from analysis.forecasting.answer.result import Forecast as Forecast
    from analysis.forecasting.forecast import forecast as forecast
    from analysis.forecasting.forecast import with_predictions as with_predictions
    from analysis.forecasting.question.options import ForecastOptions as ForecastOptions
    from analysis.forecasting.question.targets import Targets as Targets
    from analysis.intervals import Interval as Interval
    from analysis.report.asked import Asked as Asked
    from analysis.report.findings import Findings as Findings
    from analysis.report.findings import gather_findings as gather_findings
    from analysis.report.write import write_report as write_report
    from analysis.studies.contexts import Contexts as Contexts
    from analysis.studies.contexts import random_contexts as random_contexts
    from analysis.studies.implicit_bias import ImplicitBias as ImplicitBias
    from analysis.studies.implicit_bias import study_implicit_bias as study_implicit_bias
    from analysis.studies.published.check import published_findings as published_findings
    from analysis.studies.published.finding import PublishedFindings as PublishedFindings
    from analysis.tuning.rungs import LadderHealth as LadderHealth
    from analysis.tuning.rungs import ladder_health as ladder_health
    from analysis.tuning.tuned_recipe import TunedRecipe as TunedRecipe
    from analysis.tuning.tuned_recipe import tuned_recipe as tuned_recipe

_HOMES = {
    "analysis.intervals": ("Interval",),
    "analysis.tuning.rungs": ("LadderHealth", "ladder_health"),
    "analysis.tuning.tuned_recipe": ("TunedRecipe", "tuned_recipe"),
    "analysis.fitting.result": ("Fit", "FitStatus"),
    "analysis.fitting.policy": ("fit_law",),
    "analysis.fitting.checklist": ("checklist_card",),
    "analysis.fitting.groups.fit": ("fit_groups",),
    "analysis.fitting.groups.prediction": ("GroupedPrediction", "predict_groups"),
    "analysis.fitting.groups.result": ("GroupedFit",),
    "analysis.fitting.lmfit_bridge": ("profile_intervals",),
    "analysis.forecasting.question.targets": ("Targets",),
    "analysis.forecasting.question.options": ("ForecastOptions",),
    "analysis.forecasting.answer.result": ("Forecast",),
    "analysis.forecasting.forecast": ("forecast", "with_predictions"),
    "analysis.approaches.envelope": ("EnvelopeFit", "fit_envelope"),
    "analysis.approaches.irreducible": ("IrreducibleLoss", "irreducible_loss"),
    "analysis.approaches.isoflop": ("IsoflopFit", "fit_isoflop"),
    "analysis.approaches.side_by_side": ("CrossCheck", "cross_checks"),
    "analysis.evaluation.backtest": ("Backtest", "backtest"),
    "analysis.evaluation.by_groups": ("GroupedBacktest", "backtest_groups"),
    "analysis.evaluation.held_out": ("HeldOutCheck", "check_held_out", "forecast_held_out"),
    "analysis.evaluation.sealed": ("Seal", "seal_forecast"),
    "analysis.evaluation.verdicts": ("SealStanding", "standing_of"),
    "analysis.capabilities.capability": ("forecast_metric",),
    "analysis.capabilities.result": ("MetricForecast",),
    "analysis.decisions.further_runs.runs_on_offer": ("RunOnOffer",),
    "analysis.decisions.further_runs.in_any_inputs": ("RunsToBuy", "runs_to_buy"),
    "analysis.decisions.further_runs.next_runs": ("NextRuns", "next_runs"),
    "analysis.decisions.further_runs.proposal_check": ("ProposalCheck", "check_proposal"),
    "analysis.decisions.optimal_split": ("Allocation", "OptimalSplit", "allocate"),
    "analysis.decisions.budget_for_loss": ("BudgetForLoss", "budget_for_loss"),
    "analysis.decisions.two_recipes.compared": ("ArmComparison", "compare"),
    "analysis.decisions.money": ("BudgetPlan", "Hardware", "plan_budgets"),
    "analysis.discovery.discover": ("discover", "with_found_predictions"),
    "analysis.discovery.result": ("Discovery",),
    "analysis.studies.contexts": ("Contexts", "random_contexts"),
    "analysis.studies.implicit_bias": ("ImplicitBias", "study_implicit_bias"),
    "analysis.decisions.further_runs.provisional": ("Provisional", "provisional"),
    "analysis.studies.published.check": ("published_findings",),
    "analysis.studies.published.finding": ("PublishedFindings",),
    "analysis.report.asked": ("Asked",),
    "analysis.report.findings": ("Findings", "gather_findings"),
    "analysis.report.write": ("write_report",),
}
__all__, __getattr__, __dir__ = offer("analysis", _HOMES)
