"""The methods behind a report's numbers, by the laws and steps that it used."""

from analysis.report.findings import Findings

_OF_LAWS = {
    "chinchilla": "Hoffmann et al. 2022, Training Compute-Optimal Large Language Models, "
    "arXiv:2203.15556 (loss as a law of model size and tokens).",
    "power_law": "OpenAI 2023, GPT-4 Technical Report, arXiv:2303.08774 (a power of compute above "
    "a floor, to predict the loss of a larger run).",
    "shifted_power_law": "Alabdulmohsin, Neyshabur and Zhai 2022, Revisiting Neural Scaling Laws "
    "in Language and Vision, arXiv:2209.06640.",
    "m4": "Alabdulmohsin, Neyshabur and Zhai 2022, Revisiting Neural Scaling Laws in Language and "
    "Vision, arXiv:2209.06640.",
    "broken_power_law": "Caballero, Gupta, Rish and Krueger 2022, Broken Neural Scaling Laws, "
    "arXiv:2210.14891.",
    "overtraining": "Gadre et al. 2024, Language models scale reliably with over-training and on "
    "downstream tasks, arXiv:2403.08540.",
    "data_constrained": "Muennighoff et al. 2023, Scaling Data-Constrained Language Models, "
    "arXiv:2305.16264.",
}
_FIT = (
    "Besiroglu, Erdil, Barnett and You 2024, Chinchilla Scaling: A Replication Attempt, "
    "arXiv:2404.10102 (Huber loss on log residuals, summed, with bootstrap intervals).",
    "Li, Kudugunta and Zettlemoyer 2025, (Mis)Fitting: A Survey of Scaling Laws, "
    "arXiv:2502.18969 (what a fit must report).",
)
_BOOTSTRAP = "Efron and Tibshirani 1993, An Introduction to the Bootstrap (percentile intervals)."
_SCORES = (
    "Gneiting and Raftery 2007, Strictly Proper Scoring Rules, Prediction, and Estimation "
    "(how intervals are scored)."
)


def references_for(findings: Findings) -> tuple[str, ...]:
    """The literature for the laws fitted or forecast with, then for the steps taken."""
    used = [law.fit.law.name for law in findings.laws]
    used += findings.forecast.laws if findings.forecast else ()
    found = [_OF_LAWS[name] for name in used if name in _OF_LAWS]
    if findings.laws:
        found += _FIT
    if any(law.fit.draws is not None for law in findings.laws):
        found.append(_BOOTSTRAP)
    if findings.backtest is not None:
        found.append(_SCORES)
    return tuple(dict.fromkeys(found))
