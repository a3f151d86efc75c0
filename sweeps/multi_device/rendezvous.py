"""Several nodes that train one run: the first tells the others what, and all end together.

The worker that was given the run is rank 0, on the first node, and listens. Each further node has
one process that connects to it, is sent a training, and runs that node's ranks. One connection is
one training: when it breaks, for whatever reason, the further node ends its ranks and the first
takes that node for dead. Both ends prove to know a key before anything is unpickled.
"""

import contextlib
import os
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path

from scaling.errors import ScalingError
from sweeps.multi_device.processes import start_ranks

NODE_DIED = 71  # what a node counts as having ended with whose connection broke
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_BETWEEN_CALLS = 0.5
_SECONDS_TO_ANSWER = 30  # for a caller: a stranger may say nothing at all
_NO_NODE = (OSError, EOFError, AuthenticationError)


@dataclass(frozen=True, kw_only=True)
class MeetingPoint:
    """Where the first node of a run listens."""

    host: str
    port: int
    key: bytes


class Allocation:
    """The nodes of one run, as the first of them sees them; leaving the context lets them go.

    A launcher that is asked for several nodes hands them to the work, in the task's `allocation`.
    """

    def __init__(self, nodes: int, host: str, key: bytes, port: int = 0) -> None:
        """Listen on this port, or on a free one; `host` is how the others call this node."""
        self._further = nodes - 1
        self._listener = _listen(port)
        self._listener.settimeout(1.0)
        self._met: dict[int, Connection] = {}
        self.host = host
        self.meeting_point = MeetingPoint(host=host, port=self._listener.getsockname()[1], key=key)

    def meet(self, still_coming: Callable[[], None] = lambda: None) -> None:
        """Wait until every further node has called; `still_coming` may raise where none will.

        Raises the ScalingError of a node that cannot take part.
        """
        while len(self._met) < self._further:
            try:
                caller, _ = self._listener.accept()
            except TimeoutError:
                still_coming()
                continue
            connection = _connection(caller)
            try:
                _limit_reads(connection, _SECONDS_TO_ANSWER)
                deliver_challenge(connection, self.meeting_point.key)
                answer_challenge(connection, self.meeting_point.key)
                answer = connection.recv()
                _limit_reads(connection, 0)
            except _NO_NODE:
                connection.close()
                continue
            if isinstance(answer, ScalingError):
                connection.close()
                raise answer
            self._met[answer] = connection

    def start(self, training: bytes, shared: Mapping[str, str]) -> "list[FurtherNode]":
        """Have every further node train this."""
        self.meet()
        met, self._met = self._met, {}
        nodes = [FurtherNode(connection) for connection in met.values()]
        for connection in met.values():
            with contextlib.suppress(OSError):  # it has died: its exit code says so
                connection.send((training, dict(shared)))
        return nodes

    def __enter__(self) -> "Allocation":
        """These nodes."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let the further nodes go."""
        self._listener.close()
        for connection in self._met.values():
            connection.close()


class FurtherNode:
    """All ranks of a further node, during one training."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._code: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code of its ranks; None while they run."""
        with self._lock:
            try:
                if self._code is None and self._connection.poll():
                    self._code = self._connection.recv()
            except (EOFError, OSError):
                self._code = NODE_DIED
            return self._code

    def end(self) -> None:
        """Break the connection, at which the node ends its ranks."""
        with self._lock:
            self._connection.close()


def serve_node(
    meeting_point: MeetingPoint,
    node: int,
    devices: int,
    *,
    check: Callable[[], None] = lambda: None,
    patience_seconds: float = 600.0,
) -> None:
    """Run the ranks of a further node, training by training, until the first node leaves.

    What `check` raises is told to the first node, which then gives the run up. `patience_seconds`:
    how long the first node may take to listen.
    """
    answer: int | ScalingError = node
    try:
        check()
    except ScalingError as error:
        answer = error
    has_met, deadline = False, time.monotonic() + patience_seconds
    while has_met or time.monotonic() < deadline:
        try:
            connection = _call(meeting_point)
            connection.send(answer)
        except _NO_NODE:
            if has_met:
                return
            time.sleep(_SECONDS_BETWEEN_CALLS)
            continue
        has_met = True
        with connection:
            _train(connection, node, devices)


def _train(connection: Connection, node: int, devices: int) -> None:
    """Run the ranks of one training; they end with the connection, however that ends."""
    try:
        training, shared = connection.recv()
    except (EOFError, OSError):
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "training.pickle"
        file.write_bytes(training)
        ranks = start_ranks(file, shared, node, range(devices), devices)
        try:
            codes = [rank.poll() for rank in ranks]
            while None in codes and not any(codes):
                if connection.poll(_SECONDS_BETWEEN_LOOKS):
                    return
                codes = [rank.poll() for rank in ranks]
            with contextlib.suppress(OSError):
                connection.send(next(filter(None, codes), 0))
        finally:
            for rank in ranks:
                rank.end()


def _call(meeting_point: MeetingPoint) -> Connection:
    caller = socket.create_connection((meeting_point.host, meeting_point.port), timeout=10.0)
    caller.settimeout(None)
    connection = _connection(caller)
    try:
        answer_challenge(connection, meeting_point.key)
        deliver_challenge(connection, meeting_point.key)
    except _NO_NODE:
        connection.close()
        raise
    return connection


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _connection(connected: socket.socket) -> Connection:
    """A connection that also breaks when the other machine is gone without a word."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return Connection(connected.detach())


def _limit_reads(connection: Connection, seconds: int) -> None:
    """Have reads fail that take longer than this; 0 is for ever."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))
