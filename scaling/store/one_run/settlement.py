"""The word that a run need not go on: on its way from the driver of a sweep to the run's worker."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """Why a run need not go on, and what is put down in place of its loss."""

    reason: str
    facts: Mapping[str, float]
    """Columns of the records table: forecast_loss, forecast_low, forecast_high, share_done."""

    def to_json(self) -> str:
        """As a tag of the run holds it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, document: str) -> "Settlement":
        """What `to_json` has written. Raises ValueError for anything else."""
        found = json.loads(document)
        if not isinstance(found, dict) or found.keys() != {"reason", "facts"}:
            raise ValueError("not what a driver writes")
        facts = {str(name): float(value) for name, value in dict(found["facts"]).items()}
        return cls(reason=str(found["reason"]), facts=facts)
