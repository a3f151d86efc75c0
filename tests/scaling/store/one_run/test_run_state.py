"""Facts about the states of a run: which are ends, and which of those leave nothing to do."""

import pytest

from scaling.store.one_run.run_state import RANK, RunState
from sweeps.config.launch import LaunchConfig, PolicyConfig
from sweeps.planning.exclusions import final_states
from sweeps.running.events import EventKind

# state: (has an outcome, has ended, is final)
EXPECTED = {
    "planned": (False, False, False),
    "running": (False, False, False),
    "finished": (True, True, True),
    "settled": (True, True, True),
    "diverged": (True, True, True),
    "interrupted": (False, True, False),  # it goes on, or begins again
    "failed": (False, True, False),  # it is tried again
    "excluded": (False, False, True),  # it may never have begun
}


@pytest.mark.parametrize("state", RunState)
def test_each_state_says_whether_it_is_an_end_and_whether_anything_is_left_to_do(state):
    found = (state.has_outcome, state.has_ended, state.is_final)
    assert found == EXPECTED[state.value]
    assert state is RunState.PLANNED or state.value in RANK


def test_a_settled_run_is_final_only_while_a_sweep_stops_settled_runs():
    stops = LaunchConfig(policy=PolicyConfig(stop_settled_relative_width=0.01))
    assert final_states(stops) == {state for state in RunState if state.is_final}
    assert final_states(LaunchConfig()) == final_states(stops) - {RunState.SETTLED}


def test_every_event_that_ends_a_run_puts_it_into_the_state_of_that_end():
    ends = {kind.state for kind in EventKind if kind.state and kind.state.has_ended}
    assert ends == {state for state in RunState if state.has_ended}
