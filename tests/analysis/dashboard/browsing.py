"""A dashboard that is served, and a browser that looks at it and hears what it asks and says."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

ROOT = Path(__file__).parents[3]
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
SECONDS = 300_000  # milliseconds that anything may take on a slow machine

NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None,
        reason="needs the extra `browser` (Playwright)",
    ),
    pytest.mark.skipif(not BROWSER, reason="needs Chromium or Chrome on the PATH"),
]


@contextmanager
def started_browser():
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(sources, folder, tracking_uri):
    """The address at which `scaling dashboard` serves these sources; its log lies in the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "scaling", "dashboard", *map(str, sources), "--port", str(port)]
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)


@contextmanager
def visits(browser, address, drawn="h1"):
    """``visit(page, size, **query)``: the page as the browser has drawn it, `drawn` among it; in
    the end, that nothing left the machine and nothing was said on the console."""
    outside, said, contexts = [], [], []

    def visit(name, size=DESK, **query):
        context = browser.new_context(viewport=size, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("request", lambda one: outside.append(one.url) if is_outside(one.url) else None)
        page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        wait_for_server(page, address)
        page.goto(f"{address}/?{urlencode({'page': name, **query})}")
        page.wait_for_selector(drawn)
        settled(page)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not outside and not said


def is_outside(url):
    """Whether a request leaves this machine."""
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1"


def wait_for_server(page, address):
    """Until it answers."""
    for _ in range(240):
        try:
            if page.request.get(f"{address}/_stcore/health").ok:
                return
        except Exception:
            page.wait_for_timeout(500)
    pytest.fail("the server did not start")


def settled(page):
    """Wait until the page has been drawn whole."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
