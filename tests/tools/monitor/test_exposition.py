"""Exports, read back by those who read them."""

from __future__ import annotations

import builtins
import importlib.util
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard import MissingExtra, PerformanceMonitor


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


needs_prometheus = pytest.mark.skipif(
    importlib.util.find_spec("prometheus_client") is None, reason="needs the extra prometheus"
)


@pytest.fixture
def monitor():
    clock = Clock()
    monitor = PerformanceMonitor(clock=clock)
    monitor.count("http.requests", 3, route='/a"b\\c\nd')
    monitor.gauge("queue", 5)
    with monitor.timer("db.query", table="users"):
        clock.now += 0.25
    monitor.observe("rows", 7)
    return monitor


def samples_of(text, form):
    parser = importlib.import_module(f"prometheus_client.{'openmetrics.' * (form == 'openmetrics')}parser")
    families = parser.text_string_to_metric_families(text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for found in families for sample in found.samples
    }


@needs_prometheus
@pytest.mark.parametrize("form", ["prometheus", "openmetrics"])
def test_prometheus_reads_the_text_back(monitor, form):
    samples = samples_of(monitor.export(form), form)
    assert samples[("http_requests_total", ("route", '/a"b\\c\nd'))] == 3
    assert samples[("queue",)] == 5
    assert samples[("db_query_seconds_count", ("table", "users"))] == 1
    assert samples[("db_query_seconds_sum", ("table", "users"))] == 0.25
    assert samples[("db_query_seconds", ("quantile", "0.95"), ("table", "users"))] == 0.25
    assert samples[("rows_sum",)] == 7


@needs_prometheus
@given(st.text(max_size=30))
def test_any_label_comes_back_as_it_was(value):
    monitor = PerformanceMonitor()
    monitor.count("hits", page=value)
    assert samples_of(monitor.export("prometheus"), "prometheus") == {("hits_total", ("page", value)): 1}


def test_json_has_an_object_per_series(monitor):
    monitor.gauge("strange", float("nan"))
    exported = json.loads(monitor.export("json"))
    by_name = {(item["name"], item["kind"]): item for item in exported}
    assert by_name["db.query", "timer"]["labels"] == {"table": "users"}
    assert by_name["db.query", "timer"]["p99"] == 0.25
    assert by_name["http.requests", "counter"]["value"] == 3
    assert "value" not in by_name["strange", "gauge"]  # JSON knows no NaN


def test_an_unknown_format_is_refused(monitor):
    with pytest.raises(ValueError, match="unknown format 'xml' \\(valid: json, prometheus, openmetrics\\)"):
        monitor.export("xml")


def test_without_the_package_the_error_names_the_extra(monitor, monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r"needs prometheus-client: pip install 'perfguard\[prometheus\]'"):
        monitor.export("prometheus")
    assert json.loads(monitor.export("json"))
