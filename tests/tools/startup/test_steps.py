"""`StartupSequence`: in order, at the same time, and to the first failure."""

from __future__ import annotations

import asyncio
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard import PerformanceMonitor, StartupError, StartupSequence
from pytest_perfguard.tools.startup.order import in_order
from pytest_perfguard.tools.startup.report import Outcome, StartupReport, StepRecord


@given(
    st.dictionaries(
        st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefg"), max_size=3), min_size=1, max_size=7
    )
)
def test_each_step_comes_after_those_it_needs_or_it_is_told_why_not(after):
    try:
        order = in_order(after)
    except StartupError:
        return
    assert sorted(order) == sorted(after)
    assert all(order.index(needed) < order.index(name) for name in after for needed in after[name])


def test_what_cannot_be_put_in_order_is_told():
    assert in_order({"b": [], "a": [], "c": ["a"]}) == ["b", "a", "c"]  # as they were given
    with pytest.raises(StartupError, match="step a: it comes after 'x', which is not a step \\(steps: a\\)"):
        in_order({"a": ["x"]})
    with pytest.raises(StartupError, match="it comes after itself: a after b after a"):
        in_order({"a": ["b"], "b": ["a"]})


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_steps_are_done_in_order_and_timed():
    clock = Clock()
    startup = StartupSequence("app", clock=clock)
    done = []

    @startup.step("environment")
    def environment():
        clock.now += 1
        return {"level": 3}

    @startup.step("modules", after=["configuration"])
    def modules(results):
        done.append(results)
        clock.now += 3

    @startup.step("configuration", after=["environment"])
    def configuration(results):
        clock.now += 2
        return results["environment"]["level"]

    report = startup.run()
    assert done == [{"environment": {"level": 3}, "configuration": 3}]
    assert [(step.name, step.begin, step.seconds) for step in report.steps] == [
        ("environment", 0, 1), ("configuration", 1, 2), ("modules", 3, 3),
    ]  # fmt: skip
    assert report.ok
    assert report.seconds == 6
    assert "configuration  done       1.00 s    2.00 s" in report.table()
    assert report.waterfall(6).splitlines() == [
        "environment    |#     |  1.00 s",
        "configuration  | ##   |  2.00 s",
        "modules        |   ###|  3.00 s",
        "                         6.00 s",
    ]


def test_a_failing_step_stops_the_rest_and_is_named():
    startup = StartupSequence("app", clock=Clock())
    startup.add("one", lambda: None)
    startup.add("two", lambda: 1 / 0)
    startup.add("three", lambda: None)
    with pytest.raises(StartupError, match="step two: ZeroDivisionError: division by zero") as caught:
        startup.run()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    report = caught.value.report
    assert [step.outcome for step in report.steps] == [Outcome.DONE, Outcome.FAILED, Outcome.NOT_BEGUN]
    assert not report.ok
    assert "three" in report.waterfall()
    assert "not begun" in report.table()


def test_asynchronous_steps_run_at_the_same_time():
    startup = StartupSequence("app")
    both = []

    async def meet(name, other):
        both.append(name)
        while other not in both:  # each waits for the other one to begin
            await asyncio.sleep(0)
        return name

    async def first():
        return await meet("first", "second")

    async def second():
        return await meet("second", "first")

    startup.add("plain", lambda: "plain")
    startup.add("first", first, after=["plain"])
    startup.add("second", second, after=["plain"])
    startup.add("last", lambda results: both.append(sorted(results)), after=["first", "second"])
    assert startup.run().ok
    assert both[2] == ["first", "plain", "second"]
    assert asyncio.run(startup.run_async()).ok


def test_steps_in_progress_are_cancelled_where_another_one_fails():
    startup = StartupSequence("app")
    cancelled = []

    async def slow():
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.append(True)

    async def fail():
        await asyncio.sleep(0)
        raise ValueError("no")

    startup.add("slow", slow)
    startup.add("fail", fail)
    startup.add("never", lambda: None, after=["slow"])
    with pytest.raises(StartupError, match="step fail: ValueError: no") as caught:
        startup.run()
    assert cancelled == [True]
    outcomes = {step.name: step.outcome for step in caught.value.report.steps}
    assert outcomes == {"slow": Outcome.CANCELLED, "fail": Outcome.FAILED, "never": Outcome.NOT_BEGUN}


def test_a_monitor_times_each_step():
    monitor = PerformanceMonitor()
    startup = StartupSequence("app", monitor=monitor)
    startup.add("one", lambda: None)
    startup.run()
    assert 'app{step="one"}' in str(monitor.summary())


def test_mistakes_are_told():
    startup = StartupSequence()
    startup.add("one", int)
    with pytest.raises(ValueError, match="there is a step 'one' already"):
        startup.add("one", int)
    with pytest.raises(TypeError, match="give a list of names"):
        startup.add("two", int, after="one")
    assert startup.run().ok  # int has a parameter that it can do without
    assert repr(startup) == "<StartupSequence startup: one>"


def test_the_html_shows_names_and_errors_as_text():
    report = StartupReport("<app>", (StepRecord("<b>", Outcome.FAILED, 0.0, 1.0, "a < b"),), 1.0)
    page = report.to_html()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "a &lt; b" in page


def test_whatever_is_asynchronous_is_awaited_or_refused():
    done = []

    class Connect:
        async def __call__(self):
            done.append("connected")

    async def forgotten():
        done.append("never")

    startup = StartupSequence()
    startup.add("connect", Connect())
    assert startup.run().ok
    assert done == ["connected"]
    startup.add("lambda", lambda: forgotten())
    with pytest.raises(StartupError, match="step lambda: TypeError: it returned an awaitable"):
        startup.run()


def test_results_are_for_parameters_that_must_be_given():
    seen = []
    startup = StartupSequence()
    startup.add("optional", lambda verbose=False: seen.append(verbose))
    startup.add("keyword", lambda *, name="x": seen.append(name))
    startup.add("bound", functools.partial(lambda url: seen.append(url), url="db://"))
    startup.add("given", lambda results: seen.append(sorted(results)))
    assert startup.run().ok
    assert seen == [False, "x", "db://", ["bound", "keyword", "optional"]]


def test_a_step_that_is_cancelled_by_itself_has_failed():
    async def cancelled():
        raise asyncio.CancelledError

    startup = StartupSequence()
    startup.add("cancelled", cancelled)
    with pytest.raises(StartupError, match="step cancelled: CancelledError"):
        startup.run()

    def leave():
        raise SystemExit(3)

    startup = StartupSequence()
    startup.add("leave", leave)
    with pytest.raises(SystemExit):
        startup.run()


def test_the_first_of_two_failures_is_named_and_both_are_reported():
    async def first():
        raise ValueError("first")

    async def second():
        raise ValueError("second")

    startup = StartupSequence()
    startup.add("a", first)
    startup.add("b", second)
    for _ in range(5):
        with pytest.raises(StartupError, match="step a: ValueError: first") as caught:
            startup.run()
        assert [step.outcome for step in caught.value.report.steps] == [Outcome.FAILED] * 2


def test_plain_steps_do_not_wait_for_asynchronous_ones_that_they_do_not_need():
    order = []

    async def slow():
        order.append("slow begins")
        while "plain" not in order:
            await asyncio.sleep(0)
        order.append("slow ends")

    startup = StartupSequence()
    startup.add("slow", slow)
    startup.add("one", lambda: None)
    startup.add("plain", lambda: order.append("plain"))
    assert startup.run().ok
    assert order == ["slow begins", "plain", "slow ends"]


def test_a_running_loop_is_told_what_to_do():
    async def main():
        startup = StartupSequence()
        startup.add("one", main)
        with pytest.raises(RuntimeError, match="await run_async"):
            startup.run()

    asyncio.run(main())
    with pytest.raises(TypeError, match="a step is a text and a function"):
        StartupSequence().add(3, int)


def test_a_generator_function_is_no_step():
    def opened():
        yield 1

    with pytest.raises(TypeError, match="is a generator function, whose call runs none of it"):
        StartupSequence("app").add("file", opened)
