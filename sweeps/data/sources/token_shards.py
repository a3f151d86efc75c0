"""A corpus of token shards: windows are read from disk, or from the GPU, as a step needs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.errors import CorpusError
from sweeps.config.data import ShardsData
from sweeps.data.documents.files import matching
from sweeps.data.sources.base import CorpusFacts, WindowCorpus, hash_of, signed, widened
from sweeps.data.sources.window_order import LongOrder
from sweeps.data.tokens.shards import (
    MANIFEST,
    TOKENIZER_FILE,
    TRAIN,
    VALIDATION,
    Manifest,
    Shard,
    check_sample,
    check_vocabulary,
    open_shard,
    outside,
    read_manifest,
)
from sweeps.data.tokens.tokenizer import TOKENIZERS, Tokenizer, find_tokenizer
from sweeps.data.tokens.vocabulary import vocabulary_of

if TYPE_CHECKING:
    import torch

#: Training shards of up to this size in all are kept in the memory of a GPU.
_RESIDENT_BYTES = 8 << 30
_UPLOAD_TOKENS = 1 << 22


@dataclass(frozen=True, eq=False)
class ShardSet:
    """The shards of one side as one row of windows; a window never leaves its shard."""

    shards: tuple[Shard, ...]
    context: int
    vocab_size: int

    @property
    def windows(self) -> int:
        """Windows of `context` targets without overlap."""
        return int(self.ends[-1])

    @property
    def ends(self) -> np.ndarray:
        """(shards,) Number of the first window behind each shard."""
        return np.cumsum([(len(shard.tokens) - 1) // self.context for shard in self.shards])

    @property
    def token_type(self) -> np.dtype:
        """Of all shards of the set."""
        return self.shards[0].tokens.dtype

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """(windows, context + 1) The windows of those numbers.

        Raises CorpusError, with shard and offset, for a token outside the vocabulary.
        """
        ends = self.ends
        owners = np.searchsorted(ends, numbers, side="right")
        found = np.empty((len(numbers), self.context + 1), dtype=self.token_type)
        for owner in np.unique(owners):
            mine = owners == owner
            first = ends[owner - 1] if owner else 0
            starts = (numbers[mine] - first) * self.context
            windows = self.shards[owner].tokens[starts[:, None] + np.arange(self.context + 1)]
            if windows.max() >= self.vocab_size:
                row, place = np.argwhere(windows >= self.vocab_size)[0]
                raise outside(self.shards[owner], int(starts[row] + place), self.vocab_size)
            found[mine] = windows
        return found


@dataclass(frozen=True, kw_only=True)
class ShardCorpus(WindowCorpus):
    """Token shards, read as they are needed; small ones are kept on the GPU."""

    train: ShardSet
    _resident: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def training_text(self, most: int) -> np.ndarray:
        """See Corpus: the shards in their order. Raises CorpusError for a token outside the
        vocabulary."""
        parts, left = [], most
        for shard in self.train.shards:
            part = np.asarray(shard.tokens[:left])
            check_vocabulary(shard, 0, part, self.train.vocab_size)
            parts.append(part.astype(np.int64))
            left -= len(part)
            if not left:
                break
        return np.concatenate(parts)

    def host_part(self, seed: int, first: int, last: int) -> np.ndarray:
        """See Corpus: which windows."""
        return LongOrder(self.train.windows, seed).positions(first, last)

    def windows_read(
        self, seed: int, first: int, last: int, device: torch.device | str
    ) -> torch.Tensor:
        """See WindowCorpus; each epoch is a permutation of the windows."""
        import torch

        numbers = self._own_part(seed, first, last)
        size = sum(shard.tokens.nbytes for shard in self.train.shards)
        if torch.device(device).type != "cpu" and size <= _RESIDENT_BYTES:
            tokens = self._read_resident(numbers, device)
        else:
            tokens = torch.from_numpy(signed(self.train.read(numbers))).to(device)
        return widened(tokens, self.train.token_type)

    def _read_resident(self, numbers: np.ndarray, device: torch.device | str) -> torch.Tensor:
        import torch

        key = str(device)
        if key not in self._resident:
            parts = []
            for shard in self.train.shards:
                for offset in range(0, len(shard.tokens), _UPLOAD_TOKENS):
                    block = shard.tokens[offset : offset + _UPLOAD_TOKENS]
                    check_vocabulary(shard, offset, block, self.train.vocab_size)
                    parts.append(torch.from_numpy(signed(block)).to(device))
            self._resident[key] = torch.cat(parts)
        lengths = [len(shard.tokens) for shard in self.train.shards]
        ends = self.train.ends
        owners = np.searchsorted(ends, numbers, side="right")
        firsts, bases = np.append(0, ends)[owners], np.append(0, np.cumsum(lengths))[owners]
        starts = torch.from_numpy(bases + (numbers - firsts) * self.context).to(device)
        index = starts[:, None] + torch.arange(self.context + 1, device=device)
        found: torch.Tensor = self._resident[key][index]
        return found


def load_shards(config: ShardsData, context: int) -> ShardCorpus:
    """The corpus of a folder that `scaling tokenize` wrote, or of globs of shards.

    Raises CorpusError for shards that are missing, empty, cut short, changed since they were
    written, of the wrong token type, or of two vocabularies, and for sides without one window.
    """
    paths = _paths(config)
    manifests = {
        path.parent: read_manifest(path.parent)
        for side in paths.values()
        for path in side
        if (path.parent / MANIFEST).exists()
    }
    vocab_size = _one_vocabulary(config, list(manifests.values()))
    sets = {
        side: _open_set(side, files, manifests, config, context, vocab_size)
        for side, files in paths.items()
    }
    train, held_back = sets[TRAIN], sets[VALIDATION]
    count = min(config.validation_windows, held_back.windows)
    validation = held_back.read(np.arange(count) * held_back.windows // count)
    manifest = next(iter(manifests.values()), None)
    logits = manifest.logits if manifest and manifest.logits else -(-vocab_size // 64) * 64
    name, tokenizer_hash, tokenizer = _tokenizer(config, manifest, vocab_size)
    exact = None
    if tokenizer is not None:
        padding = np.zeros(vocab_size - tokenizer.vocab_size, dtype=np.int64)
        token_bytes = np.concatenate([tokenizer.token_bytes, padding])
        exact = float(token_bytes[validation[:, 1:]].mean())
    facts = CorpusFacts(
        data_hash=_set_hash(train, held_back),
        eval_hash=hash_of(validation),
        tokenizer=name,
        tokenizer_hash=tokenizer_hash,
        vocab_size=logits,
        used_vocab_size=None if logits == vocab_size else vocab_size,
        train_tokens=train.windows * context,
        validation_sequences=len(validation),
        bytes_per_token=exact,
    )
    return ShardCorpus(
        facts=facts,
        train=train,
        held_back=validation,
        context=context,
        vocabulary=vocabulary_of(tokenizer) if tokenizer else None,
    )


def _paths(config: ShardsData) -> dict[str, list[Path]]:
    folders = [Path(name).expanduser() for name in config.files]
    if len(folders) == 1 and folders[0].is_dir() and not config.validation_files:
        manifest = read_manifest(folders[0])
        if not manifest.complete:
            raise CorpusError(
                f"{folders[0]}: tokenizing was interrupted; run the same `scaling tokenize` again"
            )
        paths: dict[str, list[Path]] = {TRAIN: [], VALIDATION: []}
        for entry in manifest.shards:
            paths[entry["split"]].append(folders[0] / entry["name"])
        return paths
    return {
        TRAIN: _matching("data.files", config.files),
        VALIDATION: _matching("data.validation_files", config.validation_files),
    }


def _matching(label: str, patterns: Sequence[str]) -> list[Path]:
    if not patterns:
        raise CorpusError(f"{label} is empty; name the shards, or a folder of `scaling tokenize`")
    found: dict[Path, None] = {}
    for pattern in patterns:
        names = sorted(matching(str(Path(pattern).expanduser()), pattern))
        paths = [Path(name) for name in names if Path(name).is_file()]
        if not paths:
            raise CorpusError(f"{pattern}: no such shard; mend {label}")
        found.update(dict.fromkeys(paths))
    return list(found)


def _one_vocabulary(config: ShardsData, manifests: list[Manifest]) -> int:
    stated = {(m.vocab_size, m.tokenizer_hash): str(m.folder / MANIFEST) for m in manifests}
    if len(stated) > 1:
        (first, _), (second, _), *_ = stated
        raise CorpusError(
            f"{' and '.join(stated.values())}: vocabularies of {first} and {second} tokens, of "
            "different tokenizers; tokenize both with one"
        )
    sizes = {size for size, _ in stated} | ({config.vocab_size} if config.vocab_size else set())
    if not sizes:
        raise CorpusError(
            f"{config.files[0]}: no {MANIFEST} says how many tokens there are; set data.vocab_size"
        )
    if len(sizes) > 1:
        raise CorpusError(
            f"{next(iter(stated.values()))}: {min(sizes)} and {max(sizes)} tokens are claimed; "
            "mend data.vocab_size"
        )
    return sizes.pop()


def _open_set(
    side: str,
    paths: list[Path],
    manifests: dict[Path, Manifest],
    config: ShardsData,
    context: int,
    vocab_size: int,
) -> ShardSet:
    shards = []
    for path in paths:
        manifest = manifests.get(path.parent)
        stated = manifest.token_type if manifest else None
        shard = open_shard(path, stated if config.token_type == "auto" else config.token_type)
        entry = manifest.entry(path.name) if manifest else None
        if entry is None:
            check_sample(shard, vocab_size)
        elif len(shard.tokens) != entry["tokens"]:
            raise CorpusError(
                f"{path}: {len(shard.tokens)} tokens where {MANIFEST} says {entry['tokens']}; cut "
                "short or changed: tokenize again"
            )
        elif shard.fingerprint != entry["fingerprint"]:
            raise CorpusError(f"{path}: changed since it was written; tokenize again")
        shards.append(shard)
    if len({shard.tokens.dtype for shard in shards}) > 1:
        raise CorpusError(
            f"{paths[0].parent}: the shards of {side} have two token types; write one anew"
        )
    found = ShardSet(tuple(shards), context, vocab_size)
    if not shards or not found.windows:
        where = paths[0].parent if paths else config.files[0]
        raise CorpusError(
            f"{where}: no {side} shard holds one context of {context} and its target; give more "
            "text or a shorter model.context"
        )
    return found


def _tokenizer(
    config: ShardsData, manifest: Manifest | None, vocab_size: int
) -> tuple[str, str, Tokenizer | None]:
    """Name, hash, and the tokenizer itself where it can be known."""
    name = manifest.tokenizer if manifest else "unknown"
    tokenizer_hash = manifest.tokenizer_hash if manifest else "unknown"
    source = config.tokenizer
    if source is None and name in TOKENIZERS:
        source = name
    elif source is None and manifest and (manifest.folder / TOKENIZER_FILE).exists():
        source = str(manifest.folder / TOKENIZER_FILE)
    if source is None:
        return name, tokenizer_hash, None
    tokenizer = find_tokenizer(source)
    if tokenizer_hash not in ("unknown", tokenizer.hash) or tokenizer.vocab_size > vocab_size:
        raise CorpusError(f"{source}: not the tokenizer that the shards were written with")
    return tokenizer.name, tokenizer.hash, tokenizer


def _set_hash(*sets: ShardSet) -> str:
    parts = [
        [[str(shard.tokens.dtype), shard.fingerprint] for shard in found.shards] for found in sets
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
