"""The methods behind a report's numbers, by the laws and steps that it used."""

from dataclasses import dataclass

from analysis.report.findings import Findings
from scaling.laws.reference import Reference
from scaling.laws.registry import LAWS

_REPLICATION = Reference(
    "besiroglu2024chinchilla",
    ("Besiroglu", "Erdil", "Barnett", "You"),
    "Chinchilla Scaling: A Replication Attempt",
    2024,
    "2404.10102",
)
_MISFITTING = Reference(
    "li2025misfitting",
    ("Li", "Kudugunta", "Zettlemoyer"),
    "(Mis)Fitting: A Survey of Scaling Laws",
    2025,
    "2502.18969",
)
_BOOTSTRAP = Reference(
    "efron1993bootstrap", ("Efron", "Tibshirani"), "An Introduction to the Bootstrap", 1993
)
_SCORES = Reference(
    "gneiting2007scoring",
    ("Gneiting", "Raftery"),
    "Strictly Proper Scoring Rules, Prediction, and Estimation",
    2007,
)


@dataclass(frozen=True)
class Cited:
    """A publication, and what it stands behind on the page."""

    reference: Reference
    uses: tuple[str, ...]

    @property
    def line(self) -> str:
        """The citation with its uses."""
        return f"{self.reference.citation}: {'; '.join(self.uses)}."


def references_for(findings: Findings) -> tuple[Cited, ...]:
    """The source of every law fitted or forecast with, then of the steps taken."""
    uses: dict[Reference, list[str]] = {}
    for fitted in findings.laws:
        _use(uses, type(fitted.law).reference, f"the law {fitted.law.name}")
    for candidate, law in (findings.forecast.laws if findings.forecast else {}).items():
        if law in LAWS:  # a written formula stands with its own source, or none
            _use(uses, LAWS[law].reference, f'"{candidate}" in the forecast')
    for candidate, added in (findings.forecast.references if findings.forecast else {}).items():
        _use(uses, added, f'what "{candidate}" adds to its law')
    cited = [Cited(reference, tuple(for_what)) for reference, for_what in uses.items()]
    if findings.laws:
        how = "Huber loss of log residuals, summed, with bootstrap intervals"
        cited += [Cited(_REPLICATION, (how,)), Cited(_MISFITTING, ("what a fit must report",))]
    if any(fitted.draws is not None for fitted in findings.laws):
        cited.append(Cited(_BOOTSTRAP, ("percentile intervals",)))
    if findings.backtest is not None:
        cited.append(Cited(_SCORES, ("how intervals are scored",)))
    return tuple(cited)


def _use(uses: dict[Reference, list[str]], reference: Reference | None, what: str) -> None:
    if reference is None:
        return
    uses.setdefault(reference, [])
    if what not in uses[reference]:
        uses[reference].append(what)
