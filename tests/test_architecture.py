"""Imports go one way, an engine stays behind one file, and light packages stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"scaling": set(), "sweeps": {"scaling"}, "analysis": {"scaling"}}
COMPOSITION_ROOT = ROOT / "scaling" / "cli"  # the one place that sees every package
ENGINES = {
    "mlflow": "scaling/store/mlflow_client.py",
    "lmfit": "analysis/fitting/lmfit_bridge.py",
    "streamlit": "analysis/dashboard.py",
    "tokenizers": "sweeps/data/tokens/bpe.py",
}


def imported_packages(source: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_the_packages_below_it(package):
    others = MAY_IMPORT.keys() - {package} - MAY_IMPORT[package]
    for source in (ROOT / package).rglob("*.py"):
        if COMPOSITION_ROOT not in source.parents:
            assert not imported_packages(source) & others, source


def test_nobody_imports_the_composition_root():
    for package in MAY_IMPORT:
        for source in (ROOT / package).rglob("*.py"):
            outside = COMPOSITION_ROOT not in source.parents
            if outside and source.name != "__main__.py":  # `python -m scaling` is the command
                assert "scaling.cli" not in source.read_text(), source


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_lives_behind_one_file(engine):
    users = {
        str(source.relative_to(ROOT))
        for package in MAY_IMPORT
        for source in (ROOT / package).rglob("*.py")
        if engine in imported_packages(source)
    }
    assert users == {ENGINES[engine]}


@pytest.mark.parametrize("heavy", ["torch", "mlflow", "matplotlib", "lmfit"])
def test_importing_scaling_and_analysis_stays_light(heavy):
    probe = f"import scaling, analysis, sweeps, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT).returncode == 0
