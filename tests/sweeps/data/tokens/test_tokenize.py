"""Tokenizing: the shards hold the text, and a process that is killed loses nothing."""

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling.errors import CorpusError
from sweeps.config.data import ShardsData
from sweeps.data.registry import load_corpus
from sweeps.data.tokens.bpe import read_bpe, train_bpe
from sweeps.data.tokens.shards import MANIFEST, TRAIN, VALIDATION
from sweeps.data.tokens.tokenize import tokenize_corpus

ROOT = Path(__file__).parents[4]
SETTINGS = {"tokenizer": "bpe-300", "shard_tokens": 700, "validation_share": 0.2}


def write_text(folder):
    """A thousand documents of about 60 bytes, in one file."""
    texts = [f"{n} apples for {n * n % 97} coins, \u00e9t\u00e9\n" * 2 for n in range(1000)]
    path = folder / "text.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture
def text_file(tmp_path):
    return write_text(tmp_path)


def contents(folder):
    """Every file of a tokenized folder but the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def stream(folder, side):
    return np.concatenate(
        [np.fromfile(path, dtype=np.uint16) for path in sorted(folder.glob(f"{side}-*.bin"))]
    )


def test_the_shards_hold_every_document_once_and_on_one_side(text_file, tmp_path):
    manifest = tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)
    tokenizer = read_bpe(tmp_path / "out" / "tokenizer.json")
    found = {}
    for side in (TRAIN, VALIDATION):
        tokens = stream(tmp_path / "out", side)
        cuts = np.flatnonzero(tokens == tokenizer.end_token)
        documents = np.split(tokens, cuts + 1)[:-1]
        found[side] = [tokenizer.decode(document) for document in documents]
    with open(text_file, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    assert sorted(found[TRAIN] + found[VALIDATION]) == sorted(texts)
    share = len(found[VALIDATION]) / len(texts)
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 1000) ** 0.5  # binomial
    assert [text for text in texts if text in set(found[TRAIN])] == found[TRAIN]  # in order
    sizes = [entry["tokens"] for entry in manifest.shards if entry["split"] == TRAIN]
    assert set(sizes[:-1]) == {700}


def test_a_corpus_of_the_shards_knows_its_bytes_exactly(text_file, tmp_path):
    tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)
    load_corpus.cache_clear()
    corpus = load_corpus(ShardsData(files=(str(tmp_path / "out"),)), 16)
    tokenizer = read_bpe(tmp_path / "out" / "tokenizer.json")
    targets = corpus.held_back[:, 1:]
    assert corpus.facts.tokenizer_hash == tokenizer.hash
    exact = tokenizer.token_bytes[targets].sum()
    assert corpus.facts.bytes_per_token * targets.size == pytest.approx(exact)
    said = json.loads((tmp_path / "out" / MANIFEST).read_text())
    with open(text_file, encoding="utf-8") as file:
        total = sum(len(json.loads(line)["text"].encode()) + 1 for line in file)
    assert sum(said["bytes"].values()) == total
    tokens = [stream(tmp_path / "out", side) for side in (TRAIN, VALIDATION)]
    assert sum(int(tokenizer.token_bytes[part].sum()) for part in tokens) == total


def test_byte_tokens_have_one_byte_a_token(text_file, tmp_path):
    tokenize_corpus([str(text_file)], tmp_path / "out", shard_tokens=10_000, validation_share=0.1)
    load_corpus.cache_clear()
    facts = load_corpus(ShardsData(files=(str(tmp_path / "out"),)), 16).facts
    assert (facts.tokenizer, facts.vocab_size, facts.bytes_per_token) == ("bytes", 256, 1.0)


def test_progress_counts_up_to_the_whole_text(text_file, tmp_path):
    seen = []
    tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS, on_progress=seen.append)
    assert seen[-1].documents == 1000
    assert seen[-1].input_bytes == text_file.stat().st_size
    assert seen[-1].tokens == sum(len(stream(tmp_path / "out", s)) for s in (TRAIN, VALIDATION))


# Tokenizes, and kills itself with SIGKILL at the n-th call of a function that touches the disk.
KILLED = """
import os, signal, sys
import sweeps.data.tokens.tokenize as module
from sweeps.data.documents import atomic
text, out, where, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
calls = 0
def dying(function, after):
    def wrapped(*arguments, **options):
        global calls
        calls += 1
        if calls == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped
name, _, after = where.partition("+")
setattr(os, name, dying(getattr(os, name), bool(after)))
settings = {"tokenizer": "bpe-300", "shard_tokens": 700, "validation_share": 0.2}
module._BATCH_BYTES = 5000
module.tokenize_corpus([text], out, **settings)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The text and what an undisturbed run writes."""
    folder = tmp_path_factory.mktemp("whole")
    text = write_text(folder)
    tokenize_corpus([str(text)], folder / "out", **SETTINGS)
    return text, contents(folder / "out")


# os.replace and os.fsync are called for tokenizer.json, the first tokens.json, and then for each
# shard and the tokens.json behind it: before and after each kind, early and late.
@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("fsync", 1),
        ("replace", 2),
        ("replace+", 3),
        ("replace", 4),
        ("fsync", 9),
        ("replace+", 16),
        ("replace", 27),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(whole, tmp_path, where, count):
    text, expected = whole
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(text), str(out), where, str(count)]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    left = {path.name: path.stat().st_mtime_ns for path in out.glob("*.bin")}
    if (out / MANIFEST).exists():
        said = json.loads((out / MANIFEST).read_text())
        listed = {entry["name"] for entry in said["shards"]}
        assert not said["complete"]
        load_corpus.cache_clear()
        with pytest.raises(CorpusError, match="tokenizing was interrupted"):
            load_corpus(ShardsData(files=(str(out),)), 16)
    else:
        listed = set()
    tokenize_corpus([str(text)], out, **SETTINGS)
    assert contents(out) == expected
    for name in listed:  # finished shards were kept, not written again
        assert (out / name).stat().st_mtime_ns == left[name]


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_with_the_same_bytes(whole, tmp_path):
    text, expected = whole
    rng = np.random.default_rng(0)
    for trial in range(8):
        out = tmp_path / str(trial)
        for kills in itertools.count(1):  # later and later, so that it ends on any machine
            command = [sys.executable, "-c", KILLED, str(text), str(out), "replace", "-1"]
            process = subprocess.Popen(command, cwd=ROOT)
            try:
                process.wait(timeout=kills * (0.3 + 1.2 * rng.random()))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.returncode == 0
        assert contents(out) == expected


def test_a_repeated_call_writes_nothing(text_file, tmp_path):
    first = tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.bin")}
    assert tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS) == first
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.bin")}


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_shard_is_written_again(text_file, tmp_path, damage):
    out = tmp_path / "out"
    tokenize_corpus([str(text_file)], out, **SETTINGS)
    expected = contents(out)
    victim = out / "train-00003.bin"
    if damage == "gone":
        victim.unlink()
    else:
        content = bytearray(victim.read_bytes())
        content[100] ^= 1
        victim.write_bytes(content[:500] if damage == "cut" else content)
    tokenize_corpus([str(text_file)], out, **SETTINGS)
    assert contents(out) == expected


def rewrite(path, number, text):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[number] = json.dumps({"text": text}) + "\n"
    path.write_text("".join(lines), encoding="utf-8")


def test_text_that_changed_under_its_shards_is_refused(text_file, tmp_path):
    tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)
    original = text_file.read_text(encoding="utf-8")
    rewrite(text_file, 500, "another text")
    with pytest.raises(CorpusError, match="the text has changed since"):
        tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)
    for changed in (original + '{"text": "one more"}\n', original[: original.index("\n") + 1]):
        text_file.write_text(changed, encoding="utf-8")
        with pytest.raises(CorpusError, match="the text has changed since"):
            tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)


@pytest.mark.parametrize(
    "change", [{"shard_tokens": 800}, {"validation_share": 0.3}, {"tokenizer": "bpe-310"}]
)
def test_other_settings_in_the_same_folder_are_refused(text_file, tmp_path, change):
    tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)
    with pytest.raises(CorpusError, match="holds tokens of another"):
        tokenize_corpus([str(text_file)], tmp_path / "out", **{**SETTINGS, **change})


def test_a_tokenizer_trained_elsewhere_is_kept_beside_the_shards(text_file, tmp_path):
    trained = train_bpe([str(text_file)], 280, tmp_path / "mine.json")
    settings = {**SETTINGS, "tokenizer": str(tmp_path / "mine.json")}
    assert tokenize_corpus([str(text_file)], tmp_path / "out", **settings).vocab_size == 280
    assert read_bpe(tmp_path / "out" / "tokenizer.json").hash == trained.hash


def test_two_processes_do_not_write_into_one_folder(text_file, tmp_path):
    holder = (
        "import sys, time; from pathlib import Path\n"
        "from sweeps.data.tokens.tokenize import _only_one\n"
        "with _only_one(Path(sys.argv[1])):\n print('held', flush=True); time.sleep(60)"
    )
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", holder, str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(CorpusError, match="another process is tokenizing"):
            tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)
        process.kill()
    tokenize_corpus([str(text_file)], tmp_path / "out", **SETTINGS)  # the lock died with it


def test_a_text_without_a_document_for_validation_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one document\n" * 30)
    with pytest.raises(CorpusError, match="of 1 document none is for validation"):
        tokenize_corpus([str(tmp_path / "a.txt")], tmp_path / "out")
    with pytest.raises(CorpusError, match="a share between 0 and 1"):
        tokenize_corpus([str(tmp_path / "a.txt")], tmp_path / "out", validation_share=1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak memory")
def test_memory_does_not_grow_with_the_text(tmp_path):
    code = (
        "import sys; from sweeps.data.tokens.tokenize import tokenize_corpus\n"
        "tokenize_corpus([sys.argv[1]], sys.argv[2], validation_share=0.1)\n"
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )
    peaks = []
    for size in (4, 64):
        text = tmp_path / f"{size}.txt"
        line = b"".join(b"%d apples\n" % n for n in range(10_000))
        text.write_bytes(line * (size * 2**20 // len(line)))
        command = [sys.executable, "-c", code, str(text), str(tmp_path / f"out{size}")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024)
    # 60 MiB more text, 120 MiB more tokens: a batch of 4 MiB is held five times over at most.
    assert peaks[1] - peaks[0] < 20 * 2**20
