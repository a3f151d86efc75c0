"""The end of a study: forecast the held-out runs unseen, then look, then write the report."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis.evaluation.held_out import forecast_held_out, held_out_runs
from analysis.evaluation.verdicts import SealStanding, record_line
from analysis.forecasting.answer.result import TargetForecast
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.intervals import LEVEL, in_decimals, interval_at
from analysis.report.asked import FACTORS
from analysis.report.findings import Findings, gather_findings
from analysis.report.tables.cells import NO_INTERVAL
from analysis.report.tables.forecasts import constants_table
from analysis.report.write import write_report
from analysis.text.numbers import factor_in_words
from scaling.limits import LimitCode, texts
from scaling.records import Records
from scaling.words import counted


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study found and where its files lie."""

    findings: Findings
    report: Path
    sealed: Path | None  # the forecast of the held-out runs, written before they were read

    def to_text(self) -> str:
        """The laws with intervals, the held-out check, the forecast, and the report's path."""
        lines = []
        for fit in self.findings.laws:
            lines.append(f"{fit.law.name}: {fit.about} ({counted(fit.n_runs, 'run')})")
            rows = constants_table(fit).rows
            width = max(len(name) for name, _, _ in rows)
            lines += [
                f"  {name:{width}}  {value}" + (f"  [{spread}]" if spread != NO_INTERVAL else "")
                for name, value, spread in rows
            ]
            lines += [f"  {choice.line}" for choice in fit.choices]
            lines += [f"  limit: {limit.text}" for limit in fit.limits]
        lines += [f"not answered: {limit.text}" for limit in self.findings.limits]
        lines += self._forecast_lines(self.findings.target, "forecast")
        lines += ["", record_line(self.findings.seals)] if self.findings.seals else []
        check = self.findings.held_out
        if check is not None:
            lines += ["", *check.line.splitlines()]
            beyond = max(run.decades_beyond for run in check.runs)
            lines.append(f"  at {factor_in_words(beyond)} the largest fitted run")
            lines += [
                f"  limit: {sentence}"
                for sentence in texts(check.limits, without=(LimitCode.MISSED,))
            ]
            lines += self._forecast_lines(
                self.findings.target_from_all, "forecast from all runs, held-out ones among them,"
            )
            if check.warning:
                bar = "!" * 78
                lines += [bar, check.warning, bar]
        return "\n".join([*lines, f"report: {self.report}"])

    def _forecast_lines(
        self, target_at: Callable[[float], TargetForecast | None], made: str
    ) -> list[str]:
        lines, level = [], self.findings.confidence_level
        for factor in FACTORS:
            target = target_at(factor)
            if target is not None:
                low, high = interval_at(target.in_meaningful_digits().intervals, level)
                predicted = f"unsupported, somewhere in [{low:.2g}, {high:.2g}]"
                if target.median is not None:
                    predicted = "{} [{}, {}]".format(*in_decimals(target.median, (low, high), 3))
                flops = target.at.get("train_flops")
                where = "" if flops is None else f" (C {flops:.3g})"
                lines.append(
                    f"{made} at {factor:g} times the largest fitted run{where}: {predicted} "
                    f"({target.decades_beyond:.1f} decades beyond the data)"
                )
        return lines


def write_study(
    records: Records,
    folder: str | Path,
    *,
    title: str | None = None,
    options: ForecastOptions = DEFAULT,
    confidence_level: float = LEVEL,
    curves: pd.DataFrame | None = None,
    seals: tuple[SealStanding, ...] = (),
) -> Study:
    """Forecast the held-out runs and write that down, compare with what they measured, report.

    ``folder`` receives ``held_out_forecast.json`` (before any held-out loss is looked at) and
    ``report.html``, with the record of the ``seals``. Raises RecordError or ForecastError where
    the runs cannot answer.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    options = replace(options, confidence_levels=(*options.confidence_levels, confidence_level))
    sealed, path = None, None
    if len(held_out_runs(records)):
        sealed = forecast_held_out(records, options=options)
        path = target / "held_out_forecast.json"
        path.write_text(sealed.to_json() + "\n", encoding="utf-8")
    findings = gather_findings(
        records,
        options=options,
        confidence_level=confidence_level,
        sealed=sealed,
        curves=curves,
        seals=seals,
    )
    report = write_report(findings, target / "report.html", title=title)
    return Study(findings=findings, report=report, sealed=path)
