"""What reads records: fits, forecasts, backtests, figures, reports.

    from analysis import fit_law, fit_isoflop, checklist_card

Each name is imported when it is first used, so that ``import analysis`` stays light.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "fit_law": "analysis.fitting.fit",
    "profile_intervals": "analysis.fitting.lmfit_bridge",
    "Fit": "analysis.fitting.result",
    "FitStatus": "analysis.fitting.result",
    "Interval": "analysis.fitting.result",
    "fit_isoflop": "analysis.approaches.isoflop",
    "fit_envelope": "analysis.approaches.envelope",
    "checklist_card": "analysis.fitting.checklist",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
