"""Facts about the runs table: what enters, what is refused, and that nothing just vanishes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.errors import RecordError, ScalingError
from scaling.records import read_records, records_from_table, write_records
from scaling.tables.notes import Note, NoteCode
from tests.grids import grid_of_runs


@pytest.fixture
def table():
    params = np.repeat([1e6, 1e7, 1e8], 2)
    tokens = np.tile([1e8, 1e9], 3)
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": 2.0 + 100 / params**0.3})


@pytest.mark.parametrize(
    "spellings",
    [
        {"params": "N", "tokens": "D", "loss": "L"},
        {"params": "n_params", "tokens": "training tokens", "loss": "val_loss"},
        {"params": "Model Size", "tokens": "Tokens", "loss": "Loss"},
    ],
)
def test_common_spellings_of_public_tables_are_understood(table, spellings):
    records = records_from_table(table.rename(columns=spellings))
    assert records.column("params").tolist() == table["params"].tolist()
    assert records.names["params"] == spellings["params"]


def test_a_named_column_wins_over_the_one_that_looks_right(table):
    table["my_loss"] = 3.0
    records = records_from_table(table, columns={"loss": "my_loss"})
    assert set(records.column("loss")) == {3.0}


def test_two_columns_that_both_look_like_loss_are_not_guessed_between(table):
    table = table.rename(columns={"loss": "val_loss"}).assign(test_loss=1.0)
    with pytest.raises(RecordError, match="both look like loss"):
        records_from_table(table).usable("params")


def test_missing_compute_is_filled_in_by_six_n_d_and_said_so(table):
    records = records_from_table(table)
    expected = 6 * table["params"] * table["tokens"]
    np.testing.assert_allclose(records.column("train_flops"), expected, rtol=1e-15)
    assert records.notes == (Note(NoteCode.FILLED_IN, "train_flops computed from C = 6 N D"),)


def test_missing_tokens_are_filled_in_from_compute_and_size(table):
    by_flops = table.assign(flops=6 * table.params * table.tokens).drop(columns="tokens")
    np.testing.assert_allclose(
        records_from_table(by_flops).column("tokens"), table["tokens"], rtol=1e-15
    )


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("params", -1.0, "params is not above zero"),
        ("tokens", 0.0, "tokens is not above zero"),
        ("loss", -0.5, "loss is not above zero"),
        ("params", "many", "params is blank or not finite"),
    ],
)
def test_an_impossible_value_costs_its_row_and_no_other(table, column, value, reason):
    broken = table.astype({column: object})
    broken.loc[2, column] = value
    usable = records_from_table(broken, source="runs.csv").usable("params", "tokens")
    assert usable.dropped_by_reason == {reason: 1}
    assert usable.dropped[0].row == "row 4"  # the header is line 1, so index 2 is line 4


def test_a_cell_that_is_no_number_is_told_with_its_row(table):
    broken = table.astype({"params": object})
    broken.loc[2, "params"] = "many"
    (said,) = (n.text for n in records_from_table(broken).notes if n.code is NoteCode.LEFT_OUT)
    assert said == '1 cell of params holds no usable number and counts as blank: row 4 "many"'


@pytest.mark.parametrize("cell", [[1, 2], {"a": [{}]}, "9" * 5001, 10**400, 1e308, "\0", True])
@pytest.mark.parametrize("column", ["params", "loss"])
def test_a_cell_of_any_kind_costs_its_row_alone(table, column, cell):
    broken = table.astype({column: object})
    broken.at[2, column] = cell
    usable = records_from_table(broken).usable("params", "tokens")
    assert [left.row for left in usable.dropped] == ["row 4"]
    assert len(usable) == len(table) - 1


def test_a_column_of_text_is_no_loss(table):
    with pytest.raises(RecordError, match='loss is "a", not a number'):
        records_from_table(table.assign(mine=list("abcdef")), columns={"loss": "mine"})


def test_rows_that_are_blank_or_infinite_leave_a_fit_with_their_reason(table):
    table.loc[0, "loss"] = np.nan
    table.loc[1, "params"] = np.inf
    usable = records_from_table(table).usable("params", "tokens")
    assert len(usable) == 4
    assert usable.dropped_by_reason == {
        "loss is blank or not finite": 1,
        "params is blank or not finite": 1,
    }


def test_unfinished_and_held_out_runs_do_not_reach_a_fit(table):
    table["status"] = ["finished", "diverged", "finished", "failed", "finished", "finished"]
    table["held_out"] = [False] * 5 + [True]
    usable = records_from_table(table).usable("params", "tokens")
    assert usable.dropped_by_reason == {"diverged": 1, "failed": 1, "held out by the plan": 1}


def test_runs_of_another_plan_leave_with_that_reason(table):
    records = records_from_table(table.assign(run_id=list("abcdef")))
    kept = records.among(["a", "f"])
    assert kept.table["run_id"].tolist() == ["a", "f"]
    assert kept.dropped_by_reason == {"not in this plan": 4}


def test_an_exact_copy_of_a_row_is_dropped_and_reported(table):
    records = records_from_table(pd.concat([table, table.iloc[:1]]))
    assert records.dropped_by_reason == {"exact copy of an earlier row": 1}


def test_runs_measured_with_two_tokenizers_do_not_share_a_law(table):
    table["tokenizer_hash"] = ["a"] * 3 + ["b"] * 3
    with pytest.raises(RecordError, match='--where "tokenizer_hash == a"'):
        records_from_table(table).usable("params")


@pytest.mark.parametrize(
    ("condition", "left"),
    [("params >= 1e7", 4), ("params == 1e6", 2), ("tokens != 1e8", 3), ("N < 1e8", 4)],
)
def test_a_where_condition_keeps_what_fulfils_it(table, condition, left):
    records = records_from_table(table, where=[condition])
    assert len(records) == left
    assert len(records.dropped) == 6 - left


def test_a_where_condition_compares_text_as_text(table):
    table["data"] = ["c4"] * 4 + ["books"] * 2
    assert len(records_from_table(table, where=["data == books"])) == 2


def test_a_malformed_condition_is_answered_with_an_example(table):
    with pytest.raises(RecordError, match="column op value"):
        records_from_table(table, where=["params around 1e7"])


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_records_survive_writing_and_reading(table, tmp_path, ending):
    records = records_from_table(table.assign(loss=table["loss"] / 3, run_id=list("abcdef")))
    path = tmp_path / f"runs.{ending}"
    write_records(records, path)
    again = read_records(path)
    # JSON keeps 15 decimals, the other two every bit
    np.testing.assert_allclose(again.column("loss"), records.column("loss"), rtol=1e-14)
    assert again.table["run_id"].tolist() == list("abcdef")


def test_csv_keeps_every_bit_and_with_it_the_data_hash(table, tmp_path):
    records = records_from_table(table.assign(loss=table["loss"] / 3))
    write_records(records, tmp_path / "runs.csv")
    assert read_records(tmp_path / "runs.csv").data_hash == records.data_hash


def test_the_data_hash_notices_one_changed_digit(table):
    changed = table.copy()
    changed.loc[3, "loss"] += 1e-12
    assert records_from_table(table).data_hash != records_from_table(changed).data_hash


@pytest.mark.parametrize("content", ["", "params,loss\n", "\x00\x01\x02", '"a\nb'])
def test_an_unreadable_file_is_one_line(tmp_path, content):
    path = tmp_path / "broken.csv"
    path.write_text(content)
    with pytest.raises(RecordError) as caught:
        read_records(path).usable("params")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        read_records(tmp_path / "absent.csv")


CELLS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=False),
    st.sampled_from([None, "x", "", -1, 0, True, 10**30]),
)


@settings(max_examples=60)
@given(
    st.lists(st.fixed_dictionaries({"N": CELLS, "D": CELLS, "loss": CELLS, "status": CELLS})),
)
def test_any_table_is_either_read_or_refused_in_one_line(rows):
    try:
        usable = records_from_table(pd.DataFrame(rows, dtype=object)).usable("params", "tokens")
    except ScalingError as error:
        assert "\n" not in str(error)
    else:
        for name in ("params", "tokens", "loss"):
            assert (usable.column(name) > 0).all()
            assert np.isfinite(usable.column(name)).all()


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("hoffmann2022_epoch.csv", 245, {}),
        ("gadre2024_overtraining.csv", 104, {"loss": "loss_c4_val"}),
        ("revisiting2022_dev.csv", 10_490, {}),
    ],
)
def test_published_tables_load_as_they_are(published, name, rows, columns):
    assert len(read_records(published / name, columns=columns)) == rows


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("N,D,loss,loss\n1e6,1e8,3,4\n", 'two columns are named "loss"'),
        ("N,D,loss\n1e6,1e8,3,x\n2e6,1e8,3,x\n", "rows have more fields than the header"),
    ],
)
def test_a_csv_that_would_be_misread_is_refused(tmp_path, text, says):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match=says):
        read_records(path)


def test_blanks_around_a_column_do_not_hide_it(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("N, D, val_loss\n1e6, 1e8, 3\n")
    records = read_records(path)
    assert [float(records.column(n)[0]) for n in ("params", "tokens", "loss")] == [1e6, 1e8, 3]


def test_runs_on_several_training_sets_share_no_law():
    table = pd.DataFrame(
        {"N": [1e6, 2e6], "D": 1e8, "loss": [3.0, 2.9], "train_dataset": ["a", "b"]}
    )
    with pytest.raises(RecordError, match='--where "train_dataset == a"'):
        records_from_table(table).usable("params")


def test_a_run_that_has_just_begun_may_have_seen_no_token_and_a_finished_one_may_not():
    row = {"params": 1e6, "tokens": 0, "train_flops": 0, "loss": None, "status": "running"}
    done = row | {"tokens": 1e8, "train_flops": 6e14, "loss": 2.0, "status": "finished"}
    records = records_from_table(pd.DataFrame([row, done]))
    assert records.column("tokens").tolist() == [0, 1e8]
    assert records.usable("params", "tokens").dropped_by_reason == {"running": 1}
    both = records_from_table(pd.DataFrame([row | {"status": "finished", "loss": 2.0}, done]))
    assert both.usable("params", "tokens").dropped_by_reason == {"tokens is not above zero": 1}


def test_families_that_share_a_law_are_told_until_one_is_chosen():
    table = grid_of_runs(4)
    table["model_family"] = ["slt-dec/1", "linear_lm/1"] * (len(table) // 2)
    records = records_from_table(table)
    said = [note.text for note in records.told if "families" in note.text]
    assert len(said) == 1 and "--where 'family == " in said[0]
    one = records.where("family == linear_lm/1")
    assert len(one) == len(table) // 2
    assert not [note for note in one.told if "families" in note.text]


def test_a_word_of_its_own_in_each_row_names_runs_and_is_no_choice():
    table = grid_of_runs(4)
    table = pd.concat([table, table.tail(1).assign(loss=lambda t: t["loss"] * 1.003)])
    table["model"] = [f"run {chr(97 + i)}" for i in range(len(table))]
    used = records_from_table(table.reset_index(drop=True)).usable("params", "tokens")
    assert len(used) == len(table)
    assert used.configurations.max() + 1 == len(table) - 1  # the last two are repeats


def test_typed_sizes_are_the_size_where_compute_is_known_too():
    table = grid_of_runs(4)
    sizes = [f"{n / 1e6:.0f}M" for n in table["params"]]
    flops = 7 * table["params"] * table["tokens"]
    records = records_from_table(table.drop(columns="params").assign(size=sizes, train_flops=flops))
    assert records.column("params") == pytest.approx(table["params"], rel=0.1)
    assert "size" in records.filled_in["params"]
