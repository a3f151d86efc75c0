"""The dashboard in a browser: how soon a page says something, how soon a slider moves it.

    PYTHONPATH=. python benchmarks/dashboard.py -o dashboard.json

Tables of 1,000 and 10,000 simulated runs are served by `scaling dashboard`; Chromium (Playwright,
extra `browser`) opens each page as the first viewer does and once more. "Useful" is the first text
of the page that tells of the runs; "whole" is when nothing is being computed any more. A loop of
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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from analysis.dashboard.registry import PAGES
from scaling.laws.surfaces import Chinchilla
from scaling.simulate import simulate_records

LAW = Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
RUNS = (1000, 10_000)
VIEWERS = 8
WHOLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
USEFUL = {
    "home": "text=finished",
    "sweep": ".scaling-facts",
    "forecast": ".js-plotly-plot",
    "allocate": ".js-plotly-plot",
}
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


def reference_seconds() -> float:
    """A loop of pure Python, about a tenth of a second on an idle machine of 2024."""
    start = time.perf_counter()
    sum(i * i for i in range(1_500_000))
    return time.perf_counter() - start


def opened(browser: Any, address: str, page: str) -> dict[str, float]:
    """Seconds until a page tells of the runs, and until it is whole."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(300_000)
    start = time.perf_counter()
    tab.goto(f"{address}/?page={page}")
    tab.wait_for_selector(USEFUL.get(page, "h1"))
    useful = time.perf_counter() - start
    tab.wait_for_selector(WHOLE)
    whole = time.perf_counter() - start
    context.close()
    return {"useful": round(useful, 2), "whole": round(whole, 2)}


def slider_seconds(browser: Any, address: str) -> list[float]:
    """Seconds from a key on the budget's slider to a forecast of another budget, for six keys."""
    tab = browser.new_page()
    tab.set_default_timeout(300_000)
    tab.goto(f"{address}/?page=forecast")
    tab.wait_for_selector(USEFUL["forecast"])
    tab.wait_for_selector(WHOLE)
    slider = tab.get_by_test_id("stMain").get_by_role("slider").first
    slider.focus()
    found = []
    for _ in range(6):
        before = tab.inner_text('[data-testid="stMain"]')
        start = time.perf_counter()
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function(
            "text => document.querySelector('[data-testid=stMain]').innerText !== text"
            " && document.querySelector('[data-testid=stApp]')"
            ".dataset.testScriptState === 'notRunning'",
            arg=before,
        )
        found.append(round(time.perf_counter() - start, 2))
    tab.close()
    return found


def measured(browser: Any, path: Path) -> dict[str, Any]:
    """Everything about one table."""
    with served(path) as (address, pid):
        pages = {}
        for row in PAGES:
            pages[row.name] = {
                "first": opened(browser, address, row.name),
                "again": opened(browser, address, row.name),
            }
        slider = slider_seconds(browser, address)
        contexts = [browser.new_context() for _ in range(VIEWERS)]
        start = time.perf_counter()
        tabs = [context.new_page() for context in contexts]
        for tab, level in zip(tabs, (0.5, 0.8, 0.9, 0.95) * 2, strict=True):
            tab.set_default_timeout(300_000)
            tab.goto(f"{address}/?page=sweep&level={level}", wait_until="commit")
        for tab in tabs:
            tab.wait_for_selector(".scaling-facts")
            tab.wait_for_selector(WHOLE)
        together = time.perf_counter() - start
        memory = memory_mb(pid)
        for context in contexts:
            context.close()
    return {
        "pages": pages,
        "slider": slider,
        "viewers": {"count": VIEWERS, "seconds": round(together, 2)},
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
                    f"whole {first['whole']:6.2f} {again['whole']:6.2f}"
                )
            print(f"  a slider moved: {one['slider']}")
            print(f"  {VIEWERS} viewers at once: {one['viewers']['seconds']} s")
            print(f"  memory: {one['memory_mb']} MB")
        browser.close()
    print(f"\nreference {found['reference_seconds']} s, load {found['load']}")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
