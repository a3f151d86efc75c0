"""The fits of one law to groups of runs, as one value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from analysis.display import Result
from analysis.fitting.result import Fit
from scaling.errors import FitError
from scaling.limits import Limit, limits_from
from scaling.tables.notes import notes_from

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True, repr=False)
class GroupedFit(Result):
    """One law for groups of runs: a `Fit` of each, in which shared constants are the same."""

    law: str
    form: str
    by: str  # the column that makes the groups
    shared: tuple[str, ...]  # constants that all groups have in common, fitted together
    fits: Mapping[
        str, Fit
    ]  # group -> its fit; draws of groups that share belong together, in order
    left_out: Mapping[str, str]  # group -> why it has no fit
    source: str
    data_hash: str
    limits: tuple[Limit, ...]  # of the groups together; each fit has its own

    @property
    def n_runs(self) -> int:
        """The runs of all fits."""
        return sum(fit.n_runs for fit in self.fits.values())

    def to_frame(self, confidence_levels: Sequence[float] = ()) -> "DataFrame":
        """One row a group and constant, as `Fit.to_frame` has them, with the group first."""
        import pandas as pd

        frames = {label: fit.to_frame(confidence_levels) for label, fit in self.fits.items()}
        return pd.concat(frames, names=[self.by])

    def to_dict(self, confidence_levels: Sequence[float] = ()) -> dict[str, Any]:
        """What the fits may be read for, as JSON-ready values; intervals at ``confidence_levels``,
        or each fit's own."""
        groups = {label: fit.to_dict(confidence_levels) for label, fit in self.fits.items()}
        return self._around(groups)

    def to_json(self, *, draws: bool = True) -> str:
        """Each fit as `Fit.to_json` writes it, which `from_json` restores."""
        groups = {label: json.loads(fit.to_json(draws=draws)) for label, fit in self.fits.items()}
        return json.dumps(self._around(groups), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The fits that `to_json` wrote. Raises FitError for any other text."""
        try:
            document = json.loads(text)
            groups = document["groups"]
            return cls(
                fits={label: Fit.from_json(json.dumps(one)) for label, one in groups.items()},
                shared=tuple(document["shared"]),
                limits=limits_from(document["limits"]),
                notes=notes_from(document["notes"]),
                **{name: document[name] for name in _PLAIN},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FitError(
                f"not fits of groups: {type(error).__name__} {error}; write them with "
                "`scaling fit --by COLUMN -o`"
            ) from error

    def _around(self, groups: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "law": self.law,
            "form": self.form,
            "by": self.by,
            "shared": list(self.shared),
            "groups": dict(groups),
            "left_out": dict(self.left_out),
            "n_runs": self.n_runs,
            "source": self.source,
            "data_hash": self.data_hash,
            "limits": [asdict(limit) for limit in self.limits],
            "notes": [asdict(note) for note in self.notes],
        }

    def _document(self) -> Any:
        return self.to_dict()


_PLAIN = ("law", "form", "by", "left_out", "source", "data_hash")
