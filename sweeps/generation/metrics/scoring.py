"""How likely a model finds a text: the log-likelihood of each token given those before it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scaling.errors import ConfigError
from scaling.words import counted
from sweeps.generation.decoding.sampling import check_prompts, check_tokens, first_inputs
from sweeps.models.stacked import StackModel

_LARGEST_LOSS = 709.0  # exp of more is no float
_TOGETHER = 64  # windows that are computed at once


@dataclass(frozen=True, kw_only=True)
class Score:
    """The log-likelihood of one text under one model."""

    log_likelihoods: tuple[float, ...]
    """Nats of each scored token given those before it, at most 0."""
    bytes_scored: int | None = None
    """Bytes that these tokens stand for; None where they stand for no text."""

    @property
    def total(self) -> float:
        """Nats of the text: the logarithm of its probability given what came before."""
        return math.fsum(self.log_likelihoods)

    @property
    def perplexity(self) -> float:
        """exp of the mean loss of a token; infinite where no float is as large."""
        loss = -self.total / len(self.log_likelihoods)
        return math.exp(loss) if loss < _LARGEST_LOSS else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Bits that the text costs over its bytes; None where tokens stand for none."""
        return -self.total / math.log(2) / self.bytes_scored if self.bytes_scored else None


def log_likelihoods(model: StackModel, tokens: Tensor, *, given: int = 1) -> Tensor:
    """(replicas, sequences, length - given) Nats of each token of (sequences, length) after the
    first `given`, given all before it: their sum is the conditional log-likelihood of the text.

    A causal model gives the first token no probability, so one at least is given. Raises
    ConfigError where nothing is given or left to score, for tokens that the model does not know,
    and for more than its context and one token.
    """
    if model.source_tokens:
        raise ConfigError("the model scores a target given its source; give both apart")
    if given < 1:
        raise ConfigError("the prompt is empty: a model gives the first token no probability")
    if tokens.shape[-1] <= given:
        raise ConfigError("there is nothing to score after the prompt; give a longer text")
    if tokens.shape[-1] > model.context + 1:
        raise ConfigError(
            f"prompt and text have {tokens.shape[-1]} tokens, and a context of {model.context} "
            f"scores {model.context + 1} at most; give shorter ones"
        )
    check_prompts(model, tokens[:, :-1])
    check_prompts(model, tokens[:, -1:])
    tokens = tokens.to(model.device).long().expand(model.replicas, -1, -1)
    with torch.inference_mode():
        return _log_likelihoods(model, tokens, ())[..., given - 1 :]


def target_log_likelihoods(
    model: StackModel, targets: Tensor, sources: Tensor, lengths: Tensor | None = None
) -> Tensor:
    """(replicas, sequences, length) Nats of each token of targets, (sequences, length), given those
    before it and all of its source, under a model that reads that apart. `sources`, (sequences,
    source length), may be padded at their end behind their `lengths`, (sequences,).

    Their sum is the conditional log-likelihood of the target: a target's first token is scored,
    too, as it follows the start token. Raises ConfigError for a source or target that is empty or
    longer than the model's, for another number of them, and for tokens that it does not know.
    """
    check_prompts(model, sources)
    if len(targets) != len(sources):
        raise ConfigError(
            f"{counted(len(targets), 'target')} and {counted(len(sources), 'source')} are no pairs"
        )
    if targets.shape[-1] < 1:
        raise ConfigError("there is nothing to score after the source; give a longer text")
    if targets.shape[-1] > model.most_inputs:
        raise ConfigError(
            f"the text has {counted(targets.shape[-1], 'token')}, and the model's targets have "
            f"{model.most_inputs:,} at most; give a shorter one"
        )
    check_tokens(model, targets)
    start, source = first_inputs(model, sources, lengths)
    targets = targets.to(model.device).long().expand(model.replicas, -1, -1)
    with torch.inference_mode():
        return _log_likelihoods(model, torch.cat((start, targets), dim=-1), source)


def _log_likelihoods(model: StackModel, tokens: Tensor, source: tuple[Tensor, ...]) -> Tensor:
    """(replicas, sequences, length - 1) Of all tokens but the first."""
    logits = model(tokens[..., :-1], *source).unflatten(1, (tokens.shape[1], -1))
    chances = logits.float().log_softmax(-1)
    return chances.gather(-1, tokens[..., 1:, None]).squeeze(-1)


def text_log_likelihoods(model: StackModel, tokens: Sequence[int], *, given: int = 1) -> Tensor:
    """(length - given,) Of one text of any length, under the first replica: as `log_likelihoods`,
    but that a token beyond the context is given `least_given` tokens before it, or a few more.

    Raises ConfigError as that does, and for a prompt that is longer than the context.
    """
    row, window = torch.tensor(tokens, dtype=torch.long), model.context + 1
    if given > model.context:
        raise ConfigError(
            f"the prompt has {given} tokens, and the model's context is {model.context}; give a "
            "shorter one"
        )
    parts = [log_likelihoods(model, row[None, :window], given=given)]
    if len(row) > window:
        kept = least_given(model)
        for some in row.unfold(0, window, window - kept)[1:].split(_TOGETHER):
            parts += [log_likelihoods(model, some, given=kept)] if len(some) else []
        if rest := (len(row) - window) % (window - kept):
            parts.append(log_likelihoods(model, row[None, -window:], given=window - rest))
    return torch.cat([part[0].flatten() for part in parts])


def pseudo_log_likelihoods(model: StackModel, tokens: Sequence[int], *, given: int = 0) -> Tensor:
    """(length - given,) Of a masked model's first replica: nats of each token of a text after the
    first `given`, each hidden alone, given all others on both sides. Their sum is the
    pseudo-log-likelihood (Salazar et al. 2020, arXiv:1910.14659); it is the logarithm of no
    probability.

    Raises ConfigError where nothing is left to score, for tokens that the model does not know, and
    for more than its context.
    """
    row = torch.tensor(tokens, dtype=torch.long)
    if len(row) <= given:
        raise ConfigError("there is nothing to score after the prompt; give a longer text")
    if len(row) > model.context:
        raise ConfigError(
            f"prompt and text have {len(row)} tokens, and a masked model scores {model.context} at "
            "most, its context; give shorter ones"
        )
    check_tokens(model, row)
    hidden = torch.arange(given, len(row))
    mask = model.used_vocab_size  # the objective's own token lies behind those of the corpus
    parts = []
    with torch.inference_mode():
        for places in hidden.split(_TOGETHER):
            rows = row.repeat(len(places), 1)
            rows[torch.arange(len(places)), places] = mask
            logits = model(rows.to(model.device)[None]).unflatten(1, tuple(rows.shape))[0]
            chances = logits[torch.arange(len(places)), places].float().log_softmax(-1)
            parts.append(chances.gather(-1, row[places, None].to(chances.device)).squeeze(-1))
    return torch.cat(parts)


def least_given(model: StackModel) -> int:
    """Tokens that a token beyond the context is given, at least: half the context."""
    return model.context + 1 - max(1, model.context // 2)
