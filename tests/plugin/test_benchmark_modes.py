"""Benchmarks of other plugins' suites in perf modes: measured, recorded, compared and paired like any perf test."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.repository import Repository

SUITE = """
import pytest

def test_plain():
    pass

@pytest.mark.benchmark(group="g", min_rounds=3)
def test_call(benchmark):
    assert benchmark(sorted, range(1000)) == list(range(1000))
    assert benchmark.stats["mean"] < 1
    assert benchmark.stats.stats.rounds >= 1

def test_pedantic(benchmark):
    log = []

    def setup():
        log.append("setup")
        return ([3, 1, 2],), {}

    def teardown(items):
        assert items == [1, 2, 3]
        log.append("teardown")

    benchmark.pedantic(list.sort, setup=setup, teardown=teardown, rounds=3)
    assert len(log) % 2 == 0 and log[:2] == ["setup", "teardown"] and log.count("setup") == len(log) / 2

@pytest.mark.codspeed_benchmark
def test_whole():
    sum(range(1000))
"""


@pytest.fixture
def suite(project):
    project.pytester.makepyfile(test_a=SUITE)
    return project


def by_name(report):
    return {test["nodeid"].partition("::")[2]: test for test in report["tests"]}


def metrics_of(test):
    return {metric["name"]: metric for metric in test["metrics"]}


def test_benchmarks_are_perf_tests_and_their_call_is_the_measurement_point(suite, distribution):
    result, report = suite.report("--perf", "--benchmark-json=x.json", "--strict-markers", *distribution)
    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*= benchmarks =*")
    tests = by_name(report)
    assert set(tests) == {"test_call", "test_pedantic", "test_whole"}
    assert all({"time", "cpu", "memory"} <= set(metrics_of(test)) for test in tests.values())
    # A set-up prepares one call, so that no round has two; and it is none of what is measured.
    notes = " ".join(tests["test_pedantic"]["notes"])
    assert "one call per round" in notes
    assert "in parallel" not in notes
    assert metrics_of(tests["test_pedantic"])["time"]["candidate"] < 1e-4
    assert "blocks" in metrics_of(tests["test_call"])
    # The file of pytest-benchmark has what was measured here; its rounds are processes.
    written = {one["name"]: one["stats"] for one in json.loads((suite.path / "x.json").read_text())["benchmarks"]}
    assert set(written) == set(tests)
    assert written["test_call"]["min"] == pytest.approx(metrics_of(tests["test_call"])["time"]["candidate"], rel=1e-4)


def test_benchmarks_are_recorded_and_compared(suite):
    assert suite.run("--perf-baseline", "--perf-metrics=time").ret == 0
    recorded = json.loads(suite.baseline.read_text())["classes"]
    assert {nodeid for part in recorded.values() for nodeid in part["tests"]} == {
        "test_a.py::test_call",
        "test_a.py::test_pedantic",
        "test_a.py::test_whole",
    }
    suite.rewrite_baseline(20.0)
    result, report = suite.report("--perf-compare", "--perf-metrics=time", "-k", "test_call")
    assert result.ret == 1
    assert by_name(report)["test_call"]["verdict"] == "regression"


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_benchmark_is_judged_beside_a_revision(project):
    """A benchmark test that became slower fails, one that did not passes."""
    repository = Repository(project.path)
    test = """
import lib

def test_slower(benchmark):
    benchmark(lib.slower)

def test_same(benchmark):
    benchmark.pedantic(lib.same, setup=lambda: ((list(range(2000)),), {}), rounds=2)
"""
    lib = "def slower():\n    return sum(range({}))\n\n\ndef same(items):\n    items.sort(reverse=True)\n"
    ini = "[pytest]\npythonpath = .\nperf_metrics = time\n"
    repository.commit({"lib.py": lib.format(5_000), "test_a.py": test, "pytest.ini": ini})
    repository.write({"lib.py": lib.format(20_000)})
    result, report = project.report("--perf-against=main", "--perf-budget=20s")
    assert result.ret == 1
    tests = by_name(report)
    assert tests["test_slower"]["verdict"] == "regression"
    assert tests["test_same"]["verdict"] in ("unchanged", "inconclusive")


def test_a_benchmark_is_checked_for_leaks(suite):
    options = ("--perf-leaks", "--perf-metrics=time", "--perf-budget=2s", "-k", "test_call")
    result, report = suite.report("--perf", *options)
    result.assert_outcomes(passed=1)
    assert any(metric["name"].startswith("leak") for metric in by_name(report)["test_call"]["metrics"])
