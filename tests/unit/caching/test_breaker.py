"""When a server that is away is asked again."""

from __future__ import annotations

from pytest_perfguard.caching.breaker import Breaker


def test_a_server_that_is_away_is_asked_less_and_less_often():
    breaker, now, pauses = Breaker(), 0.0, []
    assert breaker.asks(now)
    for first in [True, *[False] * 8]:
        assert breaker.failed(now) is first
        begun = now
        while not breaker.asks(now):
            now += 0.25
        pauses.append(now - begun)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert breaker.answered() is True
    assert breaker.asks(now)
    assert breaker.answered() is False
    assert breaker.failed(now) is True
