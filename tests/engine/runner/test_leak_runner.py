"""Leak checks in fresh processes, with scripted processes."""

from __future__ import annotations

from itertools import count

import pytest

from pytest_perfguard.core.errors import ChildDied
from pytest_perfguard.core.model import Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.leaks.results import Leak, LeakReport
from pytest_perfguard.engine.measure.messages import CallRaised
from pytest_perfguard.engine.runner import scheduler as module
from pytest_perfguard.engine.runner.leak_runner import LeakRunner
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.protocol import (
    CheckLeaks,
    FinishedTest,
    LeakCheckResult,
    PointReached,
    Ready,
    RecheckLeaks,
    Resume,
    ServeTest,
)
from pytest_perfguard.engine.runner.scheduler import MeasuredTest

SETTINGS = resolve(marker={"leaks": True, "budget": "7s"}, command_line={}, ini={})
CLEAN = LeakCheckResult(LeakReport(100))
LEAKING = LeakCheckResult(LeakReport(100, [Leak("memory", 1033.0, ["1.03 KB at app.py:3"])], {"memory": 1033.0}))


class Child:
    """Stands in for `Worker`: each test has a list of answers, one for each process."""

    started: list[list[str]]
    answers: dict[str, list[object]]
    orders: list[CheckLeaks]
    failing: tuple[object, ...] = ()
    """Answers after which the test fails."""

    def __init__(self, _launch, nodeids, _files):
        self.nodeids = nodeids
        self.ready = Ready(nodeids, [], [], True, True, "3.11.0", {})
        self.queue = []

    def __enter__(self):
        self.started.append(list(self.nodeids))
        return self

    def __exit__(self, *_error):
        pass

    def send(self, message):
        if isinstance(message, ServeTest):
            self.answer = self.answers[message.nodeid].pop(0)
            self.queue.append(PointReached(""))
        elif isinstance(message, Resume):
            raised = isinstance(self.answer, CallRaised)
            self.queue.append(
                FinishedTest("AssertionError: x" if self.answer in self.failing or raised else None, {}, [])
            )

    def receive(self, *, doing, limit):
        assert doing.endswith("for leaks")
        return self.queue.pop(0)

    def check_leaks(self, order, *, doing, limit):
        self.orders.append(order)
        if isinstance(order, RecheckLeaks):
            self.answer = self.answers[order.nodeid].pop(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def check_leaks(monkeypatch):
    def start(settings=SETTINGS, **answers):
        child = type("Scripted", (Child,), {"started": [], "answers": answers, "orders": []})
        monkeypatch.setattr(module, "WorkerProcess", child)
        ticks = count()
        subjects = [MeasuredTest(name, f"/{name}.py", settings, 0.1) for name in answers]
        examiner = LeakRunner(
            subjects, Launch([], None, None), report_progress=lambda _progress: None, clock=lambda: next(ticks) / 10
        )
        examiner.run()
        return examiner.comparisons, child

    return start


def test_only_suspects_are_checked_in_a_second_process(check_leaks):
    comparisons, child = check_leaks(clean=[CLEAN], leaking=[LEAKING, LEAKING], once=[LEAKING, CLEAN])
    assert child.started == [["clean", "leaking", "once"], ["leaking", "once"]]
    assert {name: comparison.verdict for name, comparison in comparisons.items()} == {
        "clean": None, "leaking": Verdict.LEAK, "once": Verdict.INCONCLUSIVE,
    }  # fmt: skip
    first, second = child.orders[1], child.orders[3]
    assert (first.budget_ns, first.share) == (7_000_000_000, pytest.approx(0.6, abs=0.05))
    # The second check is another one: it sets the test up again and again.
    assert second == RecheckLeaks("leaking", "once", "", {"memory": 1033.0}, 7_000_000_000, second.share)
    assert 0.4 <= second.share <= 1.0


def test_a_test_that_fails_after_repeated_calls_has_its_leaks_and_no_clean_bill(check_leaks, monkeypatch):
    monkeypatch.setattr(Child, "failing", (CLEAN, LEAKING))
    comparisons, _child = check_leaks(clean=[CLEAN, CLEAN], leaking=[LEAKING, LEAKING])
    assert {name: comparison.verdict for name, comparison in comparisons.items()} == {
        "clean": Verdict.INCONCLUSIVE, "leaking": Verdict.LEAK,
    }  # fmt: skip
    assert "after repeated calls it fails: AssertionError: x" in str(comparisons["clean"])


def test_a_tiny_budget_counts_as_the_smallest_with_which_a_check_can_work(check_leaks):
    settings = resolve(marker={"leaks": True, "budget": "100ms"}, command_line={}, ini={})
    _comparisons, child = check_leaks(settings, clean=[CLEAN])
    assert child.orders[0].budget_ns == 4_000_000_000


def test_the_resident_set_is_read_in_one_set_up_in_both_processes(check_leaks):
    settings = resolve(marker={"leaks": True, "max_rss_growth": "1MB"}, command_line={}, ini={})
    comparisons, child = check_leaks(settings, leaking=[LEAKING, CLEAN, LEAKING])
    assert [type(order) for order in child.orders] == [CheckLeaks, CheckLeaks, RecheckLeaks]
    assert comparisons["leaking"].verdict is Verdict.LEAK


def test_a_process_that_dies_takes_only_its_test_with_it(check_leaks):
    comparisons, child = check_leaks(dies=[ChildDied("checking dies for leaks", status=-11)], clean=[CLEAN])
    assert "was ended by SIGSEGV while checking dies for leaks" in comparisons["dies"].broken
    assert comparisons["clean"].broken is None
    assert child.started == [["dies", "clean"], ["clean"]]


def test_a_test_that_fails_there_says_so(check_leaks):
    comparisons, _child = check_leaks(fails=[CallRaised("AssertionError: x")])
    assert "AssertionError: x" in comparisons["fails"].broken
