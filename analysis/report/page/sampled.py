"""What models made of prompts, as the report shows it: verbatim, a column a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from analysis.text.numbers import loss_in_words
from scaling.records import Records
from scaling.samples import Ending, RunSamples, Sample, Samples
from scaling.tables.notes import plain
from scaling.words import counted


class Verbatim(str):
    """A text that no rule of typesetting may touch."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class ShownSample:
    """A text or a picture, and how it ended where that is worth a word."""

    text: Verbatim
    png: str  # base64; "" of a text
    alt: str  # what a picture is, for those who do not see it
    ending: str


@dataclass(frozen=True, kw_only=True)
class ShownRun:
    """One model: its size, what is known of it, and what it made of the prompt."""

    size: str
    about: str
    prompt: Verbatim | None  # where its tokens read another prompt than others'
    samples: tuple[ShownSample, ...]


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """Pictures of one prompt, those of each model."""

    prompt: Verbatim
    cells: tuple[tuple[ShownSample, ...], ...]


@dataclass(frozen=True, kw_only=True)
class ShownSamples:
    """One prompt, by what rule it was continued, and by which models."""

    prompt: Verbatim | None  # None where each model read another, or there was none
    line: str
    runs: tuple[ShownRun, ...]
    note: str
    rows: tuple[ShownRow, ...] = ()  # of pictures: one a prompt, a cell each of `runs`


def sampled(samples: Sequence[Samples], records: Records) -> tuple[ShownSamples, ...]:
    """The samples of a report on these runs, a file a prompt."""
    return tuple(_shown(one, records) for one in samples)


def _shown(found: Samples, records: Records) -> ShownSamples:
    common = found.prompt
    rows = _rows(found.runs)
    if rows:
        first = found.runs[: len(rows[0].cells)]
        return ShownSamples(
            prompt=None,
            line=f"{found.line[:1].upper()}{found.line[1:]}",
            runs=tuple(_run(run, True) for run in first),
            note=_of_other_sources(first, records),
            rows=rows,
        )
    line = f"{found.line[:1].upper()}{found.line[1:]}"
    return ShownSamples(
        prompt=Verbatim(plain(common)) if common else None,
        line=line,
        runs=tuple(_run(run, common is not None) for run in found.runs),
        note=_of_other_sources(found.runs, records),
    )


def _rows(runs: Sequence[RunSamples]) -> tuple[ShownRow, ...]:
    """A row a prompt, where every sample is a picture and the same models drew each prompt."""
    by_prompt: dict[str, list[RunSamples]] = {}
    for run in runs:
        by_prompt.setdefault(run.prompt, []).append(run)
    models = {tuple(run.run_id for run in row) for row in by_prompt.values()}
    pictures = (run.samples and all(one.png is not None for one in run.samples) for run in runs)
    if len(models) > 1 or not all(pictures):
        return ()
    return tuple(
        ShownRow(
            prompt=Verbatim(plain(prompt.strip())),
            cells=tuple(
                tuple(
                    replace(_sample(one), alt=plain(f"A picture of {prompt.strip() or 'no label'}"))
                    for one in run.samples
                )
                for run in row
            ),
        )
        for prompt, row in by_prompt.items()
    )


def _run(run: RunSamples, same_prompt: bool) -> ShownRun:
    size = run.name if run.params is None else counted(run.params, "parameter")
    loss = "" if run.loss is None or not isfinite(run.loss) else f"loss {loss_in_words(run.loss)}, "
    return ShownRun(
        size=plain(size),
        about=plain(f"{loss}{run.name} ({run.run_id})"),
        prompt=None if same_prompt else Verbatim(plain(run.prompt)),
        samples=tuple(_sample(sample) for sample in run.samples),
    )


def _sample(sample: Sample) -> ShownSample:
    is_worth_a_word = sample.ending is not None and sample.ending is not Ending.TOKENS
    return ShownSample(
        text=Verbatim(plain(sample.text or "")),
        png="" if sample.png is None else sample.png_in_base64,
        alt="A picture sampled from the model",
        ending=sample.ending.words if is_worth_a_word and sample.ending else "",
    )


def _of_other_sources(runs: Sequence[RunSamples], records: Records) -> str:
    """How many of the models are none of the runs that the report is on."""
    if "run_id" not in records:
        return "The table of runs names none of them, so nothing says that these models are its."
    known = set(records.table["run_id"].astype(str))
    others = [run.run_id for run in runs if run.run_id not in known]
    if not others:
        return ""
    are = "is none" if len(others) == 1 else "are none"
    return f"{len(others)} of {counted(len(runs), 'model')} {are} of the runs of this report."
