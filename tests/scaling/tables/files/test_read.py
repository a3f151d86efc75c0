"""Facts about files of tables: whatever holds them, the same runs come out, or one line."""

import gzip
import json
import warnings

import pandas as pd
import pytest

from scaling.errors import RecordError
from scaling.records import read_records
from tests.scaling.tables.ladder import CASES, floor_of, grid, law_of, said


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


def test_a_config_given_for_a_table_is_answered_with_where_its_runs_are(tmp_path):
    path = tmp_path / "ladder.yaml"
    path.write_text("name: ladder")
    with pytest.raises(RecordError, match="a config, not runs; .* mlflow:NAME"):
        read_records(path)
