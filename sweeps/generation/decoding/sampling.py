"""Text from a model, token by token, by a rule that is stated.

The rule, in this order: logits over the temperature; top-k, where those tied with the k-th stay;
top-p, the smallest set of likeliest tokens whose mass is at least p (nucleus sampling, Holtzman et
al. 2020, arXiv:1904.09751), of equal ones the lower token first; min-p, tokens at least that share
of the likeliest one's probability (arXiv:2407.01082); and what is left renormalised. At temperature
0 the likeliest token, of equal ones the lowest, and nothing else. Libraries differ in the order and
at the edges.

The same seed, device and shape of the batch give the same text; another batch or device rounds
otherwise, and may give another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from scaling.errors import ConfigError
from scaling.words import counted
from sweeps.models.stacked import StackModel

#: Sums of probabilities that differ by less are equal: 1 - 0.8 is 0.19999999 in floats.
MASS_TOLERANCE = 1e-6
_SEEDS = 1 << 63


@dataclass(frozen=True, kw_only=True)
class SamplingRule:
    """Which tokens may come next, and how likely."""

    temperature: float = 1.0
    """Logits are divided by it; 0: the likeliest token always."""
    top_k: int | None = None
    """Only so many of the likeliest, and those tied with the last. None: all."""
    top_p: float = 1.0
    """Only the smallest set of the likeliest that has this mass."""
    min_p: float = 0.0
    """Only those at least this share as likely as the likeliest."""

    def __post_init__(self) -> None:
        """Raise ConfigError for what is no rule."""
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(
                f"temperature {self.temperature:g}: it is a number from 0; 0 takes the likeliest"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top-k {self.top_k}: it is a number of tokens, from 1")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top-p {self.top_p:g}: it is a mass above 0, and at most 1")
        if not 0 <= self.min_p <= 1:
            raise ConfigError(f"min-p {self.min_p:g}: it is a share from 0 to 1")

    def __str__(self) -> str:
        """The rule in words, in the order in which its parts apply."""
        if self.is_greedy:
            return "greedy: always the likeliest token"
        parts = [f"temperature {self.temperature:g}"]
        parts += [f"top-k {self.top_k}"] if self.top_k is not None else []
        parts += [f"top-p {self.top_p:g}"] if self.top_p < 1 else []
        parts += [f"min-p {self.min_p:g}"] if self.min_p > 0 else []
        return f"drawn by {', '.join(parts)}"

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is drawn."""
        return self.temperature == 0

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """(..., vocabulary) What the rule makes of a model's logits."""
        return filtered_log_probabilities(
            logits,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
        )


GREEDY = SamplingRule(temperature=0.0)


def filtered_log_probabilities(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Tensor:
    """(..., vocabulary) in float64, in nats: the distribution that the next token is drawn from;
    minus infinity for a token that cannot come.

    Raises ConfigError for values that are no rule, and for a k above the vocabulary.
    """
    SamplingRule(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    vocab_size = logits.shape[-1]
    if top_k is not None and top_k > vocab_size:
        raise ConfigError(f"top-k {top_k}: the model knows {vocab_size} tokens; leave it out")
    logits = logits.double()
    if temperature == 0:
        nothing = torch.full_like(logits, -torch.inf)
        return nothing.scatter_(-1, logits.argmax(-1, keepdim=True), 0.0)
    # Differences to the largest first: over a tiny temperature the logits alone may overflow.
    found = (logits - logits.amax(-1, keepdim=True)) / temperature
    if top_k is not None:
        kth = found.topk(top_k, dim=-1).values[..., -1:]
        found = found.masked_fill(found < kth, -torch.inf)
    if top_p < 1:
        ordered, order = found.softmax(-1).sort(dim=-1, descending=True, stable=True)
        before = _running_sums(ordered) - ordered
        beyond = before >= top_p - MASS_TOLERANCE
        beyond[..., 0] = False
        found = found.masked_fill(beyond.gather(-1, order.argsort(-1)), -torch.inf)
    if min_p > 0:
        least = found.new_tensor(min_p).log() - MASS_TOLERANCE
        found = found.masked_fill(found < least, -torch.inf)
    return found.log_softmax(-1)


def _running_sums(x: Tensor) -> Tensor:
    """Along the last axis; a GPU's own adds up in no order, and is refused where that matters."""
    if x.is_cuda and torch.are_deterministic_algorithms_enabled():
        return x.cpu().cumsum(-1).to(x.device)
    return x.cumsum(-1)


def drawn(log_probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """(...) A token of each distribution (..., vocabulary); the generator is of their device."""
    flat = log_probabilities.exp().flatten(0, -2)
    found = torch.multinomial(flat, 1, replacement=True, generator=generator)
    return found.view(log_probabilities.shape[:-1])


def next_tokens(
    model: StackModel,
    prompts: Tensor,
    *,
    tokens: int,
    lengths: Tensor | None = None,
    rule: SamplingRule = GREEDY,
    seed: int = 0,
    cache: bool = True,
    below: int | None = None,
) -> Iterator[Tensor]:
    """Continue prompts of one length, (sequences, length), by each replica: the next tokens,
    (replicas, sequences), one position at a time. Of a model that reads a source apart the prompts
    are sources, of `lengths`, (sequences,), where some are shorter and padded at their end; what
    comes is their targets, which follow the start token.

    It stops after so many tokens, or where no place is left: a sequence has `most_inputs` inputs
    and the token after them. `cache`: keep keys and values, where the family can; else the whole
    sequence is computed anew for every token. `below`: only tokens below that can come.

    Raises ConfigError for prompts that are empty, longer than the context or the model's source, or
    hold other tokens, and for lengths that are none of theirs.
    """
    check_prompts(model, prompts)
    if not 0 <= seed < _SEEDS:
        raise ConfigError(f"seed {seed}: it is a whole number from 0, below 2**63")
    generator = torch.Generator(model.device).manual_seed(seed)
    seen, source = first_inputs(model, prompts, lengths)
    fresh = seen
    with torch.inference_mode():
        past = model.new_cache(len(prompts), *source) if cache else None
        for _ in range(min(tokens, model.most_inputs + 1 - seen.shape[-1])):
            logits = model(seen, *source) if past is None else model.logits_onward(fresh, past)
            logits = logits.unflatten(1, (len(prompts), -1))[:, :, -1, :below]
            chances = rule.log_probabilities(logits)
            chosen = chances.argmax(-1) if rule.is_greedy else drawn(chances, generator)
            yield chosen
            fresh = chosen.unsqueeze(-1)
            seen = torch.cat((seen, fresh), dim=-1) if past is None else seen


def generate(
    model: StackModel,
    prompts: Tensor,
    *,
    tokens: int,
    lengths: Tensor | None = None,
    rule: SamplingRule = GREEDY,
    seed: int = 0,
    cache: bool = True,
    below: int | None = None,
) -> Tensor:
    """(replicas, sequences, tokens or fewer) What `next_tokens` gives, together."""
    steps = next_tokens(
        model,
        prompts,
        tokens=tokens,
        lengths=lengths,
        rule=rule,
        seed=seed,
        cache=cache,
        below=below,
    )
    found = list(steps)
    if not found:
        raise ConfigError(f"{tokens} tokens to sample: it is a number from 1")
    return torch.stack(found, dim=-1)


def first_inputs(
    model: StackModel, prompts: Tensor, lengths: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What a model reads first to go on from prompts, (sequences, length): its inputs, (replicas,
    sequences, inputs), and what it takes behind them: nothing, or sources, and where they are no
    padding if some are shorter."""
    given = prompts.to(model.device).long().expand(model.replicas, -1, -1)
    if lengths is not None:
        _check_lengths(model, prompts, lengths)
    if not model.source_tokens:
        return given, ()
    start = torch.full_like(given[..., :1], _start_of(model))
    if lengths is None or bool((lengths == prompts.shape[-1]).all()):
        return start, (given,)
    places = torch.arange(prompts.shape[-1], device=model.device)
    is_source = places < lengths.to(model.device)[:, None]
    return start, (given, is_source.expand_as(given))


def check_prompts(model: StackModel, prompts: Tensor) -> None:
    """ConfigError unless prompts, (sequences, length), are fit for a model."""
    if model.continues_nothing:
        raise ConfigError(
            f"the model gives no next token: {model.continues_nothing}; choose a run of "
            "objective causal"
        )
    what, most = "prompt", f"context is {model.context}"
    if model.source_tokens:
        what, most = "source", f"sources have {counted(model.source_tokens, 'token')} at most"
    if prompts.numel() == 0:
        raise ConfigError(f"the {what} is empty; give it one token at least")
    if prompts.shape[-1] > (model.source_tokens or model.context):
        raise ConfigError(
            f"the {what} has {counted(prompts.shape[-1], 'token')}, and the model's {most}; "
            "give a shorter one"
        )
    check_tokens(model, prompts)


def check_tokens(model: StackModel, tokens: Tensor) -> None:
    """ConfigError for tokens that the model does not know."""
    least, most = int(tokens.min()), int(tokens.max())
    if least < 0 or most >= model.used_vocab_size:
        raise ConfigError(
            f"token {least if least < 0 else most}: the model knows tokens from 0 to "
            f"{model.used_vocab_size - 1}"
        )


def _check_lengths(model: StackModel, prompts: Tensor, lengths: Tensor) -> None:
    longest = prompts.shape[-1]
    if lengths.shape != prompts.shape[:1] or not bool(((lengths > 0) & (lengths <= longest)).all()):
        raise ConfigError(
            f"the lengths of {counted(len(prompts), 'prompt')} are {lengths.tolist()}; each has 1 "
            f"to {counted(longest, 'token')}"
        )
    if not model.source_tokens and bool((lengths != longest).any()):
        raise ConfigError(
            "prompts that are read with what follows are of one length; give those of each apart"
        )


def _start_of(model: StackModel) -> int:
    if model.start_token is None:
        raise ConfigError(
            f"the model's {counted(model.used_vocab_size, 'token')} can all occur: none is left "
            "for a target's start; build it with one more"
        )
    return model.start_token
