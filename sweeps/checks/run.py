"""`scaling check`: run the checks on a config's recipe and data, and say how each went."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from scaling.errors import CheckError, ConfigError
from sweeps.checks.codebook import check_codebook
from sweeps.checks.coordinates import LOOKS, check_coordinates
from sweeps.checks.entropy import check_known_entropy
from sweeps.checks.equality import (
    check_accumulation,
    check_packing,
    check_resume,
    check_trainer,
)
from sweeps.checks.finding import Bench, Finding
from sweeps.checks.measures import check_bits_per_byte
from sweeps.checks.start import check_initial_loss
from sweeps.checks.transfer import check_transfer
from sweeps.checks.wider import check_wider
from sweeps.config.data import ShardsData, TextData
from sweeps.config.sweep import SweepConfig
from sweeps.data.registry import load_corpus
from sweeps.models.registry import find_family
from sweeps.training.pack import settle_process

Family = Callable[[Bench], Iterator[Finding]]

#: Seconds on one CPU core.
QUICK: tuple[Family, ...] = (
    check_initial_loss,
    check_packing,
    check_trainer,
    check_accumulation,
    check_resume,
    check_bits_per_byte,
    check_known_entropy,
    check_codebook,
    partial(check_coordinates, doublings_of_width=3, doublings_of_depth=0, most_flops=2.6e12),
)
#: Minutes.
FULL: tuple[Family, ...] = (
    *QUICK[:-1],
    partial(check_coordinates, looks=LOOKS[:3]),
    check_transfer,
    check_wider,
)

_TOKENS = 2e5
_LONGEST_CONTEXT = 128  # of text, which can be cut anywhere
_WIDEST = 128


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Every finding, in the order of the checks."""

    sweep: str
    recipe: str
    context: int
    """Of the models that were checked."""
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Invariants that do not hold."""
        return tuple(found for found in self.findings if found.verdict == "BROKEN")

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What the recipe does not keep on this data."""
        return tuple(found for found in self.findings if found.verdict == "FAIL")

    @property
    def undecided(self) -> tuple[Finding, ...]:
        """What no look could tell from its threshold."""
        return tuple(found for found in self.findings if found.verdict == "undecided")

    @property
    def false_alarm_rate(self) -> float:
        """How often such a report fails, at most, of a recipe that keeps every threshold."""
        return sum(found.false_alarm_rate for found in self.findings)

    def require_passed(self) -> None:
        """Raise CheckError where an invariant does not hold, or the recipe fails a check."""
        if self.broken:
            names = "; ".join(found.check for found in self.broken)
            raise CheckError(
                f"{self.sweep}: broken: {names}; runs trained by this code are not what their "
                "records say"
            )
        if self.failed:
            names = "; ".join(found.check for found in self.failed)
            raise CheckError(
                f"{self.sweep}: failed: {names}; recipe {self.recipe} does not keep this on the "
                "config's data"
            )

    def to_json(self) -> str:
        """The report as one JSON document."""
        document = {
            "sweep": self.sweep,
            "recipe": self.recipe,
            "context": self.context,
            "precision": "fp32",
            "passed": not self.broken and not self.failed,
            "undecided": len(self.undecided),
            "false_alarm_rate": self.false_alarm_rate,
            "seconds": round(self.seconds, 1),
            "findings": [found.row() for found in self.findings],
        }
        return json.dumps(document, indent=2, allow_nan=False)


def run_checks(
    config: SweepConfig,
    *,
    quick: bool = False,
    on_finding: Callable[[Finding], None] = lambda finding: None,
) -> CheckReport:
    """Check the config's recipe on its data, on small models on the CPU, one thread, float32.

    `quick` leaves out what takes minutes: depths, learning-rate transfer, wider is better. Raises
    CorpusError for the text, ConfigError for one too short.
    """
    settle_process(1)
    start = time.perf_counter()
    bench = bench_for(config)
    findings = []
    for family in QUICK if quick else FULL:
        for found in family(bench):
            findings.append(found)
            on_finding(found)
    return CheckReport(
        sweep=config.name,
        recipe=config.recipe.name,
        context=bench.config.model.context,
        findings=tuple(findings),
        seconds=time.perf_counter() - start,
    )


def bench_for(config: SweepConfig) -> Bench:
    """Widths in whole heads up to 128, from a quarter of that; depths 2 to 8, or 1
    where there are no blocks; three seeds, and as many again while a check is undecided.

    In float32, whatever the config's runs are trained in: what must be equal is equal to rounding.
    Text is read in contexts of at most 128 tokens, which tell the same and take less.
    """
    changes: dict[str, Any] = {"precision": "fp32"}
    if isinstance(config.data, (TextData, ShardsData)) and config.objective == "causal":
        changes["context"] = min(config.model.context, _LONGEST_CONTEXT)
    config = config.changed(model=changes)
    corpus = load_corpus(config.data, config.model.context)
    head = config.model.head_size
    widest = max(4, _WIDEST // head) * head
    widths = tuple(max(1, widest // head // share) * head for share in (4, 2, 1))
    limit = config.data.epoch_limit * corpus.facts.train_tokens
    if limit < _TOKENS:
        raise ConfigError(
            f"checks train on {_TOKENS:,.0f} tokens, the text holds {limit:,.0f}; give more text "
            "or a larger data.max_epochs"
        )
    return Bench(
        config=config,
        corpus=corpus,
        tokens=_TOKENS,
        looks=((1, 2, 3), (4, 5, 6)),
        widths=widths,
        depths=(2, 4, 8) if "depth" in find_family(config.model.family).can else (1,),
    )
