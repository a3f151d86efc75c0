"""Facts about the command where somebody's own folder has the name of one of our packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import scaling_forecast

ROOT = Path(__file__).parent.parent
COMMAND = "import sys; from scaling_forecast import main; sys.exit(main(['--version']))"


@pytest.fixture
def command(tmp_path):
    """The command as its script runs it, with the current folder first on Python's path."""

    def run():
        return subprocess.run(
            [sys.executable, "-c", COMMAND],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("name", scaling_forecast.PACKAGES)
def test_a_folder_that_hides_a_package_is_said_in_one_line(name, tmp_path, command):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    done = command()
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"scaling: {tmp_path / name} hides the toolkit's own package {name};")


def test_so_is_a_file_and_a_folder_without_code_hides_nothing(tmp_path, command):
    (tmp_path / "scaling").mkdir()
    (tmp_path / "analysis").mkdir()
    assert command().returncode == 0
    (tmp_path / "sweeps.py").write_text("")
    assert str(tmp_path / "sweeps.py") in command().stderr


def test_our_own_packages_are_hidden_by_nothing():
    assert [scaling_forecast.hidden_by(name) for name in scaling_forecast.PACKAGES] == [None] * 3
