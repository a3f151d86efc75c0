"""Facts about the tests themselves: how fast a machine is decides none of them."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
CLOCKS |= {"process_time", "process_time_ns", "thread_time", "thread_time_ns"}


def reads_clock(node: ast.AST) -> bool:
    """Whether an expression calls a clock of the module time."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            module = call.func.value
            if isinstance(module, ast.Name) and module.id == "time" and call.func.attr in CLOCKS:
                return True
    return False


def judged_by_the_clock(source: str) -> list[int]:
    """The lines of assertions on a reading of a clock, itself or by a name that carries one."""
    tree = ast.parse(source)
    if not reads_clock(tree):
        return []
    assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AugAssign)]
    carriers: set[str] = set()

    def depends(node: ast.AST) -> bool:
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        return reads_clock(node) or bool(names & carriers)

    for _ in assignments:  # as often as one can follow from another
        for node in assignments:
            if depends(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                carriers |= {target.id for target in targets if isinstance(target, ast.Name)}
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return [node.lineno for node in asserts if depends(node.test)]


def test_the_rule_on_clocks_sees_what_it_forbids():
    timed = "start = time.monotonic()\nwork()\ntaken = time.monotonic() - start\nassert taken < 2"
    waiting = "while True:\n    assert time.time() < deadline"
    own_clock = "clock.monotonic = lambda: 3.0\nassert work() == 4"
    assert [judged_by_the_clock(code) for code in (timed, waiting, own_clock)] == [[4], [2], []]


def test_no_test_reads_a_clock_to_pass():
    found = {
        f"{path.relative_to(TESTS)}:{line}"
        for path in TESTS.rglob("*.py")
        for line in judged_by_the_clock(path.read_text())
    }
    assert not found
