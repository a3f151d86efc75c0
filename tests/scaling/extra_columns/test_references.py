"""Facts about what losses are held against: a value of the same kind, or a word why there is
none."""

import numpy as np
import pandas as pd
import pytest

from scaling.extra_columns.references import references_of
from scaling.records import records_from_table
from scaling.tables.reading import Reading

TABLE = {
    "params": [1e5, 1e5, 1e6, 1e6],
    "tokens": [1e7, 1e8, 1e7, 1e8],
    "loss": [3.1, 2.9, 2.8, 2.5],
    "baseline.unigram": 3.25,
    "baseline.bigram_unseen_contexts": 0,
    "baseline.bigram_unseen_tokens": 16,
    "baseline.empirical_unseen_contexts": 4000,
    "baseline.empirical_unseen_tokens": 7,
    "baseline.counted_tokens": 1e6,
    "baseline.scored_tokens": 5000,
    "entropy": 2.25,
}


def found(*, reading=None, **others):
    table = pd.DataFrame({**TABLE, **others})
    return references_of(records_from_table(table, reading=reading))


def test_each_is_a_line_or_infinite_with_what_never_came():
    lines = {line.name: line for line in found().lines}
    assert [*lines] == ["unigram", "bigram", "empirical", "entropy"]
    assert lines["unigram"].loss == 3.25 and lines["entropy"].in_words == "2.25"
    assert lines["bigram"].in_words == "infinite (16 tokens never seen after the context)"
    assert lines["empirical"].in_words == (
        "infinite (4,000 of 5,000 contexts unseen, 7 tokens never seen after the context)"
    )
    assert [line.name for line in found().finite] == ["unigram", "entropy"]
    assert found().told == (
        "baselines: counted in 1,000,000 training tokens, scored on 5,000 validation tokens",
    )


def test_a_column_in_which_runs_differ_is_no_line():
    differing = found(entropy=[2.0, 2.0, 2.5, np.nan])
    assert "entropy" not in [line.name for line in differing.lines]
    assert "the runs have 2 values of entropy (2 to 2.5)" in differing.told[0]


@pytest.mark.parametrize(
    "reading",
    [
        Reading(columns={"loss": "excess_loss"}),
        Reading(columns={"loss": "accuracy"}, better="higher"),
        Reading(loss_unit="bits"),
    ],
)
def test_another_loss_or_unit_is_held_against_nothing(reading):
    given = found(reading=reading, excess_loss=[1.0, 0.9, 0.8, 0.7], accuracy=[0.5, 0.6, 0.7, 0.8])
    assert not given.lines and "are of the validation loss" in given.told[0]


def test_a_loss_of_some_tokens_has_its_baselines_and_no_entropy():
    lines = found(loss_kind="nats_per_target_token").lines
    assert [line.name for line in lines] == ["unigram", "bigram", "empirical"]


def test_runs_that_say_nothing_have_none_and_baselines_are_no_settings():
    bare = pd.DataFrame({name: TABLE[name] for name in ("params", "tokens", "loss")})
    assert references_of(records_from_table(bare)).lines == ()
    table = pd.DataFrame(TABLE | {"baseline.unigram": [3.0, 3.1, 3.2, 3.3]})
    doubled = records_from_table(pd.concat([table, table.assign(loss=table["loss"] + 0.001)]))
    assert doubled.settings_that_vary == []
    assert not [note for note in doubled.told if "baseline" in note.text]


def test_somebody_elses_baseline_is_a_line_too():
    (line, *_) = found(**{"baseline.kneser_ney": 2.7}).finite[1:]
    assert (line.name, line.loss) == ("kneser ney", 2.7)


def test_where_weights_are_kept_is_no_setting():
    """Of few runs, whose words may be choices: seeds stay repeats of one configuration."""
    table = pd.DataFrame({"params": 1e5, "tokens": 1e7, "loss": [3.1, 3.0], "seed": [1, 2]})
    table = table.assign(weights_file=["a.safetensors", "b.safetensors"], weights_sha256=["0", "1"])
    records = records_from_table(table)
    assert records.settings_that_vary == [] and len(set(records.configurations)) == 1
