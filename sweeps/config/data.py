"""The training data of a sweep: one dataclass per source, each with the fields that it uses.

`data: {source: markov, symbols: 8}` in a file is `MarkovData(symbols=8)` in code. A source that is
not of this package is a further subclass with a `source` name of its own, and a loader in
`sweeps.data.registry.LOADERS`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from scaling.errors import ConfigError
from scaling.tables.notes import printable
from sweeps.config.rules.grammar import parsed_rules
from sweeps.config.rules.section import Section

TOKEN_TYPES = ("auto", "uint16", "uint32")
#: Tokenizers that need no file; `sweeps.data.tokens.tokenizer` has them.
BYTE_TOKENIZERS = ("bytes", "ascii-96")
#: Languages in which numbers can be said; `sweeps.data.sources.number_words` has them.
NUMBER_LANGUAGES = ("english", "german")
LARGEST_NUMBER = 10**9
#: Of uniform a^n b^n: sentences are held one by one.
LARGEST_N = 1024
#: The dataclass of each source, by its name; a subclass of DataConfig that has one enters itself.
SOURCES: "dict[str, type[DataConfig]]" = {}


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section, place="data"):
    """What to train on: what all sources have in common."""

    tag = "source"
    source: ClassVar[str] = ""
    """The name of the source; empty in bases that several share."""
    instead: ClassVar[Mapping[str, str]] = {}
    """Where to say what another source's field would say, by that field."""
    objectives: ClassVar[tuple[str, ...]] = ()
    """The objectives that can be asked of it; none: all."""

    validation_windows: int = 1024
    """Sequences in the fixed validation set."""

    def __init_subclass__(cls, *, source: str = "", place: str | None = None) -> None:
        """Enter a source under its name."""
        super().__init_subclass__(place=place)
        cls.source = source
        if source:
            SOURCES[source] = cls

    def __post_init__(self) -> None:
        """Refuse a validation set that is none."""
        self.check_positive("validation_windows")

    @property
    def epoch_limit(self) -> float:
        """How often a run may see what there is: without end, where nothing repeats."""
        return math.inf

    @classmethod
    def variants(cls) -> Mapping[str, type[Section]]:
        """The sources."""
        return SOURCES

    @classmethod
    def variant_of(cls, settings: Mapping[str, Any]) -> type[Section]:
        """The source that the settings name; text where they name none."""
        name = settings.get("source") or TextData.source
        if not isinstance(name, str) or name not in SOURCES:
            raise ConfigError(
                f'data.source is "{printable(name)}"; choose one of {", ".join(SOURCES)}'
            )
        return SOURCES[name]

    @classmethod
    def not_used(cls, name: str) -> str | None:
        """Where to say it instead, or whose field it is."""
        others = [other for other, kind in SOURCES.items() if name in kind.field_types()]
        if not others:
            return None
        hint = cls.instead.get(name, f"it is for data.source {' or '.join(others)}")
        return f"is not used by source {cls.source}; {hint}"

    @classmethod
    def is_path(cls, name: str, value: str) -> bool:
        """Globs of text, and a tokenizer that is a file."""
        is_file = name == "tokenizer" and value.endswith(".json")
        return name in ("files", "validation_files", "target_files") or is_file

    def check_tokenizer(self, name: str | None) -> None:
        """Refuse a tokenizer that is neither known nor a file."""
        if name is not None and not name.endswith(".json"):
            self.check_word("tokenizer", (*BYTE_TOKENIZERS, "a path of a tokenizer.json"))


@dataclass(frozen=True, kw_only=True)
class StoredData(DataConfig):
    """What lies in files, and comes to an end."""

    max_epochs: float = 1.0
    """How often a run may see it at most. A longer run is refused: repeated data follow another
    law."""

    def __post_init__(self) -> None:
        """Refuse a share of nothing."""
        super().__post_init__()
        self.check_positive("max_epochs")

    @property
    def epoch_limit(self) -> float:
        """How often a run may see it."""
        return self.max_epochs


@dataclass(frozen=True, kw_only=True)
class TextData(StoredData, source="text"):
    """Text, tokenized as it is read, and evenly spaced windows of it for validation."""

    instead = {"vocab_size": "the tokenizer has it", "token_type": "the tokenizer has it"}
    choices = {"undecodable": ("refuse", "skip")}

    files: tuple[str, ...] = ()
    """Globs of UTF-8 text: *.jsonl and *.parquet by their "text" field, folders that Hugging Face
    `datasets` saved, anything else whole; none: the standard library of the running Python."""
    tokenizer: str = "bytes"
    """`bytes` (256 symbols), `ascii-96` (printable ASCII and newline; every other byte becomes
    newline), or the path of a tokenizer.json as `scaling tokenize` trains it."""
    validation_share: float = 0.05
    """Share of the text that is held back by file, never trained on; it is chosen by content, not
    by seed."""
    undecodable: str = "refuse"
    """What becomes of a document that is not UTF-8: `refuse` the text, or `skip` the document;
    `scaling plan` says how many were left out."""

    def __post_init__(self) -> None:
        """Refuse a split without two sides, and an unknown tokenizer."""
        super().__post_init__()
        self.check_tokenizer(self.tokenizer)
        self.check_choice("undecodable")
        if not 0 < self.validation_share < 1:
            raise ConfigError(
                f"{self.key('validation_share')} is {self.validation_share:g}; it lies between 0 "
                "and 1"
            )


@dataclass(frozen=True, kw_only=True)
class ShardsData(StoredData, source="shards"):
    """Tokens as `scaling tokenize` or nanoGPT-style tools write them."""

    instead = {"validation_share": "`scaling tokenize` split them, or give data.validation_files"}
    choices = {"token_type": TOKEN_TYPES}

    files: tuple[str, ...] = ()
    """A folder that `scaling tokenize` wrote, or globs of training shards."""
    validation_files: tuple[str, ...] = ()
    """Globs of validation shards, where `files` are globs."""
    vocab_size: int | None = None
    """Tokens that can occur, where no tokens.json beside the shards says so."""
    token_type: str = "auto"
    """uint16, uint32, or auto: as tokens.json or the shard's header says, else uint16."""
    tokenizer: str | None = None
    """What made the tokens, where no tokens.json says so, as in source text: without it nobody
    knows their bytes."""

    def __post_init__(self) -> None:
        """Refuse unknown kinds of tokens."""
        super().__post_init__()
        self.check_positive("vocab_size")
        self.check_choice("token_type")
        self.check_tokenizer(self.tokenizer)


@dataclass(frozen=True, kw_only=True)
class GeneratedData(DataConfig):
    """What is generated without end, and whose entropy is known exactly: the column `entropy` of
    its runs (nats per token) is a floor that no model can beat, which --fix E=entropy holds."""

    instead = {
        "vocab_size": "its size is data.symbols",
        "tokenizer": "its tokens stand for no text",
        "max_epochs": "it never repeats itself",
    }

    symbols: int = 64
    """Vocabulary without task tokens."""
    concentration: float = 0.3
    """Dirichlet concentration of a row of a table; small is predictable, large is near uniform."""
    seed: int = 0
    """Seed of the tables, not of a run: another seed is another language."""

    def __post_init__(self) -> None:
        """Refuse values that no language can have."""
        super().__post_init__()
        self.check_positive("symbols", "concentration")
        self.check_not_negative("seed")
        if self.symbols < 2:
            raise ConfigError(
                f"{self.key('symbols')} is 1; a source with one symbol has nothing to learn"
            )


@dataclass(frozen=True, kw_only=True)
class MarkovData(GeneratedData, source="markov"):
    """Sequences of a random Markov chain."""

    order: int = 2
    """How many tokens back the next one depends on."""

    def __post_init__(self) -> None:
        """Refuse a chain that depends on nothing."""
        super().__post_init__()
        self.check_positive("order")


@dataclass(frozen=True, kw_only=True)
class BigramTasksData(GeneratedData, source="bigram-tasks"):
    """Many random bigram tables, each a task, of which rare ones are learned late."""

    tasks: int = 256
    """Bigram tables, each with a token of its own that a sequence begins with."""
    zipf: float = 1.5
    """Task i comes with a probability proportional to i ** -zipf."""

    def __post_init__(self) -> None:
        """Refuse tasks that are none."""
        super().__post_init__()
        self.check_positive("tasks")
        self.check_not_negative("zipf")


@dataclass(frozen=True, kw_only=True)
class SparseContextsData(GeneratedData, source="sparse-contexts"):
    """Two tokens that make a context, and one after them, out of few: what a linear model of the
    two tokens' mean can learn to the entropy (`separable`), or provably cannot."""

    contexts: int = 32
    """Distinct contexts, all equally frequent; where they are not separable, a multiple of 4."""
    support: int = 2
    """Symbols that can follow a context; the others never do."""
    separable: bool = True
    """Whether a linear model of the contexts can be sure of every support; if not, contexts lie in
    squares whose two diagonals are followed by different symbols."""

    def __post_init__(self) -> None:
        """Refuse supports that do not fit."""
        super().__post_init__()
        self.check_positive("contexts", "support")
        if not self.separable and self.contexts % 4:
            raise ConfigError(
                f"{self.key('contexts')} is {self.contexts}; contexts that are not separable lie "
                "in squares, so give a multiple of 4"
            )
        most = self.symbols if self.separable else self.symbols // 2
        if self.support > most:
            raise ConfigError(
                f"{self.key('support')} is {self.support}; of {self.symbols} symbols at most {most}"
            )


@dataclass(frozen=True, kw_only=True)
class SentenceData(DataConfig):
    """One whole sentence a sequence, between a start and an end token; padding behind it counts
    neither in the loss nor in the entropy."""

    instead = {
        "vocab_size": "its tokens are the grammar's symbols, start, end and padding",
        "tokenizer": "its tokens stand for no text",
        "max_epochs": "a grammar is read as often as a run is long",
        "symbols": "its tokens are the grammar's",
    }


@dataclass(frozen=True, kw_only=True)
class GrammarData(SentenceData, source="grammar"):
    """Sentences of a probabilistic context-free grammar that fit into model.context."""

    rules: tuple[str, ...] = ("S -> a S b [0.5]", "S -> [0.5]")
    """One a line with its probability, as in "S -> a S b [0.4]": symbols are parted by blanks,
    those on a left side are nonterminals, and the first is the start."""
    seed: int = 0
    """Of the validation sentences, not of a run."""

    def __post_init__(self) -> None:
        """Refuse rules that are none, and sentences that never end."""
        super().__post_init__()
        self.check_not_negative("seed")
        parsed_rules(self.rules, self.key("rules"))


@dataclass(frozen=True, kw_only=True)
class AnbnData(SentenceData, source="anbn"):
    """Sentences of n times a and then n times b: n geometric, or every n up to `longest` once."""

    choices = {"lengths": ("geometric", "uniform")}

    lengths: str = "geometric"
    """`geometric`: n from 0 on with probability (1 - q) q^n, as far as it fits into model.context.
    `uniform`: every n from 1 to `longest` once an epoch, and so is the validation set (Reizinger
    et al. 2024, arXiv:2405.01964, with `longest` 128)."""
    q: float | None = None
    """How likely one more pair is, of geometric lengths; none: 0.5."""
    longest: int | None = None
    """The largest n of uniform lengths; none: 32."""
    seed: int = 0
    """Of the validation sentences of geometric lengths, not of a run."""

    def __post_init__(self) -> None:
        """Refuse lengths that are none, and what the other kind uses."""
        super().__post_init__()
        self.check_choice("lengths")
        self.check_positive("longest")
        self.check_not_negative("seed")
        if self.lengths == "uniform":
            self.check_unused("is for data.lengths geometric; drop it", "q", "seed")
        else:
            self.check_unused("is for data.lengths uniform; drop it", "longest")
        if self.q is not None and not 0 < self.q < 1:
            raise ConfigError(f"{self.key('q')} is {self.q:g}; it lies between 0 and 1")
        if self.longest is not None and self.longest > LARGEST_N:
            raise ConfigError(f"{self.key('longest')} is {self.longest}; at most {LARGEST_N:,}")


@dataclass(frozen=True, kw_only=True)
class PairsData(StoredData, source="pairs"):
    """Sources and their targets, such as sentences and their translations: one pair a sequence, and
    a block of model.context + 1 tokens is a source, a separator, the target, its end, and padding
    that counts nowhere. `objective: conditional` asks for target and end alone."""

    instead = {
        "vocab_size": "the tokenizer has it",
        "token_type": "the tokenizer has it",
        "undecodable": "pairs are UTF-8, each line of them",
        "symbols": "its tokens are the tokenizer's",
    }

    files: tuple[str, ...] = ()
    """Globs of UTF-8 text, a pair a line: source, tab, target; or, with target_files, a source a
    line. None: numbers in words."""
    target_files: tuple[str, ...] = ()
    """Globs of as many files, whose lines are the targets of those of `files`, in order."""
    tokenizer: str = "characters"
    """`characters` (those that occur), `bytes`, or the path of a tokenizer.json as `scaling
    tokenize` trains it. Of numbers: characters."""
    source_tokens: int | None = None
    """Of a block, the places of a source and its separator; the others are for the target and its
    end. A pair that does not fit is left out, and the plan says how many. Null: as leaves out
    fewest."""
    validation_share: float = 0.05
    """Share of the pairs of files that is held back by source, never trained on, chosen by content;
    up to validation_windows of them are measured."""
    languages: tuple[str, ...] = NUMBER_LANGUAGES
    """Of numbers: the source's language and the target's, of english and german."""
    largest: int = LARGEST_NUMBER
    """Of numbers: all from 0 to this one, each as likely; validation_windows of them are held
    back, and no other number is measured."""
    seed: int = 0
    """Of numbers: which are held back."""

    def __post_init__(self) -> None:
        """Refuse what the other kind of pairs uses, and numbers that cannot be said."""
        super().__post_init__()
        self.check_positive("source_tokens", "largest")
        self.check_not_negative("seed")
        if self.files:
            off = f"is for numbers in words, and {self.key('files')} are given; drop one of the two"
            self.check_unused(off, "languages", "largest", "seed")
        else:
            off = f"is for {self.key('files')}, and there are none; drop it, or give some"
            self.check_unused(off, "target_files", "tokenizer", "source_tokens", "validation_share")
        if not self.tokenizer.endswith(".json"):
            known = ("characters", "bytes", "a path of a tokenizer.json")
            self.check_word("tokenizer", known)
        if not 0 < self.validation_share < 1:
            raise ConfigError(
                f"{self.key('validation_share')} is {self.validation_share:g}; it lies between 0 "
                "and 1"
            )
        if len(set(self.languages)) != 2 or not set(self.languages) <= set(NUMBER_LANGUAGES):
            raise ConfigError(
                f"{self.key('languages')} is {list(self.languages)}; give two, a source's and a "
                f"target's, of {', '.join(NUMBER_LANGUAGES)}"
            )
        if self.largest > LARGEST_NUMBER:
            raise ConfigError(
                f"{self.key('largest')} is {self.largest}; at most {LARGEST_NUMBER:,}"
            )
