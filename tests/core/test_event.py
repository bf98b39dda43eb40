"""Events that finalizers may use."""

from __future__ import annotations

import threading

from pytest_perfguard.core.event import ReentrantEvent


def test_an_event_lets_all_threads_pass_while_it_is_set():
    event, passed = ReentrantEvent(), []
    threads = [threading.Thread(target=lambda: passed.append(event.wait(60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert not event.is_set()
    event.set()
    event.set()
    for thread in threads:
        thread.join(60)
    assert passed == [True] * 3
    assert event.is_set()
    event.clear()
    event.clear()
    assert not event.is_set()
    assert not event.wait(0)


def test_a_limit_may_be_any_number_of_seconds():
    event = ReentrantEvent()
    assert not event.wait(-1)
    event.set()
    assert event.wait(float("inf"))
    assert event.wait()
