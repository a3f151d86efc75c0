"""What a loss is: its unit by the name of its column, and whether less of it is better."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling.arrays import FloatArray
from scaling.columns import NATS_PER_TOKEN, UNSTATED_KIND
from scaling.errors import RecordError
from scaling.tables.notes import Note, NoteCode, rows_named
from scaling.words import counted

if TYPE_CHECKING:
    import pandas as pd

#: Units by the words of a column's name, or of --loss-unit; the first that is found counts.
_KINDS = (
    ("bits_per_byte", r"bpb|bits?_?(per|/)_?byte"),
    ("bits_per_character", r"bpc|bits?_?(per|/)_?char(acter)?"),
    ("bits_per_token", r"log_?2_?(ppl|perplexity)"),
    ("nats_per_token", r"(log|ln)_?(ppl|perplexity)"),
    ("perplexity", r"ppl|perplexity"),
    ("bits_per_token", r"bpt|bits?(_?(per|/)_?token)?"),
    ("accuracy", r"acc|accuracy|accuracies"),
    (
        "nats_per_token",
        r"nats?(_?(per|/)_?token)?|loss|nll|ce|cross_?entropy|xent|log_?loss|entropy",
    ),
)
#: Words of metrics that are better when higher.
_HIGHER = re.compile(
    r"(^|_)(acc|accuracy|score|scores|f1|bleu|chrf|rouge|em|exact_match|reward|elo|win_?rate|mfu|auc|"
    r"auroc|map|pass_?at|pass|r2|success_?rate|precision|recall)(_|$|\d)"
)
#: Benchmarks that are scored by accuracy, unless a word of the name says that it is a loss.
_BENCHMARKS = re.compile(
    r"(^|_)(mmlu|hellaswag|hella_swag|arc_?[ce]|arc_(challenge|easy)|winograd|winogrande?|piqa|siqa|boolq|gsm8k|"
    r"humaneval|human_eval|mbpp|truthfulqa|truthful_qa|triviaqa|openbookqa|obqa|bbh|agieval|"
    r"copa|sciq|commonsenseqa|xwinograd|gpqa)(_|$|\d)"
)
_LOSSES = re.compile(r"(^|_)(loss|ppl|perplexity|bpb|nll|ce|err|error|bits?|nats?)(_|$|\d)")
#: Words of metrics that are shares of what went wrong.
_ERRORS = re.compile(
    r"(^|_)(err|error|errors|error_?rate|wer|cer|miss_?rate|failure_?rate)(_|$|\d)"
)
_PERCENT = re.compile(r"%|percent|pct", re.IGNORECASE)
_FEW_ABOVE = 0.25  # of all values: so few above 1 are mistakes sooner than percentages
_APART = 10.0  # times: percentages that begin below 1% leave no such gap at 1
UNITS = tuple(dict.fromkeys((*(kind for kind, _ in _KINDS), "nats", "bits")))
_MOST_STRAYS = 20
_FEWEST = 8  # losses among which one may lie far from all others
_MOST_NATS = 12.0  # a guess among 160,000 tokens costs as much
BETTER = ("lower", "higher")


def _flat(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^a-z0-9/]+", "_", spaced.lower()).strip("_")


def kind_of(name: str) -> str:
    """What a column of this name holds; `UNSTATED_KIND` where the name does not say."""
    flat = _flat(name)
    if flat == "l":  # the symbol of the laws
        return "nats_per_token"
    for kind, words in _KINDS:
        if re.search(rf"(^|[_/])({words})($|[_/\d])", flat):
            return kind
    return UNSTATED_KIND


def rises_with_quality(name: str) -> bool:
    """Whether the name of a column is that of a metric that is better when higher."""
    flat = _flat(name).replace("/", "_").replace("@", "_at")
    is_benchmark = bool(_BENCHMARKS.search(flat)) and not _LOSSES.search(flat)
    return is_benchmark or bool(_HIGHER.search(flat))


def metric_hint(columns: Sequence[str]) -> str:
    """What to type where a table has no loss but a metric that is better when higher."""
    metric = next((name for name in columns if rises_with_quality(name)), None)
    return "" if metric is None else f'; or fit "{metric}" with --metric and --better higher'


def is_error_rate(name: str) -> bool:
    """Whether the name of a column is that of a share of what went wrong, 0 at best."""
    return bool(_ERRORS.search(_flat(name).replace("/", "_")))


def unit_named(text: str) -> str:
    """The kind of loss that --loss-unit names. Raises RecordError for an unknown one."""
    kind = kind_of(text)
    if kind == UNSTATED_KIND or kind == "accuracy":
        raise RecordError(f'--loss-unit "{text}": choose one of {", ".join(UNITS[:5])}, nats, bits')
    return kind


def as_falling_loss(
    values: "pd.Series",
    name: str,
    stated: str,
    *,
    unit: str | None,
    better: str | None,
    source: str,
) -> "tuple[pd.Series, str, list[Note]]":
    """The losses to fit, what they are (`loss_kind`), and what was said of them.

    ``name`` is the column's own name, ``stated`` the table's own word for what it holds.
    Perplexity becomes its logarithm; of a metric that is better when higher and has a best value,
    what is missing to it is fitted. Raises RecordError where it must be asked.
    """
    kind = unit_named(unit) if unit else stated or kind_of(name)
    rises = kind == "accuracy" or (not unit and rises_with_quality(stated or name))
    if better is None and rises:
        raise RecordError(
            f'{source}: "{name}" looks like a metric that is better when higher, and laws are of '
            f"losses that fall; say --better higher (what is missing to its best value is fitted) "
            f"or --better lower"
        )
    if better == "higher":
        return _missing_to_best(values, name, source)
    if kind == "perplexity":
        if not unit and (values.dropna() < 1).any():
            raise RecordError(
                f'{source}: "{name}" has values below 1, which is no perplexity; say what it is '
                "with --loss-unit, for example --loss-unit nats"
            )
        with np.errstate(all="ignore"):
            logs = np.log(values.where(values > 0))
        text = f'loss is the logarithm of "{name}", nats per token'
        return logs, "nats_per_token", [Note(NoteCode.UNDERSTOOD, text)]
    notes = []
    if kind in NATS_PER_TOKEN and not stated and not unit and values.median() > _MOST_NATS:
        kind = UNSTATED_KIND
        text = (
            f'"{name}" is {values.min():.3g} to {values.max():.3g}, too high for nats per token: '
        )
        text += "is it a perplexity or a sum? --loss-unit says what it is"
        notes.append(Note(NoteCode.ASSUMED, text))
    elif kind not in NATS_PER_TOKEN and (not stated or unit):
        shown = "in an unknown unit" if kind == UNSTATED_KIND else kind.replace("_", " ")
        hint = "; --loss-unit says another" if not unit else ""
        notes.append(Note(NoteCode.UNDERSTOOD, f'loss "{name}" is {shown}{hint}'))
    return values, kind, notes


def stray_note(loss: "pd.Series", name: str) -> Note | None:
    """That few losses lie further from all others than these from one another, or None."""
    known = loss[np.isfinite(loss) & (loss > 0)]
    if len(known) < _FEWEST:
        return None
    middle = known.median()
    order = known[(np.log(known / middle)).abs().sort_values(kind="stable").index]
    logs = np.log(order.to_numpy())
    lowest, highest = np.minimum.accumulate(logs), np.maximum.accumulate(logs)
    for few in range(min(max(1, len(order) // 10), _MOST_STRAYS), 0, -1):
        low, high = lowest[-few - 1], highest[-few - 1]
        gap = float(np.maximum(low - logs[-few:], logs[-few:] - high).min())
        if gap > max(np.log(2), high - low):
            rows = order.index[-few:]
            text = (
                f"{name} of {rows_named(rows)} ({order.iloc[-1]:.4g}) lies far from all others "
                f"({np.exp(low):.4g} to {np.exp(high):.4g}) and counts, unless "
                "--where leaves it out"
            )
            return Note(NoteCode.ASSUMED, text)
    return None


def top_of_range(known: FloatArray, name: str) -> float | None:
    """Where the range of a share, 0 to 1, or of a percentage, 0 to 100, ends, by its known values:
    none of them is above 1 in shares. None where they do not tell, `of_two_units` says why: both
    kinds occur, with few above 1 or none between them, and the name does not say percent."""
    above, inside = known[known > 1], known[(known > 0) & (known <= 1)]
    if not len(above):
        return 1.0
    if not len(inside) or _PERCENT.search(name):
        return 100.0
    are_few = len(above) < len(known) * _FEW_ABOVE
    return None if are_few or above.min() > _APART * inside.max() else 100.0


def of_two_units(known: FloatArray, name: str) -> str:
    """What is said of a column whose values are neither shares nor percentages throughout."""
    above = known[known > 1]
    return (
        f'"{name}" is above 1 in {len(above):,} of {counted(len(known), "value")} (the first '
        f"{above[0]:g}): a share lies between 0 and 1, and percentages would put the others below "
        "1%; mend it, or say percent in the column's name"
    )


def _missing_to_best(
    values: "pd.Series", name: str, source: str
) -> "tuple[pd.Series, str, list[Note]]":
    """1 - value of a share, 100 - value of a percentage."""
    known = values[np.isfinite(values)]
    best = top_of_range(known.to_numpy(), name)
    if best is None:
        raise RecordError(f"{source}: {of_two_units(known.to_numpy(), name)}")
    if not len(known) or known.min() < 0 or known.max() > best:
        raise RecordError(
            f'{source}: --better higher: "{name}" has no best value that is known (a share has 1, '
            "a percentage 100); make a column of what falls as models improve"
        )
    text = f'loss is {best:g} - "{name}"'
    return best - values, f"{best:g} - {name}", [Note(NoteCode.UNDERSTOOD, text)]
