"""Facts about the page Home: an answer a row, as the verbs give it; tables that are dropped in."""

import json
import time

import pandas as pd
import pytest

from analysis.dashboard import uploads
from scaling.cli import main
from scaling.errors import RecordError, StoreError
from tests.analysis.dashboard.conftest import draw, shown

CSV = b"size,tokens seen,final_loss\n" + b"".join(
    f"{n:g},{d:g},{1.8 + 400 / n**0.34 + 1000 / d**0.36:.5f}\n".encode()
    for n in (1e6, 3e6, 1e7, 3e7)
    for d in (1e8, 3e8, 1e9, 3e9)
)


def test_a_row_gives_the_forecast_that_the_verb_gives(runs, capsys):
    test = draw("home", [runs])
    assert not test.exception and not test.error
    assert main(["forecast", runs, "--flops", "10x", "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    low, high = target["intervals"]["0.9"]
    assert f"{target['median']:.4f} (90%: {low:.4f} to {high:.4f})" in shown(test)
    assert "14 finished, 1 running, 1 failed" in shown(test)


def test_the_lowest_loss_is_of_a_finished_run_that_is_not_held_out(runs):
    table = pd.read_csv(runs)
    lowest = table[(table["status"] == "finished") & ~table["held_out"]]["loss"].min()
    held_out = table[table["held_out"]]["loss"].min()
    text = shown(draw("home", [runs]))
    assert held_out < lowest
    assert f"{lowest:.3f}" in text and f"{held_out:.3f}" not in text


def test_a_bad_source_is_an_error_on_its_own_row(runs, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("params,tokens,loss\n1e6,1e8,nonsense\n")
    gone = str(tmp_path / "gone.csv")
    one = tmp_path / "one.csv"
    one.write_text("params,tokens,loss\n1e6,1e8,4.1\n")
    test = draw("home", [runs, str(bad), gone, str(one)])
    assert not test.exception
    text = shown(test)
    assert "no such file" in text and "14 finished" in text
    assert "1 distinct value of train_flops" in text  # what a forecast of one run lacks


def test_a_store_that_is_away_costs_the_tables_nothing(runs):
    def away():
        raise StoreError("the store does not answer; start it")

    test = draw("home", [runs], feeds={"seals": away})
    assert not test.exception
    assert "he store does not answer" in shown(test) and "14 finished" in shown(test)


def test_a_table_that_is_kept_is_found_by_its_content_and_forecast_like_any(runs):
    source = uploads.keep("mine.csv", CSV)
    assert source == uploads.keep("mine.csv", CSV) != uploads.keep("other.csv", CSV)
    test = draw("home", [runs], upload=source, source=source)
    assert not test.exception and not test.error
    text = shown(test)
    assert "mine.csv (uploaded)" in text and "16 finished" in text
    assert "final_loss" in text and "size" in text  # which column was read as what
    nobody_else = shown(draw("home", [runs]))
    assert "mine.csv" not in nobody_else


def test_columns_can_be_mapped_by_hand_and_the_address_holds_it():
    odd = CSV.replace(b"final_loss", b"q").replace(b"size", b"z")
    source = uploads.keep("odd.csv", odd)
    test = draw("home", [], upload=source, source=source)
    assert not test.exception
    assert "no usable run" in shown(test) or "no column" in shown(test)
    by_label = {box.label: box for box in test.selectbox}
    by_label["Loss"].select("q").run()
    by_label = {box.label: box for box in test.selectbox}
    by_label["Parameters"].select("z").run()
    assert not test.exception
    assert set(test.query_params["map"]) == {"loss=q", "params=z"}
    assert "90%:" in shown(test)


@pytest.mark.parametrize(
    "content, reason",
    [(b"", "is empty"), (b" \n ", "is empty"), (b"x" * ((50 << 20) + 1), "at most 50 MB")],
)
def test_an_upload_that_is_no_table_or_too_large_is_one_line(content, reason):
    with pytest.raises(RecordError, match=reason) as caught:
        uploads.keep("<b>big\x1b.csv", content)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\x00\xff\xfe\x00" * 50, b'{"a": [', b"PK\x03\x04junk"])
def test_a_malformed_upload_is_an_error_on_its_row(content, runs):
    source = uploads.keep("broken.csv", content)
    test = draw("home", [runs], upload=source, source=source)
    assert not test.exception
    assert "14 finished" in shown(test) and "broken.csv" in shown(test)


def test_only_so_many_uploads_are_kept(monkeypatch):
    monkeypatch.setattr(uploads, "MOST", 3)
    first = uploads.keep("0.csv", CSV)
    for number in range(1, 5):
        uploads.keep(f"{number}.csv", CSV)
    assert uploads.path_of(first) is None
    test = draw("home", [], upload=first, source=first)
    assert not test.exception
    assert "no longer kept by this server" in shown(test)


def two_hours_ago(source):
    return time.time() - 7200


def test_the_age_of_a_source_is_told(runs):
    test = draw("home", [runs], feeds={"changed": two_hours_ago})
    assert "2 h ago" in shown(test)
