"""The passes over fresh processes, with scripted processes."""

from __future__ import annotations

from itertools import count

import pytest

from pytest_perfguard.core.errors import ChildDied, ChildTimedOut
from pytest_perfguard.core.model import Comparison, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.runner import scheduler as module
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.protocol import (
    FinishedTest,
    PointReached,
    Ready,
    Resume,
    ServeTest,
    SetAffinity,
)
from pytest_perfguard.engine.runner.runner import Runner
from pytest_perfguard.engine.runner.scheduler import MeasuredTest

SETTINGS = resolve(marker={}, command_line={}, ini={})


class Children:
    """Stands in for `Worker`; a test's behaviour is looked up in `behaviours` by node id."""

    def __init__(self, behaviours=None, dies_at_start=False, lost=()):
        self.behaviours = behaviours or {}
        self.dies_at_start = dies_at_start
        self.lost = lost
        self.started = []
        self.served = []
        self.alive = 0
        self.pinned = []

    def __call__(self, launch, nodeids, files):
        assert files == [f"/{nodeid}.py" for nodeid in nodeids]
        return Child(self, nodeids)


class Child:
    def __init__(self, children, nodeids):
        self.children = children
        self.nodeids = nodeids
        self.queue = []
        self.calls = 0

    def __enter__(self):
        self.children.started.append(list(self.nodeids))
        if self.children.dies_at_start:
            raise ChildDied("starting and collecting", "ImportError: x", status=4)
        self.children.alive += 1
        assert self.children.alive == 1, "one active at a time"
        found = [nodeid for nodeid in self.nodeids if nodeid not in self.children.lost]
        self.ready = Ready(found, [], [], True, True, "3.11.0", {})
        return self

    def __exit__(self, *_error):
        self.children.alive -= 1

    def send(self, message):
        if isinstance(message, ServeTest):
            self.nodeid, self.calls = message.nodeid, 0
            self.children.served.append((message.nodeid, message.next_nodeid))
            self.queue.append(PointReached(""))
        elif isinstance(message, MeasureRequest):
            self.queue.append(self.answer(message))
        elif isinstance(message, SetAffinity):
            self.children.pinned.append(message.cpu)
        elif isinstance(message, Resume):
            behaviour = self.children.behaviours.get(self.nodeid)
            first = self.children.started.index(self.children.started[-1]) == len(self.children.started) - 1
            failed = behaviour == "fails" or (behaviour == "counts" and self.calls > 1)
            failed = failed or (behaviour == "later" and not first)
            failed = failed or (behaviour == "uses up" and len(self.children.served) > 1)
            self.queue.append(FinishedTest("AssertionError: in here" if failed else None, {}, []))

    def measure(self, take, *, doing, limit):
        self.send(take)
        return self.receive(doing=doing, limit=limit)

    def answer(self, take):
        behaviour = self.children.behaviours.get(self.nodeid)
        if take.instrument in ("memory", "blocks"):
            return MeasureResult({take.instrument: [1000] * take.rounds})
        self.calls += take.iterations * take.rounds
        if behaviour == "fails" or (behaviour in ("stateful", "uses up") and self.calls > 1):
            return CallRaised("ValueError: again")
        readings = [1000 * take.iterations] * take.rounds
        loads = [reading * (3 if behaviour == "parallel" else 1) for reading in readings]
        return MeasureResult(
            {
                "time": readings,
                "cpu": readings,
                "lost": [0] * take.rounds,
                "setup": readings,
                "load": loads,
                "kernel": [300_000] * take.rounds,
            }
        )

    def receive(self, *, doing, limit):
        behaviour = self.children.behaviours.get(self.nodeid)
        if behaviour == "dies":
            raise ChildDied(doing, status=-11)
        if behaviour == "hangs":
            raise ChildTimedOut(doing, limit=limit)
        return self.queue.pop(0)


@pytest.fixture
def run(monkeypatch):
    """Run the tests `a`, `b`, ... in scripted processes."""

    def start(names, children, *, enough=2, processes=5, settings=SETTINGS, interrupt=None, parallel=None):
        monkeypatch.setattr(module, "WorkerProcess", children)
        told = []

        def judge(nodeid, measurement, final):
            if interrupt == nodeid:
                raise KeyboardInterrupt
            if measurement.processes >= enough or final:
                return Comparison(nodeid, Verdict.UNCHANGED, (), measurement)
            return None

        ticks = count()
        runner = Runner(
            [MeasuredTest(name, f"/{name}.py", settings, 0.1, parallel=parallel) for name in names],
            Launch([], None, None),
            judge,
            report_progress=told.append,
            max_passes=processes,
            clock=lambda: float(next(ticks)),
        )
        try:
            runner.run()
        except KeyboardInterrupt:
            assert interrupt
        return runner, told

    return start


def test_each_process_is_fresh_and_gets_only_what_is_undecided(run):
    children = Children()
    runner, _told = run("ab", children, enough=3)
    assert children.started == [["a", "b"]] * 3
    assert children.pinned == [1, 1, 2, 2], "only once it is known that it does not run in parallel"
    assert {name: item.measurement.processes for name, item in runner.comparisons.items()} == {"a": 3, "b": 3}


def test_a_test_that_runs_in_parallel_is_never_pinned_and_says_so(run):
    children = Children({"a": "parallel"})
    runner, _told = run("a", children, enough=3)
    assert children.pinned == []
    measurement = runner.comparisons["a"].measurement
    assert measurement.conditions["parallel"]
    assert "runs in parallel: not pinned to one CPU" in measurement.notes


@pytest.mark.parametrize(("recorded", "pinned"), [(True, []), (False, [0, 1])])
def test_what_was_recorded_decides_where_it_is_measured(run, recorded, pinned):
    children = Children({"a": "parallel"})
    runner, _told = run("a", children, enough=2, parallel=recorded)
    assert children.pinned == pinned
    assert runner.comparisons["a"].measurement.conditions["parallel"] is recorded


def test_the_next_test_is_named_so_that_shared_fixtures_live_on(run):
    children = Children()
    run("abc", children, enough=1)
    assert children.served == [("a", "b"), ("b", "c"), ("c", "")]


def test_the_last_process_is_final(run):
    runner, _told = run("a", Children(), enough=99, processes=4)
    assert runner.comparisons["a"].measurement.processes == 4


def test_the_budget_ends_a_test(run):
    """The clock ticks once per reading: a test takes one second, so a third pass fits and a fourth does not."""
    tight = resolve(marker={"budget": "3.5s"}, command_line={}, ini={})
    runner, _told = run("a", Children(), enough=99, processes=20, settings=tight)
    assert runner.comparisons["a"].measurement.processes == 3


@pytest.mark.parametrize(("behaviour", "text"), [("dies", "SIGSEGV"), ("hangs", "time limit of 300 s")])
def test_a_child_that_breaks_down_takes_only_its_test_with_it(run, behaviour, text):
    children = Children({"b": behaviour})
    runner, _told = run("abc", children)
    assert text in runner.comparisons["b"].broken
    assert runner.comparisons["a"].verdict is Verdict.UNCHANGED
    assert runner.comparisons["c"].verdict is Verdict.UNCHANGED
    assert children.started == [["a", "b", "c"], ["c"], ["a", "c"]]


def test_a_test_that_fails_in_a_child_says_so(run):
    runner, _told = run("ab", Children({"a": "fails"}))
    assert "fails in a measuring process:\nAssertionError: in here" in runner.comparisons["a"].broken
    assert runner.comparisons["b"].verdict is Verdict.UNCHANGED


def test_a_child_that_never_starts_is_tried_twice_and_breaks_every_test_once(run):
    children = Children(dies_at_start=True)
    runner, _told = run("ab", children)
    assert len(children.started) == 2
    assert all("exited with status 4" in item.broken for item in runner.comparisons.values())


def test_a_test_that_was_not_collected_again_says_so(run):
    runner, _told = run("ab", Children(lost=("a",)))
    assert "did not collect this test" in runner.comparisons["a"].broken
    assert runner.comparisons["b"].verdict is Verdict.UNCHANGED


def test_a_stateful_test_is_served_again_for_every_call(run):
    children = Children({"a": "stateful"})
    runner, _told = run("ab", children, enough=1)
    assert children.served == [("a", "b"), *[("a", "a")] * 9, ("a", "b"), ("b", "")]
    assert runner.comparisons["a"].measurement.samples["time"].processes == ((1e-6,) * 10,)


def test_a_test_that_fails_after_repeated_calls_is_served_again_for_every_call(run):
    runner, _told = run("a", Children({"a": "counts"}), enough=1)
    measurement = runner.comparisons["a"].measurement
    assert (len(measurement.samples["time"].processes[0]), measurement.conditions["single"]) == (10, True)
    assert "stateful: after repeated calls it fails: AssertionError: in here" in measurement.notes[0]


def test_a_test_whose_state_outlives_its_set_up_has_the_remedy(run):
    runner, _told = run("a", Children({"a": "uses up"}))
    assert "outlives its fixtures: restore it in the marker's setup=" in runner.comparisons["a"].broken


def test_a_failure_after_other_processes_have_measured_is_a_failure(run):
    runner, _told = run("a", Children({"a": "later"}), enough=3)
    assert "in here" in runner.comparisons["a"].broken


def test_a_small_budget_takes_fewer_calls_of_a_stateful_test(run):
    tight = resolve(marker={"budget": "1ms"}, command_line={}, ini={})
    runner, _told = run("a", Children({"a": "stateful"}), enough=1, settings=tight)
    assert runner.comparisons["a"].measurement.samples["time"].processes == ((1e-6,) * 2,)


def test_an_interrupt_keeps_what_was_decided_and_ends_the_child(run):
    children = Children()
    runner, _told = run("ab", children, enough=1, interrupt="b")
    assert set(runner.comparisons) == {"a"}
    assert children.alive == 0


def test_progress_tells_the_test_the_process_and_what_is_open(run):
    _runner, told = run("ab", Children(), enough=2)
    last = told[-1]
    assert (last.nodeid, last.pass_number, last.tests, last.undecided) == ("b", 2, 2, 1)
    assert last.seconds_left > 0


def test_the_progress_never_goes_back(run):
    """Also where tests turn out to need another process."""
    _runner, told = run("abc", Children(), enough=3)
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert shares[-1] > 0
