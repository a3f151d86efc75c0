"""How fast a CPU trains with this tree, beside another checkout of the project: in turns.

    git worktree add ../before COMMIT
    python -m benchmarks.speed.beside_another_tree ../before [-o beside_another_tree.json]

Each side is a process that trains the same models, whose turns alternate; the ratio is of the CPU
time that a turn took, of which a busy machine takes nothing away. Above 1 this tree is faster.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Width, depth and seeds of what is trained, at 64 tokens a sequence.
MODELS = {
    "25k": (32, 2, 1),
    "25k, 8 in a pack": (32, 2, 8),
    "200k": (64, 4, 1),
    "700k": (96, 6, 1),
}

#: One side: takes as many steps as each line says, and answers how long they took.
_SIDE = """
import sys, time
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.plan import plan_sweep
from sweeps.training.pack import settle_process
from sweeps.training.stack import Stack

width, depth, seeds = map(int, sys.argv[1:])
settle_process(threads=1)
data = {"source": "markov", "order": 1, "symbols": 16, "validation_windows": 8}
grid = {"width": width, "depth": depth, "tokens": 2e7, "seed": list(range(seeds))}
model = {"context": 64, "head_size": 16}
launch = {"device": "cpu"}
mapping = {"name": "speed", "grid": grid, "data": data, "model": model, "launch": launch}
config = config_from_mapping(mapping | {"recipe": {"name": "cpt-adamw-tiny/1"}})
runs = plan_sweep(config).runs
stack = Stack(runs, load_corpus(config.data, 64), config.launch)
for line in sys.stdin:
    until = stack.step + int(line)
    assert until < runs[0].settings.steps, "so many steps were not planned"
    start = time.process_time()
    stack.advance(until)
    print(time.process_time() - start, stack.losses[:, -1].tolist()[0].hex(), flush=True)
"""


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tree", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument(
        "--steps",
        type=int,
        default=10,
        help="of each turn: few, so that both sides meet the same machine",
    )
    parser.add_argument("--only", choices=MODELS, help="one of the models")
    parser.add_argument("-o", "--output", type=Path, default=Path("beside_another_tree.json"))
    arguments = parser.parse_args()
    rows = []
    for name in [arguments.only] if arguments.only else MODELS:
        rows.append(beside(name, arguments.tree, arguments.rounds, arguments.steps))
        print(told(rows[-1]), flush=True)
        arguments.output.write_text(json.dumps(rows, indent=1) + "\n")


def told(row: dict[str, Any]) -> str:
    """A row of the table."""
    same = "the same losses" if row["same_losses"] else "OTHER LOSSES"
    return f"{row['model']:18} {row['ours_ms']:7.2f} ms a step, {row['ratio']:.3f}x as fast, {same}"


def beside(name: str, tree: Path, rounds: int, steps: int) -> dict[str, Any]:
    """One model on both sides; the first round warms up."""
    with side(name, ROOT) as ours, side(name, tree) as theirs:
        found = []
        for number in range(rounds + 1):
            if number % 2:
                found.append((take(ours, steps), take(theirs, steps)))
            else:
                other = take(theirs, steps)
                found.append((take(ours, steps), other))
    pairs = [(mine[0], other[0]) for mine, other in found[1:]]
    return {
        "model": name,
        "ours_ms": 1e3 * statistics.median(mine for mine, _ in pairs) / steps,
        "theirs_ms": 1e3 * statistics.median(other for _, other in pairs) / steps,
        "ratio": statistics.median(other / mine for mine, other in pairs),
        "ratios": sorted(other / mine for mine, other in pairs),
        "same_losses": all(mine[1] == other[1] for mine, other in found),
    }


@contextlib.contextmanager
def side(name: str, tree: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that trains with the tree."""
    environment = os.environ | {"PYTHONPATH": str(tree.resolve()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _SIDE, *map(str, MODELS[name])]
    with subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def take(process: subprocess.Popen[str], steps: int) -> tuple[float, str]:
    """Seconds of CPU that so many steps took, and the last loss."""
    assert process.stdin and process.stdout
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    answer = process.stdout.readline().split()
    if len(answer) != 2:
        raise RuntimeError(f"a side ended: {process.wait()}")
    return float(answer[0]), answer[1]


if __name__ == "__main__":
    main()
