"""Files of pairs are read whole or refused in one line that says where."""

import pytest

from scaling.errors import CorpusError
from sweeps.data.documents.pairs import read_pairs


@pytest.fixture
def written(tmp_path):
    def write(**files):
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (tmp_path / f"{name}.txt").write_bytes(data)
        return {name: (str(tmp_path / f"{name}.txt"),) for name in files}

    return write


def sides(pairs):
    return [(pair.source, pair.target) for pair in pairs]


@pytest.mark.parametrize(
    "content", ["a\tb\nc d\te\n", "a\tb\nc d\te", "a\tb\r\nc d\te\r\n", "\ufeffa\tb\nc d\te\n"]
)
def test_a_line_is_a_pair_whichever_way_it_ends(written, content):
    assert sides(read_pairs(written(one=content)["one"])) == [("a", "b"), ("c d", "e")]


def test_two_files_are_pairs_line_by_line(written):
    paths = written(one="a\nc\u2028d\n", two="b\ne\n")  # a line separator is no end of a line
    pairs = read_pairs(paths["one"], paths["two"])
    assert sides(pairs) == [("a", "b"), ("c\u2028d", "e")]
    assert pairs[1].place == f"{paths['one'][0]}, line 2"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "one.txt: empty; it has a pair a line"),
        (" \n\n", "one.txt: empty; it has a pair a line"),
        ("a\tb\nc d\n", "one.txt, line 2: no tab; a line is a source, one tab, and its target"),
        ("a\tb\tc\n", "one.txt, line 1: 2 tabs; a line is"),
        ("a\tb\n\nc\td\n", "one.txt, line 2: no tab"),
        ("a\tb\n\tc\n", "one.txt, line 2: the source is empty; fill it, or take the line out"),
        ("a\t \n", "one.txt, line 1: the target is empty"),
        (b"a\tb\nc\t\xff\n", "one.txt, line 2: byte 6 is not UTF-8; recode the file"),
    ],
)
def test_a_file_that_is_no_pairs_is_one_line_that_says_where(written, content, said):
    with pytest.raises(CorpusError) as caught:
        read_pairs(written(one=content)["one"])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ("a\nb\nc\n", "d\ne\n", "has 3 lines and {two} 2: line 3 of {one} has no counterpart"),
        ("a\n", "d\ne\n", "{one} has 1 line and {two} 2: line 2 of {two} has no counterpart"),
        ("a\nb\n", "d\n\n", "{one}, line 2: the target is empty"),
        ("a\n\nc", "d\n\nf", "{one}, line 2: source and target are empty"),
        ("a\n", "b\tc\n", "{two}, line 1: a tab, which parts source and target in one file"),
        ("a\n", "", "{two}: empty"),
    ],
)
def test_files_whose_lines_do_not_agree_are_one_line_that_says_which(written, one, two, said):
    paths = written(one=one, two=two)
    with pytest.raises(CorpusError) as caught:
        read_pairs(paths["one"], paths["two"])
    names = {name: found[0] for name, found in paths.items()}
    assert said.format(**names) in str(caught.value)


def test_as_many_files_of_targets_are_wanted_as_of_sources(written):
    paths = written(one="a\n", two="b\n", three="c\n")
    with pytest.raises(CorpusError, match="data.files match 2 files and data.target_files 1; give"):
        read_pairs((*paths["one"], *paths["two"]), paths["three"])
