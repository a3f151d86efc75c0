"""Facts about tables as people have them: each kind of table with its right value."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.measurements.frontier import unbeaten_runs
from scaling.errors import RecordError
from scaling.records import read_records, records_from_table
from scaling.tables.notes import NoteCode
from scaling.tables.reading import Reading
from tests.scaling.tables.ladder import CASES, floor_of, grid, law_of, said


def by_points(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(("unit", "scale"), [("M", 1e6), ("B", 1e9)])
def test_a_thousand_with_a_point_beside_decimal_commas_is_a_thousand(tmp_path, unit, scale):
    table = grid(sizes=(1.25e8, 5e8, 1e9, 2e9))
    text = pd.DataFrame(
        {
            "params (M)": [by_points(n / 1e6, 0) for n in table["N"]],
            f"tokens ({unit})": [by_points(d / scale, 0 if unit == "M" else 2) for d in table["D"]],
            "loss": [by_points(loss, 6) for loss in table["val_loss"]],
        }
    )
    text.to_csv(tmp_path / "t.csv", sep=";", index=False)
    records = read_records(tmp_path / "t.csv")
    assert floor_of(records) == pytest.approx(1.7, abs=1e-3)
    assert 'params "1.000" is 1000000000' in said(records)


def test_a_loss_that_may_be_thousands_beside_decimal_commas_is_left_out_and_named(tmp_path):
    table = grid()
    losses = [by_points(loss, 6) for loss in table["val_loss"]]
    losses[3] = "3.123"
    table.assign(val_loss=losses).to_csv(tmp_path / "t.csv", sep=";", index=False)
    records = read_records(tmp_path / "t.csv")
    assert floor_of(records) == pytest.approx(1.7, abs=1e-3)
    assert 'row 5 "3.123"' in said(records)


def test_a_unit_behind_a_stroke_scales_as_one_in_brackets():
    table = grid().rename(columns={"N": "params/M", "D": "D in 10\u2079"})
    table["params/M"] /= 1e6
    table["D in 10\u2079"] /= 1e9
    assert floor_of(records_from_table(table)) == pytest.approx(1.7, abs=1e-3)


def test_a_column_that_is_not_used_refuses_no_table():
    columns = {"train_flops": "budget", "loss": "paloma macro"}
    records = read_records(CASES / "isoflop_status.csv", columns=columns)
    used = records.usable("params", "tokens", "train_flops")
    assert used.dropped_by_reason == {"diverged": 2, "running": 1}
    for budget, expected in ((1e18, 2.84e9), (3e18, 5.11e9)):
        runs = used.table[used.table["train_flops"] == budget]
        a, b, _ = np.polyfit(np.log(runs["tokens"]), runs["loss"], 2)
        assert np.exp(-b / (2 * a)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("name", "params", "loss"),
    [
        ("suffixes.csv", 1e7, 0.147),
        ("thousands.csv", 124_439_808, 3.11),
        ("decimal_comma.csv", 1e6, 4.91),
    ],
)
def test_spellings_of_numbers_are_read_and_said(name, params, loss):
    records = read_records(CASES / name)
    assert records.column("params")[0] == params
    assert records.column("loss")[0] == loss
    assert "numbers: " in said(records)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("params (M),tokens (B),loss", "70,1.4,3"),
        ("params_m,tokens_billions,loss", "70,1.4,3"),
        ("Parameters [millions]\tTraining tokens (B)\tLoss (nats)", "70\t1.4\t3"),
        ("model.n_params;data.tokens;metrics.val_loss", "70M;1,4B;3,0"),
        ("config.nParams|config.trainTokens|summary.valLoss", "70M|1.4B|3"),
        ("N (1e6),D (1e9),val/loss", "70,1.4,3"),
        ("params x10^6,tokens 1e9,loss", "70,1.4,3"),
        ("Params in Mio;Tokens in Mrd;Loss", "70;1,4;3,0"),
        ("params,tokens,loss", "70 Mio.,1.4 Mrd.,3"),
        ("params,tokens,loss", "70 (M),1.4 (B),3"),
        ("# comment\nparams,tokens,loss", "7e7,1.4e9,3"),
    ],
)
def test_headings_say_quantity_and_unit(tmp_path, header, row):
    path = tmp_path / "runs.txt"
    path.write_text(f"{header}\n{row}\n")
    records = read_records(path)
    found = [float(records.column(name)[0]) for name in ("params", "tokens", "loss")]
    assert found == pytest.approx([7e7, 1.4e9, 3.0])


def test_competing_columns_are_refused_with_both_named_and_the_flag():
    records = read_records(CASES / "experts_active_total_no_flops.csv")
    for name in ("params", "train_flops"):
        with pytest.raises(RecordError, match='"active_params" and "total_params".*--columns'):
            records.require(name)
    records = read_records(CASES / "experts_active_total.csv")
    assert len(unbeaten_runs(records)) > 0  # a law of compute needs no size


@pytest.mark.parametrize("active", ["active_params", "params_active", "active parameters (M)"])
def test_active_parameters_are_the_size_where_no_other_is_told_and_compete_where_one_is(active):
    factor = 1e6 if active.endswith("(M)") else 1.0
    table = grid().rename(columns={"N": active})
    table[active] /= factor
    alone = records_from_table(table)
    assert law_of(alone).alpha == pytest.approx(0.34, abs=1e-3)
    assert alone.column("params_active").tolist() == alone.column("params").tolist()
    with pytest.raises(RecordError, match="total_params.*--columns"):
        records_from_table(table.assign(total_params=8e9)).require("params")
    with_own = records_from_table(table.assign(params=grid().N * 8))
    assert with_own.column("params").tolist() == (grid().N * 8).tolist()
    how = {"params": "total_params", "params_active": active}
    both = records_from_table(table.assign(total_params=grid().N * 8), columns=how)
    assert both.column("params_active").tolist() == pytest.approx(grid().N.tolist())
    assert both.column("params").tolist() == (grid().N * 8).tolist()


def test_columns_that_agree_do_not_compete():
    table = grid().assign(params_label=lambda t: t.N.map(lambda n: f"{n / 1e6:g}M"))
    records = records_from_table(table.assign(n_params=table["N"]))
    assert records.column("params").tolist() == table["N"].tolist()


def test_sizes_that_look_like_millions_are_asked_about():
    table = grid()
    millions = table.assign(N=table.N / 1e6, D=table.D / 1e6)
    with pytest.raises(RecordError, match="--unit params=M"):
        records_from_table(millions).usable("params", "tokens")
    records = records_from_table(millions, reading=Reading(units={"params": "M", "tokens": "M"}))
    assert law_of(records).alpha == pytest.approx(0.34, abs=1e-3)
    some = table.assign(D=table.D.where(table.index % 3 > 0, table.D / 1e9))
    with pytest.raises(RecordError, match="left out in some rows"):
        records_from_table(some).usable("params", "tokens")
    with pytest.raises(RecordError, match="times 6 N D"):
        records_from_table(table.assign(C=1e3 * table.N * table.D * 1e12)).usable("train_flops")


def test_what_was_made_of_a_table_is_a_value_with_a_code():
    codes = {note.code for note in read_records(CASES / "history.csv").told}
    assert codes == {
        NoteCode.UNDERSTOOD,
        NoteCode.CHOSEN,
        NoteCode.FILLED_IN,
        NoteCode.ROWS,
    }


@pytest.mark.parametrize(
    ("name", "is_without"),
    [
        ("non_embedding_params", True),
        ("N (non-embedding)", True),
        ("params_nonembedding", True),
        ("paramsNonEmb", True),
        ("params", False),
        ("embedding_params_included", False),
    ],
)
def test_sizes_that_count_no_embeddings_are_said_to_be_such(name, is_without):
    records = records_from_table(grid().rename(columns={"N": name}), columns={"params": name})
    assert ("counts no embeddings" in said(records)) is is_without


def tiny_models(**changed):
    """A ladder of models of some thousand parameters, with its own FLOP."""
    n, d = np.meshgrid([900.0, 4e3, 9e3], [6e4, 2e5, 9e5])
    runs = {"params": n.ravel(), "tokens": d.ravel(), "train_flops": 7 * (n * d).ravel()}
    return pd.DataFrame(runs).assign(loss=1 + 3 / n.ravel() ** 0.3, **changed)


def test_flop_that_agree_with_sizes_and_tokens_say_that_small_sizes_are_meant():
    records = records_from_table(tiny_models())
    assert records.column("params").max() == 9e3
    without = records_from_table(tiny_models().drop(columns="train_flops"))
    with pytest.raises(RecordError, match="--unit params=M"):
        without.column("params")


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_flop_that_contradict_small_sizes_leave_them_in_doubt(factor):
    table = tiny_models()
    with pytest.raises(RecordError, match="--unit"):
        records_from_table(table.assign(train_flops=factor * table["train_flops"])).column("params")


def test_flop_that_were_computed_without_the_units_confirm_nothing():
    millions = tiny_models()
    millions = millions.assign(params=millions["params"] / 1e2, tokens=millions["tokens"] / 1e4)
    millions["train_flops"] = 6 * millions["params"] * millions["tokens"]
    with pytest.raises(RecordError, match="--unit"):
        records_from_table(millions).column("params")
