"""Groups and order of the table: `--perf-group-by`, `--perf-sort`."""

from __future__ import annotations

from pytest_perfguard.core.model import Comparison, Finding, Verdict
from pytest_perfguard.plugin.grouping import table_groups


def measured(name, seconds):
    return Comparison(name, None, (Finding("time", "s", None, seconds),))


def groups(tests, parameters=None, **options):
    chosen = {"group_by": "file", "sort": None, "severity": False, **options}
    return [
        (group.title, [test.nodeid for test in group.tests])
        for group in table_groups(tests, parameters or {}, **chosen)
    ]


B2, B1, A = (measured("b.py::t[2]", 9.0), measured("b.py::t[1]", 5.0), measured("a.py::u", 7.0))


def test_the_order_is_that_of_the_files_unless_another_is_selected():
    assert groups([B2, B1, A]) == [("b.py", ["b.py::t[2]", "b.py::t[1]"]), ("a.py", ["a.py::u"])]
    assert groups([B2, B1, A], sort="name") == [("a.py", ["a.py::u"]), ("b.py", ["b.py::t[1]", "b.py::t[2]"])]
    assert groups([B2, B1, A], sort="time") == [("b.py", ["b.py::t[1]", "b.py::t[2]"]), ("a.py", ["a.py::u"])]


def test_numbers_in_names_count_as_numbers():
    names = ["a.py::t[1000]", "a.py::t[100]", "a.py::t[20-b]", f"a.py::t[{'7' * 5000}]", "a.py::t"]
    (group,) = groups([measured(name, 1.0) for name in names], sort="name")
    assert group[1] == [names[index] for index in (4, 2, 1, 0, 3)]


def test_tests_without_a_change_keep_their_order():
    assert groups([B2, B1, A], sort="change") == groups([B2, B1, A])


def test_groups_of_one_function_and_of_one_parameter():
    assert groups([B2, B1, A], group_by="func") == [("t", ["b.py::t[2]", "b.py::t[1]"]), ("u", ["a.py::u"])]
    parameters = {"b.py::t[2]": {"n": "2"}, "b.py::t[1]": {"n": "1"}}
    assert groups([B2, B1, A], parameters, group_by="param:n") == [
        ("n=2", ["b.py::t[2]"]),
        ("n=1", ["b.py::t[1]"]),
        ("without n", ["a.py::u"]),
    ]


def test_the_largest_slowdown_comes_first_if_changes_order_the_table():
    def changed(name, ratio, verdict):
        return Comparison(name, verdict, (Finding("time", "s", verdict, ratio, 1.0),))

    red, same = changed("a.py::red", 1.5, Verdict.REGRESSION), changed("b.py::same", 1.0, Verdict.UNCHANGED)
    better = changed("c.py::better", 0.5, Verdict.IMPROVEMENT)
    assert [title for title, _ in groups([better, same, red], sort="change")] == ["a.py", "b.py", "c.py"]
    assert [title for title, _ in groups([same, better, red], severity=True)] == ["a.py", "c.py", "b.py"]


def test_the_table_has_the_groups_and_the_order_of_the_options(project, distribution):
    project.pytester.makepyfile(
        test_a="""
        import pytest

        @pytest.mark.perf
        @pytest.mark.parametrize("size", [3000, 1000])
        def test_sum(size):
            sum(range(size))
        """
    )
    result = project.run(
        "--perf", "--perf-group-by=func", "--perf-sort=time", "--perf-metrics=time", "-q", *distribution
    )
    result.stdout.fnmatch_lines(
        ["*perfguard: measured*", "test_sum (test_a.py)", "  test_sum?1000? *1.0x", "  test_sum?3000? *x"]
    )
    wrong = project.run("--perf", "--perf-group-by=size")
    assert wrong.ret == 4
    assert "--perf-group-by: 'size' is not a grouping (valid: file, func, param:NAME)" in wrong.stderr.str()
