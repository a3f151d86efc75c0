"""Facts about the page Record: every seal with its verdict, and the coverage so far."""

from analysis.evaluation.sealed import Seal, SealedTarget
from analysis.evaluation.verdicts import (
    CoverageSoFar,
    SealStanding,
    Verdict,
    coverage_so_far,
    record_line,
)
from analysis.intervals import Interval
from scaling.errors import StoreError
from tests.analysis.dashboard.conftest import draw, figures, shown

HOSTILE = "<img src=x>"


def standing(name, measured, source="runs.csv"):
    target = SealedTarget(
        at={"train_flops": 1e21},
        asked=("train_flops",),
        median=2.5,
        intervals={0.9: Interval(2.4, 2.6)},
        decades_beyond=1.0,
    )
    seal = Seal(
        name=name,
        sealed_at="2026-01-01T00:00:00+00:00",
        source=source,
        data_hash="h",
        seen_runs=(),
        recipe="",
        code_version="1",
        law="auto",
        targets=(target,),
    )
    verdict = Verdict(
        seal=name,
        at=target.at,
        run="r9",
        predicted=2.5,
        measured=measured,
        error=2.5 / measured - 1,
        inside={0.9: 2.4 <= measured <= 2.6},
    )
    return SealStanding(seal=seal, verdicts=(verdict,), limits=())


STANDINGS = (standing("bold", 2.7), standing(HOSTILE, 2.45), standing("third", 2.55))


def test_coverage_counts_what_the_record_line_says():
    assert coverage_so_far(STANDINGS) == (CoverageSoFar(level=0.9, inside=2, verdicts=3),)
    assert "2 of 3 inside the 90% interval" in record_line(STANDINGS)


def test_the_page_shows_every_verdict_and_the_coverage_so_far():
    test = draw("record", [], feeds={"seals": lambda: STANDINGS})
    assert not test.exception and not test.error
    text = shown(test)
    assert "inside 90% intervals 2 of 3" in text
    assert "bold" in text and "OUTSIDE" in text and record_line(STANDINGS)[1:] in text
    (drawn,) = figures(test)
    measured = [trace["y"] for trace in drawn["data"] if trace["mode"] == "markers"]
    assert measured == [[2.7], [2.45], [2.55]]
    bars = [trace["y"] for trace in drawn["data"] if trace["mode"] == "lines"]
    assert bars == [[2.4, 2.6]] * 3
    assert "<img" not in test.get("plotly_chart")[0].proto.spec
    assert not any("<img" in one.proto.body for one in test.get("html"))


def test_without_a_seal_the_page_says_how_to_make_one():
    text = shown(draw("record", []))
    assert "--seal NAME" in text


def test_home_tells_how_the_seals_of_a_source_fared(runs):
    own = (standing("a", 2.7, runs), standing("b", 2.5, runs), standing("c", 2.5))
    text = shown(draw("home", [runs], feeds={"seals": lambda: own}))
    assert "1 of 2 inside 90%" in text


def test_a_store_that_does_not_answer_is_one_line():
    def away():
        raise StoreError("the store does not answer; start it")

    test = draw("record", [], feeds={"seals": away})
    assert [one.value.replace("\\", "") for one in test.error] == [
        "the store does not answer; start it"
    ]
