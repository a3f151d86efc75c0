"""What probes ask of models of a corpus: prompts with their probability, and answers by a user."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scaling.errors import ConfigError
from scaling.tables.notes import quoted
from scaling.words import counted
from sweeps.config.data import DataConfig
from sweeps.config.probes import CompletionRule, ProbesConfig
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import Corpus
from sweeps.data.sources.generated.grammars import SPECIAL, START, Language
from sweeps.data.sources.generated.sentences import SentenceCorpus
from sweeps.data.sources.pairs import PairCorpus
from sweeps.data.tokens.image_vocabulary import ImageVocabulary
from sweeps.data.tokens.vocabulary import SymbolVocabulary, Vocabulary

#: Prompts of one length that are completed.
MOST_PROMPTS = 4096
IN_DISTRIBUTION, LOW, ZERO = "in_distribution", "low_probability", "zero_probability"


@dataclass(frozen=True)
class AcceptedAnswers:
    """A prompt of the user's, and what may follow it."""

    prompt: tuple[int, ...]
    accepted: tuple[tuple[int, ...], ...]


PairOfTokens = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What is asked of every model of a corpus."""

    prompts: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    """Of each kind, all of one length; each with its start."""
    rules: tuple[CompletionRule, ...] = ()
    language: Language | None = None
    """What the prompts are of."""
    answers: tuple[AcceptedAnswers, ...] = ()
    divergence: bool = False
    translations: tuple[PairOfTokens, ...] = ()
    """Sources, and the targets that they should have."""
    image_samples: int = 0
    """Images to draw of every label."""
    image_temperature: float = 1.0


def questions(config: ProbesConfig, corpus: Corpus) -> Questions:
    """What a config asks, as tokens of the corpus.

    Raises ConfigError for prompts of a source without a grammar, too many of them or too long ones,
    rules about other symbols, a divergence from what nobody knows, a file of answers that is none,
    translations of a source without pairs, or more of them than are measured, and images of a
    source without labelled ones.
    """
    prompts: dict[str, tuple[tuple[int, ...], ...]] = {}
    language = None
    if config.prompt_tokens is not None:
        language = _language(config, corpus)
        prompts = _prompts(config, language, config.prompt_tokens, corpus.context)
    if config.divergence and not corpus.knows_truth:
        raise ConfigError(
            f"{config.key('divergence')}: nobody knows the next-token probabilities of this "
            "data.source; leave it out, or choose a generated one"
        )
    return Questions(
        prompts=prompts,
        rules=config.completion_rules if language else (),
        language=language,
        answers=_answers(config, corpus) if config.answers is not None else (),
        divergence=config.divergence,
        image_temperature=config.image_temperature,
        image_samples=_image_samples(config, corpus) if config.image_samples is not None else 0,
        translations=_translations(config, corpus) if config.translations is not None else (),
    )


@functools.lru_cache(maxsize=2)
def questions_of(config: ProbesConfig, data: DataConfig, context: int) -> Questions:
    """`questions` of the corpus that a config names, kept for the runs that follow."""
    return questions(config, load_corpus(data, context))


def _image_samples(config: ProbesConfig, corpus: Corpus) -> int:
    words = corpus.vocabulary
    if not isinstance(words, ImageVocabulary) or not words.is_labelled:
        raise ConfigError(
            f"{config.key('image_samples')}: a classifier reads labels of images, and this data "
            "has none; leave it out, or choose data.source images with labels"
        )
    return config.image_samples or 0


def _language(config: ProbesConfig, corpus: Corpus) -> Language:
    if not isinstance(corpus, SentenceCorpus):
        raise ConfigError(
            f"{config.key('prompt_tokens')}: prompts are made of a grammar's symbols, and this "
            "data.source has none; leave it out, or choose data.source grammar or anbn"
        )
    language = corpus.language
    terminals = language.symbols[len(SPECIAL) :]
    for rule in config.completion_rules:
        for symbol in rule.symbols:
            if symbol not in terminals:
                raise ConfigError(
                    f'{config.key("rules")}: "{rule.text}" is about "{symbol}", and the grammar has'
                    f" {quoted(terminals, 8)}"
                )
    return language


def _prompts(
    config: ProbesConfig, language: Language, length: int, context: int
) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Every row of `length` symbols by how likely a sentence begins with it."""
    symbols = range(len(SPECIAL), len(language.symbols))
    if length >= min(context, language.longest):
        raise ConfigError(
            f"{config.key('prompt_tokens')} is {length}; sentences have at most "
            f"{language.longest} tokens, and a prompt leaves room for more"
        )
    if len(symbols) ** length > MOST_PROMPTS:
        raise ConfigError(
            f"{config.key('prompt_tokens')} is {length}, which makes {len(symbols) ** length:,} "
            f"prompts; at most {MOST_PROMPTS:,} are completed"
        )
    chances: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(length):
        longer: dict[tuple[int, ...], float] = {}
        for prompt, chance in chances.items():
            ahead = language.next_token(prompt) if chance > 0 else None
            for symbol in symbols:
                longer[(*prompt, symbol)] = 0.0 if ahead is None else chance * float(ahead[symbol])
        chances = longer
    total = sum(chances.values())
    found: dict[str, list[tuple[int, ...]]] = {IN_DISTRIBUTION: [], LOW: [], ZERO: []}
    for prompt, chance in chances.items():
        if chance > 0:
            found[IN_DISTRIBUTION].append((START, *prompt))
            if chance < config.low_probability * total:
                found[LOW].append((START, *prompt))
        else:
            found[ZERO].append((START, *prompt))
    return {kind: tuple(prompts) for kind, prompts in found.items() if prompts}


def _translations(config: ProbesConfig, corpus: Corpus) -> tuple[PairOfTokens, ...]:
    """Pairs of the validation set, evenly spaced."""
    count = config.translations or 0
    if not isinstance(corpus, PairCorpus):
        raise ConfigError(
            f"{config.key('translations')}: this data.source has no pairs of a source and its "
            "target; leave it out, or choose data.source pairs"
        )
    held = corpus.held_pairs()
    if count > len(held):
        raise ConfigError(
            f"{config.key('translations')} is {count}, and {counted(len(held), 'pair')} are "
            "measured; ask for fewer, or raise data.validation_windows"
        )
    return tuple(held[place * len(held) // count] for place in range(count))


def _answers(config: ProbesConfig, corpus: Corpus) -> tuple[AcceptedAnswers, ...]:
    facts = corpus.facts
    words = corpus.vocabulary or SymbolVocabulary.numbers(facts.used_vocab_size or facts.vocab_size)
    path = Path(str(config.answers))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(f"{config.key('answers')}: {path}: cannot be read ({why})") from error
    found = [
        _asked(line, f"{path}, line {number}", words, corpus.context)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not found:
        raise ConfigError(f"{config.key('answers')}: {path}: no line holds a prompt; give one")
    return tuple(found)


def _asked(line: str, where: str, words: Vocabulary, context: int) -> AcceptedAnswers:
    try:
        said = json.loads(line)
        prompt, accepted = said["prompt"], said["accepted"]
        if not isinstance(prompt, str) or not accepted:
            raise TypeError
        texts = [str(one) if isinstance(one, str) else None for one in accepted]
        if not isinstance(accepted, list) or None in texts:
            raise TypeError
        tokens = tuple(words.encode(prompt.encode()))
        answers = tuple(tuple(words.encode(one.encode(), begins=False)) for one in accepted)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f'{where}: not of the form {{"prompt": "...", "accepted": ["...", ...]}}'
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    longest = max(map(len, answers))
    if not tokens or not all(answers) or len(tokens) + longest > context + 1:
        raise ConfigError(
            f"{where}: prompt and answer need a token each, and together at most {context + 1}; "
            "they have others"
        )
    return AcceptedAnswers(tokens, answers)
