"""Facts about stopping and going on: a kill at any moment costs time and nothing else."""

import dataclasses
import multiprocessing
import os
import signal
import time

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.packing import pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.training.checkpoints.state_file import CheckpointClock, CheckpointFile
from sweeps.training.pack import Listener, train_pack


@pytest.fixture
def setting(tiny_mapping, tmp_path):
    """Two seeds of a trunk with two branches as one pack, its config, and a folder for states."""
    load_corpus.cache_clear()
    mapping = tiny_mapping | {
        "grid": {"width": 16, "tokens": [8000, 12000], "seed": [1, 2]},
        "held_out": [],
        "schedule": "wsd",
        "launch": {
            "workers": 1,
            "device": "cpu",
            "speed": {"pack": 2, "inner_steps": 5},
            "checkpoints": {"seconds": 1e-9},
        },
    }
    config = config_from_mapping(mapping)
    (pack,) = pack_runs(plan_sweep(config).runs, config.launch)
    return pack, config, tmp_path / "states"


@pytest.fixture
def file(tmp_path):
    return CheckpointFile(path=tmp_path / "states" / "run.trunk", identity={"data": "abc"})


@pytest.fixture
def unhurried(monkeypatch):
    """Checkpoints after every chunk, however long they take."""
    monkeypatch.setattr(CheckpointClock, "is_due", lambda self: True)


@pytest.fixture(scope="module")
def whole():
    """What the setting's training gives in one go, once the first test has trained it."""
    return {}


@pytest.fixture
def expected(setting, whole):
    """What the setting's training gives in one go."""
    if not whole:
        pack, config, _ = setting
        whole.update(train_pack(pack, load_corpus(config.data, 32), config.launch))
    return whole


class StopError(Exception):
    """Ends a training from within."""


def train(setting, listener=None):
    pack, config, folder = setting
    corpus = load_corpus(config.data, 32)
    return train_pack(pack, corpus, config.launch, listener=listener, folder=folder)


def assert_same(trained, expected):
    for run, result in expected.items():
        assert trained[run].points == result.points  # bit for bit
        assert torch.equal(trained[run].weights, result.weights)
        assert trained[run].loss == result.loss
        assert trained[run].fork_state_hash == result.fork_state_hash
        assert trained[run].clipped_share == result.clipped_share


@pytest.mark.parametrize("stop_at", [1, 6, 11, 13, 18, 22])
def test_training_goes_on_from_wherever_it_was_stopped(setting, expected, unhurried, stop_at):
    calls = []

    def count(run, point):
        calls.append(point)
        if len(calls) == 2 * stop_at:  # two replicas tell of every chunk
            raise StopError

    with pytest.raises(StopError):
        train(setting, Listener(on_point=count))
    assert setting[2].is_dir() is (stop_at > 1)  # the first state follows the first point
    assert_same(train(setting), expected)


def test_states_are_removed_when_all_is_trained(setting, unhurried):
    train(setting)
    assert list(setting[2].iterdir()) == []


def train_and_be_killed(setting, steps):
    """A worker that dies under training, without a chance to tidy up."""

    def die(run, point):
        if point.step >= steps:
            os.kill(os.getpid(), signal.SIGKILL)

    CheckpointClock.is_due = lambda self: True
    torch.set_num_threads(1)
    train(setting, Listener(on_point=die))


@pytest.mark.parametrize("steps", [20, 55])
def test_a_killed_worker_costs_nothing_but_time(setting, expected, steps):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=train_and_be_killed, args=(setting, steps))
    process.start()
    process.join(timeout=300)
    assert process.exitcode == -signal.SIGKILL
    assert list(setting[2].iterdir())
    assert_same(train(setting), expected)


@pytest.mark.slow
def test_sigkill_at_random_moments_leaves_the_curve_equal_to_the_last_bit(setting, expected):
    context = multiprocessing.get_context("fork")
    for wait in (0.3, 0.05, 0.4, 0.1, 0.2):
        process = context.Process(target=train_and_be_killed, args=(setting, 10**9))
        process.start()
        time.sleep(wait)
        process.kill()
        process.join(timeout=300)
    assert_same(train(setting), expected)


def test_a_state_comes_back_as_it_was_saved(file):
    file.save({"weights": torch.arange(3.0), "step": 7})
    loaded = file.load()
    assert loaded.note == ""
    assert loaded.content["step"] == 7
    assert torch.equal(loaded.content["weights"], torch.arange(3.0))


def test_a_trunk_and_its_branch_keep_generations_of_their_own(file):
    branch = dataclasses.replace(file, path=file.path.with_suffix(".branch"))
    for step in (1, 2):
        file.save({"step": step})
    for step in (8, 9):
        branch.save({"step": step})
    assert (file.steps(), branch.steps()) == ([2, 1], [9, 8])
    branch.remove()
    assert (file.steps(), branch.steps()) == ([2, 1], [])


def test_without_a_file_there_is_no_state(file):
    assert file.load() is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_state_is_passed_over_for_the_one_before_and_that_is_said(file, damage):
    file.save({"step": 1})
    file.save({"step": 2})
    raw = bytearray(file.path.read_bytes())
    raw[-10] ^= 1
    file.path.write_bytes({"flip": raw, "cut": raw[:-20], "empty": b""}[damage])
    loaded = file.load()
    assert loaded.content == {"step": 1}
    assert "damaged or cut short" in loaded.note
    assert "the state before it" in loaded.note


def test_two_damaged_states_start_anew_and_say_so(file):
    file.save({"step": 1})
    file.save({"step": 2})
    file.path.write_bytes(b"x")
    file.previous.write_bytes(b"y")
    loaded = file.load()
    assert loaded.content == {}
    assert "started from the beginning" in loaded.note


def test_a_damaged_state_is_noted_in_the_record(setting, unhurried):
    pack, _, folder = setting

    def stop(run, point):
        if point.step >= 20:
            raise StopError

    with pytest.raises(StopError):
        train(setting, Listener(on_point=stop))
    (damaged, *_) = folder.glob("*.trunk")
    damaged.write_bytes(b"half a sta")
    trained = train(setting)
    run = pack.runs[0]
    assert "damaged or cut short" in trained[run].record(run)["notes"]


def test_a_kill_between_the_two_renames_leaves_the_state_before(file):
    file.save({"step": 1})
    file.path.rename(file.previous)
    assert file.load().content == {"step": 1}


def test_a_state_of_other_data_is_refused_in_one_line(file):
    file.save({"step": 1})
    other = dataclasses.replace(file, identity={"data": "xyz"})
    with pytest.raises(ConfigError, match="its data is abc, but the run at hand has xyz") as error:
        other.load()
    assert "\n" not in str(error.value)


def test_checkpoints_wait_until_they_cost_less_than_one_percent(file, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = CheckpointClock(10.0)
    assert not clock.is_due()
    now[0] = 11.0
    assert clock.is_due()

    def save():
        now[0] += 3.0

    clock.time(save)
    now[0] += 299.0
    assert not clock.is_due()
    now[0] += 2.0
    assert clock.is_due()
