"""At equal steps and data a wider model is no worse: what every parametrisation promises."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from scaling.words import counted
from sweeps.checks.finding import Bench, Finding, stderr_of_mean, until_decided
from sweeps.training.plain_loop import train_plainly


def check_wider(bench: Bench) -> Iterator[Finding]:
    """Loss of each width less that of the next narrower, nats per token.

    The same sequences are measured and the same batches were read, so differences are paired by
    seed; their standard error is over seeds.
    """

    def findings_of(losses: np.ndarray) -> list[Finding]:
        """losses: (seeds, widths)"""
        means = losses.mean(axis=0)
        return [
            Finding(
                check=f"wider is better, {narrow} to {wide}",
                measured=float(means[place + 1] - means[place]),
                threshold=0.0,
                one_sided=True,
                stderr=stderr_of_mean(losses[:, place + 1] - losses[:, place]),
                degrees_of_freedom=len(losses) - 1,
                looks=len(bench.looks),
                detail=f"nats by which the wider is worse, {counted(len(losses), 'seed')}; losses "
                f"{means[place]:.4f} to {means[place + 1]:.4f}",
            )
            for place, (narrow, wide) in enumerate(itertools.pairwise(bench.widths))
        ]

    yield from until_decided(bench.looks, lambda seeds: _losses(bench, seeds), findings_of)


def _losses(bench: Bench, seeds: Sequence[int]) -> np.ndarray:
    """(seeds, widths)"""
    return np.stack(
        [
            train_plainly(
                [bench.plan(width, bench.depths[0], seed) for seed in seeds], bench.corpus
            ).validation_losses.numpy()
            for width in bench.widths
        ],
        axis=1,
    )
