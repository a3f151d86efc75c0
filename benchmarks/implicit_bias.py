"""How near training comes to the theory of next-token prediction in linear models.

    python -m benchmarks.implicit_bias [--seeds 10] [--instances 200] [-o implicit_bias.json]

Part 1: experiment (b) of Thrampoulidis 2024 (arXiv:2402.18551), 50 contexts in 60 dimensions, 10
tokens, supports of 6, over several seeds: normalised gradient descent and Adam of .01 over 10,000
steps, gradient descent of .5 over 100,000. Part 2: separability of random contexts on both sides of
as many dimensions as contexts, decided by `analysis.studies.conditions` and, asked otherwise, by a
linear program in the weights themselves.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import linprog

from analysis.studies.conditions import decide
from analysis.studies.contexts import Contexts, random_contexts
from analysis.studies.descent import adam, gradient_descent, normalised_gradient_descent
from analysis.studies.implicit_bias import Waypoint, study_implicit_bias

TRAININGS = (
    (normalised_gradient_descent(0.01), 10_000),
    (adam(0.01), 10_000),
    (gradient_descent(0.5), 100_000),
)


def ends(seeds: Sequence[int]) -> dict[str, list[Waypoint]]:
    """Where each training ended, a seed each, and whether its direction turned ever nearer."""
    found: dict[str, list[Waypoint]] = {}
    for seed in seeds:
        contexts = random_contexts(contexts=50, dimensions=60, vocabulary=10, support=6, seed=seed)
        for optimiser, steps in TRAININGS:
            study = study_implicit_bias(contexts, steps=steps, optimisers=[optimiser])
            found.setdefault(optimiser.name, []).append(study.last[0])
            late = [p.cosine_beyond or 0.0 for p in study.waypoints if p.step >= 100]
            rose = bool((np.diff(late) > 0).all())
            print(f"seed {seed}: {study.last[0]}, rising from step 100: {rose}", flush=True)
    return found


def separable_by_linear_program(contexts: Contexts) -> bool:
    """Whether some weights separate, by a linear program in the weights themselves (HiGHS)."""
    vocabulary = contexts.next_token.shape[1]
    equal, above = [], []
    for j, h in enumerate(contexts.embeddings):
        first = int(contexts.support[j].argmax())
        for z in range(vocabulary):
            row = np.zeros((vocabulary, len(h)))
            row[first] += h
            row[z] -= h
            if z != first:
                (equal if contexts.support[j, z] else above).append(row.ravel())
    found = linprog(
        np.zeros(vocabulary * contexts.embeddings.shape[1]),
        A_ub=-np.array(above),
        b_ub=-np.ones(len(above)),
        A_eq=np.array(equal),
        b_eq=np.zeros(len(equal)),
        bounds=(None, None),
    )
    return bool(found.status == 0)


def agreement(instances: int) -> dict[str, int]:
    """How often both decisions agree over instances of 12 contexts in 3 to 18 dimensions."""
    counts = {"agree": 0, "separable": 0, "not separable": 0, "disagree": 0}
    for seed in range(instances):
        contexts = random_contexts(
            contexts=12, dimensions=3 + seed % 16, vocabulary=6, support=2 + seed % 3, seed=seed
        )
        is_separable = decide(contexts).is_separable
        counts["separable" if is_separable else "not separable"] += 1
        same = is_separable == separable_by_linear_program(contexts)
        counts["agree" if same else "disagree"] += 1
    return counts


def main(argv: Sequence[str] | None = None) -> None:
    """Print both parts and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    decided = agreement(arguments.instances)
    print(decided, flush=True)
    found = ends(range(arguments.seeds))
    rows = []
    for name, points in found.items():
        row: dict[str, object] = {"optimiser": name, "steps": points[0].step}
        for what in ("excess_loss", "cosine", "cosine_beyond", "distance_in_f"):
            values = [getattr(point, what) for point in points]
            row[what] = [float(np.quantile(values, q)) for q in (0.0, 0.5, 1.0)]
        rows.append(row)
        print(row)
    if arguments.output:
        document = {"separability": decided, "trainings": rows}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
