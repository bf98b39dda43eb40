"""`perf_paths`: whole files and folders of tests that count as marked."""

from __future__ import annotations

import pytest

SLOW = """
import pytest

def test_plain():
    sum(range(1000))

@pytest.mark.perf(threshold="50%", metrics="memory")
def test_marked():
    sum(range(1000))
"""
FAST = "def test_fast(): pass"
MEMORY = "--perf-metrics=memory"


@pytest.fixture
def suite(project):
    """Two tests under benchmarks/, one of them marked, and two that are ordinary."""
    for name, text in {"benchmarks/test_slow": SLOW, "benchmarks_old/test_old": FAST, "test_fast": FAST}.items():
        file = project.path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    project.pytester.makeini("[pytest]\nperf_paths =\n    benchmarks/\n")
    return project


def measured(report):
    return sorted(test["nodeid"] for test in report["tests"])


IN_BENCHMARKS = ["benchmarks/test_slow.py::test_marked", "benchmarks/test_slow.py::test_plain"]


def test_all_tests_of_a_folder_are_measured(suite, distribution):
    """And no test of a folder whose name begins alike."""
    result, report = suite.report("--perf", *distribution)
    assert result.ret == 0
    assert measured(report) == IN_BENCHMARKS


def test_a_marker_of_a_test_keeps_its_keywords(suite):
    """Here: which metrics are measured."""
    _result, report = suite.report("--perf", "--perf-metrics=memory,blocks")
    metrics = {test["nodeid"]: [metric["name"] for metric in test["metrics"]] for test in report["tests"]}
    assert metrics == {IN_BENCHMARKS[0]: ["memory"], IN_BENCHMARKS[1]: ["memory", "blocks"]}


@pytest.mark.parametrize(("expression", "passed"), [("perf", 2), ("not perf", 2), ("perf and not slow", 2)])
def test_the_marker_expression_selects_them_in_any_run(suite, expression, passed):
    suite.run("-m", expression).assert_outcomes(passed=passed, deselected=4 - passed)


def test_a_file_on_the_command_line(suite):
    _result, report = suite.report("--perf", MEMORY, "--perf-paths=test_fast.py")
    assert measured(report) == [IN_BENCHMARKS[0], "test_fast.py::test_fast"]  # the first has a marker of its own


def test_pyproject_takes_a_list(suite):
    suite.pytester.path.joinpath("tox.ini").unlink()
    suite.pytester.makepyprojecttoml('[tool.pytest.ini_options]\nperf_paths = ["benchmarks/", "test_fast.py"]\n')
    _result, report = suite.report("--perf", MEMORY)
    assert measured(report) == [*IN_BENCHMARKS, "test_fast.py::test_fast"]


def test_a_path_that_does_not_exist_is_a_usage_error(suite):
    """In every run, so that a folder that was renamed is noticed."""
    suite.pytester.makeini("[pytest]\nperf_paths = benchmark\n")
    result = suite.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*perf_paths: 'benchmark' does not exist: there is no *benchmark; *rootdir*"])
    assert "Traceback" not in result.stderr.str()


def test_a_doctest_in_such_a_folder_stays_an_ordinary_test(suite):
    (suite.path / "benchmarks" / "test_text.txt").write_text(">>> 1 + 1\n2\n")
    result, report = suite.report("--perf", MEMORY)
    assert result.ret == 0
    assert measured(report) == IN_BENCHMARKS


def test_a_pair_measures_them_where_the_base_has_no_such_folder(suite):
    """The base gets the tests of this tree, and its own paths are not checked."""
    git = suite.pytester.run
    git("git", "init", "-q")
    git("git", "config", "user.email", "a@b.c")
    git("git", "config", "user.name", "A")
    (suite.path / "sizes.py").write_text("SIZE = 1\n")
    git("git", "add", "sizes.py", "tox.ini")
    git("git", "commit", "-qm", "one")
    (suite.path / "sizes.py").write_text("SIZE = 2\n")
    (suite.path / "benchmarks" / "test_slow.py").write_text("import sizes\n" + FAST)
    _result, report = suite.report("--perf-against=HEAD", MEMORY)
    assert measured(report) == ["benchmarks/test_slow.py::test_fast"]
