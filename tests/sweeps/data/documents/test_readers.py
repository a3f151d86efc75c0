"""Documents come out of every kind of file as they went in, and bad files say where."""

import json

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from scaling.errors import CorpusError
from sweeps.data.documents.files import read_documents, stream_documents
from sweeps.data.documents.readers import file_documents

TEXTS = [f"row {number}: \u00e9t\u00e9, \u6570\n" for number in range(2500)]


def contents(path, **options):
    return [document.content.decode() for document in stream_documents([str(path)], **options)]


def save_to_disk(folder, texts, files=2):
    """A folder as `datasets.save_to_disk` lays it out: Arrow streams, named by state.json."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{files:05d}.arrow" for number in range(files)]
    size = -(-len(texts) // files)
    for number, name in enumerate(names):
        part = texts[number * size : (number + 1) * size]
        table = pyarrow.table({"id": list(range(len(part))), "text": part})
        with pyarrow.ipc.new_stream(folder / name, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
    state = {"_data_files": [{"filename": name} for name in names]}
    (folder / "state.json").write_text(json.dumps(state))


def test_parquet_and_jsonl_and_saved_folders_hold_the_same_documents(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS}), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8"
    )
    save_to_disk(tmp_path / "saved", TEXTS)
    for name in ("a.parquet", "a.jsonl", "saved"):
        assert contents(tmp_path / name) == TEXTS


def test_large_strings_are_read_like_strings(tmp_path):
    table = pyarrow.table({"text": pyarrow.array(TEXTS[:9], pyarrow.large_string())})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert contents(tmp_path / "a.parquet") == TEXTS[:9]


def test_of_a_saved_data_set_with_splits_the_training_split_is_read(tmp_path):
    save_to_disk(tmp_path / "saved" / "train", TEXTS[:7], files=1)
    save_to_disk(tmp_path / "saved" / "test", TEXTS[7:9], files=1)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert contents(tmp_path / "saved") == TEXTS[:7]
    assert contents(tmp_path / "saved" / "test") == TEXTS[7:9]
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["de", "fr"]}')
    with pytest.raises(CorpusError, match="no split named train; name one of de, fr"):
        contents(tmp_path / "saved")


def test_what_the_datasets_package_saves_is_read_without_it(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the datasets package is not installed")
    table = datasets.Dataset.from_dict({"text": TEXTS})
    table.save_to_disk(tmp_path / "saved", num_shards=3)
    assert contents(tmp_path / "saved") == TEXTS


@pytest.mark.parametrize("text", ["".join(TEXTS), "\u6570" * 5000, "no end of line", "a\n" * 4096])
def test_pieces_of_a_long_text_are_whole_characters_and_nothing_is_lost(tmp_path, text):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    pieces = contents(tmp_path / "a.txt", piece_bytes=1000)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= 3000 for piece in pieces)
    assert contents(tmp_path / "a.txt") == [text]


def test_a_bad_byte_is_named_by_its_place_in_the_whole_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"line\n" * 1000 + b"\xff\n")
    for pieces in (None, 100):
        with pytest.raises(CorpusError, match=r"byte 5000 \(0xff\) is not UTF-8"):
            list(file_documents(str(tmp_path / "a.txt"), pieces))


def test_bad_tables_say_what_is_wrong(tmp_path):
    def read(name, table):
        pyarrow.parquet.write_table(table, tmp_path / name)
        return read_documents([str(tmp_path / name)])

    with pytest.raises(CorpusError, match='no "text" column of strings, but body, id; rename one'):
        read("a.parquet", pyarrow.table({"body": ["a"], "id": [1]}))
    with pytest.raises(CorpusError, match='no "text" column of strings'):
        read("b.parquet", pyarrow.table({"text": [1, 2]}))
    with pytest.raises(CorpusError, match=r"c.parquet row 2: text is null; drop the row"):
        read("c.parquet", pyarrow.table({"text": ["a", None]}))
    (tmp_path / "d.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(CorpusError, match="d.parquet: not a whole Parquet file"):
        read_documents([str(tmp_path / "d.parquet")])


def test_a_saved_folder_that_was_cut_short_says_so(tmp_path):
    save_to_disk(tmp_path / "saved", TEXTS, files=1)
    (path,) = (tmp_path / "saved").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CorpusError, match=r"\.arrow: not a whole Arrow file"):
        contents(tmp_path / "saved")
    path.unlink()
    with pytest.raises(CorpusError, match="mend data.files"):
        contents(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(CorpusError, match="not as `datasets` saves a folder"):
        contents(tmp_path / "saved")


def test_a_folder_that_nobody_saved_is_answered_with_a_glob(tmp_path):
    with pytest.raises(CorpusError, match=r"is a folder; write .*/\*\*/\*\.txt"):
        contents(tmp_path)


@pytest.mark.parametrize("pieces", [None, 16])
def test_what_is_not_utf8_is_left_out_and_named_where_that_is_asked_for(tmp_path, pieces):
    (tmp_path / "a.txt").write_bytes(b"all is well\n")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "good"}\n{"text": "b\xe9d"}\n{"text": "fine"}\n')
    left_out = []
    found = list(stream_documents([str(tmp_path / "*")], pieces, left_out))
    assert [document.content for document in found] == [b"all is well\n", b"good", b"fine"]
    assert left_out == [
        f"{tmp_path}/b.txt: byte 3 (0xe9)",
        f"{tmp_path}/c.jsonl: byte 28 (0xe9)",
    ]
