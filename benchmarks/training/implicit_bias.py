"""How near training comes to the theory of next-token prediction in linear models.

    python -m benchmarks.training.implicit_bias [--seeds 20] [--instances 200]
        [-o implicit_bias.json]

Part 1: separability of random contexts on both sides of as many dimensions as contexts, decided by
`analysis.studies.conditions` and, asked otherwise, by a linear program in the weights themselves.
Part 2: experiment (b) of Thrampoulidis 2024 (arXiv:2402.18551, appendix A.2), 5,000 sequences of 50
contexts in 60 dimensions, 10 tokens, supports of 6, over several seeds: normalised gradient descent
and Adam (second moment .99) of .01 over 10,000 steps, gradient descent of .5 over 100,000; and of
normalised gradient descent what other starts and probabilities make of it.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import linprog

from analysis.studies.conditions import decide
from analysis.studies.contexts import Contexts, random_contexts
from analysis.studies.descent import (
    Optimiser,
    adam,
    gradient_descent,
    normalised_gradient_descent,
)
from analysis.studies.implicit_bias import Waypoint, study_implicit_bias

NORMALISED = normalised_gradient_descent(0.01)
TRAININGS = (
    (NORMALISED, 10_000),
    (adam(0.01, betas=(0.9, 0.99)), 10_000),
    (gradient_descent(0.5), 100_000),
)


def paper_contexts(seed: int, *, sequences: int | None = 5000) -> Contexts:
    """Experiment (b); without ``sequences`` its probabilities are those that were drawn."""
    return random_contexts(
        contexts=50, dimensions=60, vocabulary=10, support=6, seed=seed, sequences=sequences
    )


def ends(seeds: Sequence[int]) -> dict[str, list[Waypoint]]:
    """Where each training ended, a seed each, and whether its direction turned ever nearer."""
    found: dict[str, list[Waypoint]] = {}

    def follow(name: str, contexts: Contexts, optimiser: Optimiser, steps: int, **more) -> None:  # type: ignore[no-untyped-def]
        study = study_implicit_bias(contexts, steps=steps, optimisers=[optimiser], **more)
        found.setdefault(name, []).append(study.last[0])
        all_points = [point.cosine_beyond or 0.0 for point in study.waypoints]
        late = [p.cosine_beyond or 0.0 for p in study.waypoints if p.step >= 100]
        rose = [bool((np.diff(path) > 0).all()) for path in (all_points, late)]
        print(f"{name}, {study.last[0]}, rising throughout {rose[0]}, from step 100 {rose[1]}")

    for seed in seeds:
        contexts = paper_contexts(seed)
        for optimiser, steps in TRAININGS:
            follow(optimiser.name, contexts, optimiser, steps)
        # LeCun's start, variance 1 / d, as the paper has it
        start = np.random.default_rng(seed).standard_normal((10, 60)) / np.sqrt(60)
        follow("normalised, from LeCun's start", contexts, NORMALISED, 10_000, start=start)
        drawn = paper_contexts(seed, sequences=None)
        follow("normalised, of drawn probabilities", drawn, NORMALISED, 10_000)
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
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    decided = agreement(arguments.instances)
    print(decided, flush=True)
    found = ends(range(arguments.seeds))
    rows = []
    for name, points in found.items():
        row: dict[str, object] = {"training": name, "steps": points[0].step}
        row["on F within .006"] = sum((p.distance_in_f or 0.0) <= 0.006 for p in points)
        for what in ("excess_loss", "cosine", "cosine_beyond", "distance_in_f"):
            values = [getattr(point, what) for point in points]
            row[what] = [float(np.quantile(values, q)) for q in (0.0, 0.1, 0.5, 0.9, 1.0)]
        rows.append(row)
        print(row)
    if arguments.output:
        document = {"separability": decided, "trainings": rows}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
