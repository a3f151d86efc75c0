"""What sampling costs and whether it draws what it says.

    python -m benchmarks.sampling [--width 128] [--depth 4] [--tokens 512] [-o sampling.json]

Part 1: greedy text to the end of a context, with a cache of keys and values and without, in turns
in one process, by processor time: the ratio of the two, whether the texts are identical, and the
largest gap between their logits. Part 2: draws by each rule against its own distribution, computed
by hand in another way, as the p-value of a chi-squared test.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from scipy.stats import chisquare
from torch import Tensor

from sweeps.config.model import ModelConfig
from sweeps.generation.sampling import GREEDY, drawn, filtered_log_probabilities, generate
from sweeps.models.decoder import DecoderFamily
from sweeps.models.family import ModelOptions
from sweeps.models.stacked import StackedWeights

PROMPT, VOCABULARY, ROUNDS = 4, 256, 3
RULES: tuple[Mapping[str, Any], ...] = (
    {},
    {"temperature": 0.7},
    {"top_k": 6},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"temperature": 1.3, "top_k": 9, "top_p": 0.9, "min_p": 0.05},
)


def random_model(width: int, depth: int, context: int) -> StackedWeights:
    """A decoder whose matrices are all random, as large as after training."""
    config = ModelConfig(head_size=16, context=context)
    shape = DecoderFamily().shape(config, width=width, depth=depth, vocab_size=VOCABULARY)
    model = DecoderFamily().build(shape, [1], ModelOptions())
    generator = torch.Generator().manual_seed(0)
    model.hold(torch.randn(model.held_weights().shape, generator=generator) / math.sqrt(width))
    return model


def cache_against_none(width: int, depth: int, tokens: int) -> dict[str, float | bool]:
    """Part 1."""
    model = random_model(width, depth, tokens)
    prompt = torch.arange(PROMPT)[None]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    texts = {}
    for _ in range(ROUNDS):
        for cache in (True, False):
            start = time.process_time()
            texts[cache] = generate(model, prompt, tokens=tokens - PROMPT, rule=GREEDY, cache=cache)
            seconds[cache].append(time.process_time() - start)
    with_cache, without = (min(seconds[cache]) for cache in (True, False))
    whole = torch.cat((prompt, texts[True][0]), dim=1)
    return {
        "tokens": tokens,
        "params": model.held_weights().numel(),
        "with_cache_seconds": with_cache,
        "without_cache_seconds": without,
        "ratio": without / with_cache,
        "texts_are_identical": torch.equal(texts[True], texts[False]),
        "largest_logit_gap": logit_gap(model, whole),
    }


def logit_gap(model: StackedWeights, tokens: Tensor) -> float:
    """Of a text, (1, length), computed at once and one token at a time."""
    with torch.inference_mode():
        whole = model(tokens[None])[0]
        past = model.new_cache(1)
        assert past is not None, "the decoder keeps keys and values"
        parts = [model.logits_onward(one[None], past)[0] for one in tokens.split(1, dim=1)]
    return float((torch.cat(parts) - whole).abs().max())


def by_hand(
    logits: list[float],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> list[float]:
    """A rule's distribution, written as it is said."""
    weights = [math.exp(logit / temperature) for logit in logits]
    kth = sorted(weights, reverse=True)[(top_k or len(weights)) - 1]
    weights = [weight if weight >= kth else 0.0 for weight in weights]
    total, mass, chosen = sum(weights), 0.0, set()
    for place in sorted(range(len(weights)), key=lambda one: -weights[one]):
        if mass < top_p * total * (1 - 1e-12):
            chosen.add(place)
        mass += weights[place]
    weights = [weight if place in chosen else 0.0 for place, weight in enumerate(weights)]
    weights = [weight if weight >= min_p * max(weights) else 0.0 for weight in weights]
    return [weight / sum(weights) for weight in weights]


def p_value(rule: Mapping[str, Any], draws: int) -> float:
    """Part 2: of so many draws by one rule; 0 where one was drawn that cannot be."""
    logits = torch.randn(16, generator=torch.Generator().manual_seed(3))
    expected = torch.tensor(by_hand(logits.tolist(), **rule), dtype=torch.float64)
    chances = filtered_log_probabilities(logits, **rule).expand(draws, -1)
    counts = drawn(chances, torch.Generator().manual_seed(4)).bincount(minlength=16)
    possible = expected > 0
    if counts[~possible].sum():
        return 0.0
    return float(chisquare(counts[possible], expected[possible] * draws).pvalue)


def main(argv: Sequence[str] | None = None) -> None:
    """Print both parts, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=512, help="of the context")
    parser.add_argument("--draws", type=int, default=200_000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    cost = cache_against_none(arguments.width, arguments.depth, arguments.tokens)
    for name, value in cost.items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    chances = [{"rule": dict(rule), "p_value": p_value(rule, arguments.draws)} for rule in RULES]
    for one in chances:
        rule = one["rule"] or "the plain rule"
        print(f"{arguments.draws:,} draws by {rule}: p {one['p_value']:.3f}")
    if arguments.output:
        arguments.output.write_text(json.dumps({"cache": cost, "rules": chances}, indent=1) + "\n")


if __name__ == "__main__":
    main()
