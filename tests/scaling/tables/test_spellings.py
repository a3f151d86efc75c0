"""Facts about whose column is whose: headings of other words, languages, units and tools."""

import json

import pandas as pd
import pytest

from scaling.columns import COLUMNS
from scaling.errors import RecordError
from scaling.records import read_records, records_from_table
from scaling.tables.spellings import COUNTS_A_PART, QUANTITIES, meaning_of


@pytest.mark.parametrize(
    ("heading", "ours", "factor"),
    [
        ("nparams", "params", 1),
        ("No. of parameters", "params", 1),
        ("Anzahl Parameter", "params", 1),
        ("param\u00e8tres", "params", 1),
        ("par\u00e1metros", "params", 1),
        ("N_active", "params", 1),
        ("N_M", "params", 1e6),
        ("$N$", "params", 1),
        ("M params", "params", 1e6),
        ("Mparams", "params", 1e6),
        ("Million params", "params", 1e6),
        ("Params/1e6", "params", 1e6),
        ("params_excl_embed", "params", 1),
        ("n_params_no_emb", "params", 1),
        ("embedding_params", "params_embedding", 1),
        ("D_B", "tokens", 1e9),
        ("Billion tokens", "tokens", 1e9),
        ("jetons", "tokens", 1),
        ("config.data.tokens", "tokens", 1),
        ("params_n_tokens", "tokens", 1),  # Optuna
        ("dataset_tokens", "unique_tokens", 1),
        ("pf_days", "train_flops", 8.64e19),
        ("PFLOP/s-days", "train_flops", 8.64e19),
        ("EFLOPs", "train_flops", 1e18),
        ("Validierungsverlust", "loss", 1),
        ("p\u00e9rdida", "loss", 1),
        ("metric_val_loss", "loss", 1),  # Comet
        ("lm loss validation", "loss", 1),  # Megatron
        ("val_loss_final", "loss", 1),
        ("Datensatz", "data", 1),
        ("benchmark", "eval_hash", 1),
    ],
)
def test_a_heading_means_what_its_words_say(heading, ours, factor):
    meaning = meaning_of(heading)
    assert meaning is not None
    assert (meaning.ours, meaning.factor) == (ours, factor)


@pytest.mark.parametrize(
    "heading", ["d", "TFLOPs", "flops_per_token", "loss_std", "aux_loss", "n_layers", "N_ctx"]
)
def test_a_heading_of_something_else_means_none_of_the_quantities(heading):
    meaning = meaning_of(heading)
    assert meaning is None or meaning.ours not in ("params", "tokens", "train_flops", "loss")


SIZES = {"params": [1e8, 2e8, 4e8], "tokens": [2e9, 4e9, 8e9]}


def test_a_perplexity_beside_a_loss_says_the_same():
    table = pd.DataFrame({**SIZES, "lm loss": [3.0, 2.8, 2.6], "lm PPL": [20.1, 16.4, 13.5]})
    records = records_from_table(table)
    assert records.names["loss"] == "lm loss"
    assert 'not "lm PPL"' in " ".join(note.text for note in records.told)


def test_losses_too_high_for_nats_are_asked_about():
    records = records_from_table(pd.DataFrame({**SIZES, "loss": [45.0, 35.0, 28.0]}))
    assert "too high for nats per token" in " ".join(note.text for note in records.told)
    assert records.loss_kind == "unstated"


def test_losses_of_several_corpora_say_how_far_they_are_apart():
    table = pd.DataFrame({**SIZES, "loss": [3.0, 2.8, 2.6]})
    table = pd.concat([table.assign(task="a"), table.assign(task="b", loss=table.loss * 1.08)])
    with pytest.raises(RecordError, match=r"differ in task \(a, b\), their losses by up to 8% at"):
        records_from_table(table).usable("params")


def test_an_unknown_choice_names_the_filter_that_takes_one():
    table = pd.DataFrame({**SIZES, "loss": [3.0, 2.8, 2.6]})
    table = pd.concat([table.assign(series="a"), table.assign(series="b", loss=table.loss * 1.08)])
    told = " ".join(note.text for note in records_from_table(table).told)
    assert "differ in series, their losses by up to 8%" in told
    assert '--where "series == a" takes one choice' in told


@pytest.mark.parametrize("names", ["run-a - val_loss|run-b - val_loss", "70M|160M"])
def test_a_chart_s_export_is_told_what_to_become(names):
    table = pd.DataFrame({"Step": [1, 2], **{name: [3.0, 2.5] for name in names.split("|")}})
    with pytest.raises(RecordError, match="one column a run .* make it one row a run"):
        records_from_table(table).usable("params")


def test_lists_of_keys_and_values_are_columns(tmp_path):
    pairs = [{"key": "n_params", "value": "1e8"}, {"key": "tokens", "value": "2e9"}]
    data = {"params": pairs, "metrics": [{"key": "val_loss", "value": 3.0, "step": 9}]}
    path = tmp_path / "runs.json"
    path.write_text(json.dumps({"runs": [{"info": {"status": "FINISHED"}, "data": data}]}))
    records = read_records(path)
    assert records.column("params").tolist() == [1e8]
    assert records.column("loss").tolist() == [3.0]


def test_a_table_of_accuracies_is_told_how_to_fit_one():
    records = records_from_table(pd.DataFrame({**SIZES, "accuracy": [0.3, 0.4, 0.5]}))
    with pytest.raises(RecordError, match='or fit "accuracy" with --metric and --better higher'):
        records.usable("params")


def test_of_a_size_and_a_part_of_it_the_whole_one_is_taken_and_said():
    sizes = {"n_params_nonemb": [8e7, 1.7e8, 3.6e8], "n_params": [1e8, 2e8, 4e8]}
    records = records_from_table(pd.DataFrame({**sizes, "tokens": 8e9, "loss": [3.0, 2.8, 2.6]}))
    assert records.names["params"] == "n_params"
    assert 'not "n_params_nonemb"' in " ".join(note.text for note in records.told)


@pytest.mark.parametrize(
    "heading", ["metric.answers_loss", "metric.loss", "baseline.unigram_loss", "held_back_entropy"]
)
def test_what_is_measured_beside_a_loss_is_no_loss_of_the_run(heading):
    table = pd.DataFrame({"train_flops": [1e15, 1e16, 1e17], "loss": [3.0, 2.5, 2.2]})
    records = records_from_table(table.assign(**{heading: [1.0, 0.9, 0.8]}))
    assert not any(heading in note.text for note in records.notes)
    assert meaning_of(heading) is None


def test_no_column_of_ours_takes_what_would_else_be_read_as_a_size_tokens_or_compute():
    """But those that are offered for it too: a table of one of them alone would lose it."""
    for name, column in COLUMNS.items():
        if name in QUANTITIES or name in COUNTS_A_PART:
            continue
        for heading in (name, *column.aliases):
            read = meaning_of(f"train {heading}")  # by its words: no name of ours begins so
            assert read is None or read.ours not in QUANTITIES or read.ours == name, heading
