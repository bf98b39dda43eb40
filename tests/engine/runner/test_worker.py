"""The measuring process's side of a measurement point, over a scripted link."""

from __future__ import annotations

import asyncio

import pytest

from pytest_perfguard import PerformanceMonitor
from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.measurement_points import SpeedClaim
from pytest_perfguard.engine.measure.affinity import CpuAffinity
from pytest_perfguard.engine.measure.executor import error_line
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.runner.protocol import FasterThanPoint, PointReached, Resume, Shutdown
from pytest_perfguard.engine.runner.worker import WorkerSession

PINNING = CpuAffinity()


class Script:
    """A link that returns scripted messages of the controller and records those of the process."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.sent = []

    def send(self, message):
        self.sent.append(message)

    def receive(self):
        return self.messages.pop(0)


def test_a_point_is_announced_served_and_left():
    link = Script(MeasureRequest("time", 2, 3), Resume())
    assert WorkerSession(link, None, PINNING).measure(lambda: 42, "parse") == 42
    announced, taken = link.sent
    assert announced == PointReached("parse")
    assert isinstance(taken, MeasureResult)
    assert {name: len(values) for name, values in taken.values.items()} == {
        "time": 3, "cpu": 3, "lost": 3, "setup": 3,
    }  # fmt: skip


def test_a_claim_is_announced_and_each_side_is_called_as_asked():
    log = []
    link = Script(MeasureRequest("time", 2, 1), MeasureRequest("time", 3, 1, rival=True), Resume())
    session = WorkerSession(link, None, PINNING)
    session.measure_claim(lambda: log.append("new"), lambda: log.append("old"), SpeedClaim("new", "old", 1.25))
    assert link.sent[0] == FasterThanPoint("new<old", "new", "old", 1.25)
    assert log == ["new"] * 2 + ["old"] * 3


def test_an_async_claim_runs_inside_the_running_loop():
    log = []

    async def call(name):
        log.append(name)

    link = Script(MeasureRequest("warmed", 1, 1, rival=True), Resume())
    session = WorkerSession(link, None, PINNING)
    asyncio.run(session.measure_claim_async(lambda: call("new"), lambda: call("old"), SpeedClaim("new", "old", 1.0)))
    assert log == ["old"] * 3  # two untimed


def test_what_the_test_records_comes_with_the_readings():
    monitor = PerformanceMonitor()
    link = Script(MeasureRequest("calibrated", 2, 3), MeasureRequest("tails", 1, 1), Resume())
    WorkerSession(link, None, PINNING, distributions=monitor.histograms).measure(lambda: monitor.observe("rows", 5), "")
    assert link.sent[1].user_totals == {"value:rows": [10, 10, 10]}
    assert link.sent[2] == MeasureResult({}, {})  # too few for a tail


def test_the_same_point_reached_again_has_a_number():
    link = Script(Resume(), Resume(), Resume())
    session = WorkerSession(link, None, PINNING)
    for label in ("parse", "parse", "dump"):
        session.measure(lambda: None, label)
    assert link.sent == [PointReached("parse"), PointReached("parse#2"), PointReached("dump")]
    assert session.points == 3


def test_a_call_that_raises_is_reported_and_the_point_stays_open():
    calls = []

    def second_fails():
        calls.append(1)
        if len(calls) == 2:
            raise FileExistsError("it is there")
        return "first"

    link = Script(MeasureRequest("time", 1, 1), MeasureRequest("time", 1, 1), MeasureRequest("time", 1, 1), Resume())
    assert WorkerSession(link, None, PINNING).measure(second_fails, "") == "first"
    assert [type(message) for message in link.sent] == [PointReached, MeasureResult, CallRaised, MeasureResult]
    assert link.sent[2] == CallRaised("FileExistsError: it is there")


@pytest.mark.parametrize(
    "outcome", [pytest.fail.Exception("no"), pytest.skip.Exception("no"), SystemExit(3), StopIteration()]
)
def test_whatever_the_test_raises_is_its_own_affair(outcome):
    def call():
        raise outcome

    link = Script(MeasureRequest("time", 1, 1), Resume())
    with pytest.raises(type(outcome)):
        WorkerSession(link, None, PINNING).measure(call, "")
    assert isinstance(link.sent[1], CallRaised)


def test_an_async_point_runs_inside_the_running_loop():
    loops = set()

    async def call():
        loops.add(asyncio.get_running_loop())

    async def main():
        link = Script(MeasureRequest("time", 1, 2), MeasureRequest("memory", 1, 1), Resume())
        await WorkerSession(link, None, PINNING).measure_async(call, "")
        return asyncio.get_running_loop(), link

    loop, link = asyncio.run(main())
    assert loops == {loop}
    assert [type(message) for message in link.sent] == [PointReached, MeasureResult, MeasureResult]


def test_a_counter_that_cannot_count_is_no_error_of_the_call():
    link = Script(MeasureRequest("callgrind", 1, 1), Resume())
    WorkerSession(link, None, PINNING).measure(lambda: 42, "parse")
    problem = "this process cannot count instructions: it does not run under valgrind"
    assert link.sent[1] == CallRaised(problem, by_instrument=True)


@pytest.mark.parametrize("word", [Shutdown(), MeasureRequest("eval", 1, 1)])
def test_a_wrong_message_is_refused(word):
    with pytest.raises(
        ProtocolError, match="expected SetAffinity, MeasureRequest, CheckLeaks, ProfileRequest or Resume"
    ):
        WorkerSession(Script(word), None, PINNING).measure(lambda: None, "")


def test_a_points_own_setup_takes_the_place_of_the_markers():
    log = []
    link = Script(MeasureRequest("time", 1, 2), Resume())
    session = WorkerSession(link, lambda: log.append("marker's"), PINNING)
    session.measure(lambda: log.append("call"), "", lambda: log.append("own"))
    assert log == ["own", "call"] * 2


def test_the_latest_rounds_are_known_in_seconds_per_call():
    session = WorkerSession(
        Script(MeasureRequest("time", 4, 3), MeasureRequest("blocks", 1, 1), Resume()), None, PINNING
    )
    session.measure(lambda: None, "")
    assert len(session.last_rounds) == 3
    assert all(0 < seconds < 1 for seconds in session.last_rounds)


def test_setup_runs_before_every_round():
    log = []
    link = Script(MeasureRequest("time", 2, 2), Resume())
    WorkerSession(link, lambda: log.append("setup"), PINNING).measure(lambda: log.append("call"), "")
    assert log == ["setup", "call", "call"] * 2


def test_an_error_is_one_line():
    assert error_line(ValueError("a\n  b")) == "ValueError: a b"
    assert error_line(KeyError()) == "KeyError"
