"""How likely runs find a text: text in, log-likelihoods out, by each run's own tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from scaling.errors import ConfigError
from sweeps.data.tokens.vocabulary import PairVocabulary
from sweeps.generation.kept_runs import AskedRun, KeptRun, check_continues, facts_of
from sweeps.generation.metrics.scoring import (
    Score,
    least_given,
    pseudo_log_likelihoods,
    target_log_likelihoods,
    text_log_likelihoods,
)
from sweeps.generation.weights import KeptModel
from sweeps.objectives.registry import find_objective
from sweeps.training.devices.device import computing_on


@dataclass(frozen=True, kw_only=True)
class ScoredText(AskedRun):
    """A text, and how likely one run finds it."""

    given_tokens: tuple[int, ...]
    """Those of the prompt; without one the text's first token, since a causal model gives it no
    probability, and of a sentence the start."""
    tokens: tuple[int, ...]
    """Those that are scored."""
    score: Score
    is_pseudo: bool
    """Whether a masked model scored each token by those on both sides: a pseudo-log-likelihood,
    which is the logarithm of no probability, and no number of bits."""
    least_given: int | None
    """Tokens before each that it was given, at least, of a text that is longer than the context;
    None: each was given all before it."""
    is_read_otherwise: bool
    """Whether the run's tokens spell another text: its tokenizer makes several characters one."""

    @property
    def kind(self) -> str:
        """What its numbers are."""
        return "pseudo-log-likelihood" if self.is_pseudo else "log-likelihood"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a perplexity that is infinite is none there."""
        score = self.score
        return {
            **self.asked(),
            "given_tokens": list(self.given_tokens),
            "tokens": list(self.tokens),
            "kind": self.kind,
            "log_likelihoods": list(score.log_likelihoods),
            "log_likelihood": score.total,
            "log_likelihood_per_token": score.total / len(self.tokens),
            "perplexity": score.perplexity if math.isfinite(score.perplexity) else None,
            "bytes": score.bytes_scored,
            "bits_per_byte": score.bits_per_byte,
            "least_given": self.least_given,
        }


def score_text(
    run: KeptRun,
    text: bytes,
    *,
    prompt: bytes | None = None,
    ends: bool = False,
    device: str = "auto",
    deterministic: bool = False,
) -> ScoredText:
    """Score a text given a prompt, by nats of each token; `ends`: with the token that ends a
    document or sentence after it. A masked model gives a pseudo-log-likelihood; to one that reads a
    source apart the prompt is that. `device` and `deterministic`: as of `continue_prompt`.

    Raises ConfigError for a run that cannot, a prompt or text that is empty or not of its tokens,
    no prompt where a source is read, an end where the run's tokens have none, and a device that is
    not here.
    """
    with computing_on(device, deterministic=deterministic) as place:
        found = _scored(run.read(place), text, prompt, ends)
    return ScoredText(run=run, device=place.type, deterministic=deterministic, **found)


def _scored(kept: KeptModel, text: bytes, prompt: bytes | None, ends: bool) -> dict[str, Any]:
    """How likely a run finds a text: fields of a ScoredText."""
    is_pseudo = find_objective(kept.objective).view == "both"
    if not is_pseudo:
        check_continues(kept)
    words, model = kept.vocabulary, kept.model
    before = [] if prompt is None else words.encode(prompt)
    after = words.encode(text, begins=prompt is None)
    if (model.source_tokens or isinstance(words, PairVocabulary)) and not before:
        raise ConfigError(
            f"run {kept.run_id}: a model of family {kept.family} scores a text given its source; "
            "give that with --prompt, one token at least"
        )
    if prompt is not None and not before:
        raise ConfigError("the prompt is empty; leave it out, or give it one token at least")
    if ends and words.end is None:
        raise ConfigError(f"run {kept.run_id}: its tokens have none that ends a text; drop --end")
    tokens = [*before, *after, *([words.end] if ends and words.end is not None else [])]
    if is_pseudo:
        starts = prompt is None and tokens[:1] == words.encode(b"")
        given = len(before) or int(starts)
        values = pseudo_log_likelihoods(model, tokens, given=given)
    elif model.source_tokens:
        given = len(before)
        target = torch.tensor([tokens[given:]], dtype=torch.long)
        values = target_log_likelihoods(model, target, torch.tensor([before]))[0, 0]
    else:
        given = len(before) or 1
        values = text_log_likelihoods(model, tokens, given=given)
    scored_tokens = tokens[given:]
    size = sum(len(words.spell(token)) for token in scored_tokens)
    spelled = b"".join(map(words.spell, [*before, *after]))
    return {
        **facts_of(kept),
        "given_tokens": tuple(tokens[:given]),
        "tokens": tuple(scored_tokens),
        "score": Score(
            log_likelihoods=tuple(values.double().tolist()),
            bytes_scored=size if words.stands_for_text and not is_pseudo else None,
        ),
        "is_pseudo": is_pseudo,
        "least_given": least_given(model) if len(tokens) > model.context + 1 else None,
        "is_read_otherwise": words.stands_for_text and spelled != (prompt or b"") + text,
    }


def scores_document(found: Sequence[ScoredText]) -> dict[str, Any]:
    """Everything that was found, for JSON."""
    return {"unit": "nats", "runs": [one.to_dict() for one in found]}
