"""Text to token shards: streamed, so text and tokens may be larger than memory, and safe to kill.

A document's side and its tokens depend on its content alone, and a shard ends at a place in the
stream that tokens.json remembers. So a run that was killed reads the text again, keeps the shards
whose checksum is right, and tokenizes what is missing.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scaling.errors import CorpusError
from scaling.words import counted
from sweeps.data.documents.atomic import write_atomically
from sweeps.data.documents.files import find_files, stream_documents
from sweeps.data.documents.readers import Document
from sweeps.data.tokens.bpe import read_bpe, train_bpe
from sweeps.data.tokens.shards import (
    MANIFEST,
    TOKENIZER_FILE,
    TRAIN,
    VALIDATION,
    Manifest,
    fingerprint,
    read_manifest,
)
from sweeps.data.tokens.tokenizer import TOKENIZERS, Tokenizer, find_tokenizer

_FORMAT = "scaling-tokens/1"
_PIECE_BYTES = 1 << 16  # longer text files are cut, so that each can lie on both sides
_BATCH_BYTES = 1 << 22
_PARTIAL = ".partial"


@dataclass(frozen=True, kw_only=True)
class TokenizeProgress:
    """How far a tokenization is."""

    documents: int
    text_bytes: int
    input_bytes: int | None
    """Size of the input where it is known before it is read: text and JSONL files."""
    tokens: int
    """In the shards and behind them, those kept from an earlier call included."""
    shards: int


def tokenize_corpus(
    files: Sequence[str],
    out_dir: str | Path,
    *,
    tokenizer: str = "bytes",
    shard_tokens: int = 100_000_000,
    validation_share: float = 0.01,
    left_out: list[str] | None = None,
    on_progress: Callable[[TokenizeProgress], None] = lambda progress: None,
) -> Manifest:
    """Write the text of the files as shards train-*.bin and validation-*.bin, with a tokens.json.

    files: globs as in data.files. tokenizer: `bytes`, `ascii-96`, the path of a tokenizer.json, or
    `bpe-N`, which trains a byte-level BPE of N tokens on the text first. validation_share: the
    chance of a document to be held back; its content decides. left_out: a list, to which documents
    that are not UTF-8 are added; without one they are refused. Repeat the call after it was killed,
    and it goes on; repeat it when it has finished, and it checks everything.

    Raises CorpusError for text that is missing or has changed since the first call, for a folder
    that holds other tokens, and where one side gets no text.
    """
    if shard_tokens < 2 or not 0 < validation_share < 1:
        raise CorpusError(
            f"shard_tokens {shard_tokens} and validation_share {validation_share:g}: give at least "
            "2 tokens, and a share between 0 and 1"
        )
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder):
        chosen = _choose_tokenizer(tokenizer, files, folder, left_out)
        settings = {
            "tokenizer": chosen.name if tokenizer.endswith(".json") else tokenizer,
            "shard_tokens": shard_tokens,
            "validation_share": validation_share,
        }
        if left_out is not None:
            settings["undecodable"] = "skip"
            left_out.clear()  # of those that the tokenizer met
        _Tokenization(folder, chosen, settings).run(files, left_out, on_progress)
    return read_manifest(folder)


@dataclass
class _Side:
    """The shards of one side, and the one being written."""

    name: str
    folder: Path
    shard_tokens: int
    entries: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    bytes: int = 0
    """Of the text, with one for each end of a document."""
    _file: BinaryIO | None = None
    _digest: Any = None
    written: int = 0
    """Tokens in the shard being written."""

    @property
    def reached(self) -> tuple[int, int]:
        """The document, and the token of it, at which the last finished shard ends."""
        return tuple(self.entries[-1]["end"]) if self.entries else (0, 0)

    @property
    def tokens(self) -> int:
        """In all shards."""
        return sum(entry["tokens"] for entry in self.entries) + self.written

    def add(self, document: int, tokens: np.ndarray, on_shard: Callable[[], None]) -> None:
        """Append a document, and finish shards as they fill up."""
        first, skip = self.reached
        place = skip if document == first else 0
        while place < len(tokens):
            part = tokens[place : place + self.shard_tokens - self.written]
            self._write(part)
            place += len(part)
            if self.written == self.shard_tokens:
                self.finish((document, place))
                on_shard()

    def _write(self, tokens: np.ndarray) -> None:
        if self._file is None:
            self._file = open(self._partial, "wb")  # noqa: SIM115 closed by finish
            self._digest = hashlib.sha256()
        content = tokens.astype(tokens.dtype.newbyteorder("<")).tobytes()
        self._file.write(content)
        self._digest.update(content)
        self.written += len(tokens)

    @property
    def _target(self) -> Path:
        return self.folder / f"{self.name}-{len(self.entries):05d}.bin"

    @property
    def _partial(self) -> Path:
        return self._target.with_name(self._target.name + _PARTIAL)

    def finish(self, end: tuple[int, int]) -> None:
        """Give the shard being written its name; it is then whole on disk."""
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        os.replace(self._partial, self._target)
        entry = {
            "name": self._target.name,
            "split": self.name,
            "tokens": self.written,
            "sha256": self._digest.hexdigest(),
            "fingerprint": fingerprint(self._target),
            "end": list(end),
        }
        self.entries.append(entry)
        self.written = 0

    def close(self) -> None:
        """Let go of the file being written, finished or not."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def keep(self, entries: list[dict[str, Any]]) -> None:
        """Take over the shards up to the first that is missing or not as it was written."""
        for entry in entries:
            path = self.folder / entry["name"]
            if not path.is_file() or _sha256(path) != entry["sha256"]:
                return
            self.entries.append(entry)


class _Tokenization:
    def __init__(self, folder: Path, tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
        self._folder, self._tokenizer, self._settings = folder, tokenizer, settings
        self._kind = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
        self._sides = {
            name: _Side(name, folder, settings["shard_tokens"]) for name in (TRAIN, VALIDATION)
        }
        self._earlier = self._resume()
        self._documents, self._bytes = 0, 0
        self._running = b""
        self._checkpoint: dict[str, Any] | None = self._earlier.get("source")

    def run(
        self,
        files: Sequence[str],
        left_out: list[str] | None,
        on_progress: Callable[[TokenizeProgress], None],
    ) -> None:
        size = _input_bytes(files)
        if not self._earlier:
            self._save({"documents": 0, "hash": ""})
        try:
            for batch in _batches(stream_documents(files, _PIECE_BYTES, left_out)):
                self._add(batch)
                on_progress(self._progress(size))
            self._finish(files)
        finally:
            for side in self._sides.values():
                side.close()

    def _progress(self, size: int | None) -> TokenizeProgress:
        return TokenizeProgress(
            documents=self._documents,
            text_bytes=self._bytes,
            input_bytes=size,
            tokens=sum(side.tokens for side in self._sides.values()),
            shards=sum(len(side.entries) for side in self._sides.values()),
        )

    def _add(self, batch: list[Document]) -> None:
        wanted = []
        for document in batch:
            content = hashlib.sha256(document.content).digest()
            self._running = hashlib.sha256(self._running + content).digest()
            side = self._sides[self._side_of(content)]
            side.bytes += len(document.content) + 1
            if self._documents >= side.reached[0]:
                wanted.append((side, self._documents, document.content, self._source_now()))
            self._documents += 1
            self._bytes += len(document.content)
            self._check_source()
        encoded = self._tokenizer.encode_documents([content for _, _, content, _ in wanted])
        for (side, number, _, source), tokens in zip(wanted, encoded, strict=True):
            side.add(number, tokens.astype(self._kind), functools.partial(self._save, source))

    def _side_of(self, content: bytes) -> str:
        share = int.from_bytes(content[:8], "big") / 2**64
        return VALIDATION if share < self._settings["validation_share"] else TRAIN

    def _source_now(self) -> dict[str, Any]:
        """The text up to and with the current document, before it is counted."""
        return {"documents": self._documents + 1, "hash": self._running.hex()}

    def _check_source(self) -> None:
        """Refuse to go on with another text than that of the shards that are kept."""
        earlier = self._earlier.get("source")
        if earlier is None or earlier["documents"] != self._documents:
            return
        if earlier["hash"] != self._running.hex():
            raise self._changed()

    def _changed(self) -> CorpusError:
        return CorpusError(
            f"{self._folder}: the text has changed since its shards were written; tokenize it into "
            "another folder"
        )

    def _finish(self, files: Sequence[str]) -> None:
        earlier = self._earlier.get("source")
        if earlier and (
            earlier["documents"] > self._documents
            or (self._earlier["complete"] and earlier["documents"] != self._documents)
        ):
            raise self._changed()
        for side in self._sides.values():
            side.finish((self._documents, 0))
            if not side.entries:
                where = ", ".join(files) or "the standard library"
                raise CorpusError(
                    f"{where}: of {counted(self._documents, 'document')} none is for {side.name}; "
                    "give more text or another validation_share"
                )
        self._save({"documents": self._documents, "hash": self._running.hex()}, complete=True)

    def _save(self, source: dict[str, Any], complete: bool = False) -> None:
        checkpoint = self._checkpoint
        if checkpoint is None or source["documents"] >= checkpoint["documents"]:
            self._checkpoint = source
        document: dict[str, Any] = {
            **self._identity(),
            "complete": complete,
            "source": self._checkpoint,
            "shards": [entry for side in self._sides.values() for entry in side.entries],
        }
        if complete:
            document["bytes"] = {side.name: side.bytes for side in self._sides.values()}
            document["bytes_per_token"] = {
                side.name: side.bytes / side.tokens for side in self._sides.values()
            }
        write_atomically(self._folder / MANIFEST, json.dumps(document, indent=1).encode())

    def _identity(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "token_type": self._kind.name,
            "vocab_size": self._tokenizer.vocab_size,
            "logits": self._tokenizer.logits,
            "tokenizer": self._tokenizer.name,
            "tokenizer_hash": self._tokenizer.hash,
            "settings": self._settings,
        }

    def _resume(self) -> dict[str, Any]:
        """What an earlier call has left, its whole shards kept; nothing in a new folder."""
        for pattern in (f"*.bin{_PARTIAL}", "token*.json.*.tmp"):
            for leftover in self._folder.glob(pattern):
                leftover.unlink()
        if not (self._folder / MANIFEST).exists():
            return {}
        read_manifest(self._folder)
        earlier: dict[str, Any] = json.loads((self._folder / MANIFEST).read_text("utf-8"))
        earlier = {"complete": True, "shards": [], "source": None, **earlier}
        for key, value in self._identity().items():
            if earlier.get(key) != value:
                raise CorpusError(
                    f"{self._folder}: holds tokens of another {key} ({earlier.get(key)}, now "
                    f"{value}); choose another folder"
                )
        for name, side in self._sides.items():
            side.keep([entry for entry in earlier["shards"] if entry["split"] == name])
        return earlier


def _choose_tokenizer(
    name: str, files: Sequence[str], folder: Path, left_out: list[str] | None
) -> Tokenizer:
    """The tokenizer, with its file beside the shards where it has one."""
    own, begun = folder / TOKENIZER_FILE, (folder / MANIFEST).exists()
    if name in TOKENIZERS:
        return find_tokenizer(name)
    if name.startswith("bpe-") and name[4:].isdigit():
        return read_bpe(own) if begun else train_bpe(files, int(name[4:]), own, left_out)
    chosen = read_bpe(name)
    if not begun:
        write_atomically(own, chosen.text.encode())
    return chosen


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.content)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _input_bytes(files: Sequence[str]) -> int | None:
    paths = [Path(path) for path in find_files(files)]
    if not paths or any(path.is_dir() or path.suffix == ".parquet" for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Refuse a second process in the same folder. The lock goes when the process does."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CorpusError(
                f"{folder}: another process is tokenizing into it; wait for it to end"
            ) from error
        yield
