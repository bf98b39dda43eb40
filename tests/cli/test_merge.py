"""`perfguard merge`: shards become one, and a missing one is noticed."""

from __future__ import annotations

import json

import pytest

from pytest_perfguard.core.model import Comparison, Machine, Verdict
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.json import json_report, read_report
from tests.cli.conftest import SETTINGS, record, report, slower

NEW = slower(record(), 1.1)


def shard(command, name, verdicts, *, mode="compare", strict=False, commit="c", complete=True):
    entries = tuple(ReportedTest(Comparison(nodeid, verdict)) for nodeid, verdict in verdicts.items())
    settings = {**SETTINGS.as_data(), "strict": strict}
    head = Report(mode, Machine("linux", {}), settings, entries, "2026-01-01", commit, "perf-baseline.json", complete)
    (command.path / name).write_text(json_report(head))


def test_baselines_of_shards_become_one(command):
    command.keep("a.json", {"t": record()})
    command.keep("b.json", {"u": record()})
    status, data = command.json("merge", "a.json", "b.json", "-o", "perf-baseline.json")
    assert (status, data["tests"], data["written"]) == (0, 2, "perf-baseline.json")
    assert set(command.store.read().tests_of("linux")) == {"t", "u"}


def test_a_missing_shard_is_noticed_and_nothing_is_written(command):
    command.keep("perf-baseline.json", {"t": record(), "u": record()})
    command.keep("a.json", {"t": NEW, "u": record()})
    arguments = ("merge", "a.json", "--before", "perf-baseline.json", "-o", "perf-baseline.json")
    status, out, err = command.run(*arguments)
    assert (status, out) == (1, "2 tests; nothing was written\n")
    assert "no shard contains 1 test (u): a shard may be missing" in err
    assert command.store.read().tests_of("linux")["t"] == record()
    assert command.run(*arguments, "--partial")[0] == 0
    assert command.store.read().tests_of("linux") == {"t": NEW, "u": record()}


def test_two_figures_of_one_test_are_a_conflict(command):
    command.keep("a.json", {"t": record()})
    command.keep("b.json", {"t": NEW})
    status, _out, err = command.run("merge", "a.json", "b.json", "-o", "c.json")
    assert status == 4
    assert "t was recorded twice on linux: in a.json and, with other numbers, in b.json" in err
    assert "--before=FILE" in err
    assert not (command.path / "c.json").exists()


def test_reports_of_shards_become_one(command):
    shard(command, "a.json", {"t": Verdict.UNCHANGED, "u": Verdict.MISSING})
    shard(command, "b.json", {"u": Verdict.REGRESSION})
    status, data = command.json("merge", "a.json", "b.json", "-o", "all.json")
    assert (status, data["summary"]) == (1, {"regression": 1, "unchanged": 1})
    assert read_report((command.path / "all.json").read_text(), "x").summary == data["summary"]


def test_a_test_that_no_report_tells_of_is_noticed(command):
    command.keep("perf-baseline.json", {"t": record(), "u": record()})
    shard(command, "a.json", {"t": Verdict.UNCHANGED})
    arguments = ("merge", "a.json", "-o", "all.md", "--before", "perf-baseline.json")
    status, _out, err = command.run(*arguments)
    assert status == 1
    assert "(u): a shard may be missing" in err
    assert command.run(*arguments, "--partial")[0] == 0


def test_one_strict_shard_makes_the_whole_strict(command):
    shard(command, "a.json", {"t": Verdict.INCONCLUSIVE})
    shard(command, "b.json", {"u": Verdict.UNCHANGED}, strict=True)
    assert command.run("merge", "a.json", "b.json", "-o", "all.json")[0] == 1


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ({"verdicts": {"u": Verdict.UNCHANGED}, "mode": "against"}, "mode is 'compare' and 'against'"),
        ({"verdicts": {"u": Verdict.UNCHANGED}, "commit": "d"}, "commit is 'c' and 'd'"),
        ({"verdicts": {"t": Verdict.UNCHANGED}}, "t was measured twice: in a.json and in b.json"),
    ],
)
def test_what_does_not_belong_together_is_refused(command, second, problem):
    shard(command, "a.json", {"t": Verdict.UNCHANGED})
    shard(command, "b.json", **second)
    status, _out, err = command.run("merge", "a.json", "b.json", "-o", "all.json")
    assert status == 4
    assert problem in err


@pytest.mark.parametrize("commits", [("", "c"), ("c", "")])
def test_a_shard_without_git_belongs_to_the_commit_of_the_others(command, commits):
    for name, commit in zip("ab", commits, strict=True):
        shard(command, f"{name}.json", {name: Verdict.UNCHANGED}, commit=commit)
    assert command.run("merge", "a.json", "b.json", "-o", "all.json")[0] == 0
    assert read_report((command.path / "all.json").read_text(), "all.json").commit == "c"


def test_a_shard_that_was_interrupted_makes_the_whole_incomplete(command):
    shard(command, "a.json", {"t": Verdict.UNCHANGED}, complete=False)
    shard(command, "b.json", {"u": Verdict.UNCHANGED})
    assert command.run("merge", "a.json", "b.json", "-o", "all.json")[0] == 0
    assert read_report((command.path / "all.json").read_text(), "all.json").complete is False


def test_a_baseline_and_a_report_are_not_one_kind(command):
    command.keep("a.json", {"t": record()})
    (command.path / "b.json").write_text(report({"u": record()}))
    status, _out, err = command.run("merge", "a.json", "b.json", "-o", "c.json")
    assert status == 4
    assert "merge files of one kind" in err
    assert json.loads((command.path / "a.json").read_text())


def test_a_file_is_not_replaced_by_one_of_another_kind(command):
    command.keep("a.json", {"t": record()})
    (command.path / "b.json").write_text(report({"u": record()}))
    status, _out, err = command.run("merge", "b.json", "-o", "a.json")
    assert (status, "a.json is a baseline, which a report would replace" in err) == (4, True)
    status, _out, err = command.run("merge", "a.json", "-o", "page.html")
    assert (status, "merged into a baseline, not into page.html" in err) == (4, True)
    assert not (command.path / "page.html").exists()
