"""Two models of one distribution, compared on prompts of given probability: how far each is from
the truth, how far they are from one another, and which rules their completions obey."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from scaling.arrays import FloatArray
from scaling.display import Table, as_text
from scaling.errors import ConfigError
from scaling.words import counted
from sweeps.config.sweep import SweepConfig
from sweeps.data.questions import ZERO, questions
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import Corpus
from sweeps.data.sources.generated.grammars import END, Language
from sweeps.generation.decoding.greedy import Tokens, greedy_answers
from sweeps.generation.kept_runs import KeptRun, check_continues
from sweeps.generation.metrics.probes import obeys, of_truth
from sweeps.generation.weights import KeptModel
from sweeps.models.stacked import StackModel


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over prompts, and its standard error; none of fewer than two."""

    mean: float
    stderr: float | None

    @classmethod
    def of(cls, values: FloatArray) -> "Mean":
        """Of one value a prompt."""
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        return cls(mean=float(values.mean()), stderr=error)

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + ("" if self.stderr is None else f" +- {self.stderr:.2g}")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What was measured of both models, and the first less the second, prompt by prompt."""

    first: Mean
    second: Mean
    difference: Mean

    @classmethod
    def of(cls, first: FloatArray, second: FloatArray) -> "Measure":
        """Of one value a prompt each."""
        return cls(first=Mean.of(first), second=Mean.of(second), difference=Mean.of(first - second))


@dataclass(frozen=True, kw_only=True)
class ComparedPrompts:
    """What was found on the prompts of one kind."""

    kind: str
    prompts: int
    measures: Mapping[str, Measure]
    """Divergences from the truth in nats of the next token, and shares of obedient completions."""
    between: Mapping[str, Mean]
    """Nats of the next token: both Kullback-Leibler divergences, and Jensen-Shannon's."""


@dataclass(frozen=True, kw_only=True)
class ComparedRuns:
    """Two kept runs, and what was found on each kind of prompts."""

    runs: tuple[KeptRun, KeptRun]
    names: tuple[str, str]
    run_ids: tuple[str, str]
    groups: tuple[ComparedPrompts, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a divergence from the truth is null where no sentence begins so."""
        pairs = zip(self.run_ids, self.names, self.runs, strict=True)
        return {
            "unit": "nats",
            "runs": [{"run_id": i, "name": name, **run.known()} for i, name, run in pairs],
            "groups": [asdict(group) for group in self.groups],
        }

    def to_text(self) -> str:
        """A table a kind of prompts."""
        parts = []
        for group in self.groups:
            kind = group.kind.replace("_", " ")
            rows = [
                (name.replace("_", " "), *map(str, (one.first, one.second, one.difference)))
                for name, one in group.measures.items()
            ]
            rows += [(name, "", "", str(mean)) for name, mean in group.between.items()]
            header = (f"{kind}: {counted(group.prompts, 'prompt')}", *self.run_ids, "difference")
            parts.append(as_text([Table(header, rows)]))
        return "\n\n".join(parts)


def compare_runs(first: KeptRun, second: KeptRun, config: SweepConfig) -> ComparedRuns:
    """Compare two runs of the source that a config names, on the prompts of its `probes`; of a
    source without a grammar on its validation sequences, the next token at their last place.

    Raises ConfigError for runs of other tokens than the source's, one that gives no next token, and
    a source whose next-token probabilities nobody knows.
    """
    corpus = load_corpus(config.data, config.model.context)
    if not corpus.knows_truth:
        raise ConfigError(
            "nobody knows the next-token probabilities of this data.source, so models of it are "
            "held against no truth; choose a generated one"
        )
    asked = questions(config.probes, corpus)
    kept = [_of_this_source(run, corpus) for run in (first, second)]
    prompts = dict(asked.prompts) or {"validation": _validation(corpus)}
    models = [one.model for one in kept]
    groups = tuple(
        _compared(kind, rows, models, corpus, asked.rules, asked.language)
        for kind, rows in prompts.items()
    )
    return ComparedRuns(
        runs=(first, second),
        names=(kept[0].name, kept[1].name),
        run_ids=(kept[0].run_id, kept[1].run_id),
        groups=groups,
    )


def _of_this_source(run: KeptRun, corpus: Corpus) -> KeptModel:
    kept = run.read()
    check_continues(kept)
    if kept.model.source_tokens:
        raise ConfigError(f"run {kept.run_id}: it reads a source apart; name a run of a decoder")
    if kept.tokenizer_hash != corpus.facts.tokenizer_hash:
        raise ConfigError(
            f"run {kept.run_id}: trained on other tokens than those of this config's data; give "
            "the config that it was trained by"
        )
    return kept


def _validation(corpus: Corpus) -> tuple[Tokens, ...]:
    """Distinct rows of the validation set, as far as it goes."""
    return tuple(dict.fromkeys(map(tuple, corpus.validation.inputs.tolist())))


def _compared(
    kind: str,
    prompts: Sequence[Tokens],
    models: Sequence[StackModel],
    corpus: Corpus,
    rules: Sequence[Any],
    language: Language | None,
) -> ComparedPrompts:
    rows = torch.tensor(prompts)
    chances = [_next_token(model, rows) for model in models]
    measures: dict[str, Measure] = {}
    if kind != ZERO:  # else there is no truth
        truth = corpus.truth(rows.numpy())[:, -1]
        known = np.isfinite(truth).all(-1)
        of_both = [of_truth(truth[known], log_q[known, : truth.shape[-1]]) for log_q in chances]
        for name in of_both[0] if known.any() else ():
            measures[name] = Measure.of(*(np.maximum(0.0, one[name]) for one in of_both))
    if language is not None:
        answers = [greedy_answers(model, rows, tokens=model.context, end=END) for model in models]
        measures["ended"] = Measure.of(*(_shares([a[-1:] == (END,) for a in of]) for of in answers))
        for rule in rules:
            obeyed = (
                _shares([obeys(rule, language, *pair) for pair in zip(prompts, of, strict=True)])
                for of in answers
            )
            measures[rule.column] = Measure.of(*obeyed)
    return ComparedPrompts(
        kind=kind,
        prompts=len(prompts),
        measures=measures,
        between={name: Mean.of(values) for name, values in _between(*chances).items()},
    )


def _next_token(model: StackModel, rows: torch.Tensor) -> FloatArray:
    """(prompts, tokens) ln of each next token's probability after each prompt."""
    with torch.inference_mode():
        logits = model(rows.to(model.device)[None]).unflatten(1, tuple(rows.shape))[0, :, -1]
        found: FloatArray = logits.double().log_softmax(-1).cpu().numpy()
    return found


def _between(first: FloatArray, second: FloatArray) -> dict[str, FloatArray]:
    """(prompts,) each, of ln probabilities (prompts, tokens)."""

    def divergence(p: FloatArray, q: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            parts = np.exp(p) * (p - q)
        found: FloatArray = np.where(np.exp(p) > 0, parts, 0.0).sum(-1)
        return found

    middle = np.logaddexp(first, second) - np.log(2)
    return {
        "KL(first || second)": divergence(first, second),
        "KL(second || first)": divergence(second, first),
        "Jensen-Shannon": (divergence(first, middle) + divergence(second, middle)) / 2,
    }


def _shares(values: Sequence[bool]) -> FloatArray:
    return np.array(values, dtype=np.float64)


#: What is said of the divergences from the truth.
AMONG_POSSIBLE = (
    "kl truth to model is sum p ln(p / q) in nats of the next token, kl model to truth sum q "
    "ln(q / p) among tokens that can come: over all tokens it is infinite where the impossible "
    "mass is above 0"
)
