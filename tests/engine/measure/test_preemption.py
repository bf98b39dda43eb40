"""What other processes took of a wall time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.measure.preemption import ContextSwitches, context_switches, lost_ns

counts = st.integers(0, 1000)


@pytest.mark.parametrize(
    ("after", "lost"),
    [(ContextSwitches(3, 8), 300), (ContextSwitches(3, 7), 0), (ContextSwitches(4, 8), 0), (ContextSwitches(4, 7), 0)],
    ids=["pre-empted", "neither", "both", "waited"],
)
def test_only_a_process_that_was_preempted_and_never_waited_has_lost_time(after, lost):
    assert lost_ns(1000, 700, ContextSwitches(3, 7), after) == lost


@given(counts, counts, counts, counts, st.integers(0, 10**9), st.integers(0, 10**9))
def test_never_less_than_nothing_is_lost_nor_more_than_passed(v, i, more_v, more_i, wall, cpu):
    """Several threads take more CPU time than passes."""
    assert 0 <= lost_ns(wall, cpu, ContextSwitches(v, i), ContextSwitches(v + more_v, i + more_i)) <= wall


def test_the_counts_of_a_process_never_fall():
    before = context_switches()
    after = context_switches()
    assert after.voluntary >= before.voluntary
    assert after.involuntary >= before.involuntary
