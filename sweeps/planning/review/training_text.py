"""What the runs of a plan train on: how much text there is, how much is read, what is twice."""

from dataclasses import asdict, dataclass
from typing import Any

from scaling.words import counted
from sweeps.data.documents.summary import PairsSummary, TextSummary
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import UNLIMITED_TOKENS, Corpus
from sweeps.models.family import View
from sweeps.planning.plan import SweepPlan

_WORTH_SAYING = 0.001  # share of the bytes: the standard library has a few copies of a line or two


@dataclass(frozen=True, kw_only=True)
class TrainingText:
    """The text of a plan, by its tokens; a token counts once, however often it is read."""

    train_tokens: int | None
    """None of a generated source, which never repeats itself."""
    validation_tokens: int
    longest_run_tokens: int
    documents: TextSummary | None
    """None where tokens came from elsewhere."""
    left_out: tuple[str, ...]
    """Documents that are no part of it."""
    left_out_since: str
    """Why."""
    notes: tuple[str, ...]
    """What it is made of, where documents do not say so."""
    pairs: PairsSummary | None
    """None where there are no sources and targets."""
    padding_share: float
    """Of the places of the sequences that a model computes: those behind a sentence's or a pair's
    own tokens, on the average of all sentences, of pairs of those that are measured."""

    @classmethod
    def of(cls, plan: SweepPlan) -> "TrainingText":
        """The text that a plan was made with, which is in memory by then."""
        context = plan.config.model.context
        corpus = load_corpus(plan.config.data, context)
        there = corpus.facts.train_tokens
        return cls(
            train_tokens=None if there == UNLIMITED_TOKENS else there,
            validation_tokens=corpus.facts.validation_sequences * context,
            longest_run_tokens=max(run.tokens for run in plan.runs),
            documents=corpus.text,
            left_out=corpus.left_out,
            left_out_since=corpus.left_out_since,
            notes=corpus.notes,
            pairs=corpus.pair_summary,
            padding_share=_padding_share(corpus, plan.runs[0].asks.view),
        )

    def document(self) -> dict[str, Any]:
        """What a JSON document says of it."""
        return asdict(self)

    @property
    def lines(self) -> list[str]:
        """What a person should know before training on it."""
        if self.train_tokens is None:
            return ["text: generated; no run reads any of it twice", *self._padding()]
        there, most, made = self.train_tokens, self.longest_run_tokens, ""
        if self.pairs is not None:
            made = (
                f"{counted(self.pairs.training, 'pair')} to train on and {self.pairs.validation:,} "
                "to measure on: "
            )
        if self.documents is not None:
            made = (
                f"{counted(self.documents.documents, 'document')}, {self.documents.bytes:,} bytes: "
            )
        read = f"{most / there:.0%} of them" if most <= there else f"each {most / there:.1f} times"
        first = (
            f"text: {made}{there:,} tokens to train on, {self.validation_tokens:,} to measure on; "
            f"the longest run reads {most:,}, {read}"
        )
        return [*self.notes, first, *self._copies(), *self._left_out(), *self._padding()]

    def _copies(self) -> list[str]:
        text = self.documents
        if text is None or text.copied_bytes < _WORTH_SAYING * text.bytes:
            return []
        are = "is a copy of another" if text.copies == 1 else "are copies of others"
        share = f"{text.copied_bytes / text.bytes:.1%} of the bytes"
        return [
            f"{counted(text.copies, 'document')} ({share}) {are} and would count as fresh text; "
            f"take out what is twice, such as {text.first_copy}"
        ]

    def _padding(self) -> list[str]:
        if not self.padding_share:
            return []
        return [
            f"padding: {self.padding_share:.1%} of the places that are computed; tokens and FLOP "
            "count it, losses do not"
        ]

    def _left_out(self) -> list[str]:
        if self.pairs is not None and self.pairs.left_out:
            room = f"{self.pairs.source_tokens} tokens for a source and its separator"
            return [
                f"{counted(self.pairs.left_out, 'pair')} left out, longer than a block has room "
                f"({room}, {self.pairs.target_tokens} for a target and its end): the first is "
                f"{self.pairs.first_left_out}"
            ]
        if not self.left_out:
            return []
        others = " and others" if len(self.left_out) > 1 else ""
        return [
            f"{counted(len(self.left_out), 'document')} left out, {self.left_out_since}: "
            f"{self.left_out[0]}{others}"
        ]


def _padding_share(corpus: Corpus, view: View) -> float:
    """Of all places, those that hold no token of a sequence's own."""
    if (own := corpus.own_tokens) is None:
        return 0.0
    # a decoder reads all but the last token of a block; an encoder and a decoder together all
    return 1 - (own / (corpus.context + 1) if view == "source" else (own - 1) / corpus.context)
