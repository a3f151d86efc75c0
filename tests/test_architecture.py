"""Imports go one way, an engine stays behind one file, and light packages stay light."""

import ast
import subprocess
import sys
from contextlib import suppress
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from docs.rooms import imports_of, nodes_of, room_arrows

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"scaling": set(), "sweeps": {"scaling"}, "analysis": {"scaling"}}
COMPOSITION_ROOT = ROOT / "scaling" / "cli"  # the one place that sees every package
#: The rooms of each package from the ground up: one imports only those before it.
FLOORS = {
    "scaling": (
        *("version", "lazy", "display", "arrays", "words", "errors", "columns", "limits"),
        *(
            "tables",
            "inputs",
            "samples",
            "records",
            "points",
            "compute",
            "shape",
            "laws",
            "answerable",
        ),
        *("extra_columns", "simulate"),
        *("store", "sources", "cli", "__main__"),
    ),
    "sweeps": (
        *("config", "data", "models", "objectives", "planning", "training", "multi_device"),
        *("generation", "checks", "launchers", "running", "status"),
    ),
    "analysis": (
        *("intervals", "display", "tuning", "fitting", "forecasting", "approaches", "discovery"),
        *("evaluation", "capabilities", "decisions", "studies", "text", "plots", "report"),
        "dashboard",
    ),
}
MOST_ROOMS = {"analysis": 15, "sweeps": 13}
LONGEST_FILE = 450  # lines
LONGEST_FUNCTION = 60  # lines
LONG_FOR_A_REASON = {
    "analysis/fitting/minimising/newton.py:minimise": (
        "one loop whose arrays shrink together as fits end"
    ),
}
ENGINES = {
    "mlflow": "scaling/store/connection/mlflow_client.py",
    "lmfit": "analysis/fitting/lmfit_bridge.py",
    "streamlit": "analysis/dashboard",  # a folder: pages are made of nothing else
    "plotly": "analysis/dashboard",
    "tokenizers": "sweeps/data/tokens/bpe.py",
    "PIL": "sweeps/data/images/pictures.py",
    "sklearn": "sweeps/data/images/scikit.py",
    "sympy": "scaling/laws/written/symbolic.py",
    "weasyprint": "analysis/report/forms/pdf.py",
    "safetensors": "sweeps/data/documents/tensor_files.py",
    "triton": "sweeps/models/kernels/triton_kernels.py",
}


@cache
def imported_packages(source: Path) -> set[str]:
    names = set()
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@cache
def sources(*packages: str) -> list[Path]:
    return [source for package in packages for source in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_room_has_its_floor(package):
    rooms = {
        entry.stem
        for entry in (ROOT / package).iterdir()
        if entry.suffix == ".py" or (entry / "__init__.py").exists()
    }
    assert rooms - {"__init__"} == set(FLOORS[package])
    assert len(FLOORS[package]) <= MOST_ROOMS.get(package, len(FLOORS[package]))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_rooms_import_downward(package):
    floor = {room: height for height, room in enumerate(FLOORS[package])}
    upward = [
        (room, other)
        for room, others in room_arrows(ROOT / package).items()
        for other in others
        if room in floor and floor[other] > floor[room]
    ]
    assert not upward


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_folder_of_code_is_a_package(package):
    folders = {source.parent for source in sources(package)}
    assert not [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()]


def test_no_folder_has_a_circle():
    folders = {source.parent for source in sources(*MAY_IMPORT, "benchmarks")}
    for folder in folders:
        try:
            tuple(TopologicalSorter(room_arrows(folder)).static_order())
        except CycleError as circle:
            pytest.fail(f"{folder.relative_to(ROOT)}: {' -> '.join(circle.args[1])}")


def test_files_and_functions_are_short_enough_to_read():
    too_long = []
    for source in sources(*MAY_IMPORT, "benchmarks", "docs", "examples", "tests"):
        text, name = source.read_text(), str(source.relative_to(ROOT))
        if len(text.splitlines()) > LONGEST_FILE:
            too_long.append(name)
        for node in nodes_of(source):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where = f"{name}:{node.name}"
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION and where not in LONG_FOR_A_REASON:
                    too_long.append(f"{where} {lines}")
    assert not too_long


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


def test_what_is_imported_by_a_name_in_a_string_stands_in_one_of_two_lists():
    """The front doors' and the results': a test of each finds what its list names."""
    users = {
        str(source.relative_to(ROOT))
        for source in sources(*MAY_IMPORT)
        if "importlib" in imported_packages(source) and "import_module" in source.read_text()
    }
    assert users == {"scaling/lazy.py", "analysis/display.py"}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_lives_behind_one_file_or_folder(engine):
    home = ROOT / ENGINES[engine]
    users = {source for source in sources(*MAY_IMPORT) if engine in imported_packages(source)}
    assert users and all(home in (user, *user.parents) for user in users)


@pytest.mark.parametrize("heavy", ["torch", "mlflow", "matplotlib", "lmfit"])
def test_importing_scaling_and_analysis_stays_light(heavy):
    probe = f"import scaling, analysis, sweeps, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT).returncode == 0


def exists(module: str, name: str) -> bool:
    """Whether there is such a module, and such a name at its top or such a module in it."""
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    inside = path / name
    if not file.is_file() or not name or inside.is_dir() or inside.with_suffix(".py").is_file():
        return file.is_file()
    nodes = nodes_of(file)
    names = {getattr(node, "name", getattr(node, "id", None)) for node in nodes}
    return name in names


def test_programs_that_tests_keep_in_strings_import_what_exists():
    """They run in processes of their own, many of them only where an engine is installed."""
    gone = set()
    for source in sources("tests", "benchmarks"):
        for node in nodes_of(source):
            if isinstance(node, ast.Constant) and "import" in str(node.value):
                with suppress(SyntaxError, ValueError):
                    program = ast.walk(ast.parse(node.value))
                    gone |= {one for one in imports_of(program) if not exists(*one)}
    assert not gone


def test_benchmarks_examples_and_documents_import_what_exists_and_no_test():
    """Most of them take too long for a test to run them."""
    for source in sources("benchmarks", "examples", "docs", "scripts"):
        assert "tests" not in imported_packages(source), source
        assert [one for one in imports_of(nodes_of(source)) if not exists(*one)] == [], source


def law_names_in(source: Path, names: set[str]) -> list[str]:
    """Where a file asks for a law by its name: the name as a string, or a comparison of names."""
    found = []
    for node in nodes_of(source):
        is_name = isinstance(node, ast.Constant) and node.value in names
        compared = isinstance(node, ast.Compare) and any(
            isinstance(side, ast.Attribute)
            and side.attr == "name"
            and ast.unparse(side.value).split(".")[-1] in ("law", "kind")
            for side in (node.left, *node.comparators)
        )
        if is_name or compared:
            found.append(f"{source.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_nobody_outside_the_laws_asks_for_a_law_by_name():
    from scaling.laws.registry import LAWS

    home = ROOT / "scaling" / "laws"
    elsewhere = [source for source in sources(*MAY_IMPORT) if home not in source.parents]
    assert [line for source in elsewhere for line in law_names_in(source, set(LAWS))] == []
    # and the check sees what it looks for: the registry's own tests name laws
    assert law_names_in(ROOT / "tests" / "scaling" / "laws" / "test_laws.py", set(LAWS))


def test_one_file_of_the_command_line_prints():
    """What it prints was made from tables, names and servers: control characters go no further."""
    printers = {
        source.name
        for source in sorted(COMPOSITION_ROOT.rglob("*.py"))
        for node in nodes_of(source)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }
    assert printers == {"outputs.py"}
