"""What a trained model answers to the questions of its sweep: columns `metric.NAME`.

A share is over prompts, a mean over answers or sequences; each has its standard error over them in
the column of its name and `_stderr`, where there are two or more.
"""

from collections.abc import Sequence

import numpy as np
import torch

from scaling.arrays import FloatArray
from sweeps.config.probes import GRAMMATICAL, CompletionRule
from sweeps.data.images.source import ImageCorpus
from sweeps.data.questions import AcceptedAnswers, PairOfTokens, Questions
from sweeps.data.sources.base import Corpus
from sweeps.data.sources.generated.grammars import END, Language
from sweeps.data.sources.pairs import PairCorpus
from sweeps.data.tokens.vocabulary import spelled
from sweeps.generation.decoding.greedy import Tokens, greedy_answers
from sweeps.generation.decoding.images import label_accuracy
from sweeps.generation.decoding.sampling import GREEDY, SamplingRule, generate
from sweeps.generation.metrics.scoring import log_likelihoods
from sweeps.generation.metrics.translations import chrf, translations
from sweeps.models.stacked import StackModel

TRUTH_TO_MODEL, MODEL_TO_TRUTH = "kl_truth_to_model", "kl_model_to_truth"
IMPOSSIBLE = "impossible_mass"
_SEQUENCES = 64  # of the validation set, that divergences are measured on


def probe(model: StackModel, corpus: Corpus, asked: Questions) -> dict[str, float]:
    """The columns of one model, a stack of one."""
    found: dict[str, float] = {}
    if asked.language is not None:
        found |= _completed(model, asked, asked.language)
    if asked.divergence:
        found |= divergences(model, corpus)
    if asked.answers:
        found |= _answered(model, asked.answers)
    if asked.translations:
        found |= _translated(model, corpus, asked.translations)
    if asked.image_samples:
        found |= _drawn(model, corpus, asked)
    return found


def obeys(rule: CompletionRule, language: Language, prompt: Tokens, completion: Tokens) -> bool:
    """Whether a prompt (with its start) and its completion obey a rule. `as many` counts both; of
    `none after` only the completion counts, since a prompt may have broken it already."""
    if rule.kind == GRAMMATICAL:
        if completion[-1:] != (END,):
            return False
        return language.log_probability((*prompt[1:], *completion[:-1])) > -np.inf
    one, other = (language.symbols.index(symbol) for symbol in rule.symbols)
    if rule.kind == "as many":
        whole = (*prompt, *completion)
        return whole.count(one) == whole.count(other)
    return other not in completion or one not in completion[completion.index(other) :]


def divergences(model: StackModel, corpus: Corpus) -> dict[str, float]:
    """Mean nats a place between the source's next-token probabilities p and the model's q, where p
    is known: of sum p ln(p / q), of sum q ln(q / p) among tokens that can come, and the
    probability that the model gives all others."""
    inputs = corpus.validation.inputs
    inputs = inputs[:: max(1, len(inputs) // _SEQUENCES)]
    with torch.inference_mode():
        logits = model(inputs.to(model.device)[None]).unflatten(1, tuple(inputs.shape))[0]
        chances = logits.double().log_softmax(-1).cpu().numpy()
    truth = corpus.truth(inputs.numpy())
    known = np.isfinite(truth).all(-1)
    p = np.where(known[..., None], truth, 1.0)
    found: dict[str, float] = {}
    for name, values in of_truth(p, chances[..., : p.shape[-1]]).items():
        found |= _ratio(name, np.where(known, values, 0.0).sum(1), known.sum(1))
    return found


def of_truth(p: FloatArray, log_q: FloatArray) -> dict[str, FloatArray]:
    """What a model's next-token probabilities, by their logarithm (..., tokens), are beside the
    source's own p (..., tokens): (...) each, in the order of `divergences`."""
    possible = p > 0
    log_p = np.log(np.where(possible, p, 1.0))
    forward = (p * (log_p - np.where(possible, log_q, 0.0))).sum(-1)
    q = np.where(possible, np.exp(log_q), 0.0)
    mass = q.sum(-1)
    inside = q / mass[..., None]
    log_inside = np.where(possible, log_q - np.log(mass)[..., None], 0.0)
    backward = (inside * (log_inside - log_p)).sum(-1)
    outside = np.maximum(0.0, 1.0 - mass)
    return {TRUTH_TO_MODEL: forward, MODEL_TO_TRUTH: backward, IMPOSSIBLE: outside}


def _completed(model: StackModel, asked: Questions, language: Language) -> dict[str, float]:
    prompts = list(dict.fromkeys(one for kind in asked.prompts.values() for one in kind))
    answers = greedy_answers(model, torch.tensor(prompts), tokens=model.context, end=END)
    followed = dict(zip(prompts, answers, strict=True))
    found: dict[str, float] = {}
    for kind, group in asked.prompts.items():
        ended = [followed[one][-1:] == (END,) for one in group]
        found |= _mean(f"{kind}_ended", ended)
        for rule in asked.rules:
            obeyed = [obeys(rule, language, one, followed[one]) for one in group]
            found |= _mean(f"{kind}_{rule.column}", obeyed)
            of_ended = [obey for obey, end in zip(obeyed, ended, strict=True) if end]
            found |= _mean(f"{kind}_{rule.column}_of_ended", of_ended)
    return found


def _answered(model: StackModel, answers: Sequence[AcceptedAnswers]) -> dict[str, float]:
    accepted, losses = [], []
    for one in answers:
        prompt = torch.tensor([one.prompt])
        longest = max(map(len, one.accepted))
        (said,) = generate(model, prompt, tokens=longest, rule=GREEDY)[0].tolist()
        accepted.append(any(tuple(said[: len(right)]) == right for right in one.accepted))
        losses.append(min(_loss(model, one.prompt, right) for right in one.accepted))
    return _mean("answers_accepted", accepted) | _mean("answers_loss", losses)


def _translated(
    model: StackModel, corpus: Corpus, pairs: Sequence[PairOfTokens]
) -> dict[str, float]:
    assert isinstance(corpus, PairCorpus), "only pairs are translated"
    words = corpus.words
    found = translations(model, corpus, [source for source, _ in pairs])
    exact = [said == (*right, words.end) for said, (_, right) in zip(found, pairs, strict=True)]
    texts = [spelled(words, [one for one in said if one != words.end]) for said in found]
    score = chrf(texts, [spelled(words, right) for _, right in pairs])
    columns = _mean("exact_match", exact) | {"metric.chrf": score.score}
    return columns | ({"metric.chrf_stderr": score.stderr} if len(pairs) > 1 else {})


def _loss(model: StackModel, prompt: Tokens, answer: Tokens) -> float:
    found = log_likelihoods(model, torch.tensor([(*prompt, *answer)]), given=len(prompt))
    return -float(found.double().mean())


def _drawn(model: StackModel, corpus: Corpus, asked: Questions) -> dict[str, float]:
    assert isinstance(corpus, ImageCorpus), "only images are drawn"
    rule = SamplingRule(temperature=asked.image_temperature)
    drawn, held_back = label_accuracy(model, corpus, asked.image_samples, rule)
    return _mean("drawn_label_accuracy", drawn.tolist()) | _mean(
        "held_back_label_accuracy", held_back.tolist()
    )


def _mean(name: str, values: Sequence[float | bool]) -> dict[str, float]:
    return _ratio(name, np.array(values, dtype=np.float64), np.ones(len(values)))


def _ratio(name: str, sums: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """A mean over all places, and its standard error over the rows that they lie in."""
    if not counts.sum():
        return {}
    mean = sums.sum() / counts.sum()
    found = {f"metric.{name}": float(mean)}
    if (rows := len(sums)) > 1:
        residuals = (sums - mean * counts) / counts.mean()
        found[f"metric.{name}_stderr"] = float(residuals.std(ddof=1) / np.sqrt(rows))
    return found
