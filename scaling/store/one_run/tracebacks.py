"""The traceback of an error of ours, kept whole with the run that it ended.

It is spread over tags of the run in MLflow, ``traceback.00`` and so on, each as long as any store
takes; an empty one is the end. They are read on request: a listing of runs does not carry them.
"""

from collections.abc import Mapping
from itertools import count, takewhile

from scaling.store.connection.tracking_uri import without_secrets

PREFIX = "traceback."
_TAG_LENGTH = 4_000  # MLflow takes 8,000 characters, managed ones 5,000
_MOST = 60_000  # a message may quote whole tensors


def traceback_tags(text: str) -> dict[str, str]:
    """The tags that keep a traceback, without the credentials that it may quote; what is longer
    than its two ends loses its middle, and says so."""
    text = without_secrets(text)
    if len(text) > _MOST:
        left_out = f"\n... {len(text) - _MOST} characters left out ...\n"
        text = text[: _MOST // 2] + left_out + text[-(_MOST // 2) :]
    return {f"{PREFIX}{number:02}": part for number, part in enumerate([*in_parts(text), ""])}


def in_parts(text: str) -> list[str]:
    """A text in parts that any store takes as tags."""
    return [text[i : i + _TAG_LENGTH] for i in range(0, len(text), _TAG_LENGTH)]


def traceback_of(tags: Mapping[str, str]) -> str:
    """The traceback that these tags keep; empty where they keep none."""
    parts = (tags.get(f"{PREFIX}{number:02}", "") for number in count())
    return "".join(takewhile(bool, parts))
