"""When a server that is away is asked again."""

from __future__ import annotations

import sys

import pytest

from pytest_perfguard import AsyncRedisCache, MissingExtra, RedisCache
from pytest_perfguard.tools.caches.circuit_breaker import CircuitBreaker


def test_a_server_that_is_away_is_asked_less_and_less_often():
    breaker, now, pauses = CircuitBreaker(), 0.0, []
    assert breaker.allows(now)
    for first in [True, *[False] * 8]:
        assert breaker.failed(now) is first
        begun = now
        while not breaker.allows(now):
            now += 0.25
        pauses.append(now - begun)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert breaker.answered() is True
    assert breaker.allows(now)
    assert breaker.answered() is False
    assert breaker.failed(now) is True


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    for kind in (RedisCache, AsyncRedisCache):
        with pytest.raises(MissingExtra, match="RedisCache needs redis: pip install 'perfguard\\[redis\\]'"):
            kind("redis://127.0.0.1:6379/0")
    with pytest.raises(ValueError, match="either the url of a server or a client"):
        RedisCache()
