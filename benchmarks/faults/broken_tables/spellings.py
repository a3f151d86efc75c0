"""How a table is spelt: the names of its columns and the ways of writing numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

NAMES = {
    "params": (
        *("params", "N", "n_params", "model.params", "Parameters", "config.nParams", "num_params"),
        *("# params", "Params", "parameter count", "model_size", "non_embedding_params"),
    ),
    "tokens": (
        *("tokens", "D", "tokens_seen", "train tokens", "data.tokens", "num_tokens", "Tokens"),
        *("training tokens", "n_tokens", "TrainTokens", "tokens_processed", "dataset_tokens"),
    ),
    "train_flops": (
        *("train_flops", "C", "flops", "FLOPs", "compute", "total_flops", "training compute"),
        *("compute budget", "FLOP"),
    ),
    "loss": (
        *("loss", "val_loss", "L", "eval/loss", "summary.valLoss", "Loss (nats)", "final loss"),
        *("validation loss", "Validation Loss", "metrics.val/loss", "test_loss", "eval_loss"),
    ),
}


@dataclass(frozen=True)
class Spelt:
    """A table of text, and how its file separates cells."""

    text: pd.DataFrame
    separator: str
    decimal_comma: bool
    loss: str  # the name of its loss
    how: str


def _times_ten(mark: str) -> Callable[[float], str]:
    def written(value: float) -> str:
        head, exponent = f"{value:.9e}".split("e")
        head = head.rstrip("0").rstrip(".")
        return f"{head}{mark}{int(exponent)}"

    return written


def _superscript(value: float) -> str:
    head, exponent = _times_ten("e")(value).split("e")
    up = exponent.translate(
        str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    )
    return f"{head} \u00d7 10{up}"


def _suffix(scale: float, ending: str) -> Callable[[float], str]:
    return lambda value: f"{value / scale:.10g}{ending}"


def _grouped(mark: str) -> Callable[[float], str]:
    return lambda value: f"{value:,.15g}".replace(",", mark)


#: Ways to write a size; each keeps every digit.
SIZES: dict[str, Callable[[float], str]] = {
    "plain": lambda value: f"{value:.15g}",
    "float": repr,
    "exponent": lambda value: f"{value:.9e}",
    "capital exponent": lambda value: f"{value:.3E}",
    "commas": _grouped(","),
    "blanks": _grouped(" "),
    "no-break blanks": _grouped("\u00a0"),
    "narrow blanks": _grouped("\u202f"),
    "apostrophes": _grouped("'"),
    "underscores": _grouped("_"),
    "M": _suffix(1e6, "M"),
    "blank M": _suffix(1e6, " M"),
    "B": _suffix(1e9, "B"),
    "billion": _suffix(1e9, " billion"),
    "bn": _suffix(1e9, "bn"),
    "G": _suffix(1e9, "G"),
    "caret": _times_ten("x10^"),
    "stars": _times_ten(" * 10**"),
    "superscript": _superscript,
    "about": lambda value: f"~{value / 1e6:.10g}M",
    "with noun": lambda value: f"{value / 1e9:.10g}B",
    "quoted": lambda value: f'"{value:.15g}"',
    "in its own way": lambda value: (
        f"{value / 1e6:.10g}M" if value < 1e9 else f"{value / 1e9:.10g}B"
    ),
    "plain and M": lambda value: f"{value:.15g}" if value < 1e8 else f"{value / 1e6:.10g}M",
}
_NOUNS = {"params": " params", "tokens": " tokens", "train_flops": " FLOP"}
FLOPS: dict[str, Callable[[float], str]] = {
    "plain": repr,
    "exponent": lambda value: f"{value:.9e}",
    "EFLOP": _suffix(1e18, " EFLOP"),
    "ZFLOPs": _suffix(1e21, " ZFLOPs"),
    "PF-days": lambda value: f"{value / 8.64e19:.12g} PF-days",
    "caret": _times_ten("x10^"),
    "superscript": _superscript,
}
LOSSES: dict[str, Callable[[float], str]] = {
    "plain": lambda value: f"{value:.6f}",
    "float": repr,
    "exponent": lambda value: f"{value:.8e}",
    "nats": lambda value: f"{value:.6f} nats",
    "quoted": lambda value: f'"{value:.6f}"',
}
#: Units in headings: factor and what may follow the name.
UNITS = {
    "params": ((1e6, (" (M)", "_M", " [millions]", " (in millions)", "/M")), (1e9, (" (B)", "_b"))),
    "tokens": (
        (1e9, (" (B)", "_B", " [billions]", " (in billions)", " in B", " (bn)", " (1e9)")),
        (1e6, (" (M)", " (x10^6)")),
    ),
    "train_flops": ((1e18, (" (EFLOP)", " (1e18)")), (8.64e19, (" (PF-days)",))),
}


def spelt(table: pd.DataFrame, loss: str, rng: np.random.Generator) -> Spelt:
    """The table, whose loss is so called, in somebody's spelling; a column that is none of the four
    keeps its name."""
    separator = str(rng.choice([",", ",", ";", "\t", "|"]))
    decimal = separator != "," and bool(rng.integers(2))
    text, names, how = {}, {}, []
    taken = set()
    for column in table.columns:
        values = table[column]
        if column not in NAMES:
            name, cells = str(column), _as_text(values)
        elif column == "loss":
            name, cells, said = _loss(values, rng)
            how += said
        else:
            name, cells, said = _size(str(column), values, rng)
            how += said
        if name in taken or name in table.columns and name != column:
            name = str(column)
        taken.add(name)
        text[name], names[column] = cells, name
    written = pd.DataFrame(text, index=table.index)
    if decimal:
        numbers = [names[c] for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
        swap = str.maketrans(",.", ".,")
        for name in numbers:
            if not written[name].str.contains(r"[\[(]").any():
                written[name] = written[name].str.translate(swap)
        how.append("decimal commas")
    how.append({",": "commas between", ";": "semicolons", "\t": "tabs", "|": "bars"}[separator])
    return Spelt(written, separator, decimal, names.get("loss", loss), ", ".join(how))


def _as_text(values: pd.Series) -> list[str]:
    if values.dtype.kind == "f":
        return [repr(float(value)) for value in values]
    return [str(value) for value in values]


def _loss(values: pd.Series, rng: np.random.Generator) -> tuple[str, list[str], list[str]]:
    style = str(rng.choice(["plain", "plain", *LOSSES]))
    name = str(rng.choice(NAMES["loss"]))
    return name, [LOSSES[style](float(v)) for v in values], [f'loss "{name}" {style}']


def _size(
    column: str, values: pd.Series, rng: np.random.Generator
) -> tuple[str, list[str], list[str]]:
    name = str(rng.choice(NAMES[column]))
    if rng.random() < 0.25 and values.min() > 1e6:  # the unit stands in the heading
        units = UNITS[column]
        factor, endings = units[int(rng.integers(len(units)))]
        ending = str(rng.choice(endings))
        name = f"{column if len(name) == 1 and ending[0] != ' ' else name}{ending}"
        return name, [f"{v / factor:.12g}" for v in values], [f'"{name}"']
    styles = FLOPS if column == "train_flops" else SIZES
    style = str(rng.choice(["plain", *styles]))
    noun = _NOUNS[column] if style == "with noun" else ""
    cells = [styles[style](float(v)) + noun for v in values]
    return name, cells, [f'{column} "{name}" {style}']
