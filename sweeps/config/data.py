"""The training data of a sweep."""

from dataclasses import dataclass, field

from scaling.errors import ConfigError
from sweeps.config.section import Section

SOURCES = ("text", "shards", "markov", "bigram-tasks")
TOKEN_TYPES = ("auto", "uint16", "uint32")
#: Tokenizers that need no file; `sweeps.data.tokens.tokenizer` has them.
BYTE_TOKENIZERS = ("bytes", "ascii-96")


@dataclass(frozen=True, kw_only=True)
class GeneratedConfig(Section, place="data.generated"):
    """A source that is generated without end, and whose entropy is known exactly."""

    symbols: int = 64
    """Vocabulary without task tokens."""
    order: int = 2
    """markov: how many tokens back the next one depends on."""
    tasks: int = 256
    """bigram-tasks: bigram tables, each with a token of its own that a sequence begins with."""
    zipf: float = 1.5
    """bigram-tasks: task i comes with a probability proportional to i ** -zipf."""
    concentration: float = 0.3
    """Dirichlet concentration of a row of a table; small is predictable, large is near uniform."""
    seed: int = 0
    """Seed of the tables, not of a run: another seed is another language."""

    def __post_init__(self) -> None:
        """Refuse values that no source can have."""
        self.check_positive("symbols", "order", "tasks", "concentration")
        if self.symbols < 2:
            raise ConfigError(
                f"{self.key('symbols')} is 1; a source with one symbol has nothing to learn"
            )
        if self.zipf < 0 or self.seed < 0:
            raise ConfigError("zipf and seed are 0 or more")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section, place="data"):
    """What to train on."""

    source: str = "text"
    """`text` (files), `shards` (tokens as `scaling tokenize` or nanoGPT-style tools write them),
    `markov` or `bigram-tasks` (generated, of known entropy)."""
    files: tuple[str, ...] = ()
    """text: globs of UTF-8 text: *.jsonl and *.parquet by their "text" field, folders that Hugging
    Face `datasets` saved, anything else whole; none: the standard library of the running Python.
    shards: a folder that `scaling tokenize` wrote, or globs of training shards."""
    validation_files: tuple[str, ...] = ()
    """shards: globs of validation shards, where `files` are globs."""
    vocab_size: int | None = None
    """shards: tokens that can occur, where no tokens.json beside the shards says so."""
    token_type: str = "auto"
    """shards: uint16, uint32, or auto: as tokens.json or the shard's header says, else uint16."""
    generated: GeneratedConfig = field(default_factory=GeneratedConfig)
    """markov and bigram-tasks: the source."""
    tokenizer: str = "bytes"
    """`bytes` (256 symbols), `ascii-96` (printable ASCII and newline; every other byte becomes
    newline), or the path of a tokenizer.json as `scaling tokenize` trains it."""
    validation_share: float = 0.05
    """Share of the text that is held back by file, never trained on; it is chosen by content, not
    by seed."""
    validation_windows: int = 1024
    """Sequences in the fixed validation set, evenly spaced over the text held back."""
    max_epochs: float = 1.0
    """How often a run may see the text at most. A longer run is refused: repeated data follow
    another law."""

    def __post_init__(self) -> None:
        """Refuse what no data can be."""
        self.check_positive("validation_windows", "max_epochs", "vocab_size")
        if not 0 < self.validation_share < 1:
            raise ConfigError(
                f"{self.key('validation_share')} is {self.validation_share:g}; it lies between 0 "
                "and 1"
            )
        self.check_choice("source", SOURCES)
        self.check_choice("token_type", TOKEN_TYPES)
        if not self.tokenizer.endswith(".json"):
            self.check_choice("tokenizer", (*BYTE_TOKENIZERS, "a path of a tokenizer.json"))
