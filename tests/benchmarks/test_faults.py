"""Facts about faults caused on purpose: a seeded sample of each class keeps its promise."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.faults import configs, files, kills, shown, tables, unanswerable
from benchmarks.faults.__main__ import fault_classes, run_class


def broken(found):
    return [trial for trial in found if trial.wrong]


def test_forty_broken_tables_are_read_as_meant_or_refused_in_one_line(tmp_path: Path):
    assert broken(tables.readings(40, 0, tmp_path)) == []


def test_twelve_broken_tables_give_the_law_that_made_them_or_one_line(tmp_path: Path):
    assert broken(tables.trials(12, 40, tmp_path, verbs=("fit",))) == []


@pytest.mark.parametrize(("number", "verb"), [(21216, "fit"), (23352, "backtest")])
def test_tables_that_once_broke_a_verb_break_it_no_more(tmp_path: Path, number, verb):
    assert broken(tables.trials(1, number, tmp_path, verbs=(verb,))) == []


def test_sixty_damaged_spools_and_locks_lose_nothing_and_believe_nothing(tmp_path: Path):
    assert broken(files.trials(60, 0, tmp_path, kinds=(files.spool, files.lock))) == []


def test_thirty_broken_configs_are_planned_or_refused_in_one_line(tmp_path: Path, tracking_uri):
    assert broken(configs.trials(30, 0, tmp_path)) == []


def test_a_page_that_gives_a_number_is_caught_where_its_table_carries_none():
    clean, nothing = unanswerable.Table(pd.DataFrame(), unanswerable.ALL), pd.DataFrame()
    for words in (
        "10 times (1e20 FLOP) should reach a loss of 2.086 nats",
        "grows as compute to the power 0.48",
        "The compute for a loss of 2 nats per token: 7.46e20 FLOP",
        "At 10 times: about 1.34 billion parameters",
    ):
        assert shown.told_by(words, unanswerable.Table(nothing))
        assert not shown.told_by(words, clean)


def test_a_traceback_of_our_own_is_quoted_whole_and_one_of_ray_is_not_counted():
    ours = f'''Traceback (most recent call last):
  File "{kills.ROOT}/scaling/cli/command.py", line 9, in main
    work()
ValueError: no such thing'''
    forkserver = """Traceback (most recent call last):
  File "/usr/lib/python3/multiprocessing/forkserver.py", line 9, in main
EOFError"""
    ray = """Traceback (most recent call last):
  File "/venv/site-packages/ray/worker.py", line 9, in print_logs
    raise
ConnectionError: gone"""
    worker = "\n".join(f"(do_task pid=7) {line}" for line in ours.splitlines())
    said = "\n".join(["a line", ours, "more", ray, worker, forkserver, "the last line"])
    assert kills.tracebacks(said) == [ours, forkserver]
    assert kills.tracebacks("Traceback of nothing") == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", tables.VERBS)
def test_a_hundred_broken_tables_end_well_in_every_verb(verb, tmp_path: Path):
    assert broken(tables.trials(100, 0, tmp_path, verbs=(verb,))) == []


def test_the_same_seed_breaks_a_table_in_the_same_way():
    assert tables.broken_table(8) == tables.broken_table(8)


def test_every_class_of_faults_is_tried_more_often_in_full_than_in_its_sample():
    assert all(one.full >= one.sample > 0 for one in fault_classes().values())


@pytest.mark.slow
@pytest.mark.parametrize("name", fault_classes())
def test_a_sample_of_every_class_of_faults_keeps_its_promise(name, tmp_path: Path, monkeypatch):
    """What verbs say goes to standard error, as without pytest, whose handlers would take it."""
    monkeypatch.setattr(logging.getLogger("scaling.store"), "propagate", False)
    one = fault_classes()[name]
    assert broken(run_class(one, one.sample, seed=0, home=tmp_path)) == []
