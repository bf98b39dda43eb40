"""The instruments switch their counter around the calls, and nothing else."""

from __future__ import annotations

import functools

from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.instructions import callgrind
from pytest_perfguard.engine.instructions import instrument as module
from pytest_perfguard.engine.measure.executor import CallStep, execute
from pytest_perfguard.engine.measure.user_metrics import UserMetrics


class Counter:
    """Counts the calls of the measured function between `start` and `stop`."""

    def __init__(self, log):
        self.log = log

    def start(self):
        self.log.append("start")

    def stop(self):
        self.log.append("stop")
        return len(self.log)


def test_each_round_is_set_up_before_it_is_counted():
    log: list[str] = []
    readings = {}

    def steps():
        readings["counts"] = yield from module._read(Counter(log), 2, 2, UserMetrics(tuple), 0)

    execute(steps(), lambda: log.append("call"), lambda: log.append("set-up"))
    assert log == ["set-up", "start", "call", "call", "stop"] * 2
    assert readings == {"counts": [5, 10]}


def test_a_round_without_iterations_neither_sets_up_nor_calls_the_test():
    log: list[str] = []

    def steps():
        yield from module._read(Counter(log), 0, 2, UserMetrics(tuple), 0)
        yield CallStep(1)

    execute(steps(), lambda: log.append("call"), lambda: log.append("set-up"))
    assert log == [*["start", "stop"] * 2, "call"]


def test_the_rounds_have_different_offsets_of_the_stack():
    steps = module._read(Counter([]), 1, 3, UserMetrics(tuple), 0)
    made = []
    step = next(steps)
    for _ in range(5):
        made.append(step)
        step = steps.send(Timing(0, 0))
    offsets = [each.offset for each in (*made, step) if each.iterations]
    assert len(set(offsets)) == 3


def test_only_a_process_that_has_counted_ends_its_counting(monkeypatch):
    requests = []
    counter = functools.cache(lambda: callgrind.CallgrindCounter(lambda number: requests.append(number) or 1))
    monkeypatch.setattr(callgrind, "callgrind_counter", counter)
    module.stop_callgrind()
    assert requests == []
    counter()
    module.stop_callgrind()
    assert requests[-1] == callgrind.STOP_INSTRUMENTATION
