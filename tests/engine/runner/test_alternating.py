"""Arms that cannot run at the same time are measured one at a time, with scripted processes."""

from __future__ import annotations

from itertools import count

import pytest

from pytest_perfguard.core.errors import ChildDied
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Measurement, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.measure.messages import MeasureResult
from pytest_perfguard.engine.runner import scheduler as module
from pytest_perfguard.engine.runner.alternating import AlternatingRunner, equalize_rounds
from pytest_perfguard.engine.runner.pair_workers import PairOptions
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.protocol import (
    FinishedTest,
    PointReached,
    Ready,
    Resume,
    ServeTest,
    SetAffinity,
)
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict.paired import judge_paired
from pytest_perfguard.plugin.capture import error_summary


def measured(*processes, unit="s"):
    return Measurement({"time": MetricStats.from_rounds(unit, processes)}, processes=len(processes))


def test_both_sides_get_as_many_rounds_without_a_bias():
    base, head = equalize_rounds(measured((4.0, 1.0, 3.0, 2.0), (1.0,)), measured((5.0, 6.0), (1.0, 9.0, 2.0)))
    assert base.samples["time"].processes == ((2.0, 4.0), (1.0,))
    assert head.samples["time"].processes == ((5.0, 6.0), (2.0,))


SETTINGS = resolve(marker={}, command_line={"metrics": "time"}, ini={})


class World:
    """Replaces `WorkerProcess`: one process at a time, with these nanoseconds per call in each arm."""

    def __init__(self, **behaviours):
        self.ns = {"base": 1000, "head": 1000}
        self.behaviours = behaviours
        self.alive, self.turns = 0, ""

    def __call__(self, launch, nodeids, files):
        return Child(self, launch.arm, nodeids)


class Child:
    def __init__(self, world, arm, nodeids):
        self.world, self.arm, self.nodeids = world, arm, nodeids
        self.behaviour = world.behaviours.get(arm)
        self.queue = []

    def __enter__(self):
        self.world.turns += self.arm[0]
        if self.behaviour == "dies":
            raise ChildDied("starting and collecting", "no", status=4, arm=self.arm)
        self.world.alive += 1
        assert self.world.alive == 1, "one alive at a time"
        found = [] if self.behaviour == "lost" else self.nodeids
        self.ready = Ready(found, [], [], True, True, "3.11.0", {"lib": f"/{self.arm}/lib.py"})
        return self

    def __exit__(self, *_error):
        self.world.alive -= 1

    def send(self, message):
        if isinstance(message, ServeTest):
            self.queue.append(PointReached(""))
        elif isinstance(message, Resume):
            self.queue.append(
                FinishedTest("call: def test_a()\nE  ValueError: no" if self.behaviour == "fails" else None, {}, [])
            )
        else:
            assert isinstance(message, SetAffinity)

    def measure(self, take, *, doing, limit):
        readings = [self.world.ns[self.arm] * take.iterations] * take.rounds
        return MeasureResult(
            {
                "time": readings,
                "cpu": readings,
                "setup": readings,
                "load": readings,
                "lost": [0] * take.rounds,
                "kernel": [300_000] * take.rounds,
            }
        )

    def receive(self, *, doing, limit):
        return self.queue.pop(0)


class Proof:
    def __init__(self):
        self.checks = []

    def start_pair(self):
        pass

    def check(self, base, head):
        self.checks.append((base["lib"], head["lib"]))


@pytest.fixture
def run(monkeypatch):
    def start(world, *, budget=100.0):
        monkeypatch.setattr(module, "WorkerProcess", world)
        settings = resolve(marker={}, command_line={"metrics": "time", "budget": f"{budget}s"}, ini={})
        ticks, audit = count(), Proof()
        options = PairOptions(
            Launch([], None, None, arm="base"), Launch([], None, None, arm="head"),
            lambda nodeid, pairs, spent: judge_paired(nodeid, pairs, settings, family=1, spent=spent), audit,
            summarize=error_summary, revision="main (abc)", reasons={"a": "suspected"},
            report_progress=lambda _state: None, max_passes=30, clock=lambda: float(next(ticks)),
        )  # fmt: skip
        runner = AlternatingRunner(
            [MeasuredTest("a", "/a.py", settings, 0.1)], options, collisions={"a": "OSError: port"}
        )
        runner.run()
        assert world.alive == 0
        return runner, audit

    return start


def test_the_arms_take_turns_and_begin_in_turn(run):
    world = World()
    runner, audit = run(world)
    assert world.turns == "bhhb" * (len(world.turns) // 4)
    assert runner.processes == len(world.turns)
    assert set(audit.checks) == {("/base/lib.py", "/head/lib.py")}
    assert runner.comparisons["a"].verdict is Verdict.UNCHANGED


def test_a_note_says_why_and_what_it_costs(run):
    comparison = run(World())[0].comparisons["a"]
    (note,) = [note for note in comparison.measurement.notes if "one arm alive" in note]
    assert "(OSError: port): only changes of more than 10% can be detected" in note
    assert not comparison.pairing.pinned
    assert comparison.pairing.why == "suspected"


@pytest.mark.parametrize(
    ("ns", "verdict"), [(3000, Verdict.REGRESSION), (1080, Verdict.UNCHANGED), (400, Verdict.IMPROVEMENT)]
)
def test_verdicts_hold_to_the_wider_threshold(run, ns, verdict):
    world = World()
    world.ns["head"] = ns
    assert run(world)[0].comparisons["a"].verdict is verdict


def test_a_clear_slowdown_is_settled_whatever_the_budget(run):
    world = World()
    world.ns["head"] = 3000
    assert run(world, budget=0.001)[0].comparisons["a"].verdict is Verdict.REGRESSION


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("fails", "fails with main (abc): ValueError: no"),
        ("dies", "exited with status 4"),
        ("lost", "not available with main (abc)"),
    ],
)
def test_what_the_base_cannot_do_makes_a_test_incomparable(run, behaviour, reason):
    comparison = run(World(base=behaviour))[0].comparisons["a"]
    assert comparison.verdict is Verdict.INCOMPARABLE
    assert reason in comparison.reason


@pytest.mark.parametrize(
    ("behaviour", "what"), [("fails", "ValueError: no"), ("dies", "status 4"), ("lost", "did not collect")]
)
def test_what_the_head_cannot_do_breaks_a_test(run, behaviour, what):
    assert what in run(World(head=behaviour))[0].comparisons["a"].broken
