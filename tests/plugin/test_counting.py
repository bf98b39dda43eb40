"""Passes that count, with a scripted runner: how many processes a test gets, and where its problem is reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Finding, Record, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.instructions.sources import CALLGRIND, Source
from pytest_perfguard.engine.runner.count_runner import PointCounts
from pytest_perfguard.engine.runner.process import Launch, WorkerProgram
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.plugin import counting as module
from pytest_perfguard.plugin.counting import Counting, warning_of_long_counts

TEST = MeasuredTest("t.py::a", "/t.py", resolve(marker={"metrics": "instructions"}, command_line={}, ini={}), 0.1)
PROBLEM = "its instructions could not be counted: boom"


class Runner:
    """Counts a million instructions in the head, or has a problem in the arms that fail."""

    fails: tuple[str, ...] = ()
    slower = False
    python = "3.12.1"
    processes = 1

    def __init__(self, tests, launch, source, *, names_python, **_options):
        self.modules: dict[str, str] = {}
        count = 1.1e6 if self.slower and launch.arm == "head" else 1e6
        functions = {"work (lib.py)" if names_python else "_PyEval_EvalFrameDefault": count}
        failed = launch.arm in self.fails
        self.problems = {test.nodeid: "boom" for test in tests if failed}
        self.counts = {test.nodeid: {"": PointCounts((count,) * 3, 5, functions)} for test in tests if not failed}
        self.seconds: dict[str, float] = {}

    def run(self):
        pass


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(module, "CountRunner", Runner)
    monkeypatch.setattr(Runner, "fails", ())
    monkeypatch.setattr(Source, "conditions", "callgrind")
    return Counting(Source(CALLGRIND, "", "valgrind"), lambda _progress: None, lambda _text: None)


def launch(arm=""):
    return Launch([], Path(), WorkerProgram("", ""), arm=arm)


def count(counting, *, passes, judges, known=None):
    (found,) = counting.count(
        [TEST], launch(), known or {}, lambda _test: None, passes=passes, judges=judges,
        unjudged=lambda _test, _conditions: (Verdict.NEW, "not in the baseline file"),
    ).values()  # fmt: skip
    return found


def count_arms(counting):
    (found,) = counting.count_arms(
        [TEST], (launch("base"), launch("head")), {}, revision="main",
        exists_at_base=lambda _nodeid, _file: True, check_modules=lambda _modules: None,
    ).values()  # fmt: skip
    return found


@pytest.mark.parametrize("passes", [1, 2])
def test_a_run_that_decides_nothing_makes_the_passes_that_it_is_given(counting, passes):
    found = count(counting, passes=passes, judges=False)
    assert len(found.measurement.samples["instructions"].medians) == passes
    assert counting.processes == passes


@pytest.mark.parametrize("judges", [False, True])
def test_a_test_without_any_figure_is_inconclusive_and_its_problem_no_note_as_well(counting, monkeypatch, judges):
    monkeypatch.setattr(Runner, "fails", ("",))
    found = count(counting, passes=2, judges=judges)
    assert (found.verdict, found.reason, found.measurement.notes) == (Verdict.INCONCLUSIVE, PROBLEM, ())


def test_the_problem_of_a_test_that_was_timed_is_a_note(counting, monkeypatch):
    monkeypatch.setattr(Runner, "fails", ("",))
    timed = Comparison(TEST.nodeid, None, (Finding("time", "s", None, 1.0),))
    found = count(counting, passes=1, judges=False, known={TEST.nodeid: timed})
    assert (found.verdict, found.measurement.notes) == (None, (PROBLEM,))


@pytest.mark.parametrize(
    ("fails", "verdict", "reason", "notes"),
    [
        (("base",), Verdict.INCOMPARABLE, f"with the base, {PROBLEM}", ()),
        (("head",), Verdict.INCONCLUSIVE, PROBLEM, ()),
        (("base", "head"), Verdict.INCONCLUSIVE, PROBLEM, ()),
        ((), Verdict.UNCHANGED, "", ()),
    ],
)
def test_a_problem_of_an_arm_is_reported_once(counting, monkeypatch, fails, verdict, reason, notes):
    monkeypatch.setattr(Runner, "fails", fails)
    found = count_arms(counting)
    assert (found.verdict, found.reason, found.measurement.notes) == (verdict, reason, notes)


def test_tests_that_take_long_to_count_are_announced():
    slow, slower = (
        replace(TEST, nodeid=name, functional_seconds=seconds) for name, seconds in (("s", 2.0), ("t", 10.0))
    )
    assert warning_of_long_counts([TEST, replace(TEST, functional_seconds=0.5)]) == ""
    assert warning_of_long_counts([TEST, slower]).startswith(
        "perf: t took 10.0 s in the ordinary run and may take 17 min to count; "
    )
    assert warning_of_long_counts([slow, TEST, slower]).startswith("perf: 2 tests took 12.0 s in")


def test_a_clear_count_needs_one_process(counting):
    stats = MetricStats.from_rounds("instructions", ((1e6,), (1e6,)))
    record = Record("", "", 0.0, {}, {"instructions": stats}, counting="callgrind")
    found = counting.count(
        [TEST],
        launch(),
        {},
        lambda _test: record,
        passes=2,
        judges=True,
        unjudged=lambda _test, _conditions: (Verdict.NEW, ""),
    )
    assert (found[TEST.nodeid].verdict, counting.processes) == (Verdict.UNCHANGED, 1)


@pytest.mark.parametrize(("python", "processes"), [("3.12.1", 6), ("3.11.7", 4)])
def test_a_regression_names_the_python_functions_where_the_interpreter_can(counting, monkeypatch, python, processes):
    monkeypatch.setattr(Runner, "slower", True)
    monkeypatch.setattr(Runner, "python", python)
    (finding,) = count_arms(counting).findings
    assert finding.verdict is Verdict.REGRESSION
    assert finding.candidate == 1.1e6, "counts with names are used for nothing else"
    loop, *named = finding.details
    assert loop.startswith("_PyEval_EvalFrameDefault: 1.00 M -> 1.10 M")
    assert named == (["in Python: work (lib.py): 1.00 M -> 1.10 M instructions"] if processes == 6 else [])
    assert counting.processes == processes
