"""Facts about tables as people have them: each kind of table with its right value."""

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.measurements.frontier import unbeaten_runs
from analysis.tuning.screening import screen
from scaling.errors import RecordError
from scaling.records import read_records, records_from_table
from scaling.tables.notes import NoteCode
from scaling.tables.reading import Reading
from tests.scaling.tables.ladder import floor_of, grid, law_of, said

CASES = Path(__file__).parents[2] / "data" / "tables"


def test_learning_rates_of_one_size_are_configurations_and_the_best_counts():
    records = read_records(CASES / "lr_sweep.csv")
    best = unbeaten_runs(records)
    assert len(best) == 6
    law = law_of(best, "power_law", objective="least_squares")
    assert (law.a, law.b, law.c) == pytest.approx((60.0, -0.0950, 2.000), rel=2e-3)
    assert law.loss(1e20) == pytest.approx(2.7554, abs=2e-3)
    assert len(np.unique(records.configurations)) == 42
    assert "differ in learning_rate" in said(records)


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


@pytest.mark.parametrize(
    "column",
    [
        *("batch_size", "optimizer", "weight decay", "eta", "tau", "init_std", "use_qk_norm"),
        *("z_loss", "grad_clip", "max_grad_norm", "aux_loss_coef"),
    ],
)
def test_any_setting_that_varies_tells_configurations_apart(column):
    table = grid()
    choices = ["adam", "lion"] if column == "optimizer" else [0.1, 0.2]
    both = [table.assign(**{column: choices[0]}), table.assign(**{column: choices[1]})]
    both[1]["val_loss"] *= 1.03
    records = records_from_table(pd.concat(both, ignore_index=True))
    assert records.settings_that_vary == [column]
    assert floor_of(records) == pytest.approx(1.7, abs=1e-3)


def test_shapes_of_one_size_are_configurations_that_a_law_of_size_reads_all():
    table = grid()
    both = [table.assign(num_heads=8), table.assign(num_heads=16)]
    records = records_from_table(pd.concat(both, ignore_index=True))
    assert "laws of size and tokens read them all" in said(records)
    assert len(screen(records, "params", "tokens")) == 2 * len(table)


def test_a_seed_alone_makes_repeats():
    table = grid()
    twice = pd.concat([table.assign(seed=1), table.assign(seed=2, val_loss=table.val_loss * 1.02)])
    records = records_from_table(twice)
    assert len(np.unique(records.configurations)) == len(table)
    assert "repeats" not in said(records)
    untold = records_from_table(twice.drop(columns="seed"))
    assert "losses differ by up to 2%" in said(untold)


def test_yes_or_no_with_a_word_among_them_still_says_how_runs_ended():
    table = grid().assign(finished=["yes"] * 9 + ["no", "see notes", None])
    records = records_from_table(table)
    assert records.status.value_counts().to_dict() == {"finished": 10, "failed": 1, "see notes": 1}
    assert '"see notes" of 1 row is no word for finished: left out' in said(records)


def test_a_unit_behind_a_stroke_scales_as_one_in_brackets():
    table = grid().rename(columns={"N": "params/M", "D": "D in 10\u2079"})
    table["params/M"] /= 1e6
    table["D in 10\u2079"] /= 1e9
    assert floor_of(records_from_table(table)) == pytest.approx(1.7, abs=1e-3)


def test_status_words_of_other_tools_are_understood():
    records = read_records(CASES / "mlflow_export.csv")
    assert records.status.value_counts().to_dict() == {"finished": 14, "failed": 1}
    law = law_of(records)
    found = (law.E, law.A, law.B, law.alpha, law.beta)
    assert found == pytest.approx((1.7, 400, 410, 0.34, 0.28), rel=1e-3)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("run_state", ("finished", "crashed")),
        ("State", ("Completed", "KILLED")),
        ("outcome", ("done", "diverged")),
        ("job status", ("Success", "out of memory")),
        ("finished", (True, False)),
        ("diverged", (0, 1)),
        ("exit_code", (0, 137)),
        ("ExitCode", ("0:0", "1:0")),
        ("Status", ("\u2713", "\u2717")),
    ],
)
def test_a_column_of_status_words_is_the_status_whatever_its_name(column, words):
    table = grid()
    table[column] = [words[0]] * 11 + [words[1]]
    records = records_from_table(table)
    assert records.is_finished.sum() == 11
    assert f'status is the column "{column}"' in said(records)


def test_numbers_in_a_column_named_status_are_not_passed_over_in_silence():
    records = records_from_table(grid().assign(status=[0] * 11 + [1]))
    assert records.is_finished.all()
    assert 'column "status" holds no word that is known (0 11, 1 1)' in said(records)


@pytest.mark.parametrize(
    ("word", "ours"), [("KILLED", "interrupted"), ("FAILED", "failed"), ("Canceled", "interrupted")]
)
def test_a_run_that_somebody_stopped_is_not_told_as_failed(word, ours):
    table = grid()
    table["status"] = ["FINISHED"] * 11 + [word]
    records = records_from_table(table)
    assert f"11 finished, 1 {ours}" in said(records)
    assert records.usable("params").dropped_by_reason == {ours: 1}


def test_a_table_of_weights_and_biases_leaves_its_crashed_runs_out():
    records = read_records(CASES / "run_state.csv", columns={"loss": "cd_val_loss"})
    assert records.usable("params").dropped_by_reason == {"failed": 1}


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


def test_forms_of_json_hold_the_same_runs(tmp_path):
    rows = json.loads((CASES / "array_of_records.json").read_text())
    plain = read_records(CASES / "array_of_records.json")
    law = law_of(plain)
    found = (law.E, law.A, law.B)
    assert found == pytest.approx((1.8, 900, 1100), rel=0.02)
    nested = [{"config": {"model": {"params": r["parameters"]}}, "summary": r} for r in rows]
    documents = {
        "runs.json": {"about": "x", "runs": rows},
        "columns.json": {key: [row[key] for row in rows] for key in rows[0]},
        "named.json": {f"run{i}": row for i, row in enumerate(rows)},
        "nested.json": nested,
        "deep.json": {"meta": {"of": "March"}, "data": {"runs": rows}},
        "typed.json": [{key: {"value": v, "desc": None} for key, v in r.items()} for r in rows],
        "models.json": {
            "models": [f"m{i}" for i in range(len(rows))],
            **{key: [row[key] for row in rows] for key in rows[0]},
        },
        "split.json": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]},
    }
    for name, document in documents.items():
        (tmp_path / name).write_text(json.dumps(document))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"torn\n')
    with gzip.open(tmp_path / "runs.json.gz", "wt") as packed:
        json.dump(rows, packed)
    for name in (*documents, "lines.jsonl", "runs.json.gz"):
        assert read_records(tmp_path / name).column("loss") == pytest.approx(plain.column("loss"))
    assert "a line that is no JSON object (1)" in said(read_records(tmp_path / "lines.jsonl"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_recognised(tmp_path, encoding):
    path = tmp_path / "runs.csv"
    path.write_bytes("name,N,D,loss\ncaf\u00e9,1e7,1e9,3\n".encode(encoding))
    assert read_records(path).table["name"].tolist() == ["caf\u00e9"]


def test_excel_files_are_read(tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "runs.xlsx") as book:
        grid().to_excel(book, sheet_name="runs", index=False, startrow=2)
        book.sheets["runs"].cell(1, 1, "Runs of March")
    records = read_records(tmp_path / "runs.xlsx")
    assert floor_of(records) == pytest.approx(1.7, abs=1e-3)
    assert records.row_names[0] == "row 4"


@pytest.mark.parametrize("content", ["", "{}", "[]", "[1, 2]", '{"runs": []}', "N,D\n", "\n\n"])
@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "xlsx", "parquet", "csv.gz"])
def test_a_file_without_runs_is_refused_in_one_line(tmp_path, content, ending):
    path = tmp_path / f"runs.{ending}"
    path.write_text(content)
    with warnings.catch_warnings(), pytest.raises(RecordError) as caught:
        warnings.simplefilter("error")
        read_records(path).usable("params")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("N > 1,5e9", 0),
        ("loss > 1,234", 12),
        ("params < 60,000,000", 3),
        ("N > 1B", 0),
        ("params >= 60M", 9),
        ("N <= 6e7", 6),
        ("params < 200 million", 6),
    ],
)
def test_filters_understand_numbers_as_tables_do(condition, left):
    table = grid().assign(N=lambda t: t.N.map("{:.0f}".format))
    if not left:
        with pytest.raises(RecordError, match="no row is left"):
            records_from_table(table, where=[condition])
    else:
        assert len(records_from_table(table, where=[condition])) == left


@pytest.mark.parametrize(
    ("condition", "says"),
    [("N > big", "is none"), ("name < b", "has no order"), ("size", "column op value")],
)
def test_a_filter_that_cannot_be_meant_is_refused(condition, says):
    with pytest.raises(RecordError, match=says):
        records_from_table(grid().assign(name="a"), where=[condition])


def test_a_mapped_column_answers_to_the_tables_own_name():
    table = grid().rename(columns={"val_loss": "c4"}).assign(loss=9.0)
    records = records_from_table(table, columns={"loss": "c4"}, where=["c4 < 4"])
    assert 0 < len(records) < 12
    assert (records.column("loss") < 4).all()


def test_the_last_row_of_a_history_counts():
    records = read_records(CASES / "history.csv")
    assert len(records) == 30
    law = law_of(records)
    assert (law.alpha, law.beta) == pytest.approx((0.34, 0.28), rel=1e-3)
    assert "the last row of each run counts" in said(records)


def test_a_history_of_planned_tokens_has_one_outcome_a_run():
    table = grid().assign(Name=[f"r{i}" for i in range(12)])
    early = table.assign(_step=1, val_loss=table.val_loss + 1)
    blank = table.assign(_step=3, val_loss=np.nan)
    rows = pd.concat([early, table.assign(_step=2), blank], ignore_index=True)
    records = records_from_table(rows.sample(frac=1, random_state=0))
    assert len(records) == 12
    assert floor_of(records) == pytest.approx(1.7, abs=1e-3)


def test_checkpoints_of_few_models_are_clusters():
    records = read_records(CASES / "checkpoints_of_runs.csv")
    assert len(records) == 144
    assert len(np.unique(records.clusters)) == 6
    fit = fit_as_asked(records, "chinchilla", bootstrap=100, card=False)
    assert fit.constants["alpha"].low < 0.28 < fit.constants["alpha"].high
    assert fit.constants["E"].low < 1.25 < fit.constants["E"].high
    assert "one cluster" in said(records)
    last = read_records(CASES / "checkpoints_of_runs.csv", reading=Reading(checkpoints="last"))
    assert len(last) == 6


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


@pytest.mark.parametrize("column", ["tries", "replicas", "learning_rate_capped", "wall_seconds"])
def test_what_came_of_a_run_makes_no_configuration_of_its_own(column):
    """A run that was interrupted has two tries, and is a repeat of the others all the same."""
    table = pd.DataFrame(
        {"params": np.repeat([1e6, 1e7, 1e8], 2), "tokens": 1e9, "seed": [1, 2] * 3}
    )
    table["loss"], table[column] = np.linspace(4, 3, 6), [1, 2, 1, 1, 2, 1]
    records = records_from_table(table)
    assert len(np.unique(records.configurations)) == 3
    assert len(records.usable("params", "tokens")) == 6


def test_a_config_given_for_a_table_is_answered_with_where_its_runs_are(tmp_path):
    path = tmp_path / "ladder.yaml"
    path.write_text("name: ladder")
    with pytest.raises(RecordError, match="a config, not runs; .* mlflow:NAME"):
        read_records(path)


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
