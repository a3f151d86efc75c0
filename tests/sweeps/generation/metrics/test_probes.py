"""Facts about probes: what models answer is counted as the rules say, and stored with the run."""

import math

import numpy as np
import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.data import AnbnData, MarkovData
from sweeps.config.probes import ProbesConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.questions import AcceptedAnswers, Questions, questions
from sweeps.data.registry import load_corpus
from sweeps.generation.decoding.greedy import greedy_answers
from sweeps.generation.metrics.probes import divergences, obeys, probe
from sweeps.generation.metrics.scoring import log_likelihoods
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep
from tests.conformance.memory_store import MemoryStore
from tests.sweeps.generation.decoding.test_sampling import built

END, A, B = 1, 3, 4
RULES = ("grammatical", "as many a as b", "no a after b")
ANBN = AnbnData(lengths="uniform", longest=8)


def told(**probes):
    """The rules of a config, and the language that they are about."""
    found = questions(ProbesConfig(rules=RULES, prompt_tokens=2), load_corpus(ANBN, 17))
    return found.rules, found.language


@pytest.mark.parametrize(
    ("prompt", "completion", "obeyed"),
    [
        ((A, A), (B, B, END), (True, True, True)),
        ((A, A), (B, END), (False, False, True)),
        ((A, A), (B, B), (False, True, True)),  # it has not ended
        ((A, B), (A, B, END), (False, True, True)),
        ((B, A), (B, A, END), (False, True, False)),
        ((B, B), (A, A, END), (False, True, True)),
        ((B, A), (), (False, True, True)),
    ],
)
def test_completions_obey_rules_as_they_are_said(prompt, completion, obeyed):
    rules, language = told()
    found = tuple(obeys(rule, language, (0, *prompt), completion) for rule in rules)
    assert found == obeyed


def test_completions_are_greedy_and_end_with_their_end():
    model = built(context=17)
    prompts = [(0, one, two) for one in (A, B) for two in (A, B)]
    found = greedy_answers(model, torch.tensor(prompts), tokens=17, end=END)
    for prompt, completion in zip(prompts, found, strict=True):
        assert END not in completion[:-1]
        assert completion[-1] == END or len(prompt) + len(completion) == 18
        row = torch.tensor([[*prompt, *completion]])
        with torch.inference_mode():
            best = model(row[None, :, :-1])[0].argmax(-1)
        assert tuple(best[len(prompt) - 1 :].tolist()) == completion


class Knowing:
    """A model that says what the source says, but for a share given to every token alike."""

    device, context = torch.device("cpu"), 17

    def __init__(self, corpus, share):
        self._corpus, self._share = corpus, share

    def __call__(self, inputs):
        truth = np.nan_to_num(self._corpus.truth(inputs[0].numpy()), nan=1.0)
        mixed = (1 - self._share) * truth + self._share / truth.shape[-1]
        with np.errstate(divide="ignore"):
            return torch.from_numpy(np.log(mixed)).flatten(0, 1)[None]


@pytest.mark.parametrize("data", [ANBN, MarkovData(symbols=6, order=1, validation_windows=9)])
def test_a_model_that_knows_the_source_diverges_from_it_by_nothing(data):
    corpus = load_corpus(data, 17)
    found = divergences(Knowing(corpus, 0.0), corpus)
    assert [found[f"metric.{name}"] for name in ("kl_truth_to_model", "kl_model_to_truth")] == (
        pytest.approx([0, 0], abs=1e-9)
    )
    further = divergences(Knowing(corpus, 0.1), corpus)
    assert further["metric.kl_truth_to_model"] > 0.001
    assert further["metric.kl_truth_to_model_stderr"] > 0


def test_what_the_model_gives_to_the_impossible_is_told_apart():
    corpus = load_corpus(ANBN, 17)
    found = divergences(Knowing(corpus, 0.1), corpus)
    # after an a two tokens can come, after a b one: b, or after as many the end
    inputs = corpus.validation.inputs.numpy()
    truth = corpus.truth(inputs)
    known = np.isfinite(truth).all(-1)
    impossible = (truth[known] == 0).sum(-1) / truth.shape[-1]
    assert found["metric.impossible_mass"] == pytest.approx(0.1 * impossible.mean())


def test_an_answer_is_accepted_where_the_completion_begins_with_it():
    model = built(context=17)
    (said,) = greedy_answers(model, torch.tensor([(0, A, A)]), tokens=17, end=END)
    right, wrong = said[:2], ((said[0] + 1) % 5,)
    asked = Questions(
        answers=(
            AcceptedAnswers((0, A, A), (wrong, right)),
            AcceptedAnswers((0, A, A), (wrong,)),
        )
    )
    found = probe(model, load_corpus(ANBN, 17), asked)
    assert found["metric.answers_accepted"] == 0.5
    assert found["metric.answers_accepted_stderr"] == pytest.approx(0.5)
    losses = [
        -float(log_likelihoods(model, torch.tensor([(0, A, A, *one)]), given=3).mean())
        for one in (wrong, right)
    ]
    assert found["metric.answers_loss"] == pytest.approx((min(losses) + losses[0]) / 2)


def test_rules_are_told_of_all_prompts_and_of_those_whose_completion_ended(monkeypatch):
    asked = questions(ProbesConfig(rules=RULES, prompt_tokens=2), load_corpus(ANBN, 17))
    said = {(A, A): (B, B, END), (A, B): (B,) * 15, (B, A): (END,), (B, B): (A, B, A, END)}
    monkeypatch.setattr(
        "sweeps.generation.metrics.probes.greedy_answers",
        lambda model, prompts, **how: [said[tuple(prompt[1:])] for prompt in prompts.tolist()],
    )
    found = probe(built(context=17), load_corpus(ANBN, 17), asked)
    told = {name.removeprefix("metric."): value for name, value in found.items()}
    assert told["in_distribution_ended"] == told["in_distribution_as_many_a_as_b"] == 0.5
    assert told["in_distribution_as_many_a_as_b_of_ended"] == 1.0
    assert "in_distribution_as_many_a_as_b_of_ended_stderr" not in told  # one prompt has no spread
    assert told["zero_probability_as_many_a_as_b_of_ended"] == 0.5
    assert told["zero_probability_no_a_after_b_of_ended"] == 0.5


def test_where_no_completion_ended_nothing_is_told_of_those_that_did(monkeypatch):
    asked = questions(ProbesConfig(rules=RULES, prompt_tokens=2), load_corpus(ANBN, 17))
    monkeypatch.setattr(
        "sweeps.generation.metrics.probes.greedy_answers",
        lambda model, prompts, **how: [(B,)] * len(prompts),
    )
    found = probe(built(context=17), load_corpus(ANBN, 17), asked)
    assert found["metric.zero_probability_ended"] == 0
    assert not [name for name in found if "of_ended" in name]


def mapping(folder, **more):
    return {
        "name": "probed",
        "grid": {"width": 16, "tokens": [3000], "seed": [1, 2]},
        "model": {"head_size": 8, "context": 17},
        "data": {"source": "anbn", "lengths": "uniform", "longest": 8},
        "probes": {"prompt_tokens": 3, "rules": list(RULES), "divergence": True},
        "launch": {"workers": 1, "device": "cpu", "checkpoints": {"folder": str(folder)}},
        **more,
    }


def test_each_run_of_a_pack_has_its_answers_and_they_change_no_identity(
    tmp_path, monkeypatch, in_this_process
):
    plan, store = plan_sweep(config_from_mapping(mapping(tmp_path))), MemoryStore()
    run_sweep(plan, store)
    found = [store.records[run.run_id] for run in plan.runs]
    for record in found:
        for kind, count in (("in_distribution", 2), ("zero_probability", 6)):
            share = record[f"metric.{kind}_as_many_a_as_b"]
            assert share * count == pytest.approx(round(share * count))
        assert math.isfinite(record["metric.kl_truth_to_model"])
    assert found[0]["metric.kl_truth_to_model"] != found[1]["metric.kl_truth_to_model"]
    plain = plan_sweep(config_from_mapping(mapping(tmp_path, probes={})))
    assert [run.run_id for run in plain.runs] == [run.run_id for run in plan.runs]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"probes": {"rules": ["no"], "prompt_tokens": 2}}, 'probes.rules: "no" is no rule'),
        ({"probes": {"divergance": True}}, "divergance"),
        ({"probes": {"rules": ["no a after b"]}}, "set probes.prompt_tokens"),
        ({"probes": {"prompt_tokens": 0}}, "probes.prompt_tokens is 0; it must be positive"),
        ({"probes": {"prompt_tokens": 2, "low_probability": 1}}, "lies between 0 and 1"),
        ({"probes": {"prompt_tokens": 2, "rules": []}}, "probes.rules is empty"),
        ({"probes": {"prompt_tokens": 2, "rules": ["grammatical"] * 2}}, "column of another rule"),
        ({"probes": {"prompt_tokens": 2}, "objective": "masked"}, "goes on from no prompt"),
    ],
)
def test_a_probe_or_rule_that_nobody_knows_is_one_line(tmp_path, more, said):
    with pytest.raises(ConfigError) as caught:
        plan_sweep(config_from_mapping(mapping(tmp_path, **more)))
    assert said in str(caught.value) and "\n" not in str(caught.value)
