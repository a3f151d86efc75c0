"""Facts about patterns of files: what they find, and where they end."""

import pytest

from scaling.errors import CorpusError
from sweeps.data.documents import files


def test_a_pattern_that_walks_through_everything_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("text")
    with pytest.raises(CorpusError, match="matches more than 3 files; name fewer"):
        files.find_files([f"{tmp_path}/**/*"])
    assert len(files.find_files([f"{tmp_path}/[012].txt"])) == 3


@pytest.mark.parametrize("pattern", ["a\x00b", "\x1b[31m"])
def test_a_pattern_that_is_none_is_one_printable_line(pattern):
    with pytest.raises(CorpusError) as caught:
        files.find_files([pattern])
    assert str(caught.value).isprintable()


def test_a_folder_is_answered_with_the_pattern_of_what_it_holds(tmp_path):
    for name in ("a.py", "b.py", "c.txt"):
        (tmp_path / name).write_text("text")
    with pytest.raises(CorpusError, match=r"is a folder; write .*/\*\*/\*\.py$"):
        files.find_files([str(tmp_path)])
