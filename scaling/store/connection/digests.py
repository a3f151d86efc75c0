"""JSON documents that carry the SHA-256 of their own text, so that damage to one is seen.

The digest is the last entry of the document. It begins with what the document belongs to (the line
before it, the run that it tells of), so one that was moved is damaged too.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_LENGTH = 16  # hexadecimal digits: enough against accidents
_ENTRY = re.compile(rf', "digest": "([0-9a-f]{{{_LENGTH}}})"}}')
_ENTRY_LENGTH = len(', "digest": ""}') + _LENGTH


class DamagedError(ValueError):
    """A document whose digest is missing or not that of its text."""


def with_digest(document: Mapping[str, Any], after: str) -> str:
    """The document as JSON in one line, which has at least one entry."""
    text = json.dumps(document)
    return f'{text[:-1]}, "digest": "{_digest(text, after)}"}}'


def digest_of(text: str) -> str:
    """The digest that a document carries; empty where it carries none."""
    found = _ENTRY.fullmatch(text[-_ENTRY_LENGTH:])
    return found[1] if found else ""


def without_digest(text: str, after: str) -> dict[str, Any]:
    """The document that `with_digest` made this of. Raises DamagedError for any other text."""
    body = f"{text[:-_ENTRY_LENGTH]}}}"
    if digest_of(text) != _digest(body, after):
        raise DamagedError("its digest is not that of its text")
    try:
        document: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DamagedError(str(error)) from error
    return document


def _digest(text: str, after: str) -> str:
    return hashlib.sha256(f"{after} {text}".encode(errors="surrogatepass")).hexdigest()[:_LENGTH]
