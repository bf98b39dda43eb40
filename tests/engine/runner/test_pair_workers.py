"""Messages of both arms are received, and arms that cannot run at the same time are detected."""

from __future__ import annotations

from itertools import count

import pytest

from pytest_perfguard.core.errors import ChildDied
from pytest_perfguard.engine.runner.pair_workers import NeverReady, PairWorkers, collision_reason, receive_both
from pytest_perfguard.engine.runner.scheduler import OtherTest, TestFailed


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("E   OSError: [Errno 98] Address already in use\n\nconftest.py:4: OSError", "OSError: [Errno 98] Address already in use"),
        ("E  OSError: [Errno 48] Address already in use", "OSError: [Errno 48] Address already in use"),
        ("sqlite3.OperationalError: database is locked", "OperationalError: database is locked"),
        ("E  filelock.Timeout: The file lock 'x' could not be acquired.", "Timeout: The file lock 'x' could not be acquired."),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable",) * 2,
        ('DuplicateDatabaseError: database "test_db" already exists',) * 2,
        ("FileExistsError: [Errno 17] File exists: 'run.lock'",) * 2,
        ("the server is already running (pid 7)",) * 2,
        ("AssertionError: 3 != 4", None),
        ("ModuleNotFoundError: No module named 'x'", None),
    ],
)  # fmt: skip
def test_what_points_to_a_collision(text, what):
    assert collision_reason(text) == what


def test_errors_of_either_kind_are_read():
    held = "OSError: [Errno 98] Address already in use"
    assert collision_reason(OtherTest(f"fails with main (abc): {held}")) == held
    assert collision_reason(TestFailed(f"setup: ...\nE   {held}")) == held
    assert collision_reason(ChildDied("starting and collecting", f"Traceback\n{held}", status=4, arm="head")) == held
    assert (
        collision_reason(NeverReady("measuring a", waited=10, arm="head"))
        == "one arm was not ready after 10 s more than the base"
    )


class Arm:
    """Answers after so many looks; None: never."""

    def __init__(self, looks, message="here"):
        self.looks = looks
        self.message = message
        self.waits = []

    def has_message(self, seconds):
        self.waits.append(seconds)
        return self.looks is not None and len(self.waits) > self.looks

    def receive(self, *, doing, limit):
        return self.message


def test_both_answers_are_returned_whichever_comes_first():
    for looks in ((0, 1), (1, 0)):
        workers = PairWorkers(*map(Arm, looks, ("base", "head")))
        assert receive_both(workers, doing="x", limit=300, clock=lambda: 0.0) == ("base", "head")


@pytest.mark.parametrize(("base", "head", "stuck"), [(0, None, "head"), (None, 0, "base")])
def test_an_arm_that_does_not_come_is_not_waited_for_as_long_as_any_answer(base, head, stuck):
    workers = PairWorkers(Arm(base), Arm(head))
    with pytest.raises(NeverReady) as caught:
        receive_both(workers, doing="measuring a", limit=300, clock=lambda: 0.0)
    assert caught.value.arm == stuck
    assert caught.value.waited == 10


def test_slow_fixtures_have_more_time():
    ticks = iter((0.0, 20.0, 20.0, 20.0))
    workers = PairWorkers(Arm(1), Arm(None))
    with pytest.raises(NeverReady) as caught:
        receive_both(workers, doing="measuring a", limit=300, clock=lambda: next(ticks))
    assert caught.value.waited == 70


def test_where_neither_answers_the_ordinary_limit_tells():
    workers = PairWorkers(Arm(None), Arm(None))
    assert receive_both(workers, doing="x", limit=5, clock=count().__next__) == ("here", "here")  # a real one raises
