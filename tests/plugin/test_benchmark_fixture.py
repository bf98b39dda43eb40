"""The fixture `benchmark` and the markers, in runs without a perf mode."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys

import pytest

#: As short as it can be: nothing here is judged on times.
QUICK = "--benchmark-max-time=0.0001"


@pytest.fixture
def run(pytester):
    """pytest in this process, on a file of this source."""

    def run(source, *options, ini=""):
        pytester.makeini(f"[pytest]\n{ini}\n")
        pytester.makepyfile(test_a=f"import pytest\n{source}")
        return pytester.runpytest("--strict-markers", QUICK, *options)

    return run


def calls_of(pytester):
    """What the tests wrote down."""
    return json.loads((pytester.path / "calls.json").read_text())


COUNTING = """
import json, pathlib
CALLS = []

@pytest.fixture(autouse=True, scope="session")
def written():
    yield
    pathlib.Path("calls.json").write_text(json.dumps(CALLS))
"""


def test_a_benchmark_is_measured_and_shown(run):
    result = run(
        """
        def test_call(benchmark):
            assert benchmark(sorted, [2, 1], reverse=True) == [2, 1]
            assert benchmark.stats["mean"] == benchmark.stats.stats.mean > 0

        def test_decorator(benchmark):
            @benchmark
            def result():
                return 5
            assert result == 5
        """.replace("\n        ", "\n")
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*= benchmarks =*", "benchmark: 2 tests", "Name (time in *s) * Min * Max * OPS *", "test_*", "test_*"]
    )


def test_what_is_known_of_the_test(run):
    run(
        """
@pytest.mark.benchmark(group="g")
@pytest.mark.parametrize("number", [7])
def test_it(benchmark, number):
    assert (benchmark.name, benchmark.fullname) == ("test_it[7]", "test_a.py::test_it[7]")
    assert (benchmark.group, benchmark.param, benchmark.params) == ("g", "7", {"number": 7})
    benchmark.group = "h"
    benchmark.extra_info["a"] = 1
    benchmark.pedantic(abs, (-1,))
    assert (benchmark.stats.group, benchmark.stats["extra_info"]) == ("h", {"a": 1})
"""
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "ini", "known"),
    [
        (["--benchmark-disable"], "", "not known"),
        ([], "perf_benchmark = once", "known"),
        (["--perf-benchmark=once"], "", "known"),
    ],
)
def test_a_benchmark_can_be_called_once(run, pytester, options, ini, known):
    source = f"""
{COUNTING}
def test_it(benchmark):
    benchmark(CALLS.append, 1)
    assert benchmark.disabled and not benchmark.enabled
    assert (benchmark.stats is not None) == {known == "known"}
"""
    result = run(source, *options, ini=ini)
    result.assert_outcomes(passed=1)
    assert calls_of(pytester) == [1]
    result.stdout.no_fnmatch_line("*= benchmarks =*")


def test_enable_overrides_both(run):
    source = "def test_it(benchmark):\n    benchmark(abs, 1)\n    assert benchmark.enabled\n"
    result = run(source, "--benchmark-disable", "--benchmark-enable", ini="perf_benchmark = once")
    result.assert_outcomes(passed=1)


def test_another_word_for_once_is_refused(run):
    result = run("def test_it(benchmark): pass", ini="perf_benchmark = never")
    result.stderr.fnmatch_lines(
        ["*perf_benchmark in the ini file: 'never' is not a way to run a benchmark (valid: measure, once)"]
    )


def test_one_measurement_per_test(run):
    result = run("def test_it(benchmark):\n    benchmark(abs, 1)\n    benchmark(abs, 1)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FixtureAlreadyUsed: Fixture can only be used once: benchmark(...) has made*"])


def test_a_fixture_that_is_not_used_is_warned_of_unless_the_test_did_not_get_that_far(run):
    result = run(
        """
def test_unused(benchmark): pass
def test_skipped(benchmark): pytest.skip("not here")
def test_failed(benchmark): assert 0
""",
        "-W", "default",
    )  # fmt: skip
    result.assert_outcomes(passed=1, skipped=1, failed=1)
    assert result.stdout.str().count("BenchmarkWarning:") == 1
    result.stdout.fnmatch_lines(["*BenchmarkWarning: the fixture benchmark was not used in this test"])


@pytest.mark.every_plugin
def test_coroutine_functions_are_measured_in_their_loop_and_refused_outside(run):
    result = run(
        """
import asyncio

async def fetch():
    return 5

def test_in_a_loop(benchmark):
    async def test():
        return await benchmark(fetch)
    assert asyncio.run(test()) == 5
    assert benchmark.stats["rounds"] >= 5

def test_pedantic(benchmark):
    async def test():
        return await benchmark.pedantic(fetch, rounds=3)
    assert asyncio.run(test()) == 5
    assert benchmark.stats["rounds"] == 3

def test_plain(benchmark):
    benchmark(fetch)

def test_never_awaited(benchmark):
    async def test():
        benchmark(fetch)
    asyncio.run(test())
""",
        "-W", "ignore",
    )  # fmt: skip
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*TypeError: benchmark cannot time the coroutine function fetch in a plain test*",
         "benchmark(...) of a coroutine function was never awaited, so nothing was measured: write await benchmark(...)"]
    )  # fmt: skip


@pytest.mark.plugins("anyio", "asyncio")
def test_async_tests_of_other_plugins_await_it(pytester):
    """pytest-asyncio and anyio; a loop of another kind is known by the test's colour."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        """
import pytest

async def fetch():
    return 5

@pytest.mark.asyncio
async def test_asyncio(benchmark):
    assert await benchmark(fetch) == 5

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(benchmark, anyio_backend):
    assert await benchmark(fetch) == 5
"""
    )
    pytester.runpytest_subprocess(QUICK).assert_outcomes(passed=2)


def test_weaving_uses_aspectlib(run, pytester):
    """A stand-in for the package, which does what is used of it."""
    pytester.makepyfile(
        aspectlib="""
        import os

        class weave:
            def __init__(self, target, aspect):
                self.before, os.getcwd = os.getcwd, aspect(os.getcwd)

            def rollback(self):
                os.getcwd = self.before
        """
    )
    pytester.syspathinsert()
    run(
        """
import os
BEFORE = os.getcwd

def test_weave(benchmark_weave, benchmark):
    benchmark_weave("os.getcwd")
    assert os.getcwd() == BEFORE()
    assert benchmark.stats["rounds"] >= 5

def test_patch(benchmark):
    assert os.getcwd is BEFORE
    benchmark.patch("os.getcwd")
    os.getcwd()
"""
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "unheard_of=1",
            "marker benchmark of test_a.py::test_it: unknown keyword 'unheard_of' (valid: calibration_precision,*",
        ),
        ("'x'", "marker benchmark of test_a.py::test_it: 'x' is a positional argument; use keywords*"),
        (
            "max_time='soon'",
            "marker benchmark of test_a.py::test_it: max_time is 'soon': 'soon' is not a number of seconds*",
        ),
    ],
)
def test_a_wrong_marker_is_an_error_of_its_test(run, marker, message):
    result = run(f"@pytest.mark.benchmark({marker})\ndef test_it(benchmark):\n    benchmark(abs, 1)\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*UsageError: {message}"])


def test_markers_of_both_plugins_on_functions_classes_and_modules(run):
    """The closest counts, as a whole; a marked test without the fixture is an ordinary test here."""
    run(
        """
pytestmark = pytest.mark.benchmark(min_rounds=7, max_time=0)

@pytest.mark.codspeed_benchmark(max_rounds=2, min_time=0, group="x")
class TestClass:
    def test_class(self, benchmark):
        benchmark(abs, 1)
        assert (benchmark.stats["rounds"], benchmark.group) == (2, "x")

    def test_setup_with_arguments(self, codspeed_benchmark):
        log = []
        codspeed_benchmark.pedantic(log.append, args=(1,), setup=lambda one: log.append("setup"), rounds=2)
        assert log == ["setup", 1, "setup", 1]

def test_module(benchmark):
    benchmark(abs, 1)
    assert benchmark.stats["rounds"] == 7

@pytest.mark.benchmark(
    max_time=0, min_rounds=3, min_time=0, timer=__import__("time").process_time, group="y", disable_gc=True, warmup=False,
    warmup_iterations=5, calibration_precision=1, cprofile=False, precision=0.5, confidence=0.9,
)
def test_every_keyword(benchmark):
    benchmark(sum, range(100_000))
    assert benchmark.stats["rounds"] == 3

def test_without_the_fixture(tmp_path):
    (tmp_path / "once").mkdir()
"""
    ).assert_outcomes(passed=5)


def test_a_class_for_annotations(run):
    run(
        """
from pytest_perfguard.compat import BenchmarkFixture

def test_it(benchmark: BenchmarkFixture) -> None:
    assert isinstance(benchmark, BenchmarkFixture)
    benchmark(abs, 1)
"""
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("where", ["conftest", "test_b"])
def test_the_names_of_the_other_packages_serve_annotations(run, pytester, where):
    """Where neither is installed; after the run nothing is left of it."""
    for package in ("pytest-benchmark", "pytest-codspeed"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            pytest.skip(f"{package} {importlib.metadata.version(package)} is installed")
    before = list(sys.meta_path)
    pytester.makepyfile(
        **{
            where: """
            import pytest
            from pytest_benchmark.fixture import BenchmarkFixture, FixtureAlreadyUsed
            from pytest_benchmark import plugin, stats
            import pytest_codspeed
            from pytest_perfguard import compat

            pytest.importorskip("pytest_benchmark", minversion="5")

            def test_names():
                assert BenchmarkFixture is pytest_codspeed.BenchmarkFixture is compat.BenchmarkFixture is plugin.BenchmarkFixture
                assert FixtureAlreadyUsed is compat.FixtureAlreadyUsed
                assert stats.Stats([1.0]).mean == 1.0

            @pytest.mark.filterwarnings("error", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning")
            def test_warning(benchmark): pass
            """
        }
    )
    run("def test_it(): pass").assert_outcomes(passed=3 if where == "test_b" else 1)
    assert sys.meta_path == before


def test_a_conftest_that_names_the_other_plugin_gets_this_one(run, pytester):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        pytest.skip(f"pytest-benchmark {importlib.metadata.version('pytest-benchmark')} is installed")
    pytester.makeconftest("pytest_plugins = ['pytest_benchmark.plugin']\n")
    run("def test_it(benchmark): assert benchmark(abs, -1) == 1", "--benchmark-disable").assert_outcomes(passed=1)


def test_a_fixture_of_the_projects_own_wins(run, pytester):
    pytester.makeconftest(
        "import pytest\n\n@pytest.fixture\ndef benchmark():\n    return lambda function: function() + 1\n"
    )
    run("def test_it(benchmark):\n    assert benchmark(lambda: 1) == 2\n").assert_outcomes(passed=1)
