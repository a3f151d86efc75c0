"""Which try stands for a run that was started several times, and where that run stands."""

from collections.abc import Iterable, Mapping, Sequence

from scaling.store.one_run.run_state import RANK, RUN_ID, STATE, RunState
from scaling.store.tags.cache import EXCLUDED, Try
from scaling.store.tags.readable import readable


def tries_by_run(tries: Iterable[Try], place: str) -> dict[str, list[Try]]:
    """The tries of each run by its id, in their order; what is no try of a run is left out, and
    what cannot be read is said of the store at ``place``."""
    found: dict[str, list[Try]] = {}
    for one in readable(tries, place):
        found.setdefault(one.tags[RUN_ID], []).append(one)
    return found


def try_that_counts(tries: Sequence[Try]) -> Try:
    """The try that stands for the run: the furthest, of equals the first, which is the latest."""
    return max(tries, key=lambda one: RANK[state_of(one.tags)])


def state_of(tags: Mapping[str, str]) -> str:
    """Where a try stands; a person's exclusion outranks what became of it."""
    return RunState.EXCLUDED.value if EXCLUDED in tags else tags[STATE]
