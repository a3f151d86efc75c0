"""Tracking servers that are none, or lie: one line in time, and no run lost or believed.

A server of this process answers in one of `WAYS`; a verb asks it in a process of its own, which
is ended after `SECONDS`. Some keep MLflow's rules but for one. A verb must end with exit code 0, or
2 and one line; say something within `WORD_SECONDS` of its first question; and a run that it could
not store must lie in its spool, and be named by its exit code.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.faults.trial import FaultClass, Trial

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 150.0
WORD_SECONDS = 15.0  # 10 of the promise, and the rest for a busy machine
VERBS = ("import", "fit", "status", "collect", "plan")
#: Answered alike to every question.
SAME: dict[str, tuple[int, bytes]] = {
    "empty object": (200, b"{}"),
    "empty body": (200, b""),
    "HTML": (200, b"<!doctype html><title>Sign in</title>"),
    "error 500": (500, b"broken"),
    "not found": (404, b"nothing here"),
    "forbidden": (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}'),
    "half a document": (200, b'{"experiments": [{"experiment_id"'),
    "a list": (200, b"[1, 2, 3]"),
    "100,000 brackets": (200, b"[" * 100_000),
    "control characters": (
        500,
        b'{"error_code": "X\\u001b[31m", "message": "\\u001b]0;x\\u0007\\n!"}',
    ),
    "wrong types": (200, b'{"experiment": 5, "run": [], "runs": "x", "experiments": {}}'),
}
#: What one that knows MLflow does wrong.
LIARS = ("nothing", "no run id", "another's run id", "forgets", "refuses", "loses the end")
MANNERS = ("hangs", "hangs after health", "drips", "closes in mid-answer", "closes", "redirects")
WAYS = (*SAME, *MANNERS, *LIARS)


class Imitation:
    """As much of MLflow's REST interface as the toolkit asks for, with one lie."""

    def __init__(self, lie: str) -> None:
        self._lie = lie
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}

    def answer(self, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and document for a question."""
        name = path.split("/mlflow/", 1)[-1].replace("/", "_").replace("-", "_")
        handle = getattr(self, name, None)
        return handle(asked) if handle else (404, _error("ENDPOINT_NOT_FOUND"))

    def experiments_get_by_name(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The experiment of a name."""
        found = self.experiments.get(asked["experiment_name"])
        return (200, {"experiment": found}) if found else (404, _error("RESOURCE_DOES_NOT_EXIST"))

    def experiments_create(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A new experiment."""
        made = {"experiment_id": "7", "name": asked["name"], "lifecycle_stage": "active"}
        self.experiments[asked["name"]] = made | {"tags": asked.get("tags", [])}
        return 200, {"experiment_id": "7"}

    def experiments_get(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The experiment of an id."""
        return 200, {"experiment": next(iter(self.experiments.values()))}

    def experiments_set_experiment_tag(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A tag of an experiment."""
        tags = next(iter(self.experiments.values()))["tags"]
        tags.append({"key": asked["key"], "value": asked["value"]})
        return 200, {}

    def experiments_search(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """All of them."""
        return 200, {"experiments": list(self.experiments.values())}

    def runs_create(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A new run."""
        run_id = uuid.uuid4().hex
        info = {"run_id": run_id, "run_uuid": run_id, "experiment_id": "7", "status": "RUNNING"}
        info |= {"start_time": asked.get("start_time", 1), "lifecycle_stage": "active"}
        run = {"info": info, "data": {"tags": asked.get("tags", []), "params": [], "metrics": []}}
        self.runs[run_id] = run
        is_child = any(tag["key"] == "scaling.run_id" for tag in asked.get("tags", []))
        if is_child and self._lie == "no run id":
            return 200, {"run": {"info": {"status": "RUNNING"}}}
        if is_child and self._lie == "another's run id":
            return 200, {"run": self.runs[next(iter(self.runs))]}
        return 200, {"run": run}

    def runs_get(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """One run."""
        found = self.runs.get(asked.get("run_id", ""))
        return (200, {"run": found}) if found else (404, _error("RESOURCE_DOES_NOT_EXIST"))

    def runs_search(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Runs by one tag, or all."""
        tag = re.search(r"tags.`([^`]*)` = '([^']*)'", asked.get("filter", ""))
        wanted = {"key": tag[1], "value": tag[2]} if tag else None
        if asked.get("run_view_type") == "DELETED_ONLY":
            return 200, {"runs": []}
        runs = [run for run in self.runs.values() if not tag or wanted in run["data"]["tags"]]
        return 200, {"runs": runs}

    def runs_log_batch(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Metrics, params and tags."""
        data = self.runs[asked["run_id"]]["data"]
        is_child = any(tag["key"] == "scaling.run_id" for tag in data["tags"])
        if is_child and self._lie == "refuses":
            return 500, _error("INTERNAL_ERROR")
        if not is_child or self._lie != "forgets":
            for kind in ("metrics", "params", "tags"):
                new = asked.get(kind, [])
                names = {one["key"] for one in new}
                data[kind] = [one for one in data[kind] if one["key"] not in names] + new
        return 200, {}

    def runs_set_tag(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """One tag."""
        tag = {"key": asked["key"], "value": asked["value"]}
        return self.runs_log_batch({"run_id": asked["run_id"], "tags": [tag]})

    def runs_update(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The end of a run."""
        info = self.runs[asked["run_id"]]["info"]
        if self._lie != "loses the end":
            info |= {name: asked[name] for name in ("status", "end_time") if name in asked}
        return 200, {"run_info": info}

    def finished(self) -> int:
        """How many runs of the table it holds whole."""
        return sum(
            run["info"]["status"] == "FINISHED"
            and any(t == {"key": "scaling.state", "value": "finished"} for t in run["data"]["tags"])
            for run in self.runs.values()
        )


def _error(code: str) -> dict[str, Any]:
    return {"error_code": code, "message": code.lower()}


class BadServer:
    """A server on the loopback interface that answers in one of `WAYS`."""

    def __init__(self, way: str) -> None:
        self.way, self.first_asked = way, 0.0
        self.imitation = Imitation(way)
        self.gone = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802  the name that http.server calls
                outer.reply(self)

            do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"

    def reply(self, handler: Any) -> None:
        """Answer one question in the way of this server."""
        self.first_asked = self.first_asked or time.monotonic()
        path, _, query = handler.path.partition("?")
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        with suppress(OSError):
            if self.way in SAME:
                self._send(handler, *SAME[self.way])
            elif self.way in MANNERS:
                self._misbehave(handler, path)
            elif path == "/health":
                self._send(handler, 200, b"OK")
            else:
                from urllib.parse import parse_qsl

                asked = json.loads(body) if body else dict(parse_qsl(query))
                status, document = self.imitation.answer(path, asked)
                self._send(handler, status, json.dumps(document).encode())

    def _misbehave(self, handler: Any, path: str) -> None:
        if self.way == "hangs after health" and path == "/health":
            self._send(handler, 200, b"OK")
        elif self.way.startswith("hangs"):
            self.gone.wait()
        elif self.way == "redirects":
            handler.send_response(302)
            handler.send_header("Location", f"{self.uri}{path}")
            handler.end_headers()
        elif self.way == "closes":
            handler.connection.close()
        else:
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            while self.way == "drips" and not self.gone.wait(0.3):
                handler.wfile.write(b" ")
            handler.wfile.write(b"{")
            handler.connection.close()

    def _send(self, handler: Any, status: int, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @contextmanager
    def serving(self) -> Iterator["BadServer"]:
        """Answer while the context is entered."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.gone.set()
            self._server.shutdown()
            self._server.server_close()


TABLE = "params,tokens,loss\n1e7,1e8,3.5\n2e7,1e8,3.25\n4e7,1e8,3.125\n"


def words_of(verb: str, folder: Path) -> list[str]:
    """The command line of a verb, with the files that it reads put into a folder."""
    (folder / "runs.csv").write_text(TABLE)
    (folder / "text.txt").write_text(
        "".join(f"{n} apples cost {n * n} coins.\n" for n in range(3000))
    )
    config = {
        "name": "past",
        "grid": {"width": [16, 32], "tokens": 8000},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [str(folder / "text.txt")], "validation_windows": 16},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"workers": 1, "device": "cpu"},
    }
    (folder / "past.yaml").write_text(json.dumps(config))
    return {
        "import": ["import", str(folder / "runs.csv"), "--sweep", "past"],
        "fit": ["fit", "mlflow:past"],
        "status": ["status", str(folder / "past.yaml")],
        "collect": ["collect", "past", "-o", str(folder / "out.csv")],
        "plan": ["plan", str(folder / "past.yaml")],
        "run": ["run", str(folder / "past.yaml")],
        "study": ["study", str(folder / "past.yaml"), "-o", str(folder / "results")],
    }[verb]


def fault_of(server: BadServer, verb: str, folder: Path) -> str:
    """What is wrong with how a verb ends at this server; nothing where the promise held."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": server.uri,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",
        "SCALING_STATE_DIR": str(folder / "state"),
        "PYTHONPATH": str(ROOT),
    }
    said, first_word = b"", 0.0
    with (
        tempfile.TemporaryFile() as out,  # a pipe that nobody reads meanwhile would fill and block
        subprocess.Popen(
            [sys.executable, "-m", "scaling", *words_of(verb, folder)],
            env=environment,
            cwd=folder,
            stdout=out,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as child,
    ):
        ended = threading.Timer(SECONDS, child.kill)
        ended.start()
        assert child.stderr is not None
        for line in child.stderr:
            first_word = first_word or time.monotonic()
            said += line
        code = child.wait()
        in_time = ended.is_alive()
        ended.cancel()
        out.seek(0)
        printed = out.read()
    first_word = first_word or time.monotonic()
    if not in_time:
        return f"no end within {SECONDS:.0f} s"
    words = said.decode(errors="replace")
    if wrong := _fault(code, printed.decode(errors="replace") + words, words):
        return wrong
    waited = first_word - server.first_asked
    return (
        f"no word for {waited:.0f} s"
        if waited > WORD_SECONDS
        else _lost(server, verb, code, folder)
    )


def _fault(code: int, everything: str, said: str) -> str:
    refusals = [line for line in said.splitlines() if line.startswith("scaling: ")]
    if "Traceback" in everything:
        return f"traceback, {everything.strip().splitlines()[-1][:160]}"
    if code not in (0, 2):
        return f"exit code {code}"
    if "\x1b]" in everything or "\x07" in everything:
        return "control characters reach the terminal"
    return f"{len(refusals)} lines of refusal" if code == 2 and len(refusals) != 1 else ""


def _lost(server: BadServer, verb: str, code: int, folder: Path) -> str:
    """Whether a run was neither stored nor kept, or its loss was hidden by the exit code."""
    if verb not in ("import", "run", "study"):
        return ""
    stored = server.imitation.finished()
    spools = len(list(folder.glob("state/spool/*/*.jsonl")))
    wanted = 3 if verb == "import" else 2
    if code == 0 or server.way == "nothing":
        is_right = (code, stored, spools) == (0, wanted, 0)
        return "" if is_right else f"exit code {code}, {stored} stored, {spools} kept"
    measured = verb == "import" and server.imitation.experiments
    return f"{stored} stored, {spools} kept" if measured and stored + spools < wanted else ""


def trials(count: int, seed: int, folder: Path, verbs: tuple[str, ...] = VERBS) -> Iterator[Trial]:
    """So many pairs of a server and a verb, the servers in turn."""
    for number in range(seed, seed + count):
        way, verb = WAYS[number % len(WAYS)], verbs[number // len(WAYS) % len(verbs)]
        home = folder / f"server{number}"
        home.mkdir()
        with BadServer(way).serving() as server:
            yield Trial(f"{verb}, a server that answers: {way}", fault_of(server, verb, home))


FAULTS = FaultClass(
    "servers",
    "one line in time; a run that no server took lies in its spool, and the exit code says so",
    sample=10,
    full=len(WAYS) * len(VERBS),
    trials=trials,
)
