"""Findings that the field quotes, checked on one's own runs."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.fitting.policy import fit_law
from analysis.fitting.result import Fit
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.intervals import LEVEL
from analysis.studies.published.finding import Cells, PublishedFindings, scatter_of
from analysis.studies.published.growth import growth_with_compute
from analysis.studies.published.shape import depth_and_width
from analysis.studies.published.steps import steps_to_a_loss
from analysis.tuning.screening import weighed, without_edges
from scaling.arrays import FloatArray
from scaling.errors import ScalingError
from scaling.laws.surfaces import Chinchilla
from scaling.limits import Limit
from scaling.records import Records
from scaling.sources import Source, records_from

_FACTS = ("params", "tokens", "train_flops")


def published_findings(
    records: Source,
    *,
    law: Fit | None = None,
    confidence_level: float = LEVEL,
    options: ForecastOptions = DEFAULT,
) -> PublishedFindings:
    """What these runs say of findings that the field quotes: that width and depth hardly matter at
    equal compute, that larger models need fewer steps to a loss, and how fast the best size, tokens
    and batch grow with compute; each with its interval, beside the published value.

    ``law`` is a fitted law of size and tokens, which takes small differences of size off shapes;
    without one the Chinchilla law is fitted. ``options`` are those of the forecast whose laws say
    how size and tokens grow. A quantity that the runs cannot tell says why. Raises RecordError
    where no run is usable.
    """
    records = records_from(records)
    used = without_edges(weighed(records)).with_values(*_FACTS)
    if law is None:
        with suppress(ScalingError):  # without a law, sizes that differ are not compared
            law = fit_law(records, Chinchilla, confidence_level=confidence_level, seed=options.seed)
    cells = _cells(used)
    noise = scatter_of(np.log(used.column("loss")), used.configurations)
    growth, limits = growth_with_compute(
        records, cells, noise, replace(options, confidence_levels=(confidence_level,))
    )
    findings = (
        *depth_and_width(cells, law, noise, confidence_level),
        *steps_to_a_loss(_best_batches(cells), noise, confidence_level, options.seed),
        *growth,
    )
    return PublishedFindings(
        findings=findings,
        confidence_level=confidence_level,
        noise=noise.sigma,
        noise_from=noise.from_where,
        source=records.source,
        data_hash=records.data_hash,
        limits=tuple(
            dict.fromkeys([*(Limit(one.code, one.text) for one in used.left_out()), *limits])
        ),
        notes=records.told,
    )


def _cells(used: Records) -> Cells:
    """The configurations, each with the mean of its runs."""
    own = used.configurations
    count = np.bincount(own)

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(own, values) / count)

    def fact(name: str) -> FloatArray:
        if name not in used:
            return np.full(len(count), np.nan)
        return mean(pd.to_numeric(used.table[name], errors="coerce").to_numpy(np.float64))

    logs = {name: mean(np.log(used.column(name))) for name in (*_FACTS, "loss")}
    return Cells(
        log_params=logs["params"],
        log_tokens=logs["tokens"],
        log_flops=logs["train_flops"],
        log_loss=logs["loss"],
        runs=count.astype(np.float64),
        width=fact("width"),
        depth=fact("depth"),
        batch_tokens=fact("batch_tokens"),
    )


def _best_batches(cells: Cells) -> Cells:
    """Of cells of one shape and length the best: other settings are tuning."""
    keys = np.round(np.column_stack([cells.log_params, cells.log_tokens]), 4)
    order = np.lexsort([cells.log_loss, *keys.T])
    _, first = np.unique(keys[order], axis=0, return_index=True)
    kept = np.sort(order[first])
    return Cells(**{name: values[kept] for name, values in vars(cells).items()})
