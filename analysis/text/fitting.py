"""A fit as text and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from analysis.approaches.side_by_side import CrossCheck
from analysis.fitting.checklist import Card
from analysis.fitting.result import Fit
from analysis.text.tables import plain_values
from scaling.limits import texts


def fit_text(
    fit: Fit,
    checks: Sequence[CrossCheck] = (),
    confidence_levels: Sequence[float] = (),
    *,
    with_card: bool = False,
) -> str:
    """The fit, the cross-checks that were asked for, and the checklist card if wanted."""
    lines = [fit.to_text(confidence_levels)]
    for check in checks:
        lines.append(f"  {check.line}")
        if check.exponent is not None:  # else its line says why there is none
            lines += [f"    {sentence}" for sentence in texts(check.limits)]
    if with_card and fit.card is not None:
        lines += ["", "checklist", str(Card(fit.card))]
    return "\n".join(lines)


def fit_json(
    fit: Fit, checks: Sequence[CrossCheck] = (), confidence_levels: Sequence[float] = ()
) -> str:
    """What the fit may be read for, and the cross-checks, as one JSON document."""
    document = fit.to_dict(confidence_levels)
    if checks:
        document["cross_checks"] = [asdict(check) for check in checks]
    return json.dumps(plain_values(document), indent=1, allow_nan=False)
