"""Labels, and JSON, that all texts share."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

#: How a quantity is written in a table of targets.
_SYMBOLS = {"params": "N", "tokens": "D", "train_flops": "C"}

FARTHEST = "the distance is that of whichever of N, D and C lies farthest outside the runs"


def result_json(result: Any) -> str:
    """One result dataclass as one JSON document; an unbounded end is null."""
    return json.dumps(plain_values(asdict(result)), indent=2, allow_nan=False)


def results_json(results: Sequence[Any]) -> str:
    """Result dataclasses as one JSON document; an unbounded end is null."""
    return json.dumps(
        [plain_values(asdict(result)) for result in results], indent=2, allow_nan=False
    )


def plain_values(value: Any) -> Any:
    """The same with JSON's own types; a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(name): plain_values(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        kinds = set(map(type, value))
        if kinds == {float}:  # residuals, and the names of rows: a million of a large table
            return [item if math.isfinite(item) else None for item in value]
        if kinds == {str}:
            return list(value)
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
