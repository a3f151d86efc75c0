"""How often `scaling check --quick` alarms by chance, and how often it decides.

    python -m benchmarks.training.check_alarms                # from examples/coordinate_sizes.csv
    python -m benchmarks.training.check_alarms --measure      # trains 40 seeds anew, a core-minute

The sizes of a quick coordinate check (widths 32 to 256 of configs/quickstart.yaml) were measured
for 40 seeds. Reports are made of them by drawing seeds with replacement and having the check itself
look at them, five, ten, twenty and forty at a time, until it has decided: as they were measured,
and with every slope moved to its threshold, where alarms are likeliest and none is right.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scaling.arrays import FloatArray
from sweeps.checks.coordinates import (
    LOOKS,
    QUANTITIES,
    SETTLED_STEP,
    sizes_in_training,
    slopes_of,
)
from sweeps.checks.finding import FALSE_ALARMS, MOST_APART, Finding, until_decided
from sweeps.checks.run import bench_for
from sweeps.config.yaml_file import load_config

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "examples" / "coordinate_sizes.csv"
CONFIG = ROOT / "configs" / "quickstart.yaml"
DOUBLINGS, STACKED = 3, 5


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """What many made-up reports came to."""

    reports: int
    failed: int
    """With at least one failure."""
    verdicts: dict[str, Counter[str]]
    """How often each verdict, by quantity."""

    @property
    def rate(self) -> float:
        """Share of the reports that failed."""
        return self.failed / self.reports


def measured_sizes(seeds: Sequence[int]) -> pd.DataFrame:
    """Mean log size of each quantity after the settled step, a row a seed and width."""
    bench = bench_for(load_config(CONFIG))
    depth, rows = bench.depths[0], []
    for first in range(0, len(seeds), STACKED):
        stack = seeds[first : first + STACKED]
        for width in (bench.widths[0] * 2**times for times in range(DOUBLINGS + 1)):
            sizes = sizes_in_training(bench, width, depth, stack)[SETTLED_STEP:]
            means = np.log(sizes).mean(axis=0)
            rows += [
                {"recipe": bench.config.recipe.name, "width": width, "depth": depth, "seed": seed}
                | dict(zip(QUANTITIES, mean.round(5), strict=True))
                for seed, mean in zip(stack, means, strict=True)
            ]
    return pd.DataFrame(rows).sort_values(["width", "seed"], ignore_index=True)


def log_sizes(table: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """ln of the widths, and (seeds, widths, quantities) of such a table."""
    widths = sorted(table["width"].unique())
    by_width = [table[table["width"] == width].sort_values("seed") for width in widths]
    return np.log(widths), np.stack([part[list(QUANTITIES)] for part in by_width], axis=1)


def at_threshold(along: FloatArray, sizes: FloatArray) -> FloatArray:
    """The same with the mean slope of every quantity as large as it may be, on its own side."""
    means = sizes.mean(axis=0)  # (widths, quantities)
    slopes = np.polyfit(along, means, 1)[0]
    wanted = np.where(slopes < 0, -1, 1) * MOST_APART / (along[-1] - along[0])
    return np.asarray(sizes + (along - along[0])[:, None] * (wanted - slopes))


def simulated(
    along: FloatArray, sizes: FloatArray, *, reports: int, rng: np.random.Generator
) -> Alarms:
    """Reports from seeds drawn with replacement."""
    verdicts: dict[str, Counter[str]] = {quantity: Counter() for quantity in QUANTITIES}
    failed = 0
    for _ in range(reports):
        found = _report(along, sizes[rng.integers(len(sizes), size=LOOKS[-1][-1])])
        failed += any(finding.verdict == "FAIL" for finding in found)
        for quantity, finding in zip(QUANTITIES, found, strict=True):
            verdicts[quantity][finding.verdict] += 1
    return Alarms(reports=reports, failed=failed, verdicts=verdicts)


def _report(along: FloatArray, sizes: FloatArray) -> list[Finding]:
    def findings_of(seen: np.ndarray) -> list[Finding]:
        return slopes_of("width", along, seen, looks=len(LOOKS))

    return until_decided(LOOKS, lambda seeds: sizes[np.array(seeds) - 1], findings_of)


def main() -> None:
    """Print what the check says of the measured seeds, and both rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--measure", action="store_true", help="train the seeds anew")
    parser.add_argument("--reports", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.measure:
        measured_sizes(range(1, LOOKS[-1][-1] + 1)).to_csv(TABLE, index=False)
    along, sizes = log_sizes(pd.read_csv(TABLE))
    for finding in slopes_of("width", along, sizes, looks=1):
        print(
            f"{finding.check}: {finding.measured:+.3f} +- {finding.stderr:.3f}, "
            f"at most {finding.threshold:.3f}; {finding.detail}"
        )
    rng = np.random.default_rng(0)
    for name, values in (("as measured", sizes), ("at the threshold", at_threshold(along, sizes))):
        alarms = simulated(along, values, reports=arguments.reports, rng=rng)
        print(f"{name}: {alarms.rate:.2%} of {alarms.reports:,} reports fail")
        for quantity, counts in alarms.verdicts.items():
            shares = ", ".join(
                f"{key} {count / alarms.reports:.1%}" for key, count in counts.items()
            )
            print(f"  {quantity}: {shares}")
    print(f"promised: {len(QUANTITIES) * FALSE_ALARMS:.1%} for these {len(QUANTITIES)} at most")


if __name__ == "__main__":
    main()
