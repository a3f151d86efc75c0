"""The dashboard in a browser: how soon a page says something, how soon a slider moves it.

    PYTHONPATH=. python benchmarks/speed/dashboard.py -o dashboard.json

Tables of 1,000 and 10,000 simulated runs are served by `scaling dashboard`; Chromium (Playwright,
extra `browser`) opens each page as the first viewer does and once more. "Useful" is the first text
of the page that tells of the runs; "whole" is when nothing is being computed any more. "CPU" is
what the server itself computed for it, in seconds, which other processes do not lengthen. A loop of
pure Python is timed beside them, so that machines, and busy ones, can be told apart.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.dashboard.registry import PAGES
from scaling.laws.surfaces import Chinchilla
from scaling.simulate import simulate_records

LAW = Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
RUNS = (1000, 10_000)
VIEWERS = 8
LEVELS = (0.5, 0.8, 0.9, 0.95) * 2  # of the intervals that each viewer asks for
WATCHED_SECONDS = 20.0
WHOLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
USEFUL = {
    "home": "text=finished",
    "sweep": ".scaling-facts",
    "forecast": ".js-plotly-plot",
    "allocate": ".js-plotly-plot",
}
#: What has the answer in it, where a page shows the runs before it.
ANSWERS = {"forecast": ".scaling-facts", "allocate": ".scaling-facts"}
FACTS = "(document.querySelector('.scaling-facts')||{}).innerText"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def table_of(runs: int, folder: Path) -> Path:
    """A square grid of so many simulated runs."""
    side = int(np.ceil(runs**0.5))
    sizes = [(n, d) for n in np.geomspace(1e6, 1e9, side) for d in np.geomspace(1e8, 1e11, side)]
    records = simulate_records(LAW, sizes[:runs], relative_noise=0.003, seed=0)
    path = folder / f"runs{runs}.csv"
    table = records.table.assign(run_id=[f"run {number}" for number in range(runs)])
    table.to_csv(path, index=False)
    return path


@contextmanager
def served(*sources: Path) -> Iterator[tuple[str, int]]:
    """A dashboard on these tables: its address, and the id of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "scaling", "dashboard", *map(str, sources), "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, *words], stdout=log, stderr=log)
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def wait_for(port: int) -> None:
    """Until somebody listens."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, threads together."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def reference_seconds() -> float:
    """A loop of pure Python, about a tenth of a second on an idle machine of 2024."""
    start = time.perf_counter()
    sum(i * i for i in range(1_500_000))
    return time.perf_counter() - start


def opened(browser: Any, address: str, pid: int, page: str) -> dict[str, float]:
    """Seconds until a page tells of the runs, and until it is whole; what the server computed."""
    spent = cpu_seconds(pid)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(300_000)
    start = time.perf_counter()
    tab.goto(f"{address}/?page={page}")
    tab.wait_for_selector(USEFUL.get(page, "h1"))
    useful = time.perf_counter() - start
    if page in ANSWERS:
        tab.wait_for_selector(ANSWERS[page])
    answer = time.perf_counter() - start
    tab.wait_for_selector(WHOLE)
    whole = time.perf_counter() - start
    context.close()
    spent = cpu_seconds(pid) - spent
    found = {"useful": useful, "answer": answer, "whole": whole, "cpu": spent}
    return {name: round(value, 2) for name, value in found.items()}


def slider_seconds(browser: Any, address: str, pid: int) -> dict[str, list[float]]:
    """Seconds from a key on the budget's slider to the numbers of another budget, and to the whole
    page, for six keys; and what the server computed for each."""
    tab = browser.new_page()
    tab.set_default_timeout(300_000)
    tab.goto(f"{address}/?page=forecast")
    tab.wait_for_selector(ANSWERS["forecast"])
    tab.wait_for_selector(WHOLE)
    slider = tab.get_by_test_id("stMain").get_by_role("slider").first
    slider.focus()
    found: dict[str, list[float]] = {"seconds": [], "whole": [], "cpu": []}
    for _ in range(6):
        before, spent = tab.evaluate(FACTS), cpu_seconds(pid)
        start = time.perf_counter()
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function(
            f"text => {FACTS} !== text && {FACTS} !== undefined", arg=before, polling=20
        )
        moved = time.perf_counter() - start
        tab.wait_for_selector(WHOLE)
        found["seconds"].append(round(moved, 2))
        found["whole"].append(round(time.perf_counter() - start, 2))
        found["cpu"].append(round(cpu_seconds(pid) - spent, 2))
    tab.close()
    return found


def visits_together(address: str, pid: int) -> dict[str, float]:
    """Eight viewers on machines of their own, who open the page Sweep at once: seconds until each
    has been sent all of it, by the messages that browsers exchange with the server."""
    start, spent = time.perf_counter(), cpu_seconds(pid)
    with ThreadPoolExecutor(VIEWERS) as pool:
        ended = [*pool.map(partial(_visit, address), LEVELS)]
    seconds = [end - start for end in ended]
    return {
        "first": round(min(seconds), 2),
        "last": round(max(seconds), 2),
        "cpu": round(cpu_seconds(pid) - spent, 2),
    }


def _visit(address: str, level: float) -> float:
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    asked, said = BackMsg(), ForwardMsg()
    asked.rerun_script.query_string = f"page=sweep&level={level}"
    stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    with connect(stream, subprotocols=["streamlit"], max_size=None, origin=address) as line:
        line.send(asked.SerializeToString())
        while said.WhichOneof("type") != "script_finished":
            said.ParseFromString(line.recv(timeout=300))
    return time.perf_counter()


def measured(browser: Any, path: Path) -> dict[str, Any]:
    """Everything about one table."""
    with served(path) as (address, pid):
        pages = {}
        for row in PAGES:
            pages[row.name] = {
                "first": opened(browser, address, pid, row.name),
                "again": opened(browser, address, pid, row.name),
            }
        slider = slider_seconds(browser, address, pid)
        visits = visits_together(address, pid)
        contexts = [browser.new_context() for _ in range(VIEWERS)]
        start, spent = time.perf_counter(), cpu_seconds(pid)
        tabs = [context.new_page() for context in contexts]
        for tab, level in zip(tabs, LEVELS, strict=True):
            tab.set_default_timeout(300_000)
            tab.goto(f"{address}/?page=sweep&level={level}", wait_until="commit")
        for tab in tabs:
            tab.wait_for_selector(".scaling-facts")
            tab.wait_for_selector(WHOLE)
        together, spent = time.perf_counter() - start, cpu_seconds(pid) - spent
        watching = cpu_seconds(pid)
        time.sleep(WATCHED_SECONDS)
        watching = (cpu_seconds(pid) - watching) / WATCHED_SECONDS
        memory = memory_mb(pid)
        for context in contexts:
            context.close()
    return {
        "pages": pages,
        "slider": slider,
        "viewers": {"count": VIEWERS, "seconds": round(together, 2), "cpu": round(spent, 2)},
        "visits": visits,
        "watching_cores": round(watching, 3),
        "memory_mb": round(memory),
    }


def main() -> None:
    """Measure, print, and write what was asked for."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=list(RUNS))
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    executable = next(filter(None, map(shutil.which, BROWSERS)))
    found: dict[str, Any] = {"reference_seconds": round(reference_seconds(), 3)}
    found["load"] = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for runs in arguments.runs:
            found[f"{runs}"] = one = measured(browser, table_of(runs, Path(folder)))
            print(f"\n{runs:,} runs (seconds: first viewer, again)")
            for name, page in one["pages"].items():
                first, again = page["first"], page["again"]
                print(
                    f"  {name:10} useful {first['useful']:6.2f} {again['useful']:6.2f}   "
                    f"answer {first['answer']:6.2f} {again['answer']:6.2f}   "
                    f"whole {first['whole']:6.2f} {again['whole']:6.2f}   "
                    f"CPU {first['cpu']:6.2f} {again['cpu']:6.2f}"
                )
            slider = one["slider"]
            print(f"  a slider moved: {slider['seconds']}, whole {slider['whole']}")
            print(f"    CPU {slider['cpu']}")
            together = one["viewers"]
            print(f"  {VIEWERS} viewers at once: {together['seconds']} s, CPU {together['cpu']} s")
            visits = one["visits"]
            print(
                f"  {VIEWERS} visits at once, without browsers: {visits['first']} to "
                f"{visits['last']} s, CPU {visits['cpu']} s"
            )
            print(f"  {VIEWERS} viewers watching: {one['watching_cores']} cores")
            print(f"  memory: {one['memory_mb']} MB")
        browser.close()
    print(f"\nreference {found['reference_seconds']} s, load {found['load']}")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
