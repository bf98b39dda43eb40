"""Measurement points: a call is made once by itself, and handed over where somebody measures."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from pytest_perfguard import PerformanceMonitor
from pytest_perfguard.core.measurement_points import CallOnce, SpeedClaim, factor_of


class Server:
    """Notes what it is handed, and calls once."""

    def __init__(self):
        self.seen = []

    def measure(self, call, label):
        self.seen.append(label)
        return call()

    async def measure_async(self, call, label):
        self.seen.append(label)
        return await call()

    def measure_claim(self, call, rival, claim):
        self.seen.append((claim, call(), rival()))

    async def measure_claim_async(self, call, rival, claim):
        self.seen.append((claim, await call(), await rival()))

    def __str__(self):
        return "measuring"


async def fetch(number):
    return number


def test_without_a_server_the_function_is_called_once():
    calls = []
    assert PerformanceMonitor().measure(lambda *a, **k: calls.append((a, k)) or 5, 1, b=2) == 5
    assert calls == [((1,), {"b": 2})]
    assert asyncio.run(PerformanceMonitor().measure_async(fetch, 7)) == 7


def test_without_a_server_a_setup_is_called_before_the_call():
    log = []

    async def setup():
        log.append("async setup")

    async def call():
        log.append("async call")

    CallOnce().measure(lambda: log.append("call"), "", lambda: log.append("setup"))
    asyncio.run(CallOnce().measure_async(call, "", setup))
    assert log == ["setup", "call", "async setup", "async call"]


def test_a_server_gets_the_bound_call_and_the_functions_name():
    server = Server()
    monitor = PerformanceMonitor(server=server)
    assert monitor.measure(sorted, [2, 1], reverse=True) == [2, 1]
    assert monitor.measure(partial(partial(int, "7"), base=8)) == 7
    assert asyncio.run(monitor.measure_async(fetch, 7)) == 7
    assert monitor.named("seven", int, "7").measure() == 7
    assert asyncio.run(monitor.named("eight", fetch, 8).measure_async()) == 8
    assert server.seen == ["sorted", "int", "fetch", "seven", "eight"]


def test_a_callable_object_is_named_by_its_class():
    class Parser:
        def __call__(self):
            return 1

    server = Server()
    PerformanceMonitor(server=server).measure(Parser())
    assert server.seen == ["Parser"]


def test_a_coroutine_function_is_refused_loudly():
    with pytest.raises(TypeError, match=r"cannot time the coroutine function fetch: await perf_monitor.measure_async"):
        PerformanceMonitor().measure(fetch)


def test_a_claim_names_both_sides_and_the_factor():
    server = Server()
    monitor = PerformanceMonitor(server=server)
    monitor.named("new", int, "1").faster_than(monitor.named("old", int, "2"), by="20%")
    new, old = monitor.named("new", fetch, 3), monitor.named("old", fetch, 4)
    asyncio.run(new.faster_than_async(old, by=2))
    assert server.seen == [(SpeedClaim("new", "old", 1.25), 1, 2), (SpeedClaim("new", "old", 2.0), 3, 4)]


def test_where_nothing_is_measured_a_claim_calls_both_once():
    calls = []
    monitor = PerformanceMonitor()
    monitor.named("new", calls.append, 1).faster_than(monitor.named("old", calls.append, 2))
    asyncio.run(monitor.named("new", fetch, 3).faster_than_async(monitor.named("old", fetch, 4)))
    assert calls == [1, 2]


@pytest.mark.parametrize("by", [0.5, float("inf"), "100%", "5"])
def test_a_factor_that_says_nothing_is_refused(by):
    with pytest.raises(ValueError, match="by is|is not a percentage"):
        factor_of(by)


def test_reprs_tell_the_state():
    assert repr(PerformanceMonitor()) == "<PerformanceMonitor with 0 series, idle>"
    assert repr(PerformanceMonitor(server=Server())) == "<PerformanceMonitor with 0 series, measuring>"
    assert repr(PerformanceMonitor().named("new", int)) == "<NamedCall new>"
