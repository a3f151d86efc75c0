"""Facts about where a table begins in its file, and what stands above it."""

import pytest

from scaling.errors import RecordError
from scaling.records import read_records
from scaling.tables.files.headers import find_header

ROWS = ["1e7,2e8,3.5", "1e7,4e8,3.4"]


@pytest.mark.parametrize(
    "above",
    [
        ["# by a script", ""],
        ["Scaling runs of March", ""],
        ["sep=,"],
        ["model,,result"],
        ["Runs of March,,", "by hand,,", ",,"],
        ["#Table 3", "", "Runs of the ladder, validated", "# more"],
    ],
)
def test_what_stands_above_a_header_is_passed_over(above):
    found = find_header([*above, "params,tokens,loss", *ROWS])
    assert (found.line, found.names) == (len(above), ["params", "tokens", "loss"])


@pytest.mark.parametrize("header", ["# params,tokens,loss", "#params, tokens, loss"])
def test_a_comment_above_numbers_is_their_header(header):
    found = find_header(["# made by numpy", header, *ROWS])
    assert (found.line, found.names) == (1, ["params", "tokens", "loss"])


def test_a_sentence_with_as_many_words_as_numbers_is_no_header():
    found = find_header(["# by a script", "# params;tokens;loss", "31\u202f600\u202f000;1e9;3.5"])
    assert (found.line, found.names) == (1, ["params", "tokens", "loss"])


def test_blanks_within_cells_part_no_commented_header():
    found = find_header(["# params\ttrain tokens\tfinal loss", "1e8\t5 x 10^7\tabout 3"])
    assert found.names == ["params", "train tokens", "final loss"]


def test_a_comment_among_rows_is_no_header():
    found = find_header(["N,D,loss", *ROWS, "# from here, by hand, again", *ROWS])
    assert (found.line, found.names) == (0, ["N", "D", "loss"])


def test_a_comment_below_a_title_is_a_header_too():
    found = find_header(["Runs of March", "", "by hand", "# params,tokens,loss", *ROWS])
    assert found.names == ["params", "tokens", "loss"]


def test_a_comment_above_blanks_between_numbers_is_their_header():
    found = find_header(["# N D loss", "1e7 2e8 3.5"])
    assert found.names == ["N", "D", "loss"]


def test_decimal_commas_hide_neither_a_title_nor_a_commented_header():
    rows = ["0,1B|500 M|3,5", "0,1B|700 M|3,4"]
    assert find_header(["# params|training tokens|loss", *rows]).separator == "|"
    quoted = ['"""10"""|1,58B tokens|2,5 nats'] * 2
    assert find_header(["Runs of March", "N|D|loss", *quoted]).names == ["N", "D", "loss"]


def test_excel_says_its_separator():
    assert find_header(["sep=;", "N;D;a,b,c,d"]).names == ["N", "D", "a,b,c,d"]


def test_a_column_without_a_name_is_no_title():
    assert find_header([",N,D,loss", "0,1e7,2e8,3.5"]).names == ["", "N", "D", "loss"]


def test_columns_of_one_name_are_told_apart_or_refused_where_they_count(tmp_path):
    assert find_header(["N,D,loss,note,note", "1,2,3,a,b"]).names[-2:] == ["note", "note (2)"]
    path = tmp_path / "runs.csv"
    path.write_text("N,D,metrics.val/loss,metrics.val/loss\n1e7,2e8,3.5,3.6\n")
    with pytest.raises(RecordError, match="two columns are named"):
        read_records(path)
