"""xfail, -x, --maxfail, --lf: pytest's own meanings are kept."""

from __future__ import annotations

import shlex

import pytest

from pytest_perfguard.plugin.outcomes import Explanation
from tests.plugin.conftest import WORK


class Writer(list):
    """Collects the lines that would be printed."""

    def line(self, line, **_markup):
        self.append(line)


@pytest.mark.parametrize(("brief", "printed"), [(False, ["Slower.", "time 2x"]), (True, [])])
def test_a_run_with_a_line_per_failure_prints_no_explanation(brief, printed):
    failure, writer = Explanation("time 2x slower", ["Slower.", "time 2x"], ("t.py", 4, "t"), brief=brief), Writer()
    failure.toterminal(writer)
    assert (writer, str(failure), str(failure.reprcrash)) == (printed, "Slower.\ntime 2x", "t.py:5: time 2x slower")


@pytest.mark.parametrize("strict", [False, True])
def test_an_expected_regression_is_an_expected_failure(project, strict):
    marker = f"@pytest.mark.xfail(reason='known to be slow', strict={strict})"
    project.pytester.makepyfile(WORK.replace("@pytest.mark.perf", f"{marker}\n@pytest.mark.perf"))
    assert project.run("--perf-baseline").ret == (1 if strict else 0)
    project.rewrite_baseline(30)
    result = project.run("--perf-compare", "--perf-metrics=time", "-rx")
    assert result.ret == 0
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(["XFAIL *known to be slow*"])


@pytest.mark.thorough
@pytest.mark.parametrize(("strict", "outcome"), [(False, {"xpassed": 1}), (True, {"failed": 1})])
def test_an_expected_regression_that_stays_away_is_an_unexpected_pass(project, strict, outcome):
    marker = f"@pytest.mark.xfail(strict={strict})"
    project.pytester.makepyfile(WORK.replace("@pytest.mark.perf", f"{marker}\n@pytest.mark.perf"))
    project.run("--perf-baseline")
    project.rewrite_baseline()
    result = project.run("--perf-compare", "--perf-threshold=900%")
    result.assert_outcomes(**outcome)


def test_stopping_at_the_first_failure_measures_nothing_and_says_so(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        def test_fast():
            pass

        def test_wrong():
            assert 0
        """
    )
    result, report = project.report("--perf", "-x")
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["perf: nothing was measured: the run stopped before its end; --perf keeps nothing"])
    assert report["notes"] == ["nothing was measured: the run stopped before its end; --perf keeps nothing"]
    assert report["complete"] is False


@pytest.mark.thorough
def test_last_failed_reruns_the_regressions(recorded):
    recorded.pytester.makepyfile(test_other="import pytest\n@pytest.mark.perf\ndef test_other(): pass\n")
    recorded.run("--perf-baseline")
    recorded.rewrite_baseline(30)
    first = recorded.run("--perf-compare", "--perf-metrics=time", "-k", "work")
    assert first.ret == 1
    again = recorded.run("--perf-compare", "--perf-metrics=time", "--lf")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["run-last-failure: rerun previous 1 failure*"])


def test_what_is_not_settled_is_not_a_plain_pass(recorded):
    """It has its own letter and its own count in pytest's last line."""
    path = next(recorded.path.glob("test_*.py"))
    path.write_text(path.read_text().replace("    work()", "    work(); 5"))
    result = recorded.run("--perf-compare", "-v")
    result.stdout.fnmatch_lines(["*::test_work INCOMPARABLE*", "*1 incomparable in *"])


def test_a_call_that_raises_as_expected_cannot_be_timed_and_the_failure_says_so(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        def test_refuses(perf_monitor):
            with pytest.raises(ValueError):
                perf_monitor.measure(int, "one")
        """
    )
    result = project.run("--perf", "--perf-metrics=time")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "its measured call raised ValueError: invalid literal * 'one', which the test expected: there is nothing to time"
        ]
    )


@pytest.mark.thorough
def test_the_command_to_measure_again_can_be_run(project, monkeypatch):
    """From a folder below the rootdir, and with a configuration file and a rootdir of the command line."""
    (project.path / "sub").mkdir()
    (project.path / "config").mkdir()
    (project.path / "config" / "my.ini").write_text("[pytest]\n")
    (project.path / "sub" / "test_a.py").write_text(
        "import pytest\n@pytest.mark.perf(max_time='1ns', metrics='time')\ndef test_a():\n    sum(range(1000))\n"
    )
    monkeypatch.chdir(project.path / "sub")
    for options in ((), ("-c", "../config/my.ini", "--rootdir=..")):
        result = project.run("--perf", "--perf-budget=1ms", *options)
        line = next(line for line in result.outlines if "measure it again, alone:" in line)
        command = shlex.split(line.partition("alone:")[2])
        assert command[0] == "pytest"
        project.run("--perf-budget=1ms", *command[1:]).assert_outcomes(failed=1)
