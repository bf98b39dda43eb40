"""The object behind the fixture `benchmark`, measuring in each of its ways."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from pytest_perfguard.compat import BenchmarkFixture, FixtureAlreadyUsed
from pytest_perfguard.compat.fixture import BenchmarkedTest
from pytest_perfguard.compat.options import BenchmarkOptions
from pytest_perfguard.compat.strategies import Delegated, Disabled, InProcess, RunOnce

QUICK = BenchmarkOptions(max_time=1e-9, min_rounds=3, min_time=0.0, calibration_precision=1)


class Ticks:
    """A timer that moves by one second with each reading."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def here(**changes):
    told = []
    return InProcess(QUICK._replace(timer=Ticks(), **changes), told.append), told


def fixture(way=None, **given):
    return BenchmarkFixture(BenchmarkedTest("test_a", "a.py::test_a"), way or here()[0], in_loop=lambda: True, **given)


def test_a_call_is_calibrated_timed_and_made_once_more():
    log = []
    benchmark = fixture()
    assert benchmark(lambda *args, **kwargs: log.append((args, kwargs)) or len(log), 1, b=2) == 5
    assert log == [((1,), {"b": 2})] * (1 + 3 + 1)
    assert benchmark.stats["mean"] == benchmark.stats.stats.mean == 1.0
    assert (benchmark.stats["rounds"], benchmark.stats["iterations"], benchmark.stats["name"]) == (3, 1, "test_a")
    assert (benchmark.enabled, benchmark.disabled, benchmark.has_error) == (True, False, False)


def test_pedantic_makes_the_calls_that_it_is_told_to():
    log = []
    benchmark = fixture()
    benchmark.pedantic(
        lambda one: log.append(one), (1,), teardown=lambda one: log.append("t"), rounds=2, iterations=3, warmup_rounds=1
    )
    assert log == [1, 1, 1, "t"] * 3 + [1, "t"]
    assert benchmark.stats.stats.data == [1 / 3] * 2


def test_a_setup_prepares_each_round_and_the_last_result_is_the_result():
    prepared = iter(range(10))
    benchmark = fixture()
    assert benchmark.pedantic(lambda one: one, setup=lambda: ((next(prepared),), {}), rounds=3) == 2


def test_disabled_calls_once_and_knows_nothing():
    log = []
    benchmark = fixture(Disabled())
    benchmark.pedantic(log.append, (1,), teardown=lambda one: log.append("t"), rounds=5)
    assert (log, benchmark.stats, benchmark.disabled) == ([1], None, True)


@pytest.mark.parametrize("measure", [lambda bench, f: bench(f), lambda bench, f: bench.pedantic(f, rounds=5)])
def test_a_test_may_disable_its_own_benchmark(measure):
    async def fetch():
        log.append(2)

    log = []
    for target, expected in ((lambda: log.append(1), [1]), (fetch, [1, 2])):
        benchmark = fixture()
        benchmark.disabled = True
        pending = measure(benchmark, target)
        if pending is not None:
            asyncio.run(pending)
        assert (log, benchmark.enabled, benchmark.stats) == (expected, False, None)


def test_the_function_may_be_given_by_its_keyword():
    assert fixture()(function_to_benchmark=lambda one: one, one=3) == 3


def test_statistics_of_a_call_that_raises():
    benchmark = fixture()
    with pytest.raises(ZeroDivisionError):
        benchmark(lambda: 1 / 0)
    assert (benchmark.has_error, benchmark.stats) == (True, None)
    results = iter([1, 1])
    benchmark = fixture()
    with pytest.raises(StopIteration):
        benchmark.pedantic(lambda: next(results), rounds=5)
    assert (benchmark.has_error, benchmark.stats["rounds"], benchmark.stats.stats.fields[0]) == (True, 2, "min")


def test_once_is_one_call_with_statistics():
    log = []
    benchmark = fixture(RunOnce(QUICK))
    benchmark.pedantic(log.append, (1,), teardown=lambda one: log.append("t"), rounds=5)
    assert (log, benchmark.stats["rounds"], benchmark.disabled) == ([1, "t"], 1, True)


def test_a_second_measurement_is_refused():
    benchmark = fixture()
    benchmark(abs, -1)
    with pytest.raises(FixtureAlreadyUsed, match=r"Fixture can only be used once: benchmark\(\.\.\.\) has made"):
        benchmark.pedantic(abs, (-1,))
    assert benchmark.has_error
    assert isinstance(FixtureAlreadyUsed("x"), RuntimeError)


def test_an_error_of_the_function_is_the_tests_and_is_noted():
    way, told = here()
    benchmark = fixture(way)
    calls = iter([1, 1, 0])
    with pytest.raises(ZeroDivisionError):
        benchmark.pedantic(lambda: 1 / next(calls), rounds=5)
    assert benchmark.has_error
    assert told == [benchmark.stats]
    assert benchmark.stats["rounds"] == 2


@pytest.mark.parametrize("way", [here()[0], Disabled(), RunOnce(QUICK)], ids=lambda way: type(way).__name__)
def test_a_coroutine_function_is_awaited_in_the_running_loop(way):
    log = []

    async def fetch(number):
        await asyncio.sleep(0)
        log.append(number)
        return len(log)

    async def test():
        return await fixture(way)(fetch, 7), await fixture(way).pedantic(fetch, (8,), rounds=2, setup=None)

    first, second = asyncio.run(test())
    assert set(log[:first]) == {7}
    assert set(log[first:second]) == {8}
    assert len(log) == (7 if isinstance(way, InProcess) else 2)


def test_a_coroutine_function_in_a_plain_test_is_refused():
    async def fetch(): ...

    benchmark = BenchmarkFixture(BenchmarkedTest("test_a", "a.py::test_a"), here()[0])
    with pytest.raises(TypeError, match=r"coroutine function fetch in a plain test.*await benchmark"):
        benchmark(fetch)
    assert benchmark.has_error


def test_a_function_that_returns_coroutines_is_refused():
    async def fetch(): ...

    for way in (here()[0], Disabled(), RunOnce(QUICK)):
        with pytest.raises(TypeError, match="of which only the creation would be timed"):
            fixture(way)(lambda: fetch())


def test_what_is_not_awaited_is_pending_and_closed():
    async def fetch(): ...

    benchmark = fixture()
    benchmark(fetch)
    assert benchmark.pending is not None
    benchmark.close()


def test_the_collector_is_off_while_the_timer_runs_where_that_was_asked_for():
    states = []
    fixture(here(disable_gc=True)[0]).pedantic(lambda: states.append(gc.isenabled()), rounds=2)
    fixture(here()[0]).pedantic(lambda: states.append(gc.isenabled()), rounds=1)
    assert states == [False, False, True]
    assert gc.isenabled()


def test_tracers_are_paused_for_the_function_and_not_for_its_setup():
    seen = []

    def tracer(*_args):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        fixture().pedantic(
            lambda: seen.append(("call", sys.gettrace())), setup=lambda: seen.append(("setup", sys.gettrace()))
        )
    finally:
        sys.settrace(before)
    assert seen == [("setup", tracer), ("call", None)]


class Server:
    """Measures as a measuring process would: two rounds, the second after another set-up; a round of two calls if it can."""

    last_rounds = (0.5, 0.25)

    def __init__(self):
        self.said = []

    def measure(self, call, label, setup=None):
        self.said.append(label)
        results = []
        for _ in range(2):
            if setup is not None:
                setup()
            results.append(call())
            try:
                call()
            except RuntimeError as error:
                self.said.append(str(error))
        return results[0]

    async def measure_async(self, call, label, setup=None):
        if setup is not None:
            await setup()
        return await call()


def test_in_a_measuring_process_the_call_is_handed_over():
    log = []
    benchmark = fixture(Delegated(QUICK, Server()))
    assert benchmark(lambda one: log.append(one) or len(log), 1) == 1
    assert log == [1] * 4
    assert benchmark.stats["mean"] == 0.375


def test_in_a_measuring_process_a_setup_prepares_one_call_and_a_teardown_follows_it():
    log, server = [], Server()
    prepared = iter("abc")
    benchmark = fixture(Delegated(QUICK, server))
    result = benchmark.pedantic(
        lambda one: log.append(one) or one,
        setup=lambda: ((next(prepared),), {}),
        teardown=lambda one: log.append(f"{one} done"),
        rounds=100,
    )
    assert result == "a"
    assert log == ["a", "a done", "b", "b done"]
    assert server.said == ["", "its setup prepares one call", "its setup prepares one call"]


def test_in_a_measuring_process_coroutine_functions_are_handed_over_too():
    log = []

    async def fetch(one):
        return one

    async def test():
        benchmark = fixture(Delegated(QUICK, Server()))
        return await benchmark.pedantic(fetch, setup=lambda: ((5,), {}), teardown=log.append), benchmark.stats["rounds"]

    assert asyncio.run(test()) == (5, 2)
    assert log == [5]


def test_weaving_needs_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "aspectlib", None)
    with pytest.raises(ImportError, match=r"benchmark.weave needs aspectlib: pip install 'perfguard\[aspect\]'"):
        fixture().weave("os.getcwd")


def test_its_state_is_told():
    benchmark = fixture()
    assert repr(benchmark) == "<BenchmarkFixture of a.py::test_a, not used>"
    benchmark(abs, -1)
    assert repr(benchmark) == "<BenchmarkFixture of a.py::test_a, used in benchmark(...)>"
    assert repr(benchmark.stats) == "<BenchmarkResult a.py::test_a: 3 rounds of 1>"
    assert benchmark.stats.get("nothing", 7) == 7
