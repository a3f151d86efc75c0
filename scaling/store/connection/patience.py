"""Questions to a store that may not answer: a word on the terminal soon, and an end in time."""

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from scaling.errors import StoreError
from scaling.store.connection.notices import tell

Answer = TypeVar("Answer")

WORD_SECONDS = 5.0  # without an answer, after which that is said
_REQUEST = "MLFLOW_HTTP_REQUEST_TIMEOUT"  # MLflow's own, in seconds


def longest_wait() -> float:
    """Seconds after which a question is given up: two requests as long as MLflow lets each be."""
    try:
        return 2 * max(1.0, float(os.environ.get(_REQUEST, "30")))
    except ValueError:
        return 60.0


def answered(place: str, ask: Callable[[], Answer], seconds: float | None = None) -> Answer:
    """What `ask` returns or raises; StoreError where it does neither in so many `seconds`.

    It goes on in a thread of its own, whatever it waits for: a socket from which a byte comes now
    and then never times out by itself. That an answer is late is said after `WORD_SECONDS`, by the
    main thread alone.
    """
    most = longest_wait() if seconds is None else seconds
    outcome: list[Answer] = []
    trouble: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            outcome.append(ask())
        except BaseException as error:
            trouble.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name=f"ask {place}", daemon=True).start()
    if not done.wait(min(most, WORD_SECONDS)) and most > WORD_SECONDS:
        if threading.current_thread() is threading.main_thread():
            tell(f"{place}: no answer yet; waiting up to {most:.0f} s, Ctrl-C ends it")
        done.wait(most - WORD_SECONDS)
    if not done.is_set():
        raise StoreError(
            f"{place}: does not answer within {most:.0f} s; look at that server, or set "
            "MLFLOW_TRACKING_URI to another store"
        )
    if trouble:
        raise trouble[0]
    return outcome[0]
