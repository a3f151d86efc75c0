"""Translations are greedy and exact match is what it says; chrF is sacreBLEU's."""

import random

import pytest
import torch
from sacrebleu.metrics import CHRF

from scaling.errors import ConfigError
from scaling.store.one_run.run_state import RunState
from sweeps.config.data import MarkovData, PairsData
from sweeps.config.probes import ProbesConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.questions import questions
from sweeps.data.registry import load_corpus
from sweeps.data.sources.number_words import english, german
from sweeps.data.tokens.vocabulary import spelled
from sweeps.generation.decoding.sampling import GREEDY
from sweeps.generation.kept_runs import KeptRun
from sweeps.generation.metrics.translations import chrf, translations
from sweeps.generation.texts.continuations import continue_prompt
from sweeps.generation.texts.scored_texts import score_text
from sweeps.generation.weights import read_weights
from sweeps.planning.plan import plan_sweep
from sweeps.running import runner
from sweeps.training.batches import validation_of
from tests.conformance.memory_store import MemoryStore
from tests.sweeps.work_here import work_here

FAMILIES = ("slt-dec/1", "encoder_decoder/1")
CONTEXT = 45


def config(family, folder):
    return config_from_mapping(
        {
            "name": "numbers",
            "grid": {"width": 24, "tokens": 60_000},
            "model": {"family": family, "context": CONTEXT, "head_size": 8},
            "objective": "conditional",
            "data": {
                "source": "pairs",
                "largest": 99,
                "validation_windows": 30,
                "max_epochs": 1000,
            },
            "recipe": {"name": "cpt-adamw-tiny/1"},
            "probes": {"translations": 20},
            "launch": {
                "device": "cpu",
                "workers": 1,
                "keep_weights": True,
                "weights_folder": str(folder),
            },
        }
    )


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory):
    """A model of each family that translates some numbers and not others, and its record."""
    folder = tmp_path_factory.mktemp("weights")
    plan, store = plan_sweep(config(request.param, folder)), MemoryStore()
    load_corpus.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "find_launcher", lambda engine: work_here)
        assert runner.run_sweep(plan, store).count(RunState.FINISHED) == 1
    (run,) = plan.runs
    record = store.records[run.run_id]
    return run, record, read_weights(record["weights_file"]).model


def test_the_share_that_is_exact_is_the_one_whose_every_token_is_the_likeliest(trained):
    run, record, model = trained
    corpus = load_corpus(PairsData(largest=99, validation_windows=30, max_epochs=1000), CONTEXT)
    # greedily, the target comes out where each of its tokens is the likeliest after those before it
    held = validation_of(corpus, run.asks)
    with torch.inference_mode():
        logits = model(*held.mapped(lambda part: part[None]).seen)
    best = logits.unflatten(1, held.targets.shape)[0].argmax(-1)
    expected = ((best == held.targets) | (held.weights == 0)).all(-1)
    pairs = corpus.held_pairs()
    found = translations(model, corpus, [source for source, _ in pairs])
    exact = [
        one == (*right, corpus.words.end) for one, (_, right) in zip(found, pairs, strict=True)
    ]
    assert exact == expected.tolist()
    asked = questions(ProbesConfig(translations=20), corpus)
    chosen = [pairs.index(pair) for pair in asked.translations]
    assert chosen == [place * 30 // 20 for place in range(20)]
    share = sum(exact[place] for place in chosen) / 20
    assert record["metric.exact_match"] == pytest.approx(share)
    assert 0 < share < 1  # else nothing would be shown
    assert 0 < record["metric.exact_match_stderr"] < 0.2
    words = corpus.words
    texts = [spelled(words, [t for t in found[place] if t != words.end]) for place in chosen]
    references = [spelled(words, pairs[place][1]) for place in chosen]
    assert record["metric.chrf"] == pytest.approx(CHRF().corpus_score(texts, [references]).score)
    assert record["metric.chrf_stderr"] > 0


@pytest.mark.parametrize(
    ("texts", "references"),
    [
        (["einundzwanzig"], ["einundzwanzig"]),
        (["einundzwanzig"], ["zwanzigundeins"]),
        (["a b c", "den Hund"], ["abc", "der Hund bellt"]),
        (["", "ja"], ["nein", "ja"]),
        (["", ""], ["nein", "ja"]),
        (["abc"], ["x"]),
        (["ab", "cd"], ["ab", "c"]),  # no n-grams of three
    ],
)
def test_the_likeness_is_the_chrf_of_sacrebleu(texts, references):
    expected = CHRF().corpus_score(texts, [references]).score
    assert chrf(texts, references).score == pytest.approx(expected, abs=1e-9)


def test_the_likeness_of_many_is_that_of_sacrebleu_and_its_error_the_jackknifes():
    draw = random.Random(0)
    numbers = [draw.randrange(10**6) for _ in range(40)]
    references = [german(number) for number in numbers]
    texts = [german(number + draw.choice((0, 0, 1, 1000))) for number in numbers]
    found = chrf(texts, references)
    assert found.score == pytest.approx(CHRF().corpus_score(texts, [references]).score, abs=1e-9)
    without = torch.tensor(
        [
            CHRF()
            .corpus_score(texts[:i] + texts[i + 1 :], [references[:i] + references[i + 1 :]])
            .score
            for i in range(40)
        ],
        dtype=torch.float64,
    )
    expected = (39 / 40 * (without - without.mean()).square().sum()).sqrt()
    assert found.stderr == pytest.approx(float(expected), rel=1e-6)


def test_a_text_in_another_language_is_less_like_than_one_with_a_slip():
    right = [german(number) for number in range(50)]
    assert chrf([f"{text}n" for text in right], right).score > 80
    assert chrf([english(number) for number in range(50)], right).score < 30


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (MarkovData(symbols=4, order=1, validation_windows=9), "has no pairs of a source and its"),
        (PairsData(largest=99, validation_windows=9), "is 20, and 9 pairs are measured; ask for"),
    ],
)
def test_translations_that_nobody_can_give_are_refused_before_anything_is_spent(data, said):
    with pytest.raises(ConfigError, match=f"probes.translations.*{said}"):
        questions(ProbesConfig(translations=20), load_corpus(data, CONTEXT))


def test_a_model_that_reads_its_source_apart_takes_no_other_probe(tmp_path):
    changed = config("encoder_decoder/1", tmp_path).changed(probes={"prompt_tokens": 2})
    with pytest.raises(ConfigError, match="probes: a model of objective"):
        plan_sweep(changed)


def test_a_kept_run_translates_a_source_and_scores_a_target(trained):
    run, record, _ = trained
    kept = KeptRun(path=record["weights_file"])
    corpus = load_corpus(PairsData(largest=99, validation_windows=30, max_epochs=1000), CONTEXT)
    (source, _), *_ = corpus.held_pairs()
    (expected,) = translations(read_weights(record["weights_file"]).model, corpus, [source])
    text = spelled(corpus.words, source)
    (said,) = continue_prompt(kept, text.encode(), rule=GREEDY).continuations
    assert said.text == spelled(corpus.words, [t for t in expected if t != corpus.words.end])
    scored = score_text(kept, said.text.encode(), prompt=text.encode(), ends=True)
    assert scored.tokens == expected
    with pytest.raises(ConfigError, match="scores a text given its source; give that with"):
        score_text(kept, said.text.encode())
