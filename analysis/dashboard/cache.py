"""Answers and data that all viewers of a server share, kept by the content they were made from.

An answer is computed once for the same runs and the same options, whoever asks. Runs are read again
when their file has changed, or every few seconds where nothing tells. Where the run store does not
answer, what it said last is shown, with its age.
"""

import hashlib
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from scaling.errors import NotStoredError, ScalingError, StoreError
from scaling.records import Records

REFRESH_SECONDS = 5.0
MOST_ANSWERS = 512
MOST_FIGURES = 96
MOST_SOURCES = 64


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An answer, or why there is none."""

    value: Any = None
    refusal: ScalingError | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a source said, and when."""

    value: Any
    at: float  # seconds since 1970
    lost: StoreError | None = None
    """Why it could not be asked now."""

    @property
    def age(self) -> float:
        """Seconds since it was said."""
        return time.time() - self.at


def content_of(value: Any) -> str:
    """What an argument of a library call holds, as text: equal texts give equal answers."""
    if isinstance(value, Records):
        return f"records {value.source} {value.data_hash} {value.screened} {len(value.dropped)}"
    if isinstance(value, pd.DataFrame):
        hashed = pd.util.hash_pandas_object(value.astype(str), index=False).to_numpy().tobytes()
        return f"table {list(value.columns)} {hashlib.sha256(hashed).hexdigest()}"
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, type):
        told = (getattr(value, name, "") for name in ("form", "inputs", "bounds"))
        return " ".join([value.__module__, value.__qualname__, *map(str, told)])
    if is_dataclass(value):
        inside = ((item.name, getattr(value, item.name)) for item in fields(value))
        own = ", ".join(f"{name}={content_of(held)}" for name, held in inside)
        return f"{type(value).__qualname__}({own})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{content_of(k)}: {content_of(v)}' for k, v in value.items())}}}"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(content_of, value))}]"
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def answer(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    """What a library call answers or refuses, computed once for the same arguments.

    A store that does not answer raises StoreError, which is not kept.
    """
    key = content_of((call, args, kwargs))
    found: Outcome = _answered(key, call, args, kwargs)
    asked = _asked_before()
    if len(asked) >= MOST_ANSWERS:
        asked.clear()
    asked.add(key)
    return found


def answered(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome | None:
    """What `answer` gives if it was asked before; None where it has yet to be computed, and a page
    shows first what it has."""
    asked_before = content_of((call, args, kwargs)) in _asked_before()
    return answer(call, *args, **kwargs) if asked_before else None


@st.cache_resource(show_spinner=False)
def _asked_before() -> set[str]:
    return set()


@st.cache_resource(max_entries=MOST_ANSWERS, show_spinner="Computing ...")
def _answered(
    key: str, _call: Callable[..., Any], _args: Sequence[Any], _kwargs: Mapping[str, Any]
) -> Outcome:
    try:
        return Outcome(value=_call(*_args, **_kwargs))
    except StoreError:
        raise
    except ScalingError as error:
        return Outcome(refusal=error)


def built(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What is drawn from answers (a figure, a table's text), built once while they are the same
    objects, whoever looks. It must not be changed by whoever gets it."""
    value, _ = _built(repr((content_of(call), _same((args, kwargs)))), call, args, kwargs)
    return value


@st.cache_resource(max_entries=MOST_FIGURES, show_spinner=False)
def _built(
    key: str, _call: Callable[..., Any], _args: Sequence[Any], _kwargs: Mapping[str, Any]
) -> tuple[Any, object]:
    # what it was built from is kept beside it, so that no other object gets the same id
    return _call(*_args, **_kwargs), (_args, _kwargs)


def _same(value: Any) -> Any:
    """What tells an argument from another: values themselves, results by which object they are."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_same(one) for one in value]
    if isinstance(value, Mapping):
        return [(_same(name), _same(one)) for name, one in value.items()]
    return id(value)


def ask_source(what: str, asked: Hashable, fingerprint: Hashable, call: Callable[[], Any]) -> Known:
    """What a source says, asked anew when its fingerprint has changed, or now and then without one;
    what it said last where it cannot be reached."""
    name = repr((what, asked))
    try:
        known: Known
        if fingerprint is None:
            known = _asked_now_and_then(name, call)
        else:
            known = _asked_of(name, repr(fingerprint), call)
    except NotStoredError:
        raise
    except StoreError as error:
        last = _last_known().get(name)
        if last is None:
            raise
        return Known(value=last.value, at=last.at, lost=error)
    _last_known()[name] = known
    return known


@st.cache_resource(max_entries=MOST_SOURCES, ttl=REFRESH_SECONDS, show_spinner=False)
def _asked_now_and_then(name: str, _call: Callable[[], Any]) -> Known:
    return Known(value=_call(), at=time.time())


@st.cache_resource(max_entries=MOST_SOURCES, show_spinner=False)
def _asked_of(name: str, fingerprint: str, _call: Callable[[], Any]) -> Known:
    return Known(value=_call(), at=time.time())


@st.cache_resource(show_spinner=False)
def _last_known() -> dict[str, Known]:
    return {}
