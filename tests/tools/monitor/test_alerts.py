"""Alerts: reading the expression, holding it against series, acting once."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard import AlertError, ExpressionError, PerformanceMonitor
from pytest_perfguard.core.labels import Series
from pytest_perfguard.tools.monitor.alerts import PerformanceAlert
from pytest_perfguard.tools.monitor.conditions import read_condition


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("db.query.p95 > 200ms", 0.2), ('db.query{table="users"}.p95>=2s', 2.0), ("size.max < 10KiB", 10240),
        ("errors != 0", 0), ("requests.rate > 100/s", 100), ("requests.rate > 60/min", 1), ("hits.value <= 5%", 0.05),
        (" a == 1e3 ", 1000), ('a{b="x > 1"}.p50 > 1', 1),
    ],
)  # fmt: skip
def test_an_expression_is_a_series_a_field_a_comparison_and_a_number(text, limit):
    assert read_condition(text).limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "expected the name of a series"),
        ("  > 5", 3, "expected the name of a series"),
        ("db.query.p95 >> 200ms", 15, "expected a number"),
        ("db.query.p95 = 200ms", 14, "expected one of >= <="),
        ("db.query.p95", 13, "expected one of"),
        ("db.query.p95 > fast", 16, "expected a number"),
        ("db.query.p95 > 200 parsecs", 20, "unknown unit 'parsecs'"),
        ('db.query{table="a"}.p96 > 1', 21, "unknown field 'p96'"),
        ("db..query > 1", 1, "is not a valid name of a series"),
        ("a{b=c} > 1", 1, "is not a series"),
    ],
)
def test_a_wrong_expression_is_an_error_at_once_with_its_place(monitor, text, column, problem):
    with pytest.raises(ExpressionError) as caught:
        monitor.alert(text)
    assert caught.value.column == column
    assert problem in str(caught.value)
    assert str(caught.value).splitlines()[-1] == " " * (4 + column - 1) + "^"


@given(st.text(max_size=40))
def test_no_text_does_more_than_raise_the_one_error(text):
    try:
        read_condition(text)
    except ExpressionError as error:
        assert 1 <= error.column <= len(text) + 1


def test_a_series_of_just_that_name_is_meant_before_a_field():
    condition = read_condition("queue.max > 1")
    assert condition.field_of(Series("queue.max")) == "value"
    assert condition.field_of(Series("queue")) == "max"
    assert condition.field_of(Series("other")) is None


def test_a_breach_names_value_limit_and_series(monitor, clock):
    monitor.alert('db.query{table="users"}.p95 > 200ms')
    for table, seconds in (("users", 0.25), ("orders", 5)):
        with monitor.timer("db.query", table=table, shard=1):
            clock.now += seconds
    with pytest.raises(AlertError) as caught:
        monitor.check()
    assert str(caught.value) == (
        'db.query{shard="1",table="users"}.p95 is 250 ms: alert "db.query{table="users"}.p95 > 200ms"'
    )


def test_an_alert_without_labels_is_about_every_series_of_the_name(monitor):
    monitor.alert("errors > 0")
    monitor.count("errors", 0, route="/a")
    monitor.count("errors", 2, route="/b")
    monitor.count("errors", 3, route="/c")
    with pytest.raises(AlertError) as caught:
        monitor.check()
    assert [line.partition(" is ")[0] for line in caught.value.lines] == [
        'errors{route="/b"}.value', 'errors{route="/c"}.value',
    ]  # fmt: skip


def test_what_is_in_order_or_absent_is_no_breach(monitor):
    monitor.alert("errors > 0")
    monitor.alert("nothing.p95 > 1ms")
    monitor.count("errors", 0)
    monitor.check()


def test_on_record_each_breach_is_told_once_until_it_recovers(monitor):
    seen = []
    monitor.alert("queue > 10", action=seen.append, on_record=True)
    for level in (5, 11, 12, 3, 20):
        monitor.gauge("queue", level)
    assert [(breach.series, breach.value) for breach in seen] == [("queue", 11), ("queue", 20)]
    assert str(seen[0]) == 'queue.value is 11: alert "queue > 10"'
    monitor.gauge("other", 99)
    assert len(seen) == 2


def test_an_alert_on_record_fails_at_the_end_although_it_has_recovered(monitor):
    monitor.gauge("queue", 1)
    monitor.alert("queue > 10", on_record=True)
    monitor.gauge("queue", 11)
    monitor.gauge("queue", 1)
    with pytest.raises(AlertError, match="queue.value is 11"):
        monitor.check()


def test_a_warning_is_a_warning(monitor):
    monitor.alert("queue > 10", action="warn")
    monitor.gauge("queue", 11)
    with pytest.warns(PerformanceAlert, match="queue.value is 11"):
        monitor.check()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.check()  # told already


def test_an_unknown_action_is_refused(monitor):
    with pytest.raises(ValueError, match="action is 'mail', expected"):
        monitor.alert("queue > 10", action="mail")


def test_the_rate_of_a_counter_is_per_second_over_the_last_minute(monitor, clock):
    seen = []
    monitor.alert("requests.rate > 10/s", action=seen.append)
    for _ in range(90):
        clock.now += 1
        monitor.count("requests", 5)
        monitor.check()
    assert not seen
    for _ in range(40):
        clock.now += 1
        monitor.count("requests", 20)
        monitor.check()
    assert [breach.value for breach in seen] == [pytest.approx(10, abs=0.6)]


def test_the_rate_of_a_gauge_begins_where_it_was_first_seen(monitor, clock):
    seen = []
    monitor.alert("level.rate > 1/s", action=seen.append)
    clock.now += 1
    monitor.gauge("level", 1000)
    monitor.check()
    assert not seen
    clock.now += 10
    monitor.gauge("level", 1020)
    monitor.check()
    assert [breach.value for breach in seen] == [2.0]


def test_alerts_watch_series_that_are_merged_in(monitor):
    other = PerformanceMonitor()
    other.count("errors", 4)
    monitor.alert("errors >= 4")
    monitor.merge(other.state())
    with pytest.raises(AlertError):
        monitor.check()


def test_a_field_that_a_series_has_not_is_told_at_the_check(monitor):
    monitor.alert("q.p59 > 1ns")
    monitor.alert("q > 1ns")
    with monitor.timer("q"):
        pass
    with pytest.raises(AlertError) as caught:
        monitor.check()
    assert [line.partition(":")[0] for line in caught.value.lines] == ['alert "q.p59 > 1ns"', 'alert "q > 1ns"']
    assert "q is a timer, which has rate, count, sum" in caught.value.lines[0]


def test_a_breach_is_told_by_one_check_only(monitor):
    monitor.alert("queue > 10")
    monitor.gauge("queue", 11)
    with pytest.raises(AlertError):
        monitor.check()
    monitor.gauge("queue", 1)
    monitor.check()


def test_what_was_counted_before_the_alert_is_no_rate(monitor, clock):
    monitor.count("requests", 100_000)
    monitor.alert("requests.rate > 10/s")
    clock.now += 0.2
    monitor.check()  # too early to tell
    clock.now += 10
    monitor.count("requests", 50)
    monitor.check()


def test_the_same_alert_twice_is_one(monitor):
    seen = []
    for _ in range(3):
        monitor.alert("queue > 10", action=seen.append, on_record=True)
    monitor.gauge("queue", 11)
    assert len(seen) == 1


def test_in_a_measuring_process_an_alert_is_checked_and_forgotten(monitor):
    monitor.alerting = False
    monitor.alert("queue > 10", on_record=True)
    monitor.gauge("queue", 11)
    monitor.check()
    with pytest.raises(ExpressionError):
        monitor.alert("queue >> 10")
