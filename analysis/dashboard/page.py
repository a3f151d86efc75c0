"""What a page is given: its runs, what the viewer chose, widgets tied to the address, answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import streamlit as st

from analysis.dashboard import cache, uploads
from analysis.dashboard.feeds import Feeds
from analysis.dashboard.state import Field, State, choice_field, choose, several_field, text_field
from analysis.dashboard.words import plain, sentence
from analysis.forecasting.question.options import AUTO, ForecastOptions
from analysis.intervals import LEVEL, LEVELS
from analysis.text.numbers import hours_in_words
from scaling.errors import RecordError, ScalingError
from scaling.laws.base import Law
from scaling.laws.registry import LAWS
from scaling.laws.written.formula import law_for, own_input
from scaling.records import Records

FORMULA = "formula"  # a law that the viewer writes


def shared_fields(feeds: Feeds) -> tuple[Field, ...]:
    """What every page has: the runs, how they are read, and how forecasts are made."""
    return (
        text_field("source"),
        several_field("upload"),
        several_field("map"),
        text_field("where"),
        choice_field("law", laws_to_choose(feeds), AUTO),
        text_field("formula"),
        choice_field("level", LEVELS, LEVEL),
    )


def laws_to_choose(feeds: Feeds) -> tuple[str, ...]:
    """All laws together, ours, those of the file that `--laws` named, and one that is written."""
    own = (name for name in feeds.laws if name not in LAWS)
    return (AUTO, *LAWS, *own, FORMULA)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page is given. Whatever raises a ScalingError becomes one line where it happened."""

    name: str
    feeds: Feeds
    state: State
    sources: Sequence[str]
    """What there is to choose from: names of tables, mlflow:SWEEP, and this viewer's uploads."""
    source: str
    """The chosen one; empty where there is none."""

    @cached_property
    def records(self) -> Records:
        """The runs of the chosen source, filtered. Raises ScalingError where they cannot be
        read."""
        return self.load(self.source)

    @cached_property
    def level(self) -> float:
        """The confidence level of all intervals."""
        return float(self.state["level"])

    @cached_property
    def options(self) -> ForecastOptions:
        """How forecasts are made: the law and the level that the viewer chose. Raises ScalingError
        where these runs cannot carry a formula."""
        law = self.law
        levels = (self.level,)
        return ForecastOptions(law=law, x=own_input(law), confidence_levels=levels)

    @cached_property
    def law(self) -> str | type[Law]:
        """The chosen law, as `--law` takes it; a formula on the columns of the page's runs. Raises
        ScalingError where these cannot carry it."""
        chosen: str = self.state["law"]
        if chosen == FORMULA:
            written: str = self.state["formula"].strip()
            return law_for(written, self.records) if written else AUTO
        if chosen in self.feeds.laws:
            return law_for(self.feeds.laws[chosen], self.records)
        return chosen

    @property
    def where(self) -> tuple[str, ...]:
        """The conditions that rows have to fulfil, as `--where` takes them."""
        return tuple(one.strip() for one in self.state["where"].split(";") if one.strip())

    def load(self, source: str, *, bare: bool = False) -> Records:
        """The runs of a source, read and filtered as the viewer says, or as they are (``bare``).
        Raises ScalingError."""
        columns = {} if bare else self.columns
        where = () if bare else self.where
        known = self.known(
            "runs",
            source,
            (source, tuple(columns.items()), where),
            lambda: self._read(source, columns, where),
        )
        records: Records = known.value
        return records

    def known(self, what: str, source: str, asked: Any, call: Callable[[], Any]) -> cache.Known:
        """What a source says of something, with its age. A store that is lost is told once."""
        found = cache.ask_source(what, asked, self._fingerprint(source), call)
        if found.lost is not None:
            told = f"{found.lost}; shown is what it said {hours_in_words(found.age / 3600)} ago"
            self.tell(told)
        return found

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns mapped by hand: ours -> theirs."""
        pairs = (text.partition("=") for text in self.state["map"])
        return {ours: theirs for ours, _, theirs in pairs if ours and theirs}

    def ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a library call answers; where it refuses, that line stands here and it is None.

        Computed once for the same arguments (runs by their content), for all viewers.
        """
        found = cache.answer(call, *args, **kwargs)
        if found.refusal is not None:
            st.info(sentence(str(found.refusal)))
        return found.value

    def tell(self, line: str) -> None:
        """A warning that stands on the page once, however often it is told."""
        told = st.session_state.setdefault("told", set())
        if line.split(";")[0] not in told:
            told.add(line.split(";")[0])
            st.warning(sentence(line))

    def bind(self, name: str) -> dict[str, Any]:
        """What ties a Streamlit widget to a field: ``st.slider("Budget", 18.0, 24.0,
        **page.bind("budget"))`` shows its value, and a touch writes the address."""
        field = self.state.fields[name]
        key = f"field {name}"
        if key not in st.session_state or st.session_state[key] != self.state[name]:
            st.session_state[key] = self.state[name]
        return {"key": key, "on_change": _touched, "args": (field, key)}

    def _read(self, source: str, columns: Mapping[str, str], where: Sequence[str]) -> Records:
        path = uploads.path_of(source)
        if source.startswith(uploads.PREFIX) and path is None:
            raise RecordError(f"{source}: no longer kept by this server; upload the table again")
        return self.feeds.load(str(path or source), columns=columns, where=where)

    def _fingerprint(self, source: str) -> Any:
        return source if source.startswith(uploads.PREFIX) else self.feeds.fingerprint(source)


def _touched(field: Field, key: str) -> None:
    """A widget was moved: its value belongs into the address."""
    choose(field, st.session_state[key])


def refused(error: ScalingError) -> None:
    """A mistake as one line in its place."""
    st.error(plain(str(error)))
