"""Facts about the wheel: it holds whatever the packages read, and works in an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("scaling", "sweeps", "analysis")
LISTING = """
from setuptools import Distribution
found = Distribution({"script_name": "setup.py"})
found.parse_config_files()
found.include_package_data = False  # what the settings name; no manifest is written
build = found.get_command_obj("build_py")
build.ensure_finalized()
print(*(name.removeprefix(build.build_lib + "/") for name in build.get_outputs(False)), sep="\\n")
"""
TINY = {
    "grid.seed": "[1]",
    "cells": "[{width: [16, 32], tokens: [4000, 8000, 16000]}]",
    "held_out": "[{width: 32, tokens: 32000}]",
    "data": "{source: markov, symbols: 16, validation_windows: 200}",
    "launch": "{workers: 1, device: cpu}",
}


def test_the_wheel_lists_every_file_of_the_packages_and_every_shipped_config():
    listed = subprocess.run(
        [sys.executable, "-c", LISTING], cwd=ROOT, capture_output=True, text=True, check=True
    )
    there = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in [*(ROOT / package).rglob("*"), *(ROOT / package / "configs").glob("*")]
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert set(listed.stdout.split()) == there | {"scaling_forecast.py"}
    shipped = {f"sweeps/configs/{file.name}" for file in (ROOT / "configs").iterdir()}
    assert "sweeps/configs/quickstart.yaml" in shipped <= there


@pytest.mark.slow
def test_an_installed_wheel_studies_a_shipped_config_in_an_empty_folder(tmp_path):
    source, wheels, home, empty = (tmp_path / name for name in ("src", "wheels", "home", "empty"))
    empty.mkdir()
    for name in (*PACKAGES, "configs"):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ("scaling_forecast.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source]
    subprocess.run(build, check=True)
    shutil.rmtree(source)
    (wheel,) = wheels.iterdir()
    venv.create(home)
    python = home / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # its .pth files stay out
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    ours = ("PYTHONPATH", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in os.environ.items() if name not in ours}

    def output(*command):
        done = subprocess.run(
            command, cwd=empty, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    where = "import scaling, sweeps, analysis as last; print(scaling, sweeps, last)"
    assert output(python, "-c", where).count(str(site)) == len(PACKAGES)
    assert output(home / "bin" / "scaling", "--version").strip() == wheel.name.split("-")[1]
    changes = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    assert "held-out run" in output(home / "bin" / "scaling", "study", "quickstart", *changes)
    assert "<html" in (empty / "results" / "quickstart" / "report.html").read_text("utf-8")
