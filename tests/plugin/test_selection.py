"""Parts of a suite: what is kept, what is pruned, what is missing, what cannot be compared."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import last_perf_line

TWO = """
import pytest

@pytest.mark.perf
def test_one():
    pass

@pytest.mark.perf
def test_two():
    pass
"""
ONE = TWO.partition("@pytest.mark.perf\ndef test_two")[0]


@pytest.fixture
def two(project):
    project.pytester.makepyfile(test_a=TWO, test_b=TWO)
    assert project.run("--perf-baseline", "--perf-metrics=memory").ret == 0
    assert len(names(project)) == 4
    return project


def names(project):
    data = json.loads(project.baseline.read_text())
    return sorted(name for part in data["classes"].values() for name in part["tests"])


@pytest.mark.thorough
@pytest.mark.parametrize(
    "selection", [["-k", "one"], ["test_a.py"], ["test_a.py::test_one"], ["--deselect", "test_b.py"]]
)
def test_a_part_of_the_suite_keeps_the_rest_of_the_baseline(two, selection):
    assert two.run("--perf-baseline", "--perf-metrics=memory", *selection).ret == 0
    assert len(names(two)) == 4


@pytest.mark.thorough
def test_only_a_full_clean_run_prunes(two):
    (two.path / "test_b.py").write_text(ONE + "def test_fails(): assert 0\n")
    two.run("--perf-baseline", "--perf-metrics=memory")
    assert len(names(two)) == 4, "not clean"
    (two.path / "test_b.py").write_text(ONE)
    two.run("--perf-baseline", "--perf-metrics=memory")
    assert names(two) == ["test_a.py::test_one", "test_a.py::test_two", "test_b.py::test_one"]


def test_a_test_that_is_gone_is_missing(two, distribution):
    (two.path / "test_b.py").write_text(ONE)
    result, report = two.report("--perf-compare", "--perf-metrics=memory", *distribution)
    assert result.ret == 0
    assert report["summary"] == {"missing": 1, "unchanged": 3}
    result.stdout.fnmatch_lines(["missing: test_b.py::test_two: in the baseline, and no longer among the tests*"])


@pytest.mark.thorough
def test_a_test_that_was_skipped_is_missing(two):
    (two.path / "test_b.py").write_text(TWO.replace("def test_two():\n    pass", "def test_two():\n    pytest.skip()"))
    _result, report = two.report("--perf-compare", "--perf-metrics=memory")
    missing = [test for test in report["tests"] if test["verdict"] == "missing"]
    assert [test["nodeid"] for test in missing] == ["test_b.py::test_two"]
    assert "did not pass in this run" in missing[0]["reason"]


def test_strict_makes_a_missing_test_a_failed_test(two):
    (two.path / "test_b.py").write_text(ONE)
    result = two.run("--perf-compare", "--perf-metrics=memory", "--perf-strict", "--junitxml=junit.xml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED test_b.py::test_two - missing: in the baseline*"])
    assert "missing" in (two.path / "junit.xml").read_text()


@pytest.mark.thorough
@pytest.mark.parametrize("selection", [["-k", "one"], ["test_a.py"], ["test_b.py::test_one"]])
def test_what_was_not_selected_is_not_missing(two, selection):
    (two.path / "test_b.py").write_text(ONE)
    _result, report = two.report("--perf-compare", "--perf-metrics=memory", *selection)
    assert set(report["summary"]) == {"unchanged"}


def test_a_test_that_is_not_in_the_baseline_is_new(two):
    (two.path / "test_c.py").write_text(ONE)
    result, report = two.report("--perf-compare", "--perf-metrics=memory")
    assert result.ret == 0
    assert report["summary"] == {"new": 1, "unchanged": 4}


def test_a_test_whose_source_changed_is_incomparable(two):
    (two.path / "test_b.py").write_text(TWO.replace("    pass", "    return None", 1))
    result, report = two.report("--perf-compare", "--perf-metrics=memory")
    assert result.ret == 0
    assert report["summary"] == {"incomparable": 1, "unchanged": 3}
    result.stdout.fnmatch_lines(
        ["incomparable: test_b.py::test_one: the source of the test changed*", "* 1 incomparable*"]
    )


@pytest.mark.thorough
def test_another_machine_class_is_incomparable_and_not_green(two, distribution):
    text = two.baseline.read_text()
    two.baseline.write_text(text.replace("linux-", "vax-").replace("darwin-", "vax-"))
    result = two.run("--perf-compare", *distribution)
    assert result.ret == 5
    assert last_perf_line(result).startswith("perf: 4 incomparable")
    result.stdout.fnmatch_lines(
        ["incomparable: *recorded on another machine class*", "perf: no test was judged: a run that judged nothing*"]
    )


@pytest.mark.thorough
def test_machine_classes_are_recorded_side_by_side(two):
    two.baseline.write_text(two.baseline.read_text().replace("linux-", "vax-").replace("darwin-", "vax-"))
    assert two.run("--perf-baseline", "--perf-metrics=memory").ret == 0
    assert len(names(two)) == 8


def test_strict_fails_what_is_not_settled(two):
    (two.path / "test_b.py").write_text(TWO.replace("    pass", "    return None", 1))
    result = two.run("--perf-compare", "--perf-metrics=memory", "--perf-strict")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED test_b.py::test_one - incomparable: the source of the test changed*"])


@pytest.mark.thorough
def test_a_record_without_changes_leaves_the_file_as_it_was(two):
    """Memory is deterministic, so a second recording has no news."""
    before = two.baseline.read_text().splitlines()
    two.run("--perf-baseline", "--perf-metrics=memory")
    after = two.baseline.read_text().splitlines()
    changed = [line for line, other in zip(after, before, strict=True) if line != other]
    assert all('"kernel"' in line or '"stamp"' in line for line in changed)


@pytest.mark.thorough
def test_a_run_in_a_subfolder_prunes_only_there(project, monkeypatch):
    project.pytester.makeini("[pytest]\n")
    for folder in ("one", "two"):
        (project.path / folder).mkdir()
        (project.path / folder / f"test_{folder}.py").write_text(TWO)
    assert project.run("--perf-baseline", "--perf-metrics=memory").ret == 0
    (project.path / "one" / "test_one.py").write_text(ONE)
    monkeypatch.chdir(project.path / "one")
    assert project.run("--perf-baseline", "--perf-metrics=memory").ret == 0
    assert names(project) == ["one/test_one.py::test_one", "two/test_two.py::test_one", "two/test_two.py::test_two"]


@pytest.mark.thorough
def test_dash_m_perf_is_no_filter(two):
    (two.path / "test_b.py").write_text(ONE)
    _result, report = two.report("--perf-compare", "--perf-metrics=memory", "-m", "perf")
    assert report["summary"] == {"missing": 1, "unchanged": 3}


def test_a_name_in_the_file_does_not_steer_the_terminal(two):
    data = json.loads(two.baseline.read_text())
    for part in data["classes"].values():
        part["tests"]["test_a.py::test_\x1b[2J\udce9"] = part["tests"]["test_a.py::test_one"]
    two.baseline.write_text(json.dumps(data))
    result, report = two.report("--perf-compare", "--perf-metrics=memory")
    assert result.ret == 0
    assert report["summary"] == {"missing": 1, "unchanged": 4}
    assert "\x1b" not in result.stdout.str()
    assert any(r"test_\x1b[2J\udce9: in the baseline" in line for line in result.outlines)
