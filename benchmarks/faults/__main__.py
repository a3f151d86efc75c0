"""Cause faults of every class and print tried and wrong for each, with the promise it tests."""

import argparse
import importlib
import json
import tempfile
from pathlib import Path

from benchmarks.faults.trial import FaultClass, Trial

#: Each holds FAULTS, a FaultClass, or several in a tuple.
FILES = (
    *("tables", "configs", "kills", "files", "servers", "disks", "seals", "honesty", "shown"),
    "kept",
)


def fault_classes() -> dict[str, FaultClass]:
    """Every class by its name, in the order of FILES."""
    found = {}
    for file in FILES:
        held = importlib.import_module(f"benchmarks.faults.{file}").FAULTS
        for one in held if isinstance(held, tuple) else (held,):
            found[one.name] = one
    return found


def run_class(one: FaultClass, count: int, seed: int, home: Path | None = None) -> list[Trial]:
    """All trials of one class, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        return list(one.trials(count, seed, Path(folder)))


def main() -> None:
    """Run the classes asked for, print the table, and write it with every fault as JSON."""
    classes = fault_classes()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("classes", nargs="*", metavar="CLASS", help=", ".join(classes))
    parser.add_argument("--full", action="store_true", help="the counts of docs/reliability.md")
    parser.add_argument("--count", type=int, help="so many trials of each class instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/faults.json"))
    given = parser.parse_args()
    if unknown := set(given.classes) - set(classes):
        parser.error(f"no class {', '.join(sorted(unknown))}; there are {', '.join(classes)}")
    document = {}
    print(f"{'class':<12} {'tried':>6} {'wrong':>6}  promise")
    for name in given.classes or classes:
        one = classes[name]
        count = given.count or (one.full if given.full else one.sample)
        trials = run_class(one, count, given.seed)
        wrong = [trial for trial in trials if trial.wrong]
        print(f"{name:<12} {len(trials):>6} {len(wrong):>6}  {one.promise}", flush=True)
        for trial in wrong[:20]:
            print(f"    {trial.cause}: {trial.wrong}", flush=True)
        document[name] = {
            "tried": len(trials),
            "wrong": [{"cause": trial.cause, "wrong": trial.wrong} for trial in wrong],
        }
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps({"seed": given.seed, "classes": document}, indent=1))
    if any(counts["wrong"] for counts in document.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
