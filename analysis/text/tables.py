"""Labels that all texts share."""

from collections.abc import Mapping, Sequence

#: How a quantity is written in a table of targets.
_SYMBOLS = {"params": "N", "tokens": "D", "train_flops": "C"}

FARTHEST = "the distance is that of whichever of N, D and C lies farthest outside the runs"


def target_label(at: Mapping[str, float], digits: int = 3) -> str:
    """A target in one phrase: C 1e+21 (N 2.3e+09, D 7.1e+10); ``digits`` are those of C."""
    places = {"train_flops": digits}
    parts = {
        _SYMBOLS.get(name, name): f"{value:.{places.get(name, 3)}g}" for name, value in at.items()
    }
    if "C" not in parts or len(parts) == 1:
        return ", ".join(f"{symbol} {value}" for symbol, value in parts.items())
    compute = parts.pop("C")
    rest = ", ".join(f"{symbol} {value}" for symbol, value in parts.items())
    return f"C {compute} ({rest})"


def interval_text(interval: Sequence[float], digits: int = 4) -> str:
    """An interval in brackets."""
    low, high = interval
    return f"[{low:.{digits}f}, {high:.{digits}f}]"
