"""How runs continue a prompt: text in and text out, by each run's own tokens."""

import codecs
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from scaling.errors import ConfigError
from scaling.samples import FORMAT, Ending, Sample
from sweeps.data.tokens.image_vocabulary import ImageVocabulary
from sweeps.data.tokens.vocabulary import Vocabulary, spelled
from sweeps.generation.decoding.images import png_of_tokens
from sweeps.generation.decoding.sampling import SamplingRule, check_prompts, next_tokens
from sweeps.generation.kept_runs import AskedRun, KeptRun, check_continues, facts_of
from sweeps.generation.weights import KeptModel
from sweeps.training.devices.device import computing_on

#: Continuations that are computed together; more would want memory for keys and values.
MOST_SAMPLES = 1024


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """One way in which a model continues a prompt."""

    tokens: tuple[int, ...]
    """Without the one that ends a document or sentence."""
    text: str
    ending: Ending
    png: bytes | None = None
    """Of an image."""

    @property
    def sample(self) -> Sample:
        """What a reader is shown of it."""
        text = self.text if self.png is None else None
        return Sample(text=text, png=self.png, ending=self.ending)


@dataclass(frozen=True, kw_only=True)
class ContinuedPrompt(AskedRun):
    """A prompt, and what one run makes of it."""

    prompt_tokens: tuple[int, ...]
    prompt: str
    """As the run's tokens spell it."""
    is_read_otherwise: bool
    """Whether that is another text than was given: the run's tokenizer makes several one."""
    continuations: tuple[Continuation, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.asked(),
            "prompt": self.prompt,
            "prompt_tokens": list(self.prompt_tokens),
            "continuations": [
                {**one.sample.to_dict(), "tokens": list(one.tokens)} for one in self.continuations
            ],
        }


def continue_prompt(
    run: KeptRun,
    prompt: bytes,
    *,
    rule: SamplingRule,
    tokens: int | None = None,
    samples: int = 1,
    seed: int = 0,
    device: str = "auto",
    deterministic: bool = False,
    on_text: Callable[[str], None] = lambda text: None,
) -> ContinuedPrompt:
    """Continue a prompt by so many tokens, or to the end of the context (None), so many times;
    `on_text` hears the text of the first continuation as it comes. Of a model that reads a source
    apart the prompt is that, and its target what comes.

    `device`: auto, cpu or cuda, as `launch.device` means them. The same seed, device and number of
    samples give the same text: on a CPU always, on a GPU by `deterministic` algorithms.

    Raises ConfigError for a run that cannot, a prompt that is empty, beyond the context or not of
    the run's tokens, a number that is none, a rule that asks for more tokens than there are, and a
    device that is not here.
    """
    if tokens is not None and tokens < 1:
        raise ConfigError(f"{tokens} tokens to sample: it is a number from 1")
    if not 1 <= samples <= MOST_SAMPLES:
        raise ConfigError(f"{samples} samples: it is a number from 1 to {MOST_SAMPLES:,}")
    with computing_on(device, deterministic=deterministic) as place:
        found = _continued(run.read(place), prompt, rule, tokens, samples, seed, on_text)
    return ContinuedPrompt(run=run, device=place.type, deterministic=deterministic, **found)


def _continued(
    kept: KeptModel,
    prompt: bytes,
    rule: SamplingRule,
    tokens: int | None,
    samples: int,
    seed: int,
    on_text: Callable[[str], None],
) -> dict[str, Any]:
    """What a run makes of a prompt: fields of a ContinuedPrompt."""
    check_continues(kept)
    words, model = kept.vocabulary, kept.model
    if isinstance(words, ImageVocabulary) and tokens is not None:
        raise ConfigError(
            f"run {kept.run_id}: its tokens are images, which are drawn whole; leave --tokens out"
        )
    given = words.encode(prompt)
    prompts = torch.tensor([given], dtype=torch.long)
    check_prompts(model, prompts)
    room = model.most_inputs + 1 - (1 if model.source_tokens else len(given))
    wanted = room if tokens is None else min(tokens, room)
    below = words.image_tokens if isinstance(words, ImageVocabulary) else None
    hear = _Hearer(words, on_text)
    rows: list[list[int]] = [[] for _ in range(samples)]
    prompts = prompts.expand(samples, -1)
    steps = next_tokens(model, prompts, tokens=wanted, rule=rule, seed=seed, below=below)
    for step in steps:
        for row, token in zip(rows, step[0].tolist(), strict=True):
            if words.end is None or row[-1:] != [words.end]:
                row.append(token)
                if row is rows[0] and token != words.end:
                    hear.token(token)
        if words.end is not None and all(row[-1] == words.end for row in rows):
            break
    hear.end()
    full = Ending.CONTEXT if tokens is None or tokens > room else Ending.TOKENS
    text = spelled(words, given)
    return {
        **facts_of(kept),
        "prompt_tokens": tuple(given),
        "prompt": text,
        "is_read_otherwise": words.stands_for_text and text.encode() != prompt,
        "continuations": tuple(_continuation(words, row, full) for row in rows),
    }


def continuations_document(
    rule: SamplingRule, seed: int, found: Sequence[ContinuedPrompt], tokens: int | None = None
) -> dict[str, Any]:
    """Everything that was said, for JSON: what `scaling.samples.read_samples` reads. `tokens`: how
    many were asked for at most."""
    return {
        "format": FORMAT,
        "rule": asdict(rule),
        "rule_in_words": str(rule),
        "seed": None if rule.is_greedy else seed,
        "tokens": tokens,
        "runs": [one.to_dict() for one in found],
    }


def _continuation(words: Vocabulary, row: list[int], full: Ending) -> Continuation:
    if isinstance(words, ImageVocabulary):
        png = png_of_tokens(words, row)
        return Continuation(
            tokens=tuple(row), text=spelled(words, row), ending=Ending.TOKENS, png=png
        )
    has_ended = words.end is not None and row[-1] == words.end
    tokens = row[:-1] if has_ended else row
    return Continuation(
        tokens=tuple(tokens),
        text=spelled(words, tokens),
        ending=Ending.END if has_ended else full,
    )


class _Hearer:
    """Gives text on, token by token, in whole characters."""

    def __init__(self, words: Vocabulary, on_text: Callable[[str], None]) -> None:
        self._words, self._on_text = words, on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def token(self, token: int) -> None:
        if text := self._decoder.decode(self._words.spell(token)):
            self._on_text(text)

    def end(self) -> None:
        if text := self._decoder.decode(b"", final=True):
            self._on_text(text)
