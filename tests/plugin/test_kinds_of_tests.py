"""Every kind of test gets a sensible result."""

from __future__ import annotations

import pytest


def metric(report, test, name="time"):
    tests = {item["nodeid"].partition("::")[2]: item for item in report["tests"]}
    return next(item for item in tests[test]["metrics"] if item["name"] == name)


def test_functions_methods_parameters_fixtures_and_unittest(project, distribution):
    project.pytester.makepyfile(
        """
        import time, unittest
        import pytest

        pytestmark = pytest.mark.perf

        @pytest.fixture(scope="module")
        def data():
            return list(range(1000))

        def test_function(data):
            sum(data)

        class TestMethods:
            @pytest.mark.parametrize("size", [1, 2])
            def test_method(self, size, tmp_path):
                assert tmp_path.exists()

        class Case(unittest.TestCase):
            def setUp(self):
                self.values = [3, 2, 1]

            def test_unit(self):
                self.assertEqual(sorted(self.values), [1, 2, 3])

        class AsyncCase(unittest.IsolatedAsyncioTestCase):
            async def test_coroutine(self):
                self.assertTrue(True)
        """
    )
    result, report = project.report("--perf", *distribution)
    result.assert_outcomes(passed=5)
    names = [test["nodeid"].partition("::")[2] for test in report["tests"]]
    assert names == [
        "AsyncCase::test_coroutine", "Case::test_unit", "TestMethods::test_method[1]", "TestMethods::test_method[2]",
        "test_function",
    ]  # fmt: skip
    assert 1e-6 < metric(report, "test_function")["candidate"] < 1e-3
    assert metric(report, "AsyncCase::test_coroutine")["candidate"] < 50e-6, "timed inside the loop"


@pytest.mark.parametrize(
    "plugin", [pytest.param(name, marks=pytest.mark.plugins(name)) for name in ("asyncio", "anyio")]
)
def test_an_awaited_no_op_reads_far_below_a_microsecond(project, plugin):
    """Timed inside the running loop; starting a loop costs a hundred microseconds."""
    project.pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        def number():
            return 5

        @pytest.mark.perf
        @pytest.mark.{plugin}
        async def test_nothing(number):
            assert number == 5
        """
    )
    result, report = project.report("--perf")
    result.assert_outcomes(passed=1)
    assert metric(report, "test_nothing")["candidate"] < 5e-6, "below 1 us on a quiet machine"


def test_a_tiny_and_a_long_call(project):
    project.pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.perf
        def test_tiny():
            pass

        @pytest.mark.perf
        def test_long():
            time.sleep(0.4)
        """
    )
    result, report = project.report("--perf")
    result.assert_outcomes(passed=2)
    assert metric(report, "test_tiny")["candidate"] < 1e-6
    assert metric(report, "test_long")["candidate"] == pytest.approx(0.4, rel=0.5)
    assert metric(report, "test_long", "cpu")["candidate"] < 0.1


def test_a_second_call_that_fails_is_stateful_and_measured_once_per_set_up(project, distribution):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        def test_makes_a_folder(tmp_path):
            (tmp_path / "folder").mkdir()
        """
    )
    result, report = project.report("--perf", *distribution)
    result.assert_outcomes(passed=1)
    notes = " ".join(report["tests"][0]["notes"])
    assert "stateful: a second call raised FileExistsError" in notes
    assert "setup=" in notes
    result.stdout.fnmatch_lines(["note: *test_makes_a_folder: stateful: a second call raised FileExistsError*"])
    assert metric(report, "test_makes_a_folder")["rounds"] >= 10


def test_setup_runs_untimed_before_every_round(project):
    project.pytester.makepyfile(
        """
        import time
        import pytest

        ITEMS = []

        def fill():
            time.sleep(0.002)
            ITEMS[:] = range(100)

        @pytest.mark.perf(setup=fill)
        def test_pops():
            ITEMS.pop()

        def empty():
            ITEMS[:] = [1]

        @pytest.mark.perf(setup=empty)
        def test_pops_the_only_one():
            ITEMS.pop()
        """
    )
    project.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def filled(request):
            request.module.ITEMS[:] = [1]
        """
    )
    result, report = project.report("--perf", "--perf-budget=3s", "--perf-metrics=time")
    result.assert_outcomes(passed=2)
    assert metric(report, "test_pops")["candidate"] < 0.001
    tests = {test["nodeid"].partition("::")[2]: test for test in report["tests"]}
    assert "one call per round, after setup=" in " ".join(tests["test_pops_the_only_one"]["notes"])


def test_perf_monitor_measures_the_part_that_it_is_handed(project, distribution):
    project.pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.perf
        def test_part(perf_monitor):
            time.sleep(0.01)
            assert perf_monitor.measure(sorted, [3, 1, 2], reverse=True) == [3, 2, 1]
            assert perf_monitor.measure(sum, [1, 2]) == 3

        @pytest.mark.perf
        def test_unused(perf_monitor):
            pass

        def test_anywhere(perf_monitor):
            assert perf_monitor.measure(int, "7") == 7
        """
    )
    result, report = project.report("--perf", *distribution)
    result.assert_outcomes(passed=3)
    assert metric(report, "test_part", "time:sorted")["candidate"] < 1e-4
    assert metric(report, "test_part", "time:sum")["candidate"] < 1e-4
    assert metric(report, "test_unused")["candidate"] < 1e-5


def test_a_test_that_prints_megabytes(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        def test_prints():
            print("x" * 100)
        """
    )
    result = project.run("--perf")
    result.assert_outcomes(passed=1)
    assert "xxx" not in result.stdout.str()


def test_memory_is_the_peak_of_one_call(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        def test_allocates():
            bytes(3_000_000)
        """
    )
    _result, report = project.report("--perf")
    assert metric(report, "test_allocates", "memory")["candidate"] == pytest.approx(3_000_000, rel=0.01)


def test_a_test_that_patches_the_clock_is_measured_all_the_same(project):
    project.pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.perf
        def test_frozen(monkeypatch):
            monkeypatch.setattr(time, "perf_counter_ns", lambda: 0)
            monkeypatch.setattr(time, "monotonic", lambda: 0.0)
        """
    )
    result, report = project.report("--perf")
    result.assert_outcomes(passed=1)
    assert metric(report, "test_frozen")["candidate"] > 0


@pytest.mark.every_plugin
def test_what_a_test_captures_warns_and_logs_is_as_in_its_ordinary_run(project):
    project.pytester.makeini("[pytest]\nfilterwarnings = error\n")
    project.pytester.makepyfile(
        """
        import logging, os, warnings
        import pytest

        pytestmark = pytest.mark.perf

        def test_output(capfd):
            os.write(1, b"hello")
            assert capfd.readouterr().out == "hello"

        def test_errors_from_warnings():
            with pytest.raises(UserWarning):
                warnings.warn("mine")

        def test_records(caplog):
            caplog.clear()
            logging.warning("told")
            assert caplog.messages == ["told"]

        @pytest.mark.filterwarnings("default")
        def test_warnings(recwarn):
            warnings.warn("told")
            assert len(recwarn) == 1

        def test_part(perf_monitor):
            with pytest.warns(UserWarning, match="mine"):
                perf_monitor.measure(warnings.warn, "mine")
        """
    )
    project.run("--perf", "-p", "no:asyncio").assert_outcomes(passed=5)


def test_what_has_no_function_stays_an_ordinary_test(project, distribution):
    """A marker on everything meets doctests and what a plugin collects: they run once, and a line says so."""
    project.pytester.makeconftest(
        """
        import pytest

        def pytest_itemcollected(item):
            item.add_marker(pytest.mark.perf)

        class Line(pytest.Item):
            def runtest(self):
                assert self.name != "bad"

        class Lines(pytest.File):
            def collect(self):
                return [Line.from_parent(self, name=name) for name in self.path.read_text().split()]

        def pytest_collect_file(file_path, parent):
            return Lines.from_parent(parent, path=file_path) if file_path.suffix == ".lines" else None
        """
    )
    project.pytester.makepyfile(mod='def f():\n    """\n    >>> f()\n    2\n    """\n    return 2\n')
    project.pytester.makepyfile(test_a="def test_a():\n    sum(range(1000))\n")
    project.pytester.makefile(".lines", a="good bad")
    result, report = project.report("--doctest-modules", "--perf", *distribution)
    result.assert_outcomes(passed=3, failed=1)
    assert [test["nodeid"] for test in report["tests"]] == ["test_a.py::test_a"]
    line = "perf: marked perf but not measured, since only test functions can be: 3 tests (*mod.py::mod.f*)"
    result.stdout.fnmatch_lines([line])
    assert any("only test functions" in note for note in report["notes"])


def test_a_run_of_doctests_alone_is_no_green_gate(project):
    """Nothing could be measured: exit status 5 and the reason."""
    project.pytester.makeconftest("import pytest\ndef pytest_itemcollected(item): item.add_marker(pytest.mark.perf)\n")
    project.pytester.makepyfile(mod='def f():\n    """\n    >>> f()\n    2\n    """\n    return 2\n')
    result = project.run("--doctest-modules", "--perf-baseline")
    assert result.ret == 5
    result.stdout.fnmatch_lines(["*only test functions can be: 1 test*", "*nothing was recorded*"][::-1])
