"""What users of prometheus-client look for, durations measured elsewhere, blocks in progress, refused series."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import threading
import tracemalloc
import urllib.request

import pytest

from pytest_perfguard import PerformanceMonitor, SeriesError
from pytest_perfguard.core.labels import Series

needs_prometheus = pytest.mark.skipif(
    importlib.util.find_spec("prometheus_client") is None, reason="needs the extra prometheus"
)


@pytest.fixture
def monitor():
    return PerformanceMonitor()


def test_a_duration_that_was_measured_elsewhere_is_a_timers(monitor):
    monitor.record_duration("db.query", 0.25, table="users")
    with monitor.timer("db.query", table="users"):
        pass
    stats = monitor.summary().timers['db.query{table="users"}']
    assert (stats.count, stats.max) == (2, 0.25)
    with pytest.raises(ValueError, match="not a finite number"):
        monitor.record_duration("db.query", float("nan"))


def test_blocks_in_progress_are_a_gauge(monitor):
    with monitor.in_progress("requests.open", route="/a"):
        with pytest.raises(KeyError), monitor.in_progress("requests.open", route="/a"):
            assert monitor.summary().gauges == {'requests.open{route="/a"}': 2}
            raise KeyError
        assert monitor.summary().gauges == {'requests.open{route="/a"}': 1}
    assert monitor.summary().gauges == {'requests.open{route="/a"}': 0}


def test_blocks_of_many_threads_are_counted_exactly(monitor):
    together = threading.Barrier(8)

    def work():
        together.wait(20)
        for _ in range(500):
            with monitor.in_progress("open"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.summary().gauges == {"open": 0}


def test_system_metrics_are_there_at_once_with_start():
    with PerformanceMonitor(interval=3600) as monitor:
        assert monitor.summary().gauges["process.rss_bytes"] > 1_000_000


def test_start_watches_the_running_loop():
    async def main():
        with PerformanceMonitor(interval=3600) as monitor:
            await asyncio.sleep(0)
            return monitor.summary().gauges["asyncio.tasks"]

    assert asyncio.run(main()) == 1


def test_a_failing_reading_does_not_stop_the_start(caplog):
    class Failing(PerformanceMonitor):
        def collect_system(self):
            raise OSError("no /proc here")

    with Failing() as monitor:
        assert monitor.running
    assert "the system metrics could not be read" in caplog.text


def test_series_are_removed(monitor):
    for route in ("/a", "/b"):
        monitor.count("requests", route=route)
        monitor.count("requests", route=route, method="get")
    monitor.gauge("level", 1)
    assert monitor.remove("requests", route="/a") == 2
    assert list(monitor.summary().counters) == ['requests{method="get",route="/b"}', 'requests{route="/b"}']
    monitor.count("requests", route="/a")
    assert monitor.summary().counters['requests{route="/a"}'] == 1  # begins anew
    assert monitor.remove("requests") == 3
    assert monitor.remove("requests") == 0
    monitor.gauge("requests", 1)  # the name is free for another kind
    monitor.clear()
    assert str(monitor.summary()) == "nothing was recorded"
    monitor.count("level")


def test_series_are_removed_while_a_finalizer_records_another_one(monitor, monkeypatch):
    matches = Series.matches

    def interrupted(self, name, labels):
        monitor.count("calls", route="of a finalizer")
        return matches(self, name, labels)

    monitor.count("calls", route="a")
    monkeypatch.setattr(Series, "matches", interrupted)
    assert monitor.remove("calls", route="a") == 1
    assert list(monitor.summary().counters) == ['calls{route="of a finalizer"}']


def test_refused_series_leave_nothing_in_memory():
    monitor = PerformanceMonitor(max_series=10)
    for number in range(10):
        monitor.count("hits", page=number)
    tracemalloc.start()
    try:
        for number in range(300):
            with pytest.raises(SeriesError):
                monitor.count(f"name{number}")
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2_000):
            try:
                monitor.gauge(f"other{number}", 1)
            except SeriesError:
                continue
            raise AssertionError
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50_000
    with pytest.raises(SeriesError, match="hits is a counter"):
        monitor.gauge("hits", 1)


def test_labels_that_compare_equal_are_different_labels(monitor):
    for _ in range(2):
        monitor.count("hits", ok=True)
        monitor.count("hits", ok=1)
    assert monitor.summary().counters == {'hits{ok="1"}': 2, 'hits{ok="True"}': 2}


@needs_prometheus
def test_buckets_and_help_texts_are_exported(monitor):
    monitor.describe("db.query", "Time of a query.", buckets=[0.1, 1])
    monitor.describe("hits", "Requests so far.")
    for seconds in (0.05, 0.1, 0.5, 3):
        monitor.record_duration("db.query", seconds, table="a")
    monitor.count("hits")
    text = monitor.export("prometheus")
    for line in (
        "# HELP db_query_seconds Time of a query.",
        "# TYPE db_query_seconds histogram",
        'db_query_seconds_bucket{le="0.1",table="a"} 2.0',
        'db_query_seconds_bucket{le="1.0",table="a"} 3.0',
        'db_query_seconds_bucket{le="+Inf",table="a"} 4.0',
        'db_query_seconds_count{table="a"} 4.0',
        "# HELP hits_total Requests so far.",
    ):
        assert line in text.splitlines()
    assert "quantile" not in text
    assert 'le="+Inf"' in monitor.export("openmetrics")
    other = PerformanceMonitor()
    other.merge(monitor.state())
    other.merge(monitor.state())
    assert 'db_query_seconds_bucket{le="0.1",table="a"} 4.0' in other.export("prometheus")


def test_buckets_are_checked(monitor):
    with pytest.raises(ValueError, match="give upper bounds that grow"):
        monitor.describe("size", buckets=[2, 1])
    monitor.observe("size", 1)
    with pytest.raises(SeriesError, match="give its buckets first"):
        monitor.describe("size", buckets=[1, 2])
    monitor.describe("size", "The size.")
    monitor.describe("wait", buckets=[1, 2])
    monitor.observe("wait", 1)
    monitor.describe("wait", "The wait.")
    assert [len(made.buckets()) for made in monitor.histograms()] == [0, 3]
    with pytest.raises(SeriesError, match="not a valid name"):
        monitor.describe("a b")


@needs_prometheus
def test_the_endpoints_of_prometheus_client_serve_a_monitor(monitor):
    from prometheus_client import make_asgi_app, make_wsgi_app, start_http_server

    registry = monitor.prometheus_registry()
    monitor.count("hits", 5)
    status = []
    body = b"".join(
        make_wsgi_app(registry)({"PATH_INFO": "/", "REQUEST_METHOD": "GET"}, lambda *given: status.append(given[0]))
    )
    assert status == ["200 OK"]
    assert b"hits_total 5.0" in body
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    monitor.count("hits")
    asyncio.run(make_asgi_app(registry)(scope, receive, send))
    assert b"hits_total 6.0" in b"".join(message.get("body", b"") for message in sent)
    server = start_http_server(0, addr="127.0.0.1", registry=registry)
    httpd, thread = server
    try:
        monitor.count("hits")
        with urllib.request.urlopen(f"http://127.0.0.1:{httpd.server_port}/metrics", timeout=20) as answer:
            assert b"hits_total 7.0" in answer.read()
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
