"""What is asked of each trained model besides its loss; the answers are columns `metric.NAME`."""

import re
from dataclasses import dataclass

from scaling.errors import ConfigError
from scaling.tables.notes import printable
from sweeps.config.rules.section import Section

GRAMMATICAL = "grammatical"
_AS_MANY = re.compile(r"as many (\S+) as (\S+)")
_NONE_AFTER = re.compile(r"no (\S+) after (\S+)")


@dataclass(frozen=True)
class CompletionRule:
    """What a completed prompt may obey."""

    text: str
    """As the config states it."""
    kind: str
    """`grammatical`, `as many` or `none after`."""
    symbols: tuple[str, ...] = ()
    """The two that it is about."""

    @property
    def column(self) -> str:
        """Its part of a column's name."""
        return re.sub(r"\W+", "_", self.text)


@dataclass(frozen=True, kw_only=True)
class ProbesConfig(Section, place="probes"):
    """What is asked of each model when it is measured. Nothing here changes a model or its loss, so
    nothing here enters a run's identity; runs that had finished before have no answers."""

    prompt_tokens: int | None = None
    """Have it complete, greedily, every prompt of so many symbols of the grammar: those that a
    sentence can begin with (`in_distribution`), of these the unlikely (`low_probability`), and all
    others (`zero_probability`). Null: none."""
    rules: tuple[str, ...] = (GRAMMATICAL,)
    """Which share of the completed prompts obeys each: `grammatical`, `as many a as b` (of prompt
    and completion), `no a after b` (of the completion alone). Each is told of all prompts, and in a
    column that ends in `_of_ended` of those whose completion ended."""
    low_probability: float = 0.1
    """Unlikely prompts are those that fewer of the sentences so long begin with."""
    divergence: bool = False
    """The Kullback-Leibler divergence to the source's own next-token probabilities, both ways."""
    answers: str | None = None
    """A .jsonl of `{"prompt": ..., "accepted": [...]}`: how often the greedy completion begins with
    an accepted answer, and the nats a token of the likeliest one."""
    translations: int | None = None
    """Of data.source pairs: have it translate, greedily, so many of the pairs that are measured:
    the share whose target comes out exactly (`exact_match`), and the likeness of all to their
    targets by character n-grams, from 0 to 100 (`chrf`). Null: none."""

    image_samples: int | None = None
    """Of data.source images: have it draw so many images of every label: the share whose label a
    classifier reads (`drawn_label_accuracy`; of images that are held back, for reference,
    `held_back_label_accuracy`). Null: none."""
    image_temperature: float = 1.0
    """Logits are divided by it where images are drawn: below 1 what is likely comes more often."""

    def __post_init__(self) -> None:
        """Refuse prompts that are none, rules that nobody knows, and what is not asked."""
        self.check_positive("prompt_tokens", "translations", "image_samples")
        if self.prompt_tokens is None:
            self.check_unused(
                f"is about prompts, and there are none; set {self.key('prompt_tokens')}, or leave "
                "it out",
                *("rules", "low_probability"),
            )
        self.check_positive("image_temperature")
        if self.image_samples is None:
            self.check_unused(
                f"is about images, and none are drawn; set {self.key('image_samples')}, or leave "
                "it out",
                "image_temperature",
            )
        if not self.rules:
            raise ConfigError(f"{self.key('rules')} is empty; name one, such as {GRAMMATICAL}")
        if not 0 < self.low_probability < 1:
            raise ConfigError(
                f"{self.key('low_probability')} is {self.low_probability:g}; it lies between 0 and "
                "1"
            )
        columns = [rule.column for rule in self.completion_rules]
        for place, column in enumerate(columns):
            if column in columns[:place]:
                raise ConfigError(
                    f'{self.key("rules")}: "{self.rules[place]}" has the column of another rule'
                )

    @classmethod
    def is_path(cls, name: str, value: str) -> bool:
        """The user's own prompts."""
        return name == "answers"

    @property
    def completion_rules(self) -> tuple[CompletionRule, ...]:
        """The rules, taken apart."""
        return tuple(_parsed(text, self.key("rules")) for text in self.rules)

    @property
    def asks(self) -> bool:
        """Whether there is anything to ask."""
        of_sources = (self.translations, self.image_samples)
        return self.asks_prompts or any(one is not None for one in of_sources)

    @property
    def asks_prompts(self) -> bool:
        """Whether anything is asked but what follows a source."""
        return self.prompt_tokens is not None or self.divergence or self.answers is not None


def _parsed(text: str, key: str) -> CompletionRule:
    if text == GRAMMATICAL:
        return CompletionRule(text, GRAMMATICAL)
    if found := _AS_MANY.fullmatch(text):
        return CompletionRule(text, "as many", found.groups())
    if found := _NONE_AFTER.fullmatch(text):
        return CompletionRule(text, "none after", found.groups())
    raise ConfigError(
        f'{key}: "{printable(text)}" is no rule; there are: {GRAMMATICAL}, "as many a as b" and '
        '"no a after b"'
    )
