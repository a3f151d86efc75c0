"""The report as JSON, for a program: the results that the page was written from, in the digits that
mean something."""

import json
from dataclasses import asdict
from typing import Any

from analysis.display import plain_values
from analysis.report.findings import Findings
from analysis.report.words.summary import summarise


def report_json(findings: Findings, title: str) -> str:
    """The findings as one JSON document: the summary's paragraphs, and each result by its name."""
    records, answers = findings.records, findings.answers
    document: dict[str, Any] = {
        "title": title,
        "source": records.source,
        "data_hash": records.data_hash,
        "runs": len(findings.used),
        "x": findings.x,
        "confidence_level": findings.confidence_level,
        "summary": [asdict(statement) for statement in summarise(findings)],
        "plan": plain_values(findings.plan),
        "forecast": plain_values(findings.forecast),
        "splits": plain_values(findings.splits),
        "held_out": plain_values(findings.held_out),
        "backtest": plain_values(findings.backtest),
        "laws": [plain_values(law.to_dict()) for law in findings.laws],
        "health": plain_values(findings.health),
        "provisional": plain_values(findings.provisional),
        "comparison": _comparison(findings),
        "discovery": plain_values(findings.discovery),
        "groups": _groups(findings),
        "next": plain_values(findings.proposal),
        "published_findings": plain_values(findings.published),
        "seals": plain_values(findings.seals),
        "links": plain_values(findings.links),
        "limits": plain_values(findings.limits),
        "notes": [{"code": note.code.value, "text": note.text} for note in records.told],
    }
    if answers is not None:
        document["asked"] = {
            "forecasts": plain_values(answers.forecasts),
            "budgets": plain_values(answers.budgets),
            "metrics": plain_values(answers.metrics),
        }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _comparison(findings: Findings) -> Any:
    """The other recipe, and whether to promote it, as `scaling compare --gate` writes it."""
    found = findings.comparison
    if found is None:
        return None
    return {**plain_values(found), "gate": plain_values(found.verdict())}


def _groups(findings: Findings) -> Any:
    """What each group says, as `scaling fit --by`, `backtest --by` and `forecast` write it."""
    found = findings.groups
    if found is None:
        return None
    return {
        "by": found.by,
        "fits": [plain_values(fit.to_dict()) for fit in found.fits],
        "forecasts": plain_values(found.forecasts),
        "predictions": plain_values(found.predictions),
        "backtests": plain_values(found.backtests),
    }
