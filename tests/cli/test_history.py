"""`perfguard history` and `report`: from git, and from a folder of reports."""

from __future__ import annotations

import shutil

import pytest

from pytest_perfguard.cli.history import describe, sparkline
from pytest_perfguard.engine.history.drift import Drift
from pytest_perfguard.engine.history.trends import HistoryPoint, Trend
from tests.cli.conftest import record, report, slower
from tests.repository import Repository

CREEP = [1.0, 1.011, 1.019, 1.031, 1.04, 1.052, 1.06, 1.071, 1.079, 1.09, 1.1, 1.112]


def folder_of(command, factors):
    (command.path / "reports").mkdir()
    for index, factor in enumerate(factors):
        text = report({"t": slower(record(), factor)}, at=f"2026-01-{index + 1:02}T00:00:00Z", commit=f"c{index}")
        (command.path / "reports" / f"run-{99 - index}.json").write_text(text)  # the name is not the order


@pytest.fixture
def committed(command):
    """A baseline file of twelve commits that creeps up by 1 % with each."""
    repository = Repository(command.path)
    for factor in CREEP:
        command.keep("perf-baseline.json", {"t": slower(record(), factor), "u": record()})
        repository.commit()
    return command, repository


def test_slow_creep_fails_although_no_step_did(committed):
    command, _repository = committed
    status, out, _err = command.run("history", "--fail-on-drift")
    assert status == 1
    assert "t: time 12.3 us -> 13.7 us (+11.2 %), 12 recordings" in out
    assert "DRIFTED +" in out
    assert out.splitlines()[-1] == "2 series, 1 worse than at the anchor"


def test_history_as_json(committed):
    command, repository = committed
    status, data = command.json("history", "t", "--metrics", "time,memory")
    assert status == 0
    time, memory = data["tests"]
    assert (time["metric"], time["worse"], time["drift"]["drifted"]) == ("time", True, True)
    assert time["points"][0]["label"] == repository.git("log", "--format=%h", "--reverse").split()[0]
    assert (memory["metric"], memory["worse"], len(memory["points"])) == ("memory", False, 12)


def test_a_folder_of_reports_is_read_in_the_order_of_time(command):
    folder_of(command, [1.0, 1.001, 0.999, 1.002, 1.2, 1.201, 1.199, 1.202])
    status, out, _err = command.run("history", "--reports", "reports", "--fail-on-drift")
    assert status == 1
    assert "step +20.0 % at c4 (2026-01-05)" in out


def test_what_grew_from_nothing_says_so():
    points = tuple(HistoryPoint(f"c{index}", "", value) for index, value in enumerate((0.0, 0.0, 0.0, 9e3, 9e3, 9e3)))
    grown = Trend("t", "linux", "memory", "B", points, (), None, stepped=True)
    assert describe(grown) == "memory 0 B -> 9.00 KB (from nothing), 6 recordings; GREW from nothing"


def test_a_drift_and_its_least_size_are_on_one_scale():
    points = tuple(HistoryPoint(f"c{index}", "", value) for index, value in enumerate((1.0, 2.5)))
    track = Trend("t", "linux", "time", "s", points, (), Drift(2.5, 1.8, drifted=True))
    assert describe(track) == "time 1.00 s -> 2.50 s (2.5x), 2 recordings; DRIFTED 2.5x (at least 1.8x)"


def test_a_file_that_is_no_report_is_left_out_with_a_remark(command):
    folder_of(command, CREEP)
    (command.path / "reports" / "package.json").write_text('{"name": "x"}')
    status, out, err = command.run("history", "--reports", "reports")
    assert status == 0
    assert "12 recordings" in out
    assert "skipped: reports/package.json: schema is None, expected 1" in err


def test_a_short_history_judges_nothing_and_is_not_green(command):
    folder_of(command, CREEP[:4])
    status, _out, err = command.run("history", "--reports", "reports", "--fail-on-drift")
    assert status == 5
    assert "minimum: 6" in err
    assert command.run("history", "--reports", "reports")[0] == 0


def test_the_anchor_may_be_a_file_or_a_revision(committed):
    command, repository = committed
    repository.git("tag", "v1", "HEAD~11")
    repository.git("tag", "v2", "HEAD")
    assert command.run("history", "--anchor", "v1", "--fail-on-drift")[0] == 1
    assert command.run("history", "--anchor", "v2", "--fail-on-drift")[0] == 0
    command.keep("old.json", {"t": slower(record(), 0.8)})
    assert command.run("history", "--anchor", "old.json", "--fail-on-drift")[0] == 1
    status, _out, err = command.run("history", "--anchor", "nowhere")
    assert status == 4
    assert "nowhere" in err


def test_a_baseline_outside_git_is_an_error_that_says_what_else_there_is(command):
    command.keep("perf-baseline.json", {"t": record()})
    status, _out, err = command.run("history")
    assert status == 4
    assert "not a git repository" in err
    assert "--reports=FOLDER" in err
    Repository(command.path)
    assert "was never committed; commit it, or give" in command.run("history")[2]  # there is no commit at all


def test_a_state_that_cannot_be_read_is_left_out(committed):
    command, repository = committed
    repository.commit({"perf-baseline.json": "<<<<<<< HEAD\n"})
    command.keep("other.json", {})
    (command.path / "perf-baseline.json").unlink()
    command.keep("perf-baseline.json", {"t": slower(record(), 1.12), "u": record()})
    status, out, err = command.run("history")
    assert status == 0
    assert "unresolved merge conflict" in err
    assert "t: time 12.3 us -> 13.8 us (+12.0 %), 13 recordings" in out


def test_a_baseline_that_was_moved_keeps_its_past(committed):
    command, repository = committed
    (command.path / 'of "us"').mkdir()
    for old, new in [("perf-baseline.json", 'of "us"/speed é.json'), ('of "us"/speed é.json', "perf.json")]:
        repository.git("mv", old, new)
        repository.commit()
    _status, out, _err = command.run("history", "t", "--file", "perf.json")
    assert "12.3 us -> 13.7 us (+11.2 %), 12 recordings" in out
    _status, out, _err = command.run("history", "t", "--file", "perf.json", "--most", "5")
    assert "3 recordings" in out  # two of the five states are moves


def test_a_baseline_beside_one_that_looks_like_it_has_no_past_of_its_own(committed):
    command, repository = committed
    shutil.copy(command.path / "perf-baseline.json", command.path / "other.json")
    repository.commit()
    _status, data = command.json("history", "t", "--file", "other.json")
    assert [len(series["points"]) for series in data["tests"]] == [1]


def test_a_page_of_the_history(committed):
    command, _repository = committed
    status, _out, _err = command.run("report", "-o", "h.md", "-o", "h.html")
    assert status == 0
    assert "DRIFTED" in (command.path / "h.md").read_text()
    assert "1 worse" in (command.path / "h.html").read_text()


def test_a_page_of_one_report(command):
    (command.path / "r.json").write_text(report({"t": record()}))
    status, data = command.json("report", "--of", "r.json", "-o", "r.md")
    assert (status, data) == (0, {"written": ["r.md"], "summary": {"unchanged": 1}})
    assert "1 unchanged" in (command.path / "r.md").read_text()


@pytest.mark.parametrize("name", ["h.json", "h.folded"])
def test_a_history_has_no_page_of_a_run(committed, name):
    command, _repository = committed
    status, _out, err = command.run("report", "-o", name)
    assert status == 4
    assert "perfguard history --json" in err


def test_noise_is_no_mountain():
    assert sparkline([1.0, 1.01, 1.0]) == "▄▄▄"
    assert sparkline([1.0, 2.0]) == "▁█"
