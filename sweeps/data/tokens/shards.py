"""Tokens on disk, memory-mapped: a corpus of any size, of which only what is read is touched.

A shard is a file of little-endian uint16 or uint32 tokens, in one of two layouts that are common:

    raw         tokens alone, as nanoGPT's prepare.py writes them
    headered    256 int32 words first, as llm.c's data_common.py and modded-nanogpt write them:
                magic 20240520 and version 1 for uint16, 20240801 and version 7 for uint32; then
                the number of tokens

`tokens.json` beside them (see sweeps.data.tokens.tokenize) says what the tokens are; without one
the config must.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import CorpusError

MANIFEST = "tokens.json"
TOKENIZER_FILE = "tokenizer.json"
TRAIN, VALIDATION = "train", "validation"

_HEADER_WORDS = 256
_HEADERS = {20240520: (1, "uint16"), 20240801: (7, "uint32")}  # magic: version, token type
_BLOCK_BYTES = 1 << 16
_BLOCKS = 128


@dataclass(frozen=True, eq=False)
class Shard:
    """One file of tokens."""

    path: Path
    tokens: np.ndarray
    """(tokens,) Memory-mapped."""
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a folder's tokens.json says; only `vocab_size` has to be there."""

    folder: Path
    vocab_size: int
    logits: int | None = None
    token_type: str | None = None
    tokenizer: str = "unknown"
    tokenizer_hash: str = "unknown"
    complete: bool = True
    shards: tuple[dict[str, Any], ...] = ()
    """name, split, tokens, sha256 and fingerprint of each."""

    def entry(self, name: str) -> dict[str, Any] | None:
        """What is said of one shard."""
        return next((entry for entry in self.shards if entry["name"] == name), None)


def open_shard(path: Path, token_type: str | None = None) -> Shard:
    """Map one shard; a header decides the token type, else `token_type`, else it is uint16.

    Raises CorpusError for a file that is missing, empty, cut short, or of another token type.
    """
    try:
        size = path.stat().st_size
        if not size:
            raise CorpusError(f"{path}: empty shard; write it again")
        with open(path, "rb") as file:
            words = np.frombuffer(file.read(4 * _HEADER_WORDS), dtype=np.uint8)
        kind, start = _layout(path, words, size, token_type)
        count, rest = divmod(size - start, np.dtype(kind).itemsize)
        if rest:
            raise CorpusError(
                f"{path}: {size - start} bytes are no whole number of {kind} tokens; cut short, or "
                "of another data.token_type"
            )
        tokens = np.memmap(path, dtype=kind.newbyteorder("<"), mode="r", offset=start, shape=count)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}; mend data.files") from error
    return Shard(path, np.asarray(tokens), fingerprint(path))


def _layout(
    path: Path, words: np.ndarray, size: int, token_type: str | None
) -> tuple[np.dtype, int]:
    """Token type and where the tokens begin."""
    header = words.view("<i4") if len(words) == 4 * _HEADER_WORDS else np.zeros(3, dtype="<i4")
    if int(header[0]) not in _HEADERS:
        kind = np.dtype(token_type or "uint16")
        return kind, 0
    version, name = _HEADERS[int(header[0])]
    if int(header[1]) != version:
        raise CorpusError(f"{path}: header of version {header[1]}, not {version}; write it anew")
    if token_type not in (None, name):
        raise CorpusError(f"{path}: the header says {name}, not {token_type}; mend data.token_type")
    kind, start = np.dtype(name), len(words)
    if size - start != int(header[2]) * kind.itemsize:
        raise CorpusError(
            f"{path}: {(size - start) // kind.itemsize} tokens where the header says {header[2]}; "
            "cut short: write it anew"
        )
    return kind, start


def fingerprint(path: Path) -> str:
    """A cheap identity: size, and 128 blocks of 64 KiB spread evenly, the first and last included.

    A file of up to 8 MiB is read whole. In a larger one a change that keeps the size and falls
    between the blocks is missed; the sha256 of tokens.json, which `scaling tokenize` checks, sees
    it.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for offset in _sampled(size):
            file.seek(offset)
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()[:16]


def _sampled(size: int) -> Iterator[int]:
    blocks = -(-size // _BLOCK_BYTES)
    for place in range(min(blocks, _BLOCKS)):
        index = place if blocks <= _BLOCKS else place * (blocks - 1) // (_BLOCKS - 1)
        yield index * _BLOCK_BYTES


def read_manifest(folder: Path) -> Manifest:
    """A folder's tokens.json. Raises CorpusError where it is none."""
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        known = {key: raw[key] for key in Manifest.__dataclass_fields__ if key in raw}
        known["shards"] = tuple(known.get("shards", ()))
        manifest = Manifest(**{**known, "folder": folder})
        valid = isinstance(manifest.vocab_size, int) and manifest.vocab_size > 0
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; tokenize the text first") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: not a description of token shards ({error})") from error
    if not valid:
        raise CorpusError(f"{path}: vocab_size is {manifest.vocab_size!r}; it is a positive number")
    return manifest


def check_sample(shard: Shard, vocab_size: int) -> None:
    """Look at the sampled blocks of a shard of which nothing is known."""
    width = shard.tokens.itemsize
    for start in _sampled(shard.tokens.nbytes):
        block = shard.tokens[start // width : (start + _BLOCK_BYTES) // width]
        check_vocabulary(shard, start // width, block, vocab_size)
        if width == 2 and len(block) >= 64 and not block[1::2].any():
            raise CorpusError(
                f"{shard.path}: every second token is 0; it holds uint32: set data.token_type"
            )


def check_vocabulary(shard: Shard, offset: int, block: np.ndarray, vocab_size: int) -> None:
    """Raise CorpusError where a block, which begins at an offset, leaves the vocabulary."""
    if block.max() >= vocab_size:
        raise outside(shard, offset + int(np.argmax(block >= vocab_size)), vocab_size)


def outside(shard: Shard, offset: int, vocab_size: int) -> CorpusError:
    """The error for a token outside the vocabulary."""
    return CorpusError(
        f"{shard.path}: token {shard.tokens[offset]} at offset {offset} is outside the vocabulary "
        f"of {vocab_size}; another tokenizer, or not {shard.tokens.dtype}: mend data.vocab_size or "
        "data.token_type"
    )
