"""`cprofile` of pytest-benchmark's fixture in a run."""

from __future__ import annotations

import json
import pstats

SUITE = """
import pytest

def work():
    return sorted(range(50), key=str)

@pytest.mark.benchmark(cprofile=True, max_time=0.001)
def test_marked(benchmark):
    benchmark(work)

@pytest.mark.benchmark(max_time=0.001)
def test_plain(benchmark):
    benchmark(work)

@pytest.mark.benchmark(cprofile=True)
def test_pedantic(benchmark):
    runs, over = [], []
    def setup():
        return (1, 2), {}
    def stuff(a, b):
        runs.append((a, b))
    benchmark.pedantic(stuff, setup=setup, teardown=lambda a, b: over.append((a, b)))
    assert runs == [(1, 2), (1, 2)]
    assert over == runs
"""


def test_a_marker_profiles_one_more_call(pytester):
    pytester.makepyfile(test_a=SUITE)
    result = pytester.runpytest("--benchmark-json=x.json")
    result.assert_outcomes(passed=3)
    kept = {one["name"]: one for one in json.loads((pytester.path / "x.json").read_text())["benchmarks"]}
    assert "cprofile" not in kept["test_plain"]
    (row,) = [row for row in kept["test_marked"]["cprofile"] if "(work)" in row["function_name"]]
    assert row["ncalls"] == 1
    result.stdout.fnmatch_lines(["cProfile of test_a.py::test_marked (time in s, by cumtime)", "*(work)"])
    assert "cProfile of test_a.py::test_plain" not in result.stdout.str()


def test_the_options_profile_every_benchmark_and_write_files(pytester):
    pytester.makepyfile(test_a=SUITE)
    options = ("--benchmark-cprofile=ncalls", "--benchmark-cprofile-top=1", "--benchmark-cprofile-dump=out/run")
    result = pytester.runpytest(*options, "--benchmark-cprofile-loops=3", "-k", "plain")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(
        ["cProfile of test_a.py::test_plain (time in s, by ncalls)", "perfguard: wrote out/run-test_plain.prof"]
    )
    stats = pstats.Stats(str(pytester.path / "out" / "run-test_plain.prof"))
    (calls,) = [entry[1] for (_file, _line, name), entry in stats.stats.items() if name == "work"]
    assert calls == 3


def test_a_column_that_does_not_exist_is_refused(pytester):
    pytester.makepyfile(test_a=SUITE)
    result = pytester.runpytest("--benchmark-cprofile=time", "--benchmark-json=x.json")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--benchmark-cprofile: 'time' is not a column of a profile*"])
