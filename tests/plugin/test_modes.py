"""The modes: what each runs, writes and returns."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import WORK, last_perf_line


def test_without_a_mode_a_perf_test_is_an_ordinary_test(project):
    project.pytester.makepyfile(
        """
        import pytest
        calls = []

        @pytest.mark.perf
        def test_once():
            calls.append(1)

        def test_after():
            assert calls == [1]
        """
    )
    result = project.run("--strict-markers", short=False)
    result.assert_outcomes(passed=2)
    assert "perf:" not in result.stdout.str()
    assert not project.baseline.exists()


def test_perf_measures_shows_and_keeps_nothing(project, distribution):
    project.pytester.makepyfile(WORK)
    result = project.run("--perf", *distribution)
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*perfguard: measured*", "test *time*cpu*memory", "*.py", "*test_work*s*B*"])
    assert last_perf_line(result).startswith("perf: 1 measured (1 test, ")
    assert not project.baseline.exists()


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        (
            "def test_a(): pass",
            (),
            "no test is marked perf; mark tests with @pytest.mark.perf, or list their files in perf_paths",
        ),
        (WORK, ("-k", "zebra"), "no perf test was selected, of 1 found (-k, -m, a path, --lf)"),
        ("import pytest\n@pytest.mark.perf\ndef test_a(): pytest.skip()", (), "no perf test ran and passed, of 1 *"),
    ],
    ids=["unmarked", "deselected", "skipped"],
)
def test_perf_that_measured_nothing_says_why(project, content, options, text):
    project.pytester.makepyfile(content)
    project.run("--perf", *options).stdout.fnmatch_lines([f"perf: {text}"])


def test_baseline_records_and_compare_is_green_on_the_same_code(recorded, distribution):
    recorded.rewrite_baseline()
    result, report = recorded.report("--perf-compare", "--perf-threshold=900%", *distribution)
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    assert (report["mode"], report["summary"]) == ("compare", {"unchanged": 1})


def test_slower_code_is_red_named_and_explained(recorded, distribution):
    recorded.rewrite_baseline(30)
    result = recorded.run("--perf-compare", "--perf-metrics=time", *distribution)
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*= FAILURES =*",
            "Slower than its baseline.",
            "  time * -> * per call, *x slower*  regression",
            "*allowed: up to *",
            "  measured   * fresh process*, * rounds of * call*, *",
            "  baseline   perf-baseline.json*",
            "What to do next",
            "*pytest --perf-compare *::test_work",
            "*pytest --perf-baseline *::test_work",
            "*perfguard: compared with perf-baseline.json*",
            "  test_work * regression",
            "perf: 1 regression (1 test, *",
            "FAILED *::test_work - regression: time *",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_faster_code_is_an_improvement_and_green(recorded):
    recorded.rewrite_baseline(1 / 8)
    result, report = recorded.report("--perf-compare", "--perf-metrics=time")
    assert result.ret == 0
    assert report["summary"] == {"improvement": 1}


def test_two_modes_at_once_are_a_usage_error_that_names_both(project):
    result = project.run("--perf-compare", "--perf-baseline")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--perf-baseline and --perf-compare exclude each other*"])


def test_compare_without_a_baseline_is_status_4_with_the_command_that_records_one(project):
    project.pytester.makepyfile(WORK)
    result = project.run("--perf-compare")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: no baseline file *perf-baseline.json; record one with: pytest --perf-baseline"]
    )


@pytest.mark.parametrize("mode", ["--perf-compare", "--perf-baseline"])
def test_an_unreadable_baseline_is_status_4_and_untouched(recorded, mode):
    """Told before anything is measured."""
    recorded.baseline.write_text(recorded.baseline.read_text().replace('"kernel"', '"colonel"'))
    before = recorded.baseline.read_bytes()
    result = recorded.run(mode)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: *perf-baseline.json:8: kernel is None, expected a number*the file is unchanged*"]
    )
    assert recorded.baseline.read_bytes() == before


@pytest.mark.parametrize("mode", ["--perf-baseline", "--perf-compare"])
def test_a_gate_that_measured_nothing_is_not_green(recorded, mode):
    recorded.pytester.makepyfile("def test_plain(): pass")
    result = recorded.run(mode)
    assert result.ret == 5
    assert "perf: no" in result.stdout.str()


def test_an_ordinary_failure_stays_one_and_is_not_measured(project, distribution):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        def test_wrong():
            assert 1 == 2

        @pytest.mark.perf
        def test_skipped():
            pytest.skip("not here")

        @pytest.mark.perf
        def test_right():
            pass
        """
    )
    result, report = project.report("--perf", *distribution)
    result.assert_outcomes(failed=1, skipped=1, passed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2"])
    assert [test["nodeid"].split("::")[1] for test in report["tests"]] == ["test_right"]


def test_one_report_per_test_also_in_junit(recorded, distribution):
    recorded.rewrite_baseline(30)
    result = recorded.run("--perf-compare", "--junitxml=junit.xml", *distribution)
    assert result.ret == 1
    text = (recorded.path / "junit.xml").read_text()
    assert text.count("<testcase") == 1
    assert 'failures="1"' in text
    assert '<failure message="regression: ' in text
    assert 'name="perf.verdict" value="regression"' in text


def test_the_exact_form_of_the_json_report(recorded):
    _result, report = recorded.report("--perf-compare", "--perf-threshold=900%")
    assert set(report) == {
        "schema",
        "mode",
        "at",
        "commit",
        "against",
        "complete",
        "notes",
        "project",
        "run",
        "machine",
        "settings",
        "summary",
        "tests",
    }
    test = report["tests"][0]
    assert {"nodeid", "verdict", "seconds", "metrics"} <= set(test)
    assert {metric["name"] for metric in test["metrics"]} == {"time", "cpu", "memory", "blocks"}
    for metric in test["metrics"]:
        assert {"name", "unit", "baseline", "candidate", "ratio", "interval", "verdict", "rounds"} <= set(metric)


def test_reports_of_a_folder_that_is_not_there_make_it(recorded):
    _result, report = recorded.report("--perf", name="out/deep/x.json")
    assert report["mode"] == "measure"


def test_quiet_leaves_the_line_that_counts(recorded):
    recorded.rewrite_baseline()
    result = recorded.run("--perf-compare", "--perf-threshold=900%", "-q")
    assert last_perf_line(result).startswith("perf: 1 unchanged")
    assert "baseline      now" not in result.stdout.str()


@pytest.mark.parametrize(
    "option", ["--collect-only", "--setup-plan", "--fixtures", "--fixtures-per-test", "--cache-show"]
)
def test_where_pytest_runs_no_test_nothing_is_measured(recorded, option):
    result = recorded.run("--perf-compare", option, "-q")
    assert result.ret == 0
    assert "perf:" not in result.stdout.str()


def test_help_explains_every_option(project):
    text = project.run("--help", short=False).stdout.str()
    for option in (
        "--perf ",
        "--perf-baseline",
        "--perf-compare",
        "--perf-threshold=PERCENT",
        "--perf-strict",
        "perf_budget",
    ):
        assert option in text
    assert "--perf-child" not in text


def test_the_baseline_is_one_line_per_test_and_sorted(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        @pytest.mark.parametrize("name", ["z", "a", "m"])
        def test_it(name):
            pass
        """
    )
    assert project.run("--perf-baseline", "--perf-explain=auto").ret == 0
    lines = project.baseline.read_text().splitlines()
    tests = [line for line in lines if "::test_it" in line]
    assert [line.split('"')[1][-3:] for line in tests] == ["[a]", "[m]", "[z]"]
    record = json.loads("{" + tests[0].rstrip(",") + "}").popitem()[1]
    fields = {"calls", "commit", "conditions", "iterations", "kernel", "metrics", "paces", "source"}
    assert set(record) - {"lost"} == fields, "lost: the machine was busy"
