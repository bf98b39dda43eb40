"""The clock of a leak check's budget."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.leaks import clock as module
from pytest_perfguard.engine.leaks.clock import parse_wait_ns, running_ns


@pytest.mark.parametrize(
    ("text", "waited"),
    [(b"411617234 734685788 147\n", 734685788), (b"0 0 0\n", 0), (b"", 0), (b"a b c", 0), (b"1 -2 3", 0)],
)
def test_the_time_without_a_cpu_is_the_second_number(text, waited):
    assert parse_wait_ns(text) == waited


def test_it_stands_still_while_others_have_the_cpu(monkeypatch):
    now = iter([1000, 2500])
    waited = iter([100, 900])
    monkeypatch.setattr(module, "CLOCKS", module.CLOCKS._replace(perf_counter_ns=lambda: next(now)))
    monkeypatch.setattr(module, "_runnable_wait_ns", lambda: next(waited))
    assert -running_ns() + running_ns() == 700


def test_the_wall_time_stands_where_the_system_tells_nothing(monkeypatch):
    monkeypatch.setattr(module, "_SCHEDSTAT_FILE", "/nothing/here")
    monkeypatch.setattr(module, "CLOCKS", module.CLOCKS._replace(perf_counter_ns=lambda: 1000))
    assert running_ns() == 1000
