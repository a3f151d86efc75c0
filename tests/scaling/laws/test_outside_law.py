"""A law that is written outside the package, here, is taken by everything without another line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.result import Fit
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.report import gather_findings, render_report
from docs.generate import law_section
from scaling.cli import main
from scaling.errors import ForecastError
from scaling.laws.base import Constant, Law, Symbol
from scaling.laws.conformance import check_law
from scaling.laws.reference import Reference
from scaling.laws.registry import register_law, unregister_law
from scaling.simulate import simulate_records


@dataclass(frozen=True)
class Product(Law):
    """A floor and two powers that also multiply: nothing of the kind is in the package.

    L(N, D) = F - 1 + (1 + K N**-u) (1 + P D**-v)
    """

    F: Constant
    K: Constant
    P: Constant
    u: Constant
    v: Constant
    name: ClassVar[str] = "product"
    form: ClassVar[str] = "L(N, D) = F - 1 + (1 + K N**-u) (1 + P D**-v)"
    reference: ClassVar[Reference] = Reference(
        "nobody2026product", ("Ann Nobody", "Bob Nowhere"), "Products of Powers", 2026
    )
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "F": Symbol("loss that no scale removes", "nats per token"),
        "K": Symbol("amplitude of size", "nats per token times params**u"),
        "P": Symbol("amplitude of data", "nats per token times tokens**v"),
        "u": Symbol("exponent of size"),
        "v": Symbol("exponent of data"),
    }
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("F", "K", "P")
    floor: ClassVar[str | None] = "F"

    @staticmethod
    def formula(n: Any, d: Any, f: Any, k: Any, p: Any, u: Any, v: Any) -> Any:
        """F - 1 + (1 + K n**-u) (1 + P d**-v)."""
        return f - 1 + (1 + k * n**-u) * (1 + p * d**-v)

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(F=1.6, K=60.0, P=200.0, u=0.28, v=0.27)


TRUTH = Product.example()
BUDGET = 1e24


@pytest.fixture(scope="module", autouse=True)
def registered():
    register_law(Product)
    yield
    unregister_law(Product)


@pytest.fixture(scope="module")
def records():
    """The 49 runs of the law's own example, with 0.2% noise."""
    return simulate_records(TRUTH, Product.example_runs(), relative_noise=0.002, seed=1)


@pytest.fixture(scope="module")
def table(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("outside") / "runs.csv"
    records.table.to_csv(path, index=False)
    return str(path)


def test_it_conforms():
    check_law(Product)


def test_it_is_fitted_from_starts_that_follow_from_its_bounds(records):
    fit = fit_as_asked(records, "product", objective="least_squares", bootstrap=40, card=False)
    for name, value in TRUTH.constants().items():
        low, high = fit.interval(lambda law, name=name: getattr(law, name), 0.999)
        assert low <= value <= high  # 99.9% of 40 draws is their range; one seed
    assert fit.search.starts_agreeing > 1
    again = Fit.from_json(fit.to_json())
    assert again.law == fit.law and again.constants == fit.constants
    assert json.loads(fit.to_json())["reference"]["bibtex"].startswith("@misc{nobody2026product,")


def test_it_forecasts_and_its_interval_holds_the_truth(records):
    answer = forecast(
        records, Targets.flops(BUDGET), options=ForecastOptions(law="product", backtests=2)
    )
    (target,) = answer.targets
    n, d = target.at["params"], target.at["tokens"]
    low, high = target.intervals[0.9]
    assert low <= float(TRUTH.loss(n, d)) <= high
    assert target.median == pytest.approx(float(TRUTH.loss(n, d)), rel=0.02)
    # the budget is split as the law itself finds best: no split near it is better
    for factor in (0.8, 1.25):
        assert TRUTH.loss(n * factor, d / factor) > TRUTH.loss(n, d) * (1 - 1e-3)
    assert answer.laws == {"product": "product"}
    assert Forecast.from_json(answer.to_json()).laws == answer.laws


def test_a_law_without_a_best_split_forecasts_runs_but_no_budget(records):
    """One power of each, multiplied: all of a budget belongs to the steeper one."""

    def formula(n, d, f, k, p, u, v):
        return f + k * p * n**-u * d**-v

    changed = {"name": "undivided", "formula": staticmethod(formula)}
    undivided = type("Undivided", (Product,), changed)
    with pytest.raises(ForecastError, match="undivided: no split of a budget is best"):
        forecast(
            records, Targets.flops(BUDGET), options=ForecastOptions(law=undivided, backtests=0)
        )
    answer = forecast(
        records, Targets.runs([1e10], [1e12]), options=ForecastOptions(law=undivided, backtests=0)
    )
    assert np.isfinite(answer.targets[0].intervals[0.9].high)


def test_the_command_line_knows_it(table, capsys):
    assert main(["fit", table, "--law", "product", "--bootstrap", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["constants"]["u"]["estimate"] > 0
    asked = ["--flops", str(BUDGET), "--json"]
    assert main(["forecast", table, "--law", "product", *asked]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert target["median"] > 1.6
    assert main(["fit", table, "--law", "prodct"]) == 2
    assert "product" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_the_report_cites_it(records):
    found = gather_findings(
        records, options=ForecastOptions(law="product"), bootstrap=20, with_backtest=False
    )
    page = render_report(found)
    assert "Nobody and Nowhere 2026, Products of Powers" in page
    assert "@misc{nobody2026product," in page
    assert "the law product" in page and "product&#34; in the forecast" in page


def test_the_documents_describe_it():
    section = law_section(Product)
    assert section.startswith("\n## product\n")
    assert "A floor and two powers that also multiply" in section
    assert "L(N, D) = F - 1 + (1 + K N**-u) (1 + P D**-v)" in section
    assert "| `K` | amplitude of size | nats per token times params**u | above 0 |" in section
    assert "Products of Powers" in section
