"""An exception in a worker, as what a person reads first and as what explains it."""

import traceback
from dataclasses import dataclass

from scaling.errors import ScalingError
from scaling.store.connection.tracking_uri import without_secrets

_LONGEST = 300
_ALLOCATION = "DefaultCPUAllocator"  # torch has no exception of its own for a host's memory


@dataclass(frozen=True, kw_only=True)
class Crash:
    """Why runs ended or a check was not made, without the credentials that messages may quote."""

    reason: str
    """One line."""
    traceback: str
    """Whole; empty for a mistake that the input explains, of which the line says all."""

    @classmethod
    def of(cls, error: Exception) -> "Crash":
        """What to keep of this exception."""
        if isinstance(error, ScalingError):
            return cls(reason=without_secrets(str(error)), traceback="")
        first_line = next(iter(str(error).strip().splitlines()), "")
        if isinstance(error, MemoryError) or _ALLOCATION in str(error):
            said = first_line.rpartition(f"{_ALLOCATION}: ")[2] or "no more could be had"
            reason = (
                f"out of memory ({said}); lower launch.workers or launch.speed.pack, or use a "
                "machine with more"
            )
            return cls(reason=without_secrets(reason)[:_LONGEST], traceback="")
        return cls(
            reason=without_secrets(f"{type(error).__name__}: {first_line}")[:_LONGEST],
            traceback=without_secrets("".join(traceback.format_exception(error))),
        )
