"""Counting tests in one process, with a scripted process: the requests, and what becomes of failures."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import ChildDied
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.instructions.sources import CALLGRIND, HARDWARE, Source
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureResult
from pytest_perfguard.engine.runner import count_runner as module
from pytest_perfguard.engine.runner.count_runner import CountRunner, counting_launch
from pytest_perfguard.engine.runner.process import Launch, WorkerProgram
from pytest_perfguard.engine.runner.protocol import (
    FasterThanPoint,
    FinishedTest,
    PointReached,
    Ready,
    Resume,
    ServeTest,
)
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.plugin.capture import error_summary

SETTINGS = resolve(marker={"metrics": "instructions"}, command_line={}, ini={})
SOURCE = Source(CALLGRIND, "valgrind-3.19.0", "/usr/bin/valgrind")
PER_CALL = 1_000_000
DUMP = "summary: {total}\nfn=(1) work\n0 {total}\n"


PROBLEMS = {"fails": "call: boom", "fails at length": "call: def test_a():\n>   assert n < 3\nE   assert 3 < 3"}


class Child:
    """Stands in for the process: it writes the dumps that callgrind would write."""

    def __init__(self, launch, nodeids, _files):
        self.out_file = Path(next(word for word in launch.prefix if "out-file" in word).partition("=")[2])
        self.launch = launch
        self.dumps = 0
        self.queue = []
        self.ready = Ready(nodeids, [], [], True, True, "3.11.0", {})
        self.launches.append(launch)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def send(self, message):
        if isinstance(message, ServeTest):
            self.served.append(message.nodeid)
            self.behaviour = self.behaviours[message.nodeid]
            self.calls = 0
            first = FasterThanPoint("a<b", "a", "b", 1.0) if self.behaviour == "claims" else PointReached("")
            self.queue.append(first)
        elif isinstance(message, Resume):
            lasting = self.behaviour == "lasting" and self.served.count("a") == 2
            lasting = lasting or (self.behaviour == "counts" and self.calls > 1)
            self.queue.append(FinishedTest("call: boom" if lasting else PROBLEMS.get(self.behaviour), {}, []))

    def receive(self, *, doing, limit):
        return self.queue.pop(0)

    def measure(self, request, *, doing, limit):
        if self.behaviour == "dies":
            raise ChildDied(doing, "", status=-4)
        self.calls += request.iterations
        if self.behaviour in ("stateful", "lasting") and self.calls > 1:
            return CallRaised("KeyError: 'x'")
        numbers = []
        for _ in range(request.rounds):
            self.dumps += 2
            numbers.append(self.dumps)
            if self.behaviour == "full disk":
                continue
            total = 5_000 + PER_CALL * request.iterations
            self.out_file.with_name(f"{self.out_file.name}.{self.dumps}").write_text(DUMP.format(total=total))
        return MeasureResult({"dumps": numbers})


@pytest.fixture
def counted(monkeypatch):
    """Count tests of these behaviours; return the runner and the class of its process."""

    def start(**behaviours):
        child = type("Scripted", (Child,), {"behaviours": behaviours, "served": [], "launches": []})
        monkeypatch.setattr(module, "WorkerProcess", child)
        tests = [MeasuredTest(name, f"/{name}.py", SETTINGS, 0.1) for name in behaviours]
        ticks = count()
        runner = CountRunner(
            tests, Launch([], Path(), WorkerProgram("", "")), SOURCE, layout=1,
            summarize=error_summary, report_progress=lambda _progress: None, clock=lambda: next(ticks) / 10,
        )  # fmt: skip
        runner.run()
        return runner, child

    return start


def test_one_process_counts_all_tests(counted):
    runner, child = counted(a="works", b="works")
    assert {name: counts[""].values for name, counts in runner.counts.items()} == {
        "a": (float(PER_CALL),) * 3,
        "b": (float(PER_CALL),) * 3,
    }
    assert runner.counts["a"][""].functions == {"work": PER_CALL}
    assert (len(child.launches), runner.processes) == (1, 1)


@pytest.mark.parametrize("behaviour", ["stateful", "counts"])
def test_a_stateful_test_is_served_again_and_called_once(counted, behaviour):
    runner, child = counted(a=behaviour, b="works")
    assert child.served == ["a", "a", "b"]
    assert runner.counts["a"][""].values == (float(PER_CALL),)


def test_a_stateful_test_that_fails_in_its_second_set_up_has_the_remedy(counted):
    runner, _child = counted(a="lasting")
    assert runner.problems == {
        "a": "what its first calls change outlives its fixtures (call: boom); restore it in the marker's setup=..."
    }


def test_a_test_that_makes_claims_only_has_no_counts_and_no_problem(counted):
    runner, _child = counted(a="claims")
    assert (runner.counts, runner.problems) == ({"a": {}}, {})


def test_a_test_that_fails_has_a_problem_and_the_others_are_counted(counted):
    runner, _child = counted(a="fails", b="works")
    assert runner.problems == {"a": "call: boom"}
    assert list(runner.counts) == ["b"]


def test_a_failure_is_reported_by_the_line_that_names_the_error(counted):
    runner, _child = counted(a="fails at length")
    assert runner.problems == {"a": "assert 3 < 3"}


def test_a_process_that_dies_costs_the_test_that_it_counted(counted):
    runner, child = counted(a="dies", b="works")
    assert list(runner.problems) == ["a"]
    assert list(runner.counts) == ["b"]
    assert len(child.launches) == 2


def test_a_count_that_was_not_written_costs_its_test_only(counted):
    runner, _child = counted(a="full disk", b="works")
    assert "callgrind's counts cannot be read" in runner.problems["a"]
    assert list(runner.counts) == ["b"]


def test_the_launch_fixes_hash_seed_and_layout_and_is_watched():
    launch = Launch(["x"], Path(), WorkerProgram("main()", "--pipe"), python="/usr/bin/python3", path=[])
    counting = counting_launch(launch, SOURCE, Path("/tmp/out"), 1)
    assert counting.environment["PYTHONHASHSEED"] == "1"
    command = counting.command(3)
    assert command[0] == "/usr/bin/valgrind"
    assert command == counting.command(3)  # no random padding, no random heap
    assert counting.command(3) != counting_launch(launch, SOURCE, Path("/tmp/out"), 0).command(3)
    assert launch.command(3)[0] == "/usr/bin/python3"


def test_the_hardware_counter_needs_no_other_interpreter():
    launch = Launch([], Path(), WorkerProgram("", "--pipe"), python="/shim/python")
    assert counting_launch(launch, Source(HARDWARE, "", ""), Path("x"), 0).python == "/shim/python"


def test_the_pass_that_names_python_functions_separates_the_loop_by_its_callers():
    launch = counting_launch(Launch([], Path(), WorkerProgram("", "--pipe")), SOURCE, Path("/tmp/out"), 0)
    naming = module.naming_launch(launch)
    assert naming.environment["PYTHONPERFSUPPORT"] == "1"
    assert naming.prefix == [*launch.prefix[:-1], module.OPTION, launch.prefix[-1]]
    assert "PYTHONPERFSUPPORT" not in launch.environment
