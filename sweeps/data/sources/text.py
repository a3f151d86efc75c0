"""Text files as one stream of tokens, split into training and validation."""

import hashlib
from collections.abc import Sequence

import numpy as np

from scaling.errors import CorpusError
from sweeps.config.data import TextData
from sweeps.data.documents.files import read_documents
from sweeps.data.documents.readers import Document
from sweeps.data.documents.summary import TextSummary
from sweeps.data.sources.base import (
    CorpusFacts,
    StreamCorpus,
    hash_of,
    spaced_windows,
)
from sweeps.data.tokens.tokenizer import Tokenizer, find_tokenizer
from sweeps.data.tokens.vocabulary import vocabulary_of

#: A document with a larger share of the text than this is cut, so that one file can be split.
_LARGEST_SHARE = 0.05


def load_text(config: TextData, context: int) -> StreamCorpus:
    """Read, split, tokenize and hash the text that the config names.

    Raises CorpusError where there is no text, or too little of it for one window on either side.
    """
    tokenizer = find_tokenizer(config.tokenizer)
    left_out: list[str] | None = [] if config.undecodable == "skip" else None
    documents = read_documents(config.files, left_out)
    training, held_back = split_documents(documents, config.validation_share)
    train = _stream(training, tokenizer)
    validation_stream = _stream(held_back, tokenizer)
    for part, stream in (("training", train), ("validation", validation_stream)):
        if len(stream) <= context:
            where = ", ".join(config.files) or "the standard library"
            raise CorpusError(
                f"{where}: {len(stream)} tokens of {part} text are less than one context of "
                f"{context} and its target; give more text in data.files or a shorter model.context"
            )
    validation = spaced_windows(validation_stream, context, config.validation_windows)
    padded = tokenizer.logits != tokenizer.vocab_size
    facts = CorpusFacts(
        data_hash=hash_of(train, validation_stream),
        eval_hash=hash_of(validation),
        tokenizer=tokenizer.name,
        tokenizer_hash=tokenizer.hash,
        vocab_size=tokenizer.logits,
        used_vocab_size=tokenizer.vocab_size if padded else None,
        train_tokens=(len(train) - 1) // context * context,
        validation_sequences=len(validation),
        bytes_per_token=float(tokenizer.token_bytes[validation[:, 1:]].mean()),
    )
    return StreamCorpus(
        facts=facts,
        train=train,
        held_back=validation,
        context=context,
        left_out=tuple(left_out or ()),
        text=TextSummary.of(documents),
        vocabulary=vocabulary_of(tokenizer),
    )


def split_documents(
    documents: tuple[Document, ...], validation_share: float
) -> tuple[list[Document], list[Document]]:
    """Training and validation documents: those of lowest content hash are held back.

    Content alone decides, so a file keeps its side when others come and go, and order and folder do
    not matter. A document of more than a twentieth of the text is cut into pieces first.
    """
    total = sum(len(document.content) for document in documents)
    pieces = [piece for document in documents for piece in _pieces(document, total)]
    pieces.sort(key=lambda piece: hashlib.sha256(piece.content).digest())
    held_back: list[Document] = []
    size = 0
    for piece in pieces:
        if size >= validation_share * total:
            break
        held_back.append(piece)
        size += len(piece.content)
    return pieces[len(held_back) :], held_back


def _pieces(document: Document, total: int) -> list[Document]:
    length = len(document.content)
    if length <= _LARGEST_SHARE * total:
        return [document]
    size = max(1, total // 100)
    return [
        Document(f"{document.name}[{start}]", document.content[start : start + size])
        for start in range(0, length, size)
    ]


def _stream(documents: Sequence[Document], tokenizer: Tokenizer) -> np.ndarray:
    pieces = tokenizer.encode_documents([document.content for document in documents])
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint8)
