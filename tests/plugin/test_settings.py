"""Options, ini keys and marker keywords, each tried as a user writes them."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import WORK


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--perf-threshold=5", "--perf-threshold: '5' is not a percentage such as 5%"),
        ("--perf-budget=5 parsecs", "--perf-budget: '5 parsecs' is not a duration"),
        ("--perf-floor=x", "--perf-floor: 'x' is neither a duration (50us) nor a size (1KB)"),
        ("--perf-metrics=speed", "--perf-metrics: unknown metric 'speed' (valid: time, cpu, memory, blocks)"),
        ("--perf-report=x.docx", "--perf-report: 'x.docx' has no known report format"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_names_it(project, option, text):
    project.pytester.makepyfile(WORK)
    result = project.run("--perf", option, short=False)
    assert result.ret == 4
    assert text in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_a_wrong_ini_key_is_a_usage_error_that_names_it(project):
    project.pytester.makeini("[pytest]\nperf_budget = soon\n")
    result = project.run("--perf", short=False)
    assert result.ret == 4
    assert "perf_budget in the ini file: 'soon' is not a duration" in result.stderr.str()


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("perf(treshold='5%')", "marker perf of test_x.py::test_it: unknown keyword 'treshold' (valid: threshold, "),
        ("perf('5%')", "marker perf of test_x.py::test_it: '5%' is positional; use keywords"),
        ("perf(max_time=5)", "max_time in the marker perf of test_x.py::test_it: 5 is not a duration"),
        ("perf(setup=3)", "setup in the marker perf of test_x.py::test_it: 3 cannot be called"),
        ("perf(setup=coroutine)", "is a coroutine function and the test is not"),
    ],
)
def test_a_wrong_marker_is_a_usage_error_that_names_test_and_choices(project, distribution, marker, text):
    project.pytester.makepyfile(
        test_x=f"import pytest\nasync def coroutine(): pass\n@pytest.mark.{marker}\ndef test_it(): pass\n"
    )
    result = project.run("--perf", *distribution)
    assert result.ret == 4
    assert text in result.stderr.str() + result.stdout.str()


def test_every_option_is_also_an_ini_key(project):
    project.pytester.makepyfile(WORK)
    project.pytester.makeini(
        """
        [pytest]
        perf_file = perf/base.json
        perf_report =
            one.json
            two.json
        perf_budget = 300ms
        perf_metrics = time,memory
        perf_threshold = 900%
        perf_floor = 1ms,1MB
        perf_strict = false
        """
    )
    (project.path / "perf").mkdir()
    result = project.run("--perf-baseline", short=False)
    assert result.ret == 0
    assert (project.path / "perf" / "base.json").exists()
    assert (project.path / "one.json").read_text() == (project.path / "two.json").read_text()
    assert project.run("--perf-compare", short=False).ret == 0


def test_the_marker_of_a_function_beats_that_of_its_module_keyword_by_keyword(project):
    project.pytester.makepyfile(
        """
        import time
        import pytest

        pytestmark = pytest.mark.perf(max_time="1ns", metrics="time")

        def test_over():
            time.sleep(0.001)

        @pytest.mark.perf(max_time="10s")
        def test_within():
            time.sleep(0.001)
        """
    )
    result, report = project.report("--perf")
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    assert report["summary"] == {"over-budget": 1, "measured": 1}
    assert all({metric["name"] for metric in test["metrics"]} <= {"time", "max_time"} for test in report["tests"])


def test_an_absolute_budget_fails_in_every_mode(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf(max_memory="1MB")
        def test_hungry():
            bytes(2_000_000)
        """
    )
    for mode in ("--perf", "--perf-baseline", "--perf-compare"):
        result = project.run(mode)
        assert result.ret == 1, mode
        result.stdout.fnmatch_lines(["FAILED *test_hungry - over budget: max_memory 2.00 MB > 1.00 MB*"])


def test_a_path_after_a_mode_is_a_path(project):
    """No option takes an optional value, which would swallow it."""
    project.pytester.makepyfile(WORK)
    result = project.run("--perf", "--perf-strict", "test_a_path_after_a_mode_is_a_path.py")
    result.assert_outcomes(passed=1)


def test_paths_after_two_dashes_are_paths(project):
    project.pytester.makepyfile(test_x=WORK)
    project.run("--perf", "--", "test_x.py").assert_outcomes(passed=1)


@pytest.mark.every_plugin
def test_the_plugin_can_be_switched_off(project):
    project.pytester.makepyfile("def test_plain(): pass")
    result = project.run("-p", "no:perfguard", short=False)
    result.assert_outcomes(passed=1)
    assert project.run("-p", "no:perfguard", "--perf", short=False).ret == 4
