"""Timers, counters, gauges and histograms of a monitor, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import statistics
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard import PerformanceMonitor, SeriesError
from pytest_perfguard.core.labels import Series, read_series
from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.tools.monitor.histogram import Histogram, fair_sample

finite = st.floats(-1e12, 1e12)


def test_a_timer_records_seconds_and_keeps_the_last(monitor, clock):
    with monitor.timer("db.query", table="users") as timer:
        clock.now += 0.25
    assert timer.elapsed == 0.25
    assert monitor.summary().timers['db.query{table="users"}'].sum == 0.25


def test_what_raises_is_timed_as_well(monitor, clock):
    with pytest.raises(KeyError), monitor.timer("load"):
        clock.now += 2
        raise KeyError
    assert monitor.summary().timers["load"].max == 2


def test_overlapping_timers_of_one_series_do_not_disturb_each_other(monitor, clock):
    outer = monitor.start_timer("load")
    clock.now += 1
    inner = monitor.start_timer("load")
    clock.now += 1
    assert outer.stop() == 2
    clock.now += 5
    assert inner.stop() == 6


def test_recursion_and_tasks_time_each_call_for_itself(monitor, clock):
    @monitor.timer("walk")
    def walk(depth):
        clock.now += 1
        return depth and walk(depth - 1)

    @monitor.timer("fetch")
    async def fetch(turns):
        start = clock.now
        for _ in range(turns):
            clock.now += 1
            await asyncio.sleep(0)
        return clock.now - start

    walk(2)
    assert monitor.summary().timers["walk"].sum == 3 + 2 + 1

    async def both():
        return await asyncio.gather(fetch(1), fetch(3))

    assert sum(asyncio.run(both())) == monitor.summary().timers["fetch"].sum


def test_a_running_timer_cannot_be_started_nor_an_idle_one_stopped(monitor):
    timer = monitor.start_timer("load")
    assert repr(timer) == "<Timer load running>"
    with pytest.raises(RuntimeError, match="is running already; make another timer"):
        timer.start()
    timer.stop()
    with pytest.raises(RuntimeError, match="<Timer load idle> is not running"):
        timer.stop()


def test_a_generator_function_is_refused_as_only_its_making_would_be_timed(monitor):
    def rows():
        yield 1

    async def rows_async():
        yield 1

    for function in (rows, rows_async):
        with pytest.raises(TypeError, match="only makes a generator"):
            monitor.timer("rows")(function)


def test_counters_add_up_gauges_hold_the_latest_histograms_all(monitor):
    monitor.count("requests", route="/a")
    monitor.count("requests", 2, route="/a")
    monitor.count("requests", route="/b")
    monitor.gauge("queue", 5)
    monitor.gauge("queue", 3)
    for size in (1, 2, 3, 4):
        monitor.observe("size", size)
    summary = monitor.summary()
    assert summary.counters == {'requests{route="/a"}': 3, 'requests{route="/b"}': 1}
    assert summary.gauges == {"queue": 3}
    assert (summary.histograms["size"].mean, summary.histograms["size"].p50) == (2.5, 2.5)


def test_the_order_of_labels_makes_no_other_series(monitor):
    monitor.count("hits", a=1, b=2)
    monitor.count("hits", b=2, a=1)
    assert monitor.summary().counters == {'hits{a="1",b="2"}': 2}


def test_a_label_may_be_called_like_a_parameter(monitor):
    monitor.count("hits", name="x", n="y", self="z")
    assert list(monitor.summary().counters) == ['hits{n="y",name="x",self="z"}']


@pytest.mark.parametrize("n", [-1, float("nan"), float("inf")])
def test_a_counter_only_grows(monitor, n):
    with pytest.raises(ValueError, match="hits: a counter only grows"):
        monitor.count("hits", n)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_does_not_spoil_a_histogram(monitor, value):
    with pytest.raises(ValueError, match="size: .* is not a finite number"):
        monitor.observe("size", value)


@pytest.mark.parametrize("name", ["", "1a", "a b", "a.", ".a", "a..b", "a-b", "a{b}", 5])
def test_a_wrong_name_is_refused(monitor, name):
    with pytest.raises(SeriesError, match="is not a valid name of a series"):
        monitor.count(name)


@pytest.mark.parametrize("label", ["le", "quantile", "__x", "ä", "a-b"])
def test_a_wrong_label_is_refused(monitor, label):
    with pytest.raises(SeriesError, match="is not a valid label"):
        monitor.count("hits", **{label: "x"})


def test_a_label_is_text_or_a_whole_number(monitor):
    with pytest.raises(SeriesError, match="the label ratio is 0.5, expected text or a whole number"):
        monitor.count("hits", ratio=0.5)


def test_a_name_has_one_kind(monitor):
    monitor.count("hits", a="x")
    with pytest.raises(SeriesError, match="hits is a counter, and cannot be a gauge as well"):
        monitor.gauge("hits", 1)
    with pytest.raises(SeriesError, match="hits is a counter, and cannot be a timer as well"):
        monitor.timer("hits", a="x")


def test_two_names_that_prometheus_cannot_tell_apart_are_refused(monitor):
    monitor.gauge("a.b", 1)
    with pytest.raises(SeriesError, match="a_b and a.b would be one name for Prometheus, a_b"):
        monitor.gauge("a_b", 1)


def test_a_label_explosion_is_stopped_and_named():
    monitor = PerformanceMonitor(max_series=10)
    monitor.gauge("other", 1)
    with pytest.raises(SeriesError, match=r"10 series already, 9 of them of requests, whose label user has 9 values"):
        for user in range(20):
            monitor.count("requests", user=user, route="/a")


def test_a_histogram_keeps_its_window_and_counts_for_ever():
    for wrong in ({"window": 0}, {"window": 1.5}, {"max_series": 0}):
        with pytest.raises(ValueError, match="give a whole number of at least 1"):
            PerformanceMonitor(**wrong)
    monitor = PerformanceMonitor(window=10)
    for value in range(1, 1001):
        monitor.observe("size", value)
    stats = monitor.summary().histograms["size"]
    assert (stats.count, stats.sum, stats.min, stats.max) == (1000, 500500, 1, 1000)
    assert stats.p50 == 995.5  # of 991 to 1000


@given(st.lists(finite, min_size=1, max_size=200), st.integers(1, 50))
def test_statistics_are_those_of_a_plain_list(values, window):
    histogram = Histogram(Series("x"), window)
    for value in values:
        histogram.record(value)
    stats = histogram.stats()
    kept = values[-window:]
    assert histogram.last(window) == kept
    assert (stats.count, stats.min, stats.max) == (len(values), min(values), max(values))
    rounding = 1e-9 * max(map(abs, values)) * len(values) + 1e-9
    assert stats.sum == pytest.approx(sum(values), abs=rounding)
    if len(kept) > 1:
        cuts = statistics.quantiles(kept, n=100, method="inclusive")  # the same definition
        for name, place in (("p50", 49), ("p90", 89), ("p95", 94), ("p99", 98)):
            assert getattr(stats, name) == pytest.approx(cuts[place], abs=rounding)


@given(st.lists(finite, min_size=1), st.floats(0, 1))
def test_a_quantile_lies_between_the_ends(values, share):
    ordered = sorted(values)
    rounding = 1e-9 * max(map(abs, values))
    assert ordered[0] - rounding <= quantile(ordered, share) <= ordered[-1] + rounding


@given(st.lists(st.lists(finite, min_size=1, max_size=30), min_size=2, max_size=4), st.integers(1, 20))
def test_merging_counts_everything_and_keeps_a_bounded_sample(parts, window):
    merged = Histogram(Series("x"), window)
    for part in parts:
        histogram = Histogram(Series("x"), window)
        for value in part:
            histogram.record(value)
        merged.merge(histogram.state())
    everything = [value for part in parts for value in part]
    stats = merged.stats()
    assert (stats.count, stats.min, stats.max) == (len(everything), min(everything), max(everything))
    assert len(merged.last(1000)) <= window
    merged.record(1.0)  # the ring goes on
    assert merged.last(1) == [1.0]


def test_a_fair_sample_weighs_each_part_by_its_count():
    sample = fair_sample([([0.0] * 100, 3000), ([1.0] * 100, 1000)], 100)
    assert (len(sample), sum(sample)) == (100, 25)


def test_what_is_forgotten_still_counts(monitor):
    monitor.count("hits", 2)
    for value in (1, 2, 3):
        monitor.observe("size", value)
    monitor.forget()
    monitor.observe("size", 10)
    stats = monitor.summary().histograms["size"]
    assert (stats.count, stats.sum, stats.p50) == (4, 16, 10)
    assert monitor.summary().counters == {"hits": 2}


def test_merging_two_processes(clock):
    here, there = PerformanceMonitor(clock=clock), PerformanceMonitor(clock=clock)
    for monitor in (here, there):
        monitor.count("hits", 2, page="a")
        with monitor.timer("load"):
            clock.now += 1
    here.gauge("level", 1)
    there.gauge("level", 2)  # later
    there.observe("size", 7)
    here.merge(there.state())
    summary = here.summary()
    assert summary.counters == {'hits{page="a"}': 4}
    assert summary.gauges == {"level": 2}
    assert (summary.timers["load"].count, summary.histograms["size"].sum) == (2, 7)
    here.merge(there)
    assert here.summary().counters == {'hits{page="a"}': 6}


label_text = st.text(max_size=20)


@given(st.from_regex(r"[a-z]+(\.[a-z0-9_]+)?", fullmatch=True), label_text, label_text)
def test_a_series_is_read_back_as_it_was_written(name, first, second):
    series = Series(name, (("a", first), ("b", second)))
    assert read_series(str(series)) == series
    assert read_series(name) == Series(name)


@pytest.mark.parametrize("text", ['a{b="c"', "a{b=c}", "a{=}", 'a{b="c" d="e"}'])
def test_what_is_no_series_is_refused(text):
    with pytest.raises(SeriesError):
        read_series(text)


def test_counts_are_exact_with_threads(monitor):
    def work():
        for _ in range(5000):
            monitor.count("hits")
            monitor.observe("size", 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summary = monitor.summary()
    assert summary.counters["hits"] == 40_000
    assert (summary.histograms["size"].count, summary.histograms["size"].sum) == (40_000, 40_000)


def test_a_source_is_asked_when_numbers_are_wanted_and_is_not_kept_alive(monitor):
    class Pool:
        used = 1

        def statistics(self):
            return {"used": self.used, "ratio": float("nan")}

    pool = Pool()
    monitor.watch("pool", pool.statistics)
    monitor.watch("cache", lambda: {"hits": 5})
    pool.used = 3
    assert monitor.summary().gauges == {"pool.used": 3, "cache.hits": 5}
    del pool
    monitor.watch("cache", dict)
    assert monitor.summary().gauges == {"pool.used": 3, "cache.hits": 5}  # as they were last seen


def test_a_summary_is_a_table_for_people(monitor, clock):
    assert str(monitor.summary()) == "nothing was recorded"
    monitor.count("hits", 1234)
    with monitor.timer("load"):
        clock.now += 0.25
    lines = str(monitor.summary()).splitlines()
    assert lines[2].split() == ["load", "1", *["250", "ms"] * 6]
    assert lines[-1].split() == ["hits", "1,234"]


def test_a_window_holds_something():
    with pytest.raises(ValueError, match="window is 0"):
        PerformanceMonitor(window=0)


def test_what_records_in_the_middle_of_adding_up_is_not_lost():
    """A signal handler or a finalizer of the same thread."""

    class Interrupted(Histogram):
        def _add_up(self, taken):
            if not interruptions:
                interruptions.append(1)
                self.record(100.0)
                self.fold()
            super()._add_up(taken)

    interruptions = []
    histogram = Interrupted(Series("x"))
    histogram.record(1.0)
    assert histogram.totals == (2, 101.0)


def test_after_forgetting_there_are_no_quantiles_until_something_is_recorded(monitor):
    monitor.observe("size", 1)
    monitor.forget()
    assert monitor.summary().histograms == {}
    other = PerformanceMonitor()
    other.observe("size", 5)
    monitor.merge(other)
    assert monitor.summary().histograms["size"].count == 2


def test_odd_numbers_are_numbers(monitor):
    from decimal import Decimal
    from fractions import Fraction

    monitor.count("hits", Decimal("1.5"))
    monitor.count("hits", 0.5)
    monitor.observe("size", Fraction(1, 2))
    assert monitor.summary().counters == {"hits": 2.0}
    with pytest.raises(OverflowError):
        monitor.observe("size", 10**400)
    assert monitor.summary().histograms["size"].count == 1


def test_a_source_that_raises_spoils_nothing(monitor, caplog):
    def closed():
        raise OSError("closed")

    monitor.watch("pool", closed)
    monitor.count("hits")
    assert monitor.summary().counters == {"hits": 1}
    assert "could not be read" in caplog.text


def test_an_object_whose_call_is_awaited_is_timed_until_its_end(monitor, clock):
    class Query:
        async def __call__(self):
            await asyncio.sleep(0)
            clock.now += 2

    asyncio.run(monitor.timer("query")(Query())())
    assert monitor.summary().timers["query"].sum == 2
    with pytest.raises(TypeError, match="5 cannot be called"):
        monitor.timer("query")(5)


def test_a_count_that_no_export_can_show_is_refused(monitor):
    with pytest.raises(ValueError, match="is not a finite number"):
        monitor.count("rows", 10**400)
    monitor.count("rows", 1)
    assert '"rows"' in monitor.export("json")


def test_a_source_that_cannot_be_read_is_logged_once_until_it_can(monitor, caplog):
    numbers = {}
    monitor.watch("pool", lambda: {"idle": numbers["idle"]})
    for _ in range(3):
        monitor.summary()
    assert len(caplog.records) == 1
    numbers["idle"] = 4
    assert monitor.summary().gauges["pool.idle"] == 4
    numbers.clear()
    monitor.summary()
    assert len(caplog.records) == 2
    with pytest.raises(TypeError, match="source is 5: give a function"):
        monitor.watch("other", 5)


def test_buckets_are_numbers(monitor):
    with pytest.raises(ValueError, match="give upper bounds that grow"):
        monitor.describe("rows", buckets=[float("nan")])
