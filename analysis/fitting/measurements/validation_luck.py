"""What all runs of a table share: the luck of the one validation set that they were measured on."""

import numpy as np

from scaling.limits import Limit, LimitCode
from scaling.records import Records


def evaluation_stderr(used: Records) -> float | None:
    """The standard error of a loss near the lowest over its validation set, nats per token; None
    where the table does not have it.

    It shifts all losses and the floor alike, and so hardly shows in how runs scatter about a law.
    """
    if "loss_stderr" not in used:
        return None
    order = np.argsort(used.column("loss"), kind="stable")[: max(1, len(used) // 3)]
    known = used.column("loss_stderr")[order]
    known = known[np.isfinite(known) & (known > 0)]
    return float(np.median(known)) if len(known) else None


def shared_luck(used: Records, floor: str) -> tuple[Limit, ...]:
    """That the interval of a fitted floor is of these very sequences; nothing where the table does
    not have their standard error."""
    stderr = evaluation_stderr(used)
    if stderr is None:
        return ()
    text = (
        f"{floor} is of the validation set that all runs were measured on: its standard error, "
        f"{stderr:.2g} nats (loss_stderr), shifts every loss alike and is not in the interval"
    )
    return (Limit(LimitCode.EVALUATION_SHARED, text),)
