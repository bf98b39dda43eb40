"""Names of metrics: parsing, the text form, the order."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.metric_names import MetricName, metric_order, of_points, same_place


@pytest.mark.parametrize(
    ("text", "points", "name"),
    [
        ("time", [""], MetricName("time")),
        ("time:parse", ["parse"], MetricName("time", "parse")),
        ("time:db.query", [""], MetricName("time", series="db.query")),
        ("p95:parse/db.query", ["parse"], MetricName("p95", "parse", "db.query")),
        ('p95:db.query{table="a/b"}', ["", "parse"], MetricName("p95", series='db.query{table="a/b"}')),
        ("time:a/b/db.query", ["a", "a/b"], MetricName("time", "a/b", "db.query")),
        ("memory:a:b", ["a:b"], MetricName("memory", "a:b")),
    ],
)
def test_a_name_is_parsed_by_the_labels_of_the_points_and_written_back(text, points, name):
    assert MetricName.parse(text, points) == name
    assert str(name) == text


def test_without_points_the_rest_of_a_name_is_a_label():
    assert MetricName.parse("time:db.query") == MetricName("time", "db.query")


def test_names_of_timers_are_not_those_of_points():
    assert of_points(["time", "time:parse", "time:parse/db.query", "p95:db.query"], ["", "parse"]) == {
        "time",
        "time:parse",
    }


def test_the_wall_time_of_a_cpu_time_is_at_the_same_place():
    assert [same_place(name, "time") for name in ("cpu", "cpu:parse")] == ["time", "time:parse"]


def test_names_are_ordered_by_kind_and_then_by_text():
    names = ["value:loss", "blocks", "time:b", "memory", "odd", "time:a", "cpu"]
    assert sorted(names, key=metric_order) == ["time:a", "time:b", "cpu", "memory", "blocks", "value:loss", "odd"]
