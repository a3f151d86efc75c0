"""The fact that a sweep writes the password of its tracking server nowhere."""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.tracking_server import TrackingServer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]
SECRET = "open-sesame-4711"


def note_command_lines(seen, over):
    """Collect the command lines of all processes until it is over."""
    while not over.wait(0.2):
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                seen.add(process.read_text(errors="replace"))


@pytest.mark.parametrize("engine", ["local", "slurm"])
def test_no_file_and_no_output_holds_the_password(engine, tmp_path, tiny_mapping):
    pytest.importorskip("submitit", reason="the slurm extra is not installed")
    server = TrackingServer(tmp_path)
    server.start()
    jobs = {"slurm": {"cluster": "local", "folder": str(tmp_path / "jobs")}}
    launch = tiny_mapping["launch"] | {"checkpoints": {"folder": str(tmp_path / "states")}}
    launch |= {"engine": engine} | (jobs if engine == "slurm" else {})
    config = tmp_path / "tiny.yaml"
    config.write_text(json.dumps(tiny_mapping | {"launch": launch}))
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": server.uri.replace("//", f"//ann:{SECRET}@"),
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "MLFLOW_TRACKING_USERNAME": "ann",
        "SCALING_STATE_DIR": str(tmp_path / "state"),
    }

    def scaling(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "scaling", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    seen, over = set(), threading.Event()
    watch = threading.Thread(target=note_command_lines, args=(seen, over))
    watch.start()
    try:
        done = [scaling("run", str(config)), scaling("status", str(config), "--json")]
        done += [scaling("plan", str(config), "--json", "-o", str(tmp_path / "plan.json"))]
        done += [scaling("collect", "tiny", "-o", str(tmp_path / "runs.csv"))]
        assert [one.returncode for one in done] == [0] * 4, done[0].stderr
        assert json.loads(done[1].stdout)["counts"] == {"finished": 3}
    finally:
        server.stop()
        over.set()
        watch.join()
    assert any("forkserver" in line for line in seen)  # it saw the workers' too
    assert not [line for line in seen if SECRET in line]
    done.append(scaling("status", str(config)))  # the server is gone: a message about it
    assert "does not answer" in done[-1].stderr
    assert not any(SECRET in one.stdout + one.stderr for one in done)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
