"""Whose column is whose: from the names of anybody's table to ours, with units in headings.

A name is taken apart into words (`model.nParams (M)` is model, n, params and a unit), and means one
of the four quantities if all its words are among those that speak of it. Where several columns do,
what is chosen is said; what cannot be chosen between is left to the reader, in one line.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from scaling.columns import COLUMNS, MUST_AGREE, canonical_name
from scaling.errors import RecordError
from scaling.tables.cells.losses import kind_of
from scaling.tables.cells.numbers import read_numbers, unit_factor
from scaling.tables.heading_words import any_of, words_of
from scaling.tables.notes import Note, NoteCode, quoted

if TYPE_CHECKING:
    import pandas as pd

_WITHOUT = any_of("non no without excluding excl ex minus sans ohne")
_WITH = any_of("with including incl inc mit avec")
_EMBEDDINGS = any_of("embedding embeddings embed embeds emb embs")
_COUNT = any_of(
    "n no nr num number of total train training trained count final the "
    "anzahl der gesamt nombre de numero total totale"
)
#: The words that may make up the name of a quantity, one of which must be there.
QUANTITIES = {
    "params": (
        any_of("param params parameter parameters parametern parametre parametres parametro")
        | any_of("parametros parametri parameteranzahl"),
        _COUNT
        | any_of("active activated model trainable scaling effective dense sparse size aktive")
        | _EMBEDDINGS
        | _WITHOUT
        | _WITH
        | {f"non{word}" for word in _EMBEDDINGS},
    ),
    "tokens": (
        any_of("token tokens jeton jetons trainingstoken trainingstokens"),
        _COUNT | any_of("seen consumed processed"),
    ),
    "train_flops": (
        any_of("flop flops compute"),
        _COUNT | any_of("budget achieved actual cost spent"),
    ),
}
#: Columns of ours that a table may mean by another's name: the parameters that a token uses.
COUNTS_A_PART = {"params_active": "params"}
#: Words of a loss, at the beginning or the end of a heading, and those of what is none.
LOSS_WORDS = any_of(
    "loss bpb bpc bpt ppl perplexity nll ce crossentropy xent logloss bits "
    "verlust validierungsverlust testverlust perte perdida perda perdita"
)
#: Words behind a loss that say when or on what it was measured.
_AFTER_LOSS = any_of("validation val valid test eval dev final end last value mean avg")
NO_LOSS = any_of(
    "stderr std scale weight z aux moe router balance reg regularization kl smooth delta gap rank "
    "forecast best kind unit name time per init initial start first ratio"
)
_TRAINING = frozenset(("train", "training"))
_TOLD_OF = _WITHOUT | _WITH
_UNITS = any_of(
    "k m mm mn mio b bn t tn g thousand thousands million millions billion billions trillion "
    "trillions mrd milliard milliarden"
)
_PREFIXED_FLOPS = re.compile(r"[kmgtpezy]flops?")
#: Groups of columns in exports that say nothing of the quantity.
#: columns of ours that name what they hold behind the dot: metric.answers_loss is no loss of a run
_OWN = ("metric.", "baseline.")
_CONTAINERS = any_of(
    "config cfg params metrics metric summary hparams hyperparameters args tags run runs stats "
    "model data results result value optimizer dataset info"
)
_GROUPS = re.compile(r"(params?|user_attrs|metrics?|config|summary|hparams)_", re.IGNORECASE)
_OF_SOURCES = any_of("held back source data sequence true truth")  # before "entropy": no loss
_AGREE = 0.02  # columns within this of each other, everywhere, say the same


@dataclass(frozen=True)
class Meaning:
    """What the name of a column says."""

    ours: str
    factor: float = 1.0
    is_plain: bool = True  # a usual name; False where its words alone suggest it


@dataclass(frozen=True)
class Names:
    """Which column of a table stands for which of ours."""

    chosen: Mapping[str, str]  # ours -> theirs
    factors: Mapping[str, float]  # ours -> what its numbers are multiplied by
    unclear: Mapping[str, str] = field(default_factory=dict)  # ours -> why none was chosen
    notes: tuple[Note, ...] = ()
    same: Mapping[str, str] = field(default_factory=dict)  # ours -> ours that is the same column


def meaning_of(heading: str) -> Meaning | None:
    """What a column's name says, or None where it says nothing that we know."""
    heading = heading.strip(" \t$")  # $N$
    if heading.startswith(_OWN):
        return None
    if ours := canonical_name(heading):
        return Meaning(ours)
    if found := _as_unit_of_compute(heading):
        return found
    base, unit = _without_unit(heading)
    factor = 1.0 if unit is None else unit_factor(unit)
    if unit is not None and (ours := canonical_name(base)):
        return Meaning(ours, factor or 1.0)
    if found := _by_symbol(base, factor or 1.0):
        return found
    path = [part for part in re.split(r"[./:]", base) if part]
    if len(path) > 1 and path[-1].lower() == "value":
        return meaning_of(".".join(path[:-1]))
    if len(path) > 1 and unit is None and _scales(path[-1]):
        return meaning_of(f"{'.'.join(path[:-1])} ({path[-1]})")
    while len(path) > 1 and path[0].lower() in _CONTAINERS:
        path = path[1:]
        if ours := canonical_name(".".join(path)):
            return Meaning(ours, factor or 1.0)
    name = ".".join(path)
    if found := _by_words(words_of(name), factor):
        return found
    if group := re.match(_GROUPS, name):  # Optuna's and Comet's: params_n_tokens, user_attrs_loss
        return meaning_of(heading[heading.index(name) + group.end() :])
    return None


def _scales(word: str) -> bool:
    """Whether what stands behind a stroke is a unit: params/M, tokens/1e9."""
    return word.strip().lower() in _UNITS or bool(re.fullmatch(r"\s*(1e|10\^)\d+\s*", word))


def _as_unit_of_compute(heading: str) -> Meaning | None:
    """Compute that is named by its unit alone: PF-days, EFLOPs; TFLOPs may be a speed."""
    name = re.sub(r"[_ ]+", " ", heading)
    is_total = re.search(r"days?$", name.lower()) or re.fullmatch(r"(?i)[ezy]flops?", name)
    factor = unit_factor(name) if is_total else None
    return None if factor is None else Meaning("train_flops", factor, is_plain=False)


def _by_symbol(base: str, factor: float) -> Meaning | None:
    """A symbol of ours with words or a unit behind it: N_active, D_B, N total."""
    found = re.fullmatch(r"([NDC])[ _.](.+)", base)
    ours = canonical_name(found[1]) if found else None
    if found is None or ours is None or ours not in QUANTITIES:
        return None
    *words, last = words_of(found[2]) or ("",)
    if last in _UNITS and len(last) < 3:
        factor *= unit_factor(last) or 1.0
    else:
        words = [*words, last]
    heads, others = QUANTITIES[ours]
    return Meaning(ours, factor, is_plain=False) if set(words) <= heads | others else None


def _by_words(words: Sequence[str], factor: float | None) -> Meaning | None:
    """A quantity whose words these all are, with the unit that the first or the last of them may
    be."""
    scale = 1.0 if factor is None else factor
    stuck = re.fullmatch(r"([kmbgt])(params?|tokens?|toks?)", words[0]) if len(words) == 1 else None
    words = tuple(stuck.groups()) if stuck else words
    if len(words) == 2 and words[0] in _UNITS:  # M params, billion tokens
        words = words[::-1]
    if len(words) > 1 and words[-1] in _UNITS:
        scale *= unit_factor(words[-1]) or 1.0
        words = words[:-2] if words[-2] == "in" else words[:-1]
        if ours := canonical_name("_".join(words)):
            return Meaning(ours, scale)
    if len(words) > 1 and _PREFIXED_FLOPS.fullmatch(words[-1]):
        scale *= unit_factor(words[-1]) or 1.0
        words = (*words[:-1], "flops")
    for ours, (heads, others) in QUANTITIES.items():
        if set(words) & heads and set(words) <= heads | others:
            if ours == "params" and set(words) & _EMBEDDINGS and not set(words) & _TOLD_OF:
                return Meaning("params_embedding", scale, is_plain=False)
            return Meaning(ours, scale, is_plain=False)
    while len(words) > 1 and words[-1] in _AFTER_LOSS:
        words = words[:-1]
    ends = {*words[:1], *words[-1:]}
    is_loss = ends & LOSS_WORDS or (words[-1:] == ("entropy",) and not set(words) & _OF_SOURCES)
    return Meaning("loss", is_plain=False) if is_loss and not set(words) & NO_LOSS else None


def counts_no_embeddings(heading: str) -> bool:
    """Whether the name of a column says that embeddings are not among what it counts."""
    words = words_of(heading)
    after = {following for word, following in pairwise(words) if word in _WITHOUT}
    return bool(after & _EMBEDDINGS or set(words) & {f"non{word}" for word in _EMBEDDINGS})


def _without_unit(heading: str) -> tuple[str, str | None]:
    """A heading and its unit, in brackets, behind "in" or a power: "params (M)" is "params" and
    "M"."""
    found = re.fullmatch(r"(.+?)\s*[(\[]([^()\[\]]*)[)\]]\s*", heading)
    behind = re.fullmatch(r"(.+?)\s+in\s+(\S+)", heading)
    behind = behind or re.fullmatch(r"(.+?)\s+((?:x\s*)?(?:10\s*(?:\^|\*\*)\s*|1e)\d+)", heading)
    if behind and unit_factor(behind[2]) is not None:
        found = behind
    return (found[1], found[2]) if found else (heading, None)


def name_columns(table: "pd.DataFrame", asked: Mapping[str, str], source: str) -> Names:
    """Which column stands for which of ours; ``asked`` (ours -> theirs) comes first.

    Raises RecordError for a column that is asked for and not there.
    """
    headings = [str(column) for column in table.columns]
    for ours, theirs in asked.items():
        if theirs not in headings:
            have = ", ".join(headings[:12])
            raise RecordError(
                f'{source}: --columns {ours}={theirs} names no column "{theirs}" (it has: {have})'
            )
    offers: dict[str, list[tuple[str, Meaning]]] = {}
    for heading in headings:
        meaning = meaning_of(heading)
        if meaning is None or meaning.ours in ("status", *asked) or heading in asked.values():
            continue  # the column of statuses is known by its words
        offers.setdefault(meaning.ours, []).append((heading, meaning))
    _offer_for_wholes(offers, asked, headings)
    chosen, factors = dict(asked), {ours: _factor_of(theirs) for ours, theirs in asked.items()}
    unclear: dict[str, str] = {}
    notes: list[Note] = []
    for ours, found in offers.items():
        best, said = _best(ours, found, table)
        notes += [] if said is None or best is None else [Note(NoteCode.CHOSEN, said)]
        if best is None:
            unclear[ours] = said or ""
        else:
            chosen[ours], factors[ours] = best[0], best[1].factor
    same: dict[str, str] = {}
    for part, whole in COUNTS_A_PART.items():
        if part in chosen and part not in asked and chosen[part] == chosen.get(whole):
            same[part] = whole
            del chosen[part], factors[part]
    if "loss" not in chosen and "loss" not in unclear and "bits_per_byte" in chosen:
        chosen["loss"] = chosen.pop("bits_per_byte")
        factors["loss"] = 1.0
    return Names(chosen, factors, unclear, (*_said(chosen, factors), *notes), same)


def _offer_for_wholes(
    offers: dict[str, list[tuple[str, Meaning]]], asked: Mapping[str, str], headings: Sequence[str]
) -> None:
    """A part of a size is offered for the size too, unless a column bears its own name: which of a
    model's parameters are meant, nobody knows."""
    for part, whole in COUNTS_A_PART.items():
        if whole in asked or any(heading == whole for heading, _ in offers.get(whole, ())):
            continue
        for heading, meaning in offers.get(part, ()):
            also = Meaning(whole, meaning.factor, is_plain=False)
            offers.setdefault(whole, []).append((heading, also))
            offers[whole].sort(key=lambda one: headings.index(one[0]))


def _factor_of(theirs: str) -> float:
    meaning = meaning_of(theirs)
    if meaning is not None:
        return meaning.factor
    unit = _without_unit(theirs)[1]
    return 1.0 if unit is None else unit_factor(unit) or 1.0


def _best(
    ours: str, found: list[tuple[str, Meaning]], table: "pd.DataFrame"
) -> tuple[tuple[str, Meaning] | None, str | None]:
    """The column among several that stands for ours, None where nobody can tell, and the reason."""
    kind = COLUMNS[ours].kind
    if ours == "loss":
        held_out = [one for one in found if not set(words_of(one[0])) & _TRAINING]
        rest = [heading for heading, _ in found if held_out and (heading, _) not in held_out]
        found = held_out or found
        nats = [one for one in found if kind_of(one[0]) != "perplexity"]
        if nats:  # a perplexity beside it says the same
            rest += [one[0] for one in found if one not in nats]
            found = nats
        plain = [one for one in found if one[1].is_plain]
        if len(plain) == 1 and len(found) > 1:
            rest += [heading for heading, _ in found if heading != plain[0][0]]
            found = plain
        if len(found) == 1:
            said = f'loss is the column "{found[0][0]}", not {quoted(rest)}' if rest else None
            return found[0], said and f"{said}; --columns loss=NAME takes another"
    if ours in MUST_AGREE:  # is asked of the column that tells most apart
        found = sorted(found, key=lambda one: (-table[one[0]].nunique(), one[0] != ours))[:1]
    exact = [one for one in found if one[0] == ours]
    if len(found) == 1 or (exact and kind != "loss" and kind != "size"):
        return (exact or found)[0], None
    first = (exact or found)[0]
    rivals = [one for one in found if one is not first and not _agree(table, first, one)]
    if not rivals:
        return first, None
    whole = [one for one in (first, *rivals) if not counts_no_embeddings(one[0])]
    if ours == "params" and len(whole) == 1:  # the others say that they count a part of it
        first, exact = whole[0], exact or whole
    if exact and ours != "loss":
        others = quoted(one[0] for one in found if one is not first)
        said = f'{ours} is the column "{first[0]}", not {others}; --columns {ours}=NAME changes it'
        return first, said
    names = " and ".join(f'"{heading}"' for heading, _ in (first, *rivals)[:3])
    hint = f"--columns {ours}={_shell(first[0])} or --columns {ours}={_shell(rivals[0][0])}"
    return (
        None,
        f"{names} {'both' if len(rivals) == 1 else 'all'} look like {ours}; say which with {hint}",
    )


def _shell(name: str) -> str:
    return name if re.fullmatch(r"[\w./:-]+", name) else f'"{name}"'


def _agree(table: "pd.DataFrame", one: tuple[str, Meaning], other: tuple[str, Meaning]) -> bool:
    """Whether two columns say the same wherever both say anything."""
    left, right = (
        read_numbers(table[heading])[0] * meaning.factor for heading, meaning in (one, other)
    )
    both = left.notna() & right.notna()
    return bool(both.any() and ((left - right).abs() <= _AGREE * left.abs())[both].all())


def _said(chosen: Mapping[str, str], factors: Mapping[str, float]) -> Iterable[Note]:
    """What was understood of the names of the four quantities, in one line."""
    four = ("params", "tokens", "train_flops", "loss")
    read = [
        f'{ours} = "{chosen[ours]}"' + (f" times {factors[ours]:g}" if factors[ours] != 1 else "")
        for ours in four
        if ours in chosen and (chosen[ours] != ours or factors[ours] != 1)
    ]
    notes = [Note(NoteCode.UNDERSTOOD, f"columns: {', '.join(read)}")] if read else []
    if counts_no_embeddings(chosen.get("params", "")):
        text = (
            f'params = "{chosen["params"]}" counts no embeddings: so do the sizes of every answer, '
            "and those that are asked for"
        )
        notes.append(Note(NoteCode.UNDERSTOOD, text))
    return notes
