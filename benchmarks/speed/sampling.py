"""What sampling costs and whether it draws what it says.

    python -m benchmarks.speed.sampling [--width 128] [--depth 4] [--tokens 512] [-o sampling.json]

Part 1: greedy text to the end of a context, with a cache of keys and values and without, in turns
in one process, by processor time: the ratio of the two, whether the texts are identical, and the
largest gap between their logits; the same for an encoder-decoder, whose targets follow a source.
Part 2: draws by each rule against its own distribution, computed by hand in another way, as the
p-value of a chi-squared test. Part 3: what `--deterministic` costs, with and without it in turns:
the median ratio of processor time, greedily and by top-p.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from scipy.stats import chisquare
from torch import Tensor

from sweeps.config.model import ModelConfig
from sweeps.generation.decoding.sampling import (
    GREEDY,
    SamplingRule,
    drawn,
    filtered_log_probabilities,
    first_inputs,
    generate,
)
from sweeps.models.decoder.family import DecoderFamily
from sweeps.models.family import ModelOptions, ModelSizes
from sweeps.models.registry import find_family
from sweeps.models.stacked import StackedWeights
from sweeps.training.devices.device import computing_on

PROMPT, VOCABULARY, ROUNDS = 4, 256, 3
RULES: tuple[Mapping[str, Any], ...] = (
    {},
    {"temperature": 0.7},
    {"top_k": 6},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"temperature": 1.3, "top_k": 9, "top_p": 0.9, "min_p": 0.05},
)


def random_model(
    width: int, depth: int, context: int, family: str = DecoderFamily().name
) -> StackedWeights:
    """A model whose matrices are all random, as large as after training."""
    config, found = ModelConfig(family=family, head_size=16, context=context), find_family(family)
    options, further = ModelOptions(used_vocab_size=VOCABULARY), {}
    if "source" in found.views:
        further = {"view": "source", "source_tokens": context // 2}
    sizes = ModelSizes(width=width, depth=depth, vocab_size=VOCABULARY + 1, **further)
    shape = found.shape(config, sizes)
    model = found.build(shape, [1], options)
    generator = torch.Generator().manual_seed(0)
    model.hold(torch.randn(model.held_weights().shape, generator=generator) / math.sqrt(width))
    return model


def cache_against_none(
    width: int, depth: int, tokens: int, family: str = DecoderFamily().name
) -> dict[str, float | bool]:
    """Part 1."""
    model = random_model(width, depth, tokens, family)
    prompt = torch.arange(model.source_tokens or PROMPT)[None] % VOCABULARY
    seconds: dict[bool, list[float]] = {True: [], False: []}
    texts = {}
    for _ in range(ROUNDS):
        for cache in (True, False):
            start = time.process_time()
            texts[cache] = generate(model, prompt, tokens=tokens - PROMPT, cache=cache)
            seconds[cache].append(time.process_time() - start)
    with_cache, without = (min(seconds[cache]) for cache in (True, False))
    return {
        "tokens": texts[True].shape[-1],
        "params": model.held_weights().numel(),
        "with_cache_seconds": with_cache,
        "without_cache_seconds": without,
        "ratio": without / with_cache,
        "texts_are_identical": torch.equal(texts[True], texts[False]),
        "largest_logit_gap": logit_gap(model, prompt, texts[True][0]),
    }


def logit_gap(model: StackedWeights, prompt: Tensor, text: Tensor) -> float:
    """Of a text, (1, length), behind its prompt, computed at once and one token at a time."""
    first, source = first_inputs(model, prompt)
    tokens = torch.cat((first[0], text), dim=1)[:, : model.most_inputs]
    with torch.inference_mode():
        whole = model(tokens[None], *source)[0]
        past = model.new_cache(1, *source)
        assert past is not None, "these families keep keys and values"
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


def cost_of_determinism(width: int, depth: int, tokens: int) -> list[dict[str, Any]]:
    """Part 3."""
    model, prompt, found = random_model(width, depth, tokens), torch.arange(PROMPT)[None], []
    for rule in (GREEDY, SamplingRule(top_p=0.9)):
        ratios = []
        for number in range(2 * ROUNDS + 1):
            seconds = {}
            for deterministic in (number % 2 == 0, number % 2 == 1):
                with computing_on("cpu", deterministic=deterministic):
                    start = time.process_time()
                    text = generate(model, prompt, tokens=tokens - PROMPT, rule=rule)
                    seconds[deterministic] = time.process_time() - start
            ratios.append(seconds[True] / seconds[False])
        ratio = statistics.median(ratios[1:])  # the first round warms up
        found.append({"rule": str(rule), "tokens": text.shape[-1], "ratio": ratio})
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Print all parts, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=512, help="of the context")
    parser.add_argument("--draws", type=int, default=200_000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    sizes = arguments.width, arguments.depth, arguments.tokens
    costs = {name: cache_against_none(*sizes, name) for name in ("slt-dec/1", "encoder_decoder/1")}
    for family, cost in costs.items():
        print(family)
        for name, value in cost.items():
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    chances = [{"rule": dict(rule), "p_value": p_value(rule, arguments.draws)} for rule in RULES]
    for one in chances:
        rule = one["rule"] or "the plain rule"
        print(f"{arguments.draws:,} draws by {rule}: p {one['p_value']:.3f}")
    exact = cost_of_determinism(*sizes)
    for one in exact:
        print(f"deterministic / not, {one['tokens']} tokens {one['rule']}: {one['ratio']:.3f}")
    if arguments.output:
        document = {"cache": costs, "rules": chances, "deterministic": exact}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
