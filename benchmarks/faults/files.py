"""Damaged files of a store: no traceback, nothing measured lost, nothing false believed.

A small store, its spools, caches, locks, seals, checkpoints and shards are copied, one of them is
damaged (`benchmarks.faults.damage`), and what reads it is asked. A run must come back with the loss
that was measured, or be named as left out; a damaged database is one line and keeps its bytes.
"""

import contextlib
import csv
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.faults.damage import content_of, damage
from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.verb import Ending, run_verb
from scaling.errors import ScalingError, StoreError

SWEEP = "ladder"
VERBS = ("collect", "collect", "collect", "fit", "health", "forecast", "verify")
HOSTILE = (
    *("", "{", "[]", "null", "5", '"x"', "[" * 100_000, "\x00", "\x1b[31m", "nan", "x" * 7000),
    *('{"loss": "low"}', '{"loss": [1]}', '{"run_id": 3}', "FINISHED", "planned", "é\ud800"),
)


class Store:
    """A whole store in a folder, which is never asked itself, and its copies."""

    def __init__(self, folder: Path) -> None:
        from scaling.store.run_store import RunStore

        self.folder = folder / "whole"
        self.folder.mkdir()
        with stored_in(self.folder):
            store = RunStore.open(SWEEP, self._uri(self.folder))
            store = store.with_parent({"sweep": SWEEP})
            self.losses = {}
            for number, (params, tokens) in enumerate(
                (n, n * ratio) for n in (1e6, 3e6, 9e6, 27e6) for ratio in (10, 20, 40)
            ):
                loss = 1.7 + 400 / params**0.34 + 410 / tokens**0.28
                facts = {"params": params, "tokens": tokens, "train_flops": 6 * params * tokens}
                writer = store.start_run(f"run{number:02}", f"d{number}", facts)
                writer.log_curve([{"step": step, "train_loss": 3.0 / step} for step in (1, 2, 3)])
                writer.finish({**facts, "loss": loss})
                self.losses[f"run{number:02}"] = loss
            target = ("--flops", "1e17", "--draws", "100", "--seal", "one")
            sealed = run_verb("forecast", f"mlflow:{SWEEP}", *target, strict=False)
            assert sealed.code == 0, sealed.err

    @staticmethod
    def _uri(folder: Path) -> str:
        return f"sqlite:///{folder}/mlflow.db"

    def copy(self, folder: Path) -> Any:
        """A copy in a folder of its own, as a RunStore."""
        from scaling.store.run_store import RunStore

        folder.mkdir()
        shutil.copy(self.folder / "mlflow.db", folder / "mlflow.db")
        return RunStore.find(SWEEP, self._uri(folder))


@contextlib.contextmanager
def stored_in(folder: Path) -> Iterator[None]:
    """State folder and tracking store of a trial."""
    names = {"SCALING_STATE_DIR": str(folder / "state")}
    names["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def asked(verb: str, folder: Path) -> Ending:
    """A verb that reads the store."""
    source = f"mlflow:{SWEEP}"
    words = {
        "collect": ("collect", SWEEP, "-o", str(folder / "out.csv")),
        "fit": ("fit", source, "--law", "chinchilla", "--bootstrap", "0"),
        "health": ("health", source),
        "forecast": ("forecast", source, "--flops", "1e17", "--draws", "100"),
        "verify": ("verify", "--all"),
    }
    (folder / "out.csv").unlink(missing_ok=True)
    return run_verb(*words[verb])


def believed(ending: Ending, whole: Store, folder: Path) -> str:
    """What a collected table says that was never measured, or hides that was."""
    if ending.fault or ending.code or not (folder / "out.csv").exists():
        return ending.fault
    with (folder / "out.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("status") == "finished"]
    for row in rows:
        if not np.isclose(float(row["loss"]), whole.losses.get(row["run_id"], -1), rtol=1e-12):
            return f"believes a loss of {row['loss']} of {row['run_id']}"
    if len({row["run_id"] for row in rows}) < len(rows):
        return "counts a run twice"
    lost = len(whole.losses) - len(rows)
    return (
        f"{lost} runs are missing and nothing is said"
        if lost and "note: " not in ending.err
        else ""
    )


def database(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """The database itself, read by a verb."""
    whole.copy(folder)
    path = folder / "mlflow.db"
    how, verb = damage(path, rng), str(rng.choice(VERBS))
    before = content_of(path)
    ending = asked(verb, folder)
    wrong = believed(ending, whole, folder) if verb == "collect" else ending.fault
    if not wrong and ending.code == 2 and content_of(path) != before:
        wrong = "the damaged file was changed"
    return f"{verb}, database: {how}", wrong


def tag(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """One tag of one run, as a person or a program may set it."""
    whole.copy(folder)
    name = str(rng.choice(["record", "record", "state", "run_id", "driver", "kind", "settlement"]))
    value = str(HOSTILE[int(rng.integers(len(HOSTILE)))]).encode(errors="replace").decode()
    with closing(sqlite3.connect(folder / "mlflow.db")) as made:
        runs = [
            r for (r,) in made.execute("SELECT run_uuid FROM tags WHERE key = 'scaling.record'")
        ]
        run = runs[int(rng.integers(len(runs)))]
        row = (f"scaling.{name}", value, run)
        if rng.integers(6) == 0:
            made.execute("DELETE FROM tags WHERE key = ? AND run_uuid = ?", (row[0], run))
        else:
            made.execute("INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", row)
        made.commit()
    verb = str(rng.choice(["collect", "collect", "fit", "health"]))
    ending = asked(verb, folder)
    wrong = believed(ending, whole, folder) if verb == "collect" else ending.fault
    return f"{verb}, tag scaling.{name}: {value[:20]!r}", wrong


def spool(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """One of three spools: what is whole in it and the two others arrive, and nothing else."""
    from scaling.store.connection.spool import Spool, left_behind, ship

    folder.mkdir()
    written = {}
    for number in range(3):
        one = Spool.create(folder)
        operations = [{"op": "start", "at": 1, "name": "d", "tags": {"number": str(number)}}]
        operations += [
            {"op": "points", "at": 2 + n, "metrics": [["train_loss", 3.5 + n + number, 2, n]]}
            for n in range(int(rng.integers(6)))
        ]
        operations.append({"op": "end", "at": 99, "status": "FINISHED", "tags": {"loss": "2.5"}})
        for operation in operations:
            one.append(operation)
        one.release()
        written[one.try_id] = (one.path, operations)
    damaged = list(written)[int(rng.integers(3))]
    path = written[damaged][0]
    how = damage(path, rng)
    before, arrived = content_of(path), {}
    for found in left_behind(folder):
        ship(found, lambda spool, operations: arrived.__setitem__(spool.try_id, operations))
        found.discard()
    for try_id, (_, operations) in written.items():
        got = arrived.get(try_id, [])
        if got != operations[: len(got)]:
            return f"spool: {how}", "something was sent that was never written"
        if try_id != damaged and got != operations:
            return f"spool: {how}", "a good spool did not go on"
    kept = content_of(path.with_suffix(".damaged"))
    whole_lines = arrived.get(damaged, []) == written[damaged][1]
    is_cut = before is None or before == b"" or written[damaged][1] and _is_cut(before)
    wrong = "" if whole_lines or is_cut or kept == before else "the damaged spool was not kept"
    return f"spool: {how}", wrong


def _is_cut(content: bytes) -> bool:
    """Whether it looks as a killed writer leaves it: whole lines, and perhaps half a one."""
    return all(line.endswith(b'"}') for line in content.split(b"\n")[:-1])


def cache(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """The cache of ended runs: it is believed where it is whole, and else made anew."""
    from scaling.store.tags import cache as store_cache

    store = whole.copy(folder)
    written, store_cache._WORTH_WRITING = store_cache._WORTH_WRITING, 1
    try:
        store.facts()
        how = damage(folder / "state" / "cache" / f"{store.key}.json", rng)
        facts = store.facts()
    finally:
        store_cache._WORTH_WRITING = written
    losses = {run_id: one["loss"] for run_id, one in facts.items()}
    return f"cache: {how}", "" if losses == whole.losses else "other losses than the store's"


def lock(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """The lock of a driver, free or held, and what a driver elsewhere has said of itself."""
    from scaling.store.connection.state_folder import state_folder
    from sweeps.running.driver_lock import DriverLock, is_driven

    said = str(HOSTILE[int(rng.integers(len(HOSTILE)))])
    store = SimpleNamespace(sweep="tiny", key="0" * 16, driver=lambda: said, set_driver=print)
    store.set_driver = lambda driver: None
    folder.mkdir()
    path = state_folder("locks") / f"{store.key}.lock"
    path.write_text(json.dumps({"host": "here", "pid": 1, "at": 1.5}))
    how = damage(path, rng)
    if how == "a folder":
        with contextlib.suppress(StoreError):
            DriverLock(store).__enter__()
            return f"lock: {how}", "taken"
        return f"lock: {how}", ""
    with DriverLock(store):
        path.write_bytes(rng.bytes(30) if rng.integers(2) else b"[" * 9999)
        try:
            DriverLock(store).__enter__()
            return f"lock: {how}", "taken twice"
        except StoreError as error:
            wrong = "" if "\n" not in str(error) and is_driven(store) else "not one line"
    return f"lock: {how}, driver {said[:12]!r}", wrong


def seal(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """A sealed document: as it was sealed, or refused."""
    from scaling.store.seals.kept import read_seals

    whole.copy(folder)
    (artifact,) = (whole.folder / "mlruns").rglob("seal.json")
    kept = artifact.read_bytes()
    how = damage(artifact, rng)
    try:
        found = read_seals("one", f"sqlite:///{folder}/mlflow.db").named("one")
        believed = (found.document or "").encode()
        wrong = "" if believed == kept else "another document is believed"
    except StoreError as error:
        wrong = "" if "\n" not in str(error) else "not one line"
    finally:
        if artifact.is_dir():
            artifact.rmdir()
        artifact.parent.mkdir(exist_ok=True)
        artifact.write_bytes(kept)
    return f"seal: {how}", wrong


def checkpoint(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """A state: the latest or the one before it, whole; or none, and that is said."""
    import torch

    from sweeps.training.checkpoints.state_file import CheckpointFile

    file = CheckpointFile(path=folder / "states" / "a.trunk", identity={"runs": "a b"})
    for step in (1, 2):
        file.save({"step": step, "weights": torch.full((50,), float(step))})
    how = damage(file.path if rng.integers(3) else file.previous, rng)
    loaded = file.load()
    file.steps()
    if loaded is None or not loaded.content:
        wrong = "" if loaded is None or loaded.note else "started anew without a word"
        return f"checkpoint: {how}", wrong
    step, weights = loaded.content["step"], loaded.content["weights"]
    is_true = step in (1, 2) and bool((weights == float(step)).all())
    with contextlib.suppress(OSError):  # of which training makes a note
        file.save({"step": 3, "weights": weights})
    file.remove()
    return f"checkpoint: {how}", "" if is_true else "a state that was never saved"


def shard(whole: Store, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """Tokens on disk, or what is said of them: the same tokens, another identity, or one line."""
    from sweeps.config.data import ShardsData
    from sweeps.data.registry import load_corpus

    folder.mkdir()
    make = np.random.default_rng(7)
    for name, count in (("train_0", 2000), ("train_1", 1500), ("val_0", 500)):
        make.integers(0, 900, count).astype("<u2").tofile(folder / f"{name}.bin")
    settings = {"files": (f"{folder}/train_*.bin",), "validation_files": (f"{folder}/val_*.bin",)}
    config = ShardsData(**settings, vocab_size=900)

    def read() -> tuple[Any, bytes]:
        load_corpus.cache_clear()
        corpus = load_corpus(config, 16)
        return corpus.facts, corpus.windows_read(1, 0, 60, "cpu").numpy().tobytes()

    expected = read()
    how = damage(folder / str(rng.choice(["train_0.bin", "train_1.bin", "val_0.bin"])), rng)
    try:
        facts, windows = read()
    except ScalingError as error:
        return f"shard: {how}", "" if "\n" not in str(error) else "not one line"
    is_true = facts != expected[0] or windows == expected[1]
    return f"shard: {how}", "" if is_true else "other tokens under the same identity"


#: Each kind of file with how often it is drawn.
KINDS: tuple[Callable[..., tuple[str, str]], ...] = (
    *([database] * 6 + [spool] * 6 + [tag] * 3 + [cache] * 2 + [lock] * 2),
    *([seal] + [checkpoint] * 2 + [shard] * 2),
)


def trials(count: int, seed: int, folder: Path, kinds: tuple[Any, ...] = KINDS) -> Iterator[Trial]:
    """So many damaged files, each of one kind and in one way."""
    of_store = (database, tag, cache, seal)
    whole = Store(folder) if set(kinds) & set(of_store) else None
    for number in range(seed, seed + count):
        rng, home = np.random.default_rng(number), folder / f"trial{number}"
        kind = kinds[int(rng.integers(len(kinds)))]
        with stored_in(home if kind in of_store else folder / f"state{number}"):
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    cause, wrong = kind(whole, home, rng)
            except Exception as error:  # what the benchmark looks for
                cause = f"{kind.__name__}, seed {number}"
                wrong = f"raised {type(error).__name__}: {str(error)[:160]}"
        yield Trial(cause, wrong)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(folder / f"state{number}", ignore_errors=True)


FAULTS = FaultClass(
    "files",
    "no traceback, nothing measured lost, nothing false believed",
    sample=60,
    full=2000,
    trials=trials,
)
