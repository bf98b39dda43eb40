"""`perfguard compare`: two files, judged as a run would have been."""

from __future__ import annotations

import json

import pytest

from pytest_perfguard.engine.report.json import read_report
from tests.cli.conftest import record, report, slower


def test_what_got_slower_is_red(command):
    command.keep("a.json", {"t": record(), "u": record()})
    command.keep("b.json", {"t": slower(record(), 2.0), "u": record()})
    status, out, _err = command.run("compare", "a.json", "b.json")
    assert status == 1
    assert out.splitlines()[0] == "linux: compared with a.json"
    assert out.splitlines()[-1] == "perf: 1 regression, 1 unchanged"


def test_the_same_numbers_are_green(command):
    command.keep("a.json", {"t": record()})
    assert command.run("compare", "a.json", "a.json")[0] == 0


def test_a_report_can_stand_on_either_side(command):
    command.keep("a.json", {"t": record()})
    (command.path / "r.json").write_text(report({"t": slower(record(), 2.0)}))
    assert command.run("compare", "a.json", "r.json")[0] == 1
    status, data = command.json("compare", "r.json", "a.json")
    assert status == 0
    assert data["classes"]["linux"]["summary"] == {"improvement": 1}


def test_json_holds_a_report_for_each_class(command):
    command.keep("a.json", {"t": record()})
    status, data = command.json("compare", "a.json", "a.json")
    assert status == 0
    assert read_report(json.dumps(data["classes"]["linux"]), "x").summary == {"unchanged": 1}


def test_tests_of_one_side_are_new_or_missing(command):
    command.keep("a.json", {"t": record(), "gone": record()})
    command.keep("b.json", {"t": record(), "come": record()})
    summary = command.json("compare", "a.json", "b.json")[1]["classes"]["linux"]["summary"]
    assert summary == {"missing": 1, "new": 1, "unchanged": 1}
    assert command.run("compare", "a.json", "b.json", "--strict")[0] == 1


def test_a_changed_test_is_incomparable(command):
    command.keep("a.json", {"t": record(), "u": record()})
    command.keep("b.json", {"t": record(source="other"), "u": record()})
    assert command.json("compare", "a.json", "b.json")[1]["classes"]["linux"]["summary"]["incomparable"] == 1


def test_a_slow_machine_is_not_a_slow_test(command):
    """The second file's machine never reached the pace of the first."""
    command.keep("a.json", {"t": record()})
    command.keep("b.json", {"t": slower(record(kernel=0.7), 1.4)})
    assert command.json("compare", "a.json", "b.json")[1]["classes"]["linux"]["summary"] == {"inconclusive": 1}


def test_nothing_in_common_is_not_green(command):
    command.keep("a.json", {"t": record()})
    command.keep("b.json", {"t": record()}, machine="mac")
    status, _out, err = command.run("compare", "a.json", "b.json")
    assert status == 5
    assert "a.json has linux; b.json has mac" in err


def test_the_threshold_is_the_users(command):
    command.keep("a.json", {"t": record()})
    command.keep("b.json", {"t": slower(record(), 1.2)})
    assert command.run("compare", "a.json", "b.json")[0] == 1
    assert command.run("compare", "a.json", "b.json", "--threshold", "30%")[0] == 0
    status, _out, err = command.run("compare", "a.json", "b.json", "--threshold", "30")
    assert status == 2
    assert "30" in err


@pytest.mark.parametrize("name", ["x.md", "x.json"])
def test_a_report_of_the_comparison_is_written(command, name):
    command.keep("a.json", {"t": record()})
    command.keep("b.json", {"t": slower(record(), 2.0)})
    command.run("compare", "a.json", "b.json", "-o", name)
    text = (command.path / name).read_text()
    assert "regression" in text
    assert "Slower than its baseline." in text


def test_a_report_of_an_unknown_format_is_refused_before_anything_is_read(command):
    status, _out, err = command.run("compare", "a.json", "b.json", "-o", "x.pdf")
    assert status == 2
    assert "valid suffixes: .json, .md, .html" in err


def test_what_a_report_says_beside_its_numbers_is_not_lost(command):
    """A test that broke has no numbers; one that leaks has the same as ever."""
    command.keep("a.json", {"t": record(), "leaky": record(), "fine": record()})
    data = json.loads(report({"leaky": record(), "fine": record()}))
    leak = {"name": "leak.memory", "unit": "B", "verdict": "leak", "candidate": 100.0}
    for test in data["tests"]:
        if test["nodeid"] == "leaky":
            test.update(verdict="leak", metrics=[leak])
    broken = {**data["tests"][0], "nodeid": "t", "verdict": None, "reason": "SIGSEGV", "broken": True, "record": None}
    data["tests"].append({**broken, "metrics": []})
    (command.path / "r.json").write_text(json.dumps(data, separators=(",", ":")))
    status, told = command.json("compare", "a.json", "r.json")
    assert (status, told["classes"]["linux"]["summary"]) == (1, {"broken": 1, "leak": 1, "unchanged": 1})


def test_a_pattern_that_selects_nothing_is_not_called_another_machine(command):
    command.keep("a.json", {"t": record()})
    assert "no selected test is in both files" in command.run("compare", "a.json", "a.json", "x")[2]
    command.keep("b.json", {"t": record()}, "mac")
    status, _out, err = command.run("compare", "a.json", "b.json")
    assert (status, err) == (
        5,
        "perfguard: nothing was judged: no machine class in common (a.json has linux; b.json has mac)\n",
    )
    assert "in common that matches --machine=w* (" in command.run("compare", "a.json", "a.json", "--machine=w*")[2]


def test_a_report_of_an_interrupted_run_stays_incomplete(command):
    command.keep("a.json", {"t": record()})
    (command.path / "r.json").write_text(report({"t": record()}).replace('"complete": true', '"complete": false'))
    _status, data = command.json("compare", "a.json", "r.json")
    assert data["classes"]["linux"]["complete"] is False
