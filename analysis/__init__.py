"""What reads records: fits, forecasts, backtests, figures, reports.

    from analysis import fit_law, fit_isoflop, checklist_card

Each name is imported when it is first used, so that ``import analysis`` stays light.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "fit_law": "analysis.fit",
    "profile_intervals": "analysis.lmfit_tools",
    "Fit": "analysis.fit_result",
    "FitStatus": "analysis.fit_result",
    "Interval": "analysis.fit_result",
    "fit_isoflop": "analysis.isoflop",
    "fit_envelope": "analysis.envelope",
    "checklist_card": "analysis.diagnostics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
