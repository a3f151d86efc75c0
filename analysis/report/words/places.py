"""Where a run is, in words: its compute with size and tokens, or its place along one column."""

from collections.abc import Mapping, Sequence

from analysis.forecasting.answer.result import TargetForecast
from analysis.text.numbers import count_in_words, digits_apart, flops_in_words

SYMBOLS = {"params": "N", "tokens": "D", "train_flops": "C"}


def x_in_words(value: float, x: str, *, spelt_out: bool = True) -> str:
    """A value of the column that forecasts run along, with its unit where it has one."""
    if x == "train_flops":
        return f"{flops_in_words(value, 3)} FLOP"
    return f"{count_in_words(value, spelt_out=spelt_out)} {x_noun(x)}"


def x_noun(x: str) -> str:
    """What the column counts, in words."""
    return {"train_flops": "compute", "params": "parameters", "tokens": "training tokens"}.get(x, x)


def targets_in_words(targets: Sequence[TargetForecast]) -> list[str]:
    """Runs that were asked for, each with its compute in digits that tell different ones apart."""
    digits = digits_apart(t.at["train_flops"] for t in targets if "train_flops" in t.at)
    return [target_in_words(target.at, digits) for target in targets]


def target_in_words(at: Mapping[str, float], digits: int = 3) -> str:
    """A run that was asked for: its compute with size and tokens, or its place along one column."""
    parts = [
        f"{SYMBOLS.get(name, name)}\u00a0{count_in_words(value)}"
        for name, value in at.items()
        if name != "train_flops"
    ]
    if "train_flops" not in at:
        return ", ".join(parts)
    budget = f"{flops_in_words(at['train_flops'], digits)} FLOP"
    return f"{budget} ({', '.join(parts)})" if parts else budget
