"""Facts about the front door: what each package offers, and that opening it costs nothing."""

import ast
import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OFFERED = {
    "analysis": """
        Discovery discover fit_groups GroupedFit GroupedPrediction predict_groups RunsToBuy
        runs_to_buy with_found_predictions
        Asked Backtest BudgetForLoss BudgetPlan Contexts CrossCheck EnvelopeFit Findings Fit
        FitStatus Forecast Hardware plan_budgets ArmComparison compare
        ForecastOptions HeldOutCheck ImplicitBias Interval IsoflopFit LadderHealth MetricForecast
        NextRuns OptimalSplit ProposalCheck RunOnOffer Seal SealStanding Targets random_contexts
        study_implicit_bias Provisional provisional PublishedFindings published_findings
        GroupedBacktest backtest_groups
        backtest budget_for_loss check_held_out check_proposal checklist_card cross_checks next_runs
        IrreducibleLoss irreducible_loss
        fit_envelope fit_isoflop fit_law forecast forecast_held_out forecast_metric
        gather_findings ladder_health allocate Allocation profile_intervals
        seal_forecast standing_of TunedRecipe tuned_recipe with_predictions write_report
    """,
    "scaling": """
        CheckError ConfigError CorpusError FitError ForecastError Limit LimitCode Price RecordError
        Records RunStore ScalingError StoreError grid_of_runs import_records isoflop_runs laws
        read_records read_samples records_from records_from_table register_law simulate_records
        write_records
    """,
    "scaling.laws": """
        BrokenPowerLaw Chinchilla DataConstrained EncoderDecoderLaw Experts Farseer
        FineGrainedExperts Formula LAWS Law LearningRateAndBatch M4 Mixture ParallelCopies
        SparseWeights Vocabulary Overtraining PowerLaw PurePowerLaw SaturatingPowerLaw ShapeLaw
        ShiftedPowerLaw Skaling TwiceBrokenPowerLaw check_law law_for law_named read_laws
        register_law
    """,
    "sweeps": """
        CheckReport ContinuedPrompt KeptRun RunPlan SamplingRule ScoredText SweepConfig
        SweepOutcome SweepPlan SweepStanding config_from_mapping continue_prompt kept_runs
        load_config plan_sweep run_checks run_sweep score_text sweep_standing
    """,
}
EVERY_NAME = [(package, name) for package, names in OFFERED.items() for name in names.split()]


@pytest.mark.parametrize("package", OFFERED)
def test_a_package_offers_exactly_these_names(package):
    module = import_module(package)
    assert module.__all__ == dir(module) == sorted(["__version__", *OFFERED[package].split()])
    assert module.__version__ == import_module("scaling").__version__
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


@pytest.mark.parametrize("package", OFFERED)
def test_a_type_checker_sees_what_a_package_offers(package):
    tree = ast.parse(Path(import_module(package).__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert set(seen) == set(OFFERED[package].split())
    for name, home in seen.items():
        assert getattr(import_module(home), name) is getattr(import_module(package), name)


@pytest.mark.parametrize(("package", "name"), EVERY_NAME)
def test_every_name_says_what_it_answers(package, name):
    offered = getattr(import_module(package), name)
    if name == "LAWS":  # a dict has the words of dict
        return
    assert len((inspect.getdoc(offered) or "").split()) > 4
    if inspect.isfunction(offered):
        assert "return" in offered.__annotations__


def test_no_module_takes_the_place_of_a_name():
    """A module that is imported becomes an attribute of its package, and would hide the name."""
    for package, names in OFFERED.items():
        folder = Path(import_module(package).__file__).parent
        rooms = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
        assert rooms & set(names.split()) <= {"laws"}  # offered as the module that it is
    import analysis
    import analysis.decisions.budget_for_loss
    import analysis.evaluation.backtest
    import analysis.forecasting.forecast
    from analysis import backtest, budget_for_loss, forecast

    assert all(inspect.isfunction(name) for name in (backtest, budget_for_loss, forecast))
    assert analysis.forecast is forecast


def test_opening_the_door_imports_nothing_but_the_door():
    probe = (
        "import sys; before = set(sys.modules); import analysis, scaling, sweeps; import json;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = [name.split(".")[0] for name in json.loads(done.stdout)]
    ours = [name for name in json.loads(done.stdout) if name.split(".")[0] in OFFERED]
    assert ours == ["analysis", "scaling", "scaling.lazy", "sweeps"]
    heavy = {"numpy", "pandas", "scipy", "torch", "mlflow", "matplotlib", "rich", "jinja2", "yaml"}
    assert not heavy & set(loaded)
