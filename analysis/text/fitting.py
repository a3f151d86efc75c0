"""A fit as text and as JSON."""

import json
from collections.abc import Sequence

from analysis.approaches.side_by_side import CrossCheck
from analysis.fitting.checklist import Card
from analysis.fitting.result import Fit
from scaling.limits import texts


def fit_text(fit: Fit, checks: Sequence[CrossCheck] = (), with_card: bool = False) -> str:
    """The fit, the cross-checks that were asked for, and the checklist card if wanted."""
    lines = [str(fit)]
    for check in checks:
        lines.append(f"  {check.line}")
        if check.exponent is not None:  # else its line says why there is none
            lines += [f"    {sentence}" for sentence in texts(check.limits)]
    if with_card and fit.card is not None:
        lines += ["", "checklist", str(Card(fit.card))]
    return "\n".join(lines)


def fit_json(fit: Fit, checks: Sequence[CrossCheck] = ()) -> str:
    """The fit without its bootstrap draws, and the cross-checks, as one JSON document."""
    document = json.loads(fit.to_json(draws=False))
    if checks:
        document["cross_checks"] = [check.to_dict() for check in checks]
    return json.dumps(document, indent=1)
